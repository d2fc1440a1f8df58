"""Mails, to the addresses of a `mailto://` or `mailtos://` URL as apprise reads it. Activity side.

apprise composes them. It would give each a new Message-ID, and not tell what went wrong, so they are sent here: with an
id made of the notice's key, by which a mailbox can drop a repetition.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email import message_from_string
from email.message import Message as Mail
from email.policy import SMTP
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from typing_extensions import override

from mainspring.adapters.notifier.quiet import hushed
from mainspring.adapters.notifier.services import open_service
from mainspring.adapters.notifier.ways import Message, NotSent, Way

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

_LASTING = 500
"""From here on the codes of RFC 5321 are of failures that last."""


class MailWay(Way):
    """Sends mails by one SMTP server."""

    def __init__(self, url: str, *, seconds: float) -> None:
        """Take a URL whose service `is_mail`."""
        self._url = url
        self._seconds = seconds

    @override
    async def send(self, message: Message) -> None:
        with hushed():
            failure = await asyncio.to_thread(self._send, message)
        if failure:  # out here, so that it does not carry the server's error with it: that one may know addresses
            raise failure

    def _send(self, message: Message) -> NotSent | None:
        from apprise.exception import AppriseException

        try:
            account: Any = open_service(self._url, seconds=self._seconds)  # a NotifyEmail, whose types are unfinished
            letters = list(_compose(account, message))
            with _connected(account, self._seconds) as server:
                failures = [failure for each in letters if (failure := _post(server, account, each))]
        except AppriseException:
            return NotSent("the mail could not be made: see its options for encryption", retryable=False)
        except (smtplib.SMTPException, OSError) as error:
            return _failure(error)
        return next((each for each in failures if each.retryable), failures[0] if failures else None)


def is_mail(service: "NotifyBase") -> bool:
    """Whether a service is apprise's mail by SMTP."""
    from apprise.plugins.email import NotifyEmail

    return type(service) is NotifyEmail  # what is made of it has ways of its own


class _Letter(NamedTuple):
    to: list[str]
    mail: Mail


def _compose(account: Any, message: Message) -> Iterator[_Letter]:
    from apprise import NotifyFormat, conversion

    words = message.words
    source = NotifyFormat.HTML if words.is_html else NotifyFormat.TEXT
    wanted = account.resolve_format(source)  # `?format=` of the URL
    convert = cast("Callable[..., str]", conversion.convert_between)
    prepared = account.prepare_emails(
        subject=words.title,
        body=convert(source, wanted, words.text),
        notify_format=wanted,
        from_addr=account.from_addr,
        to=account.targets,
        cc=account.cc,
        bcc=account.bcc,
        reply_to=account.reply_to,
        smtp_host=account.smtp_host,
        headers={"Auto-Submitted": "auto-generated", **account.headers},
        names=account.names,
        pgp=account.pgp,
        pgp_mode=account.pgp_mode,
        tzinfo=account.tzinfo,
    )
    domain = account.from_addr[1].rpartition("@")[2]
    for each in prepared:
        mail = message_from_string(each.body, policy=SMTP)
        mail.replace_header("Message-ID", f"<{message.notice.key}@{domain}>")
        yield _Letter(each.to_addrs, mail)


def _connected(account: Any, seconds: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if not account.verify_certificate:  # `?verify=no` of the URL
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if account.secure_mode == "ssl":
        server: smtplib.SMTP = smtplib.SMTP_SSL(account.smtp_host, account.port, timeout=seconds, context=context)
    else:
        server = smtplib.SMTP(account.smtp_host, account.port, timeout=seconds)
    try:
        if account.secure_mode == "starttls":
            server.starttls(context=context)
        if account.user and account.password:
            server.login(account.user, account.password)
    except BaseException:
        server.close()
        raise
    return server


def _post(server: smtplib.SMTP, account: Any, letter: _Letter) -> NotSent | None:
    """Send one; that it was refused does not keep the others from being sent."""
    try:
        missed = server.sendmail(account.from_addr[1], letter.to, letter.mail.as_bytes())
    except smtplib.SMTPServerDisconnected:
        raise
    except smtplib.SMTPException as error:
        return _failure(error)
    return _failure(smtplib.SMTPRecipientsRefused(missed)) if missed else None


def _failure(error: Exception) -> NotSent:
    """What went wrong in words: the server's own may hold addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = min((code for code, _ in error.recipients.values()), default=_LASTING)
        return NotSent(f"the mail server refuses a receiver ({code})", retryable=code < _LASTING)
    if isinstance(error, smtplib.SMTPResponseException):
        code = error.smtp_code
        return NotSent(f"the mail server refuses the mail ({code})", retryable=code < _LASTING)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotSent("the mail server has no encryption, or no login", retryable=False)
    return NotSent(f"the mail server could not be reached ({type(error).__name__})", retryable=True)
