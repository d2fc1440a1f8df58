import asyncio
import gc
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.adapters.notifier import check_channels, open_notifier
from mainspring.core.routes import Route
from mainspring.errors import NotifyError, PolicyError, SetupError
from mainspring.ports.notifier import Channel, Notifier
from mainspring.testing.contracts import NotifierContract
from mainspring.testing.notifier_contract import sample
from tests.mainspring.adapters.listening import Ear, listening
from tools.sink import MailSink

SECRET = "whsec_" + "c2VjcmV0" * 4
HIDDEN = "t0k3n-of-the-path"


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A server that listens."""
    with listening() as server:
        yield server


@pytest.fixture
def nobody() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[MailSink]:
    """A mail server that keeps mails."""
    with MailSink(tmp_path / "mails") as server:
        yield server


def channel(url: str, **more: Any) -> Channel:
    """A channel, with a secret where it is a webhook."""
    return Channel(url=url, secret=SECRET if url.startswith("webhook+") else "", **more)


def opened(url: str, **more: Any) -> Notifier:
    """A notifier with one channel, `ops`."""
    return open_notifier({"ops": channel(url)}, **more)


def wrong_with(ops: Channel) -> SetupError | None:
    """What is told of a channel when it is opened."""
    try:
        open_notifier({"ops": ops})
    except SetupError as error:
        return error
    return None


def addresses(scheme: str, port: int) -> str:
    """The URL of something on this machine, with what must be told to nobody."""
    if scheme == "mailto":
        return f"mailto://127.0.0.1:{port}?from=desk@example.com&to={HIDDEN}@example.com"
    return f"{scheme}://127.0.0.1:{port}/{HIDDEN}"


class TestWebhooksFitThePort(NotifierContract):
    @pytest.fixture
    def notifier(self, ear: Ear, nobody: int) -> Notifier:
        """One that works, and one where nobody is."""
        urls = {"works": ear.port, "broken": nobody}
        return open_notifier({name: channel(addresses("webhook+http", port)) for name, port in urls.items()})

    @pytest.fixture
    def secrets(self, nobody: int) -> list[str]:
        """The path, the port and the key."""
        return [HIDDEN, str(nobody), SECRET]


class TestMailsFitThePort(NotifierContract):
    @pytest.fixture
    def notifier(self, sink: MailSink, nobody: int) -> Notifier:
        """One that works, and one where nobody is."""
        urls = {"works": sink.port, "broken": nobody}
        return open_notifier({name: channel(addresses("mailto", port)) for name, port in urls.items()})

    @pytest.fixture
    def secrets(self, nobody: int) -> list[str]:
        """The receiver and the port."""
        return [HIDDEN, str(nobody)]


class TestServicesFitThePort(NotifierContract):
    @pytest.fixture
    def notifier(self, ear: Ear, nobody: int) -> Notifier:
        """One that works, and one where nobody is."""
        urls = {"works": ear.port, "broken": nobody}
        return open_notifier({name: channel(addresses("json", port)) for name, port in urls.items()})

    @pytest.fixture
    def secrets(self, nobody: int) -> list[str]:
        """The path and the port."""
        return [HIDDEN, str(nobody)]


@pytest.mark.parametrize("scheme", ["webhook+http", "json"])
class TestAnswers:
    @pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429])
    async def test_may_pass(self, ear: Ear, scheme: str, status: int) -> None:
        """A failure of the other side may pass: the next attempt is taken, and none is made before it."""
        ear.answers = [status]
        notifier = opened(addresses(scheme, ear.port))
        with pytest.raises(NotifyError, match=rf"channel 'ops' was not told: it was answered with status {status}\."):
            await notifier.send("ops", sample())
        await notifier.send("ops", sample())

        assert len(ear.posted) == 2

    @pytest.mark.parametrize("status", [400, 401, 404, 410])
    async def test_lasts(self, ear: Ear, scheme: str, status: int) -> None:
        """What is wrong with our side stays wrong."""
        ear.answers = [status]
        with pytest.raises(NotifyError, match=f"status {status}") as caught:
            await opened(addresses(scheme, ear.port)).send("ops", sample())

        assert not caught.value.retryable

    async def test_no_answer(self, ear: Ear, scheme: str) -> None:
        """Who does not answer in time is given up, and may answer another time."""
        ear.held.clear()
        with pytest.raises(NotifyError, match=r"channel 'ops' .*") as caught:
            await opened(addresses(scheme, ear.port), seconds=0.2).send("ops", sample())

        assert caught.value.retryable

    async def test_loop_goes_on(self, ear: Ear, scheme: str) -> None:
        """While one does not answer, everything else goes on."""
        ear.held.clear()
        sending = asyncio.create_task(opened(addresses(scheme, ear.port)).send("ops", sample()))
        await asyncio.to_thread(ear.arrived.acquire)

        assert not sending.done()
        ear.held.set()
        await sending


class TestServices:
    async def test_words(self, ear: Ear) -> None:
        """A service is told the title and the text."""
        await opened(addresses("json", ear.port)).send("ops", sample())

        [posted] = ear.posted
        assert b'"title": "issue_refund waits for a decision (refund-1042, request 1)"' in posted.body
        assert b"Refunds over 50 EUR need a person." in posted.body

    async def test_no_retries_of_its_own(self, ear: Ear) -> None:
        """Retries that a URL asks for are not made, nor is a failure hidden that it calls optional."""
        ear.answers = [500] * 4
        with pytest.raises(NotifyError):
            await opened(f"{addresses('json', ear.port)}?retry=3&wait=0&optional=yes").send("ops", sample())

        assert len(ear.posted) == 1

    async def test_many_do_not_wait(self, ear: Ear) -> None:
        """Notices of one channel do not wait for one another."""
        notifier = opened(addresses("xml", ear.port))
        ear.held.clear()
        sending = asyncio.gather(*(notifier.send("ops", sample(key=str(number))) for number in range(3)))
        for _ in range(3):
            assert await asyncio.to_thread(ear.arrived.acquire, timeout=5)

        ear.held.set()
        await sending


class TestSecrets:
    @pytest.mark.parametrize("scheme", ["webhook+http", "json", "mailto"])
    async def test_not_in_logs(
        self, nobody: int, ear: Ear, sink: MailSink, scheme: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """However much is logged, what libraries say while they send is in no log; what they say else is."""
        caplog.set_level(1)
        works = sink.port if scheme == "mailto" else ear.port
        with pytest.raises(NotifyError):
            await opened(addresses(scheme, nobody)).send("ops", sample())
        await opened(addresses(scheme, works)).send("ops", sample())
        logging.getLogger("httpx").info("of another client")
        logging.getLogger("apprise").info("of another user")

        said = "\n".join(record.getMessage() for record in caplog.records if record.name not in ("asyncio", "mail.log"))
        assert not re.search(f"{HIDDEN}|{nobody}|{works}", said)
        assert said.endswith("of another client\nof another user")

    def test_not_in_a_repr(self) -> None:
        """A channel shows neither its address nor its secret."""
        assert repr(Channel(url="slack://abc", secret="s")) == "Channel(person='', templates=None)"

    @given(
        st.sampled_from(["mailto://", "slack://", "msteams://", "json://", "webhook+https://", "webhook+http://", ""]),
        st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    )
    def test_not_in_errors_at_the_start(self, scheme: str, rest: str) -> None:
        """Whatever is wrong with a URL or a secret, the error names the channel and shows neither."""
        rest = f"§{rest}"  # no sentence of ours has that
        error = wrong_with(Channel(url=scheme + rest, secret=rest))

        assert error is None or "'ops'" in str(error)
        assert error is None or "§" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"

    @settings(max_examples=30)
    @given(st.from_regex(r"[a-z0-9]{12,30}", fullmatch=True), st.sampled_from(["webhook+http", "json", "mailto"]))
    async def test_not_in_errors_of_sending(self, secret: str, scheme: str) -> None:
        """Whatever the URL is, an error of sending and all that it carries do not show it."""
        url = addresses(scheme, 1).replace(HIDDEN, secret)
        with pytest.raises(NotifyError) as caught:
            await opened(url).send("ops", sample())

        told: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
        assert secret not in repr(told)
        assert "127.0.0.1" not in repr(told)


class TestAtTheStart:
    @pytest.mark.parametrize(
        "url", ["nonsense", "bogus://x", "mailto://", "slack://", "https://example.com/hook", "webhook+https://", ""]
    )
    def test_bad_url(self, url: str) -> None:
        """A URL that cannot be used is told before anybody is to be told something."""
        with pytest.raises(SetupError, match="channel 'ops' of 'notify' has a URL that"):
            open_notifier({"ops": Channel.model_construct(url=url, secret=SECRET, person="", templates=None)})

    @pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "10.0.0.1", "localhost.example.com"])
    def test_webhook_in_the_clear(self, host: str) -> None:
        """A webhook without encryption is for this machine alone."""
        with pytest.raises(SetupError, match="'ops' of 'notify' would send a webhook without encryption"):
            opened(f"webhook+http://{host}/x")

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
    def test_webhook_to_this_machine(self, host: str) -> None:
        """This machine needs none."""
        opened(f"webhook+http://{host}:80/x")

    @pytest.mark.parametrize("secret", ["whsec_", "c2VjcmV0" * 4, "whsec_c2VjcmV0", "whsec_" + "c2VjcmV0" * 11, "ä"])
    def test_bad_secret(self, secret: str) -> None:
        """A secret that is none, too short or too long is told, with how to make one."""
        with pytest.raises(SetupError, match=r"'secret' of the channel 'ops'.*openssl rand"):
            open_notifier({"ops": Channel(url="webhook+https://example.com/x", secret=secret)})

    def test_no_secret(self) -> None:
        """A webhook without a secret is refused: nobody could tell that it is ours."""
        with pytest.raises(SetupError, match="'ops' of 'notify' is a webhook without a 'secret'"):
            open_notifier({"ops": Channel(url="webhook+https://example.com/x")})

    def test_route_to_a_channel_that_there_is_not(self) -> None:
        """A route that names an unknown channel is shown with its file and line."""
        route = Route(id="refunds", notify=("finance", "opps"), source="policies/desk.yaml", at=(7, 5))
        with pytest.raises(PolicyError) as caught:
            check_channels([route], {"finance": 1, "ops": 2})

        assert str(caught.value) == (
            "policies/desk.yaml:7:5: the route 'refunds' notifies 'opps', a channel that the settings do not have "
            "(the table 'notify' in 'mainspring.toml'). Did you mean 'ops'?"
        )

    def test_routes_that_fit(self) -> None:
        """Routes whose channels there are pass, and so do those without."""
        check_channels([Route(id="a", notify=("ops",)), Route(id="b")], ["ops"])

    def test_light_where_there_is_no_channel(self) -> None:
        """A worker without channels loads no library of them."""
        code = (
            "import sys; from mainspring.adapters.notifier import open_notifier, check_channels;"
            "from mainspring.settings import read_settings;"
            "open_notifier({}); print([m for m in ('apprise', 'requests', 'smtplib') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "[]"


async def test_nothing_is_left_open(ear: Ear) -> None:
    """Sending leaves no connection behind."""
    for scheme in ("webhook+http", "json"):
        await opened(addresses(scheme, ear.port)).send("ops", sample())

    gc.collect()  # what was left open warns here, and a warning is an error
