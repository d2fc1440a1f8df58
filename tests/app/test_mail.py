"""The mail tool, against a real SMTP server in this process, and that server."""

import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from mainspring import Context, SetupError, ToolError
from tools.mail import Sent, send_email
from tools.sink import MailSink

ROOT = Path(__file__).parents[2]


async def forgets(note: str) -> None:
    """Stand where the engine puts its memory; this tool does not remember."""


async def send(to: str = "ada@example.com", subject: str = "Hello", body: str = "Text", key: str = "key-1") -> Sent:
    """Call the tool as the engine does."""
    context = Context(run="run", agent="a", idempotency_key=key, user="", tenant="", remember=forgets)
    return await send_email.call({"to": to, "subject": subject, "body": body}, context)


class Refusing(MailSink):
    """A server that answers every receiver with `answer`."""

    answer = "550 no such user"

    async def handle_RCPT(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Refuse."""
        return self.answer


def use(sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the tool to use this sink, and a new shop beside its folder."""
    monkeypatch.setenv("SMTP_HOST", sink.host)
    monkeypatch.setenv("SMTP_PORT", str(sink.port))
    monkeypatch.setenv("SMTP_FROM", "desk@shop.example.com")
    monkeypatch.setenv("SHOP_DB", str(sink.folder.parent / "shop.db"))


@pytest.fixture
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSink]:
    """A running sink which the tool is told to use."""
    with MailSink(tmp_path / "mails") as running:
        use(running, monkeypatch)
        yield running


class TestSending:
    async def test_arrives_whole(self, sink: MailSink) -> None:
        """A mail arrives with its addresses, its subject and its text, also beyond ASCII."""
        sent = await send("ada@example.com", "Ihre Kaffeemühle", "Grüße, 64,00 €\n.\nBis bald")

        (mail,) = sink.mails
        assert (mail["From"], mail["To"], mail["Subject"]) == (
            "desk@shop.example.com",
            "ada@example.com",
            "Ihre Kaffeemühle",
        )
        assert mail.get_content().splitlines() == ["Grüße, 64,00 €", ".", "Bis bald"]
        assert mail["Message-ID"] == sent.message_id

    async def test_repeat_sends_nothing(self, sink: MailSink) -> None:
        """A call that was done is not done again: it needs no mail server and gives the same id."""
        first = await send()
        sink.stop()

        assert await send() == first

    async def test_repeat_after_a_crash_is_recognised(self, sink: MailSink) -> None:
        """Where the record of a sent mail is lost, the repeat has the same id, and the receiver keeps one."""
        await send()
        with closing(sqlite3.connect(sink.folder.parent / "shop.db")) as shop, shop:
            shop.execute("DELETE FROM sent_mails")
        await send()

        assert len(sink.mails) == 1

    async def test_other_call_is_another_mail(self, sink: MailSink) -> None:
        """Two calls with the same words are two mails."""
        await send(key="key-1")
        await send(key="key-2")

        assert len(sink.mails) == 2

    @pytest.mark.parametrize(
        "to",
        [
            "",
            "ada",
            "ada@",
            "@example.com",
            "Ada <ada@example.com>",
            "a@example.com, b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "adä@example.com",
            "ada@exämple.com",
        ],
    )
    async def test_bad_address(self, sink: MailSink, to: str) -> None:
        """What is not one bare address is told to the model, and nothing is sent."""
        with pytest.raises(ToolError, match="mail address"):
            await send(to=to)

        assert not sink.mails

    async def test_header_injection(self, sink: MailSink) -> None:
        """A subject that smuggles in a header is refused, and nothing is sent."""
        with pytest.raises(ToolError, match="one line"):
            await send(subject="Hello\r\nBcc: eve@example.com")

        assert not sink.mails


class TestTheServerFails:
    async def test_nobody_there(self, sink: MailSink) -> None:
        """No server is an ordinary error that names the address, so the engine tries again; then it works."""
        sink.stop()
        with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{sink.port}.*SMTP_HOST and SMTP_PORT"):
            await send()
        sink.start()
        await send()

        assert len(sink.mails) == 1

    async def test_receiver_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address the server refuses for good is told to the model."""
        with Refusing(tmp_path / "mails") as sink:
            use(sink, monkeypatch)
            with pytest.raises(ToolError, match=r"refuses this address \(550\); ask the customer"):
                await send()

    async def test_receiver_refused_for_now(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An address the server refuses for now is an ordinary error, so the engine tries again."""
        monkeypatch.setattr(Refusing, "answer", "450 later")
        with Refusing(tmp_path / "mails") as sink:
            use(sink, monkeypatch)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                await send()

    @pytest.mark.parametrize(("name", "value"), [("SMTP_PORT", "smtp"), ("SMTP_FROM", "nobody")])
    async def test_bad_setting(self, sink: MailSink, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        """A setting that cannot be used is named with its value."""
        monkeypatch.setenv(name, value)
        with pytest.raises(SetupError, match=f"{name} is '{value}'"):
            await send()


class TestTheSink:
    def test_goes_on_where_it_was(self, tmp_path: Path) -> None:
        """A sink started on a used folder knows its mails, goes on counting, and keeps a repeat out."""
        for ids in (["<1@x>", "<2@x>"], ["<2@x>", "<3@x>"]):
            with MailSink(tmp_path) as sink:
                post(sink, ids)

        assert [mail["Message-ID"] for mail in sink.mails] == ["<1@x>", "<2@x>", "<3@x>"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.eml", "0002.eml", "0003.eml"]

    def test_mails_without_id(self, tmp_path: Path) -> None:
        """Mails without a Message-ID are all kept: nothing tells them apart."""
        with MailSink(tmp_path) as sink:
            post(sink, ["", ""])

        assert len(sink.mails) == 2

    def test_port_in_use(self, tmp_path: Path) -> None:
        """A taken port is told at once by whoever starts the second sink."""
        with MailSink(tmp_path) as first, pytest.raises(OSError, match="in use"):
            MailSink(tmp_path, port=first.port).start()

    def test_as_a_program(self, tmp_path: Path) -> None:
        """`python -m tools.sink` says where it listens, keeps mails, and ends with 0 on Ctrl-C."""
        command = [sys.executable, "-m", "tools.sink", str(tmp_path), "--port", "0"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            port = int(process.stdout.readline().split("127.0.0.1:")[1].split()[0])
            post(MailSink(tmp_path, port=port), ["<1@x>"])
            process.send_signal(signal.SIGINT)

        assert process.returncode == 0
        assert [path.name for path in tmp_path.iterdir()] == ["0001.eml"]

    def test_as_a_program_on_a_taken_port(self, tmp_path: Path) -> None:
        """A taken port is one sentence and exit code 1."""
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            command = [sys.executable, "-m", "tools.sink", str(tmp_path), "--port", str(taken.getsockname()[1])]
            ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

        assert ended.returncode == 1
        assert "Try --port 0" in ended.stderr
        assert "Traceback" not in ended.stderr


def post(sink: MailSink, ids: list[str]) -> None:
    """Send one mail for each Message-ID ("" for none)."""
    with smtplib.SMTP(sink.host, sink.port) as server:
        for each in ids:
            mail = EmailMessage()
            mail["From"], mail["To"] = "a@example.com", "b@example.com"
            if each:
                mail["Message-ID"] = each
            server.send_message(mail)
