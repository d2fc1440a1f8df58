"""Application: a mail server that keeps what it gets and sends nothing on, for the demo and the tests.

python -m tools.sink FOLDER [--port 1025]
"""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class MailSink:
    """Keeps each mail as a numbered .eml file in `folder`, and once only where its Message-ID repeats.

    A folder with mails in it is taken up where it was left. `with MailSink(folder) as sink:` starts
    and stops it; `port` 0 takes a free one, and tells which after the start.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        """Say where to keep and where to listen; nothing happens before `start`."""
        self.folder = folder
        self.host = host
        self.port = port
        self._mails: list[EmailMessage] = []
        self._controller: _Controller | None = None

    @property
    def mails(self) -> list[EmailMessage]:
        """What came in, oldest first."""
        return list(self._mails)

    def start(self) -> None:
        """Listen, in a thread of its own.

        Raises:
            OSError: the port is taken, or the folder cannot be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mails = [_read(path.read_bytes()) for path in sorted(self.folder.glob("*.eml"))]
        listening = socket.create_server((self.host, self.port))
        self.port = listening.getsockname()[1]
        self._controller = _Controller(self, hostname=self.host, port=self.port)
        self._controller.listening = listening
        self._controller.start()

    def stop(self) -> None:
        """Stop listening; what came in stays in the folder and in `mails`."""
        if self._controller:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Keep one mail; called by aiosmtpd, which sends the answer to the client."""
        del server, session
        self._keep(envelope.original_content or b"")
        return "250 kept"

    def _keep(self, content: bytes) -> None:
        mail = _read(content)
        if mail["Message-ID"] and mail["Message-ID"] in [each["Message-ID"] for each in self._mails]:
            return
        (self.folder / f"{len(self._mails) + 1:04}.eml").write_bytes(content)
        self._mails.append(mail)


class _Controller(Controller):
    """aiosmtpd's thread, on a socket that is bound already: so port 0 works, and a taken port is told at once."""

    listening: socket.socket

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self.listening)


def _read(content: bytes) -> EmailMessage:
    return message_from_bytes(content, _class=EmailMessage, policy=policy.default)


def main() -> int:
    """Run a sink until Ctrl-C or a SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.sink", description="Keep mails instead of sending them.")
    parser.add_argument("folder", type=Path, help="where the .eml files go")
    parser.add_argument("--port", type=int, default=1025, help="0 takes a free one (default: %(default)s)")
    given = parser.parse_args()
    sink = MailSink(given.folder, port=given.port)
    stop = {signal.SIGINT, signal.SIGTERM}
    # Before the sink's thread starts: it takes over the mask, so only `sigwait` gets the signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    try:
        sink.start()
    except OSError as error:
        sys.stderr.write(f"Cannot keep mails in {str(sink.folder)!r} from port {sink.port}: {error}. Try --port 0.\n")
        return 1
    sys.stdout.write(f"Keeping mails of {sink.host}:{sink.port} in {str(sink.folder)!r}. Ctrl-C ends it.\n")
    sys.stdout.flush()
    signal.sigwait(stop)
    sink.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
