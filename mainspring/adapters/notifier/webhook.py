"""Webhooks signed as Standard Webhooks says (https://www.standardwebhooks.com): anybody can check who sent them.

Activity side. The id of a webhook is the notice's key, the same in every attempt, so a receiver can drop a repetition.
"""

import base64
import binascii
import json
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

import httpx
from standardwebhooks import Webhook
from typing_extensions import override

from mainspring.adapters.notifier.quiet import hushed
from mainspring.adapters.notifier.ways import Message, NotSent, Way, refused
from mainspring.errors import SetupError
from mainspring.ports.notifier import Channel

if TYPE_CHECKING:
    import ssl

PREFIX = "webhook+"
_SECRET = "whsec_"  # noqa: S105 - how every secret begins
_SECRET_BYTES = range(24, 65)
_HOW = "run: echo whsec_$(openssl rand -base64 32)"


class WebhookWay(Way):
    """Posts a notice as JSON to one URL."""

    def __init__(self, name: str, channel: Channel, *, seconds: float) -> None:
        """Read the URL and the secret of the channel.

        Raises:
            SetupError: one of them is wrong; the message does not hold them.
        """
        self._url = _url(name, channel.url.removeprefix(PREFIX))
        self._signer = Webhook(_secret(name, channel.secret))
        self._seconds = seconds

    @override
    async def send(self, message: Message) -> None:
        body = json.dumps(payload(message), ensure_ascii=False)
        now = datetime.now(UTC)
        key = message.notice.key
        headers = {
            "content-type": "application/json",
            "user-agent": "mainspring",
            "webhook-id": key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(key, now, body),
        }
        failure = None
        with hushed():
            try:
                status = await self._post(body.encode(), headers)
            except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL):
                failure = NotSent("its URL cannot be used", retryable=False)
            except httpx.TimeoutException:
                failure = NotSent(f"it did not answer within {self._seconds:g} seconds", retryable=True)
            except httpx.HTTPError as error:
                failure = NotSent(f"it could not be reached ({type(error).__name__})", retryable=True)
            else:
                failure = None if httpx.codes.is_success(status) else refused(status)
        if failure:  # out here, so that it does not carry the client's error with it: that one knows the URL
            raise failure

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        async with (
            httpx.AsyncClient(timeout=self._seconds, verify=_trust()) as client,
            client.stream("POST", self._url, content=body, headers=headers) as response,  # its body is not read
        ):
            return response.status_code


def payload(message: Message) -> dict[str, object]:
    """What is posted: the type of event, when it was, and the notice with its words and links."""
    notice = message.notice
    return {
        "type": f"request.{notice.occasion.replace(' ', '_')}",
        "timestamp": _iso(notice.at),
        "data": {
            "namespace": notice.namespace,
            "run": notice.run,
            "execution": notice.execution,
            "request": notice.request,
            "kind": notice.kind,
            "agent": notice.agent,
            "tool": notice.tool,
            "rule": notice.rule,
            "reason": notice.reason,
            "who": list(notice.who),
            "person": message.person,
            "deadline": _iso(notice.deadline),
            "decision": notice.decision,
            "title": message.words.title,
            "text": message.words.text,
            "links": message.links._asdict(),
        },
    }


def _iso(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else None


@cache
def _trust() -> "ssl.SSLContext":
    """Whom we trust; reading it takes too long for each notice."""
    return httpx.create_ssl_context()


def _url(name: str, text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise SetupError(
            f"the channel {name!r} of 'notify' has a URL that is no address of a webhook. "
            "Write it like 'webhook+https://host/path'."
        )
    if url.scheme == "http" and not _is_loopback(url.host):
        raise SetupError(
            f"the channel {name!r} of 'notify' would send a webhook without encryption. "
            "Write 'webhook+https://…'; 'webhook+http://…' is for this machine alone."
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(name: str, text: str) -> bytes:
    if not text:
        raise SetupError(
            f"the channel {name!r} of 'notify' is a webhook without a 'secret', so its receiver could not tell that "
            f"it is yours. To make one, {_HOW}"
        )
    try:
        secret = base64.b64decode(text.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(_SECRET) or len(secret) not in _SECRET_BYTES:
        raise SetupError(
            f"the 'secret' of the channel {name!r} of 'notify' must be 'whsec_' and 24 to 64 bytes in base64. "
            f"To make one, {_HOW}"
        ) from None
    return secret
