import socket
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.notifier import open_notifier
from mainspring.errors import NotifyError
from mainspring.ports.notifier import Channel, Notifier
from mainspring.testing.notifier_contract import sample
from tools.sink import MailSink


class Picky(MailSink):
    """A server that answers each receiver, or what they are sent, with what is in `answers`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.answers: dict[str, str] = {}

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, *___: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Refuse, or take."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Refuse, or keep."""
        return self.answers.get("data") or await super().handle_DATA(server, session, envelope)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Picky]:
    """A mail server that keeps mails, one of each id."""
    with Picky(tmp_path / "mails") as server:
        yield server


def opened(sink: MailSink, more: str = "&to=ada@example.com", **settings: Any) -> Notifier:
    """A notifier with one channel, `ada`, which is mail."""
    return open_notifier(
        {"ada": Channel(url=f"mailto://127.0.0.1:{sink.port}?from=Desk<desk@example.com>{more}")}, **settings
    )


def text(mail: EmailMessage, kind: str = "plain") -> str:
    """The text of a mail, in one of its forms."""
    part = mail.get_body((kind,))
    assert part
    return str(part.get_content())


async def test_arrives(sink: Picky) -> None:
    """A mail has the title as its subject, the text in plain words, and says that a machine sent it."""
    await opened(sink).send("ada", sample(tool="Erstattung_€"))

    (mail,) = sink.mails
    assert mail["Subject"] == "Erstattung_€ waits for a decision (refund-1042, request 1)"
    assert (mail["To"], mail["From"], mail["Auto-Submitted"]) == (
        "ada@example.com",
        "Desk <desk@example.com>",
        "auto-generated",
    )
    assert mail.get_content_type() == "text/plain"
    assert text(mail).splitlines()[2:4] == ["Who may decide: finance", "Decide by: 2027-01-15 08:00 UTC"]


async def test_repetition_is_dropped(sink: Picky) -> None:
    """The same notice has the same Message-ID, once in its head, so a mailbox keeps one; another has another."""
    notifier = opened(sink)
    for key in ("one", "one", "two"):
        await notifier.send("ada", sample(key=key))

    assert [mail.get_all("Message-ID") for mail in sink.mails] == [["<one@example.com>"], ["<two@example.com>"]]


async def test_no_more_headers(sink: Picky) -> None:
    """No name or reason gets a line of its own into the head of a mail."""
    await opened(sink).send("ada", sample(tool="x\r\nBcc: eve@example.com\r\n\r\n", run="a\nX-Evil: 1"))

    (mail,) = sink.mails
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None


async def test_html(sink: Picky, tmp_path: Path) -> None:
    """An HTML template makes a mail with both forms; what is put into it is escaped, but for the subject."""
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "asked.html").write_text("{{ tool }} & you\n<p>{{ reason }}</p>")
    await opened(sink, templates=folder).send("ada", sample(tool="<b>", reason="<script>alert(1)</script>"))

    (mail,) = sink.mails
    assert mail["Subject"] == "<b> & you"
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>" in text(mail, "html")
    assert "<script>alert(1)</script>" in text(mail)


async def test_html_where_text_is_wanted(sink: Picky, tmp_path: Path) -> None:
    """A channel that wants plain text gets it of an HTML template too."""
    (tmp_path / "asked.html").write_text("Title\n<p>Decide <b>now</b></p>")
    await opened(sink, "&to=ada@example.com&format=text", templates=tmp_path).send("ada", sample())

    (mail,) = sink.mails
    assert mail.get_content_type() == "text/plain"
    assert "<" not in text(mail)


class TestRefused:
    @pytest.mark.parametrize(("code", "retryable"), [("450 ada@example.com later", True), ("550 no ada", False)])
    async def test_receiver(self, sink: Picky, code: str, retryable: bool) -> None:
        """A receiver who is refused for good stays refused; the error has the code, not the server's words."""
        sink.answers["ada@example.com"] = code
        with pytest.raises(NotifyError) as caught:
            await opened(sink).send("ada", sample())

        assert str(caught.value) == f"channel 'ada' was not told: the mail server refuses a receiver ({code[:3]})."
        assert caught.value.retryable is retryable

    @pytest.mark.parametrize(("code", "retryable"), [("452 full", True), ("554 spam", False)])
    async def test_mail(self, sink: Picky, code: str, retryable: bool) -> None:
        """So it is where the mail itself is refused."""
        sink.answers["data"] = code
        with pytest.raises(NotifyError, match=rf"refuses the mail \({code[:3]}\)") as caught:
            await opened(sink).send("ada", sample())

        assert caught.value.retryable is retryable

    async def test_one_of_two(self, sink: Picky) -> None:
        """That one receiver is refused keeps no other from being told, in this attempt and the next."""
        notifier = opened(sink, "&to=ada@example.com,bob@example.com")
        for code in ("450 later", "450 later"):
            sink.answers["ada@example.com"] = code
            with pytest.raises(NotifyError, match="450"):
                await notifier.send("ada", sample())

        assert [mail["To"] for mail in sink.mails] == ["bob@example.com"]

    async def test_no_encryption(self, sink: Picky) -> None:
        """Where the URL wants encryption and the server has none, nothing is sent, now and later."""
        url = f"mailtos://127.0.0.1:{sink.port}?from=desk@example.com&to=ada@example.com"
        with pytest.raises(NotifyError, match="no encryption") as caught:
            await open_notifier({"ada": Channel(url=url)}).send("ada", sample())

        assert not caught.value.retryable
        assert not sink.mails

    async def test_says_nothing(self) -> None:
        """A server that takes the connection and says nothing is given up in time."""
        with closing(socket.create_server(("127.0.0.1", 0))) as mute:
            url = f"mailto://127.0.0.1:{mute.getsockname()[1]}?from=desk@example.com&to=ada@example.com"
            with pytest.raises(NotifyError) as caught:
                await open_notifier({"ada": Channel(url=url)}, seconds=0.2).send("ada", sample())

        assert caught.value.retryable


async def test_login_without_account(sink: Picky) -> None:
    """A server that knows no login is not told a password."""
    url = f"mailto://user:s3cret@127.0.0.1:{sink.port}?from=desk@example.com&to=ada@example.com"
    with pytest.raises(NotifyError) as caught:
        await open_notifier({"ada": Channel(url=url)}).send("ada", sample())

    assert not caught.value.retryable
    assert "s3cret" not in repr(caught.value)
