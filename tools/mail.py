"""Application: mail as a tool of an agent.

`SMTP_HOST` and `SMTP_PORT` name the mail server (default `127.0.0.1:1025`, where the demo's sink
listens), `SMTP_FROM` the address mails come from.

What was sent is written down in the shop's table `sent_mails`, so a repeated call finds it and sends
nothing. What remains: after a crash between sending and writing down, the repeat sends the mail again,
with the same Message-ID, by which a receiver can tell.
"""

import asyncio
import hashlib
import os
import smtplib
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from pydantic import BaseModel

from mainspring import Context, SetupError, ToolError, tool
from tools.shop_seed import SHOP

SILENCE = 10.0
"""How long the mail server may say nothing, in seconds."""


class Sent(BaseModel):
    """A mail that the mail server took."""

    message_id: str


@tool(effect="idempotent", returns="trusted")
async def send_email(to: str, subject: str, body: str, context: Context) -> Sent:
    """Send a mail to one person.

    Args:
        to: The bare mail address, such as ada@example.com.
        subject: One line.
        body: Plain text.
        context: Its key makes the Message-ID.
    """
    mail = _compose(to, subject, body, context.idempotency_key)
    await asyncio.to_thread(_send_once, mail, context.idempotency_key)
    return Sent(message_id=str(mail["Message-ID"]))


def _compose(to: str, subject: str, body: str, key: str) -> EmailMessage:
    sender = os.environ.get("SMTP_FROM") or "refunds@shop.example.com"
    try:
        sender_address = Address(addr_spec=sender)
    except (ValueError, MessageError) as error:
        raise SetupError(f"SMTP_FROM is {sender!r}, which is no mail address: {error}.") from error
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender_address
    mail["To"] = _receiver(to)
    try:
        mail["Subject"] = subject
    except ValueError as error:
        raise ToolError("the subject must be one line of text") from error
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    mail["Message-ID"] = f"<{digest}@{sender_address.domain}>"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail.set_content(body)
    return mail


def _receiver(to: str) -> Address:
    try:
        address = Address(addr_spec=to)
    except (ValueError, IndexError, MessageError) as error:
        raise ToolError("this is not one bare mail address; write it like ada@example.com") from error
    if not address.username or not address.domain or not to.isascii():
        raise ToolError("this is not a mail address that can be reached; ask the customer for another")
    return address


def _send_once(mail: EmailMessage, key: str) -> None:
    with SHOP.opened() as shop:
        if shop.execute("SELECT 1 FROM sent_mails WHERE key = ?", (key,)).fetchone():
            return
        with _server() as server:
            try:
                server.send_message(mail)
            except smtplib.SMTPRecipientsRefused as refused:
                _raise_if_final(refused)
                raise
            # Before the server is told goodbye: if that fails, the mail is sent all the same.
            shop.execute(
                "INSERT INTO sent_mails VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (key, str(mail["Message-ID"]), datetime.now(UTC).isoformat(timespec="seconds")),
            )


def _server() -> smtplib.SMTP:
    host = os.environ.get("SMTP_HOST") or "127.0.0.1"
    port = os.environ.get("SMTP_PORT") or "1025"
    if not port.isdecimal():
        raise SetupError(f"SMTP_PORT is {port!r}; it must be the number of the mail server's port, such as 1025.")
    try:
        return smtplib.SMTP(host, int(port), timeout=SILENCE)
    except OSError as error:
        raise ConnectionError(
            f"no mail server answers at {host}:{port} ({error}). "
            "Start one (python -m tools.sink .mainspring/mail), or set SMTP_HOST and SMTP_PORT."
        ) from error


def _raise_if_final(refused: smtplib.SMTPRecipientsRefused) -> None:
    """Turn a lasting refusal (5xx) into words for the model; the engine repeats after the others."""
    codes = [code for code, _ in refused.recipients.values()]
    if codes and min(codes) >= 500:  # noqa: PLR2004 - the class of lasting failures, RFC 5321
        raise ToolError(f"the mail server refuses this address ({codes[0]}); ask the customer for another") from None
