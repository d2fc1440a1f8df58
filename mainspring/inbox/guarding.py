"""What stands between the network and the pages: headers, bounds, and errors told in words."""

import logging
from collections.abc import Callable, Iterable
from pathlib import PurePath
from traceback import extract_tb
from urllib.parse import urlsplit

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers as AskedWith
from starlette.datastructures import MutableHeaders
from starlette.requests import Request as Visit
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 256 * 1024
"""Bytes of a form. What a run takes of a person is smaller."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # an address may hold the token of a link
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_STATIC = "/static/"

Told = Callable[[Visit, int, str], Response]
"""Makes the page of an error: its status, and what is wrong in words."""


class Headers:
    """Sets on every answer what a browser may do with it; only what everybody may have is kept by anybody."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                is_file = scope["path"].startswith(_STATIC)
                headers["Cache-Control"] = "public, max-age=3600" if is_file else "no-store"
            await send(message)

        await self._app(scope, receive, send_with)


class Calm:
    """Turns a mistake of ours into a page; the log gets its kind and place, since its text may quote somebody."""

    def __init__(self, app: ASGIApp, told: Told) -> None:
        """Stand before `app`."""
        self._app, self._told = app, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in any case."""
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as error:
            if scope["type"] != "http":
                raise
            last = extract_tb(error.__traceback__)[-1]
            place = f"{PurePath(last.filename).name}:{last.lineno}"
            logging.getLogger(__name__).error("A page failed: %s at %s", type(error).__name__, place)  # noqa: TRY400
            if not begun:
                sorry = "The inbox made a mistake. Nothing was sent, unless the page before said so."
                await self._told(Visit(scope), 500, sorry)(scope, receive, send)


class Bounds:
    """Refuses who asks too often: by the address, and by the person who is logged in."""

    def __init__(self, app: ASGIApp, told: Told, who: Callable[[Visit], str], by_address: str, by_person: str) -> None:
        """Stand before `app`; limits are as the package `limits` writes them: `120/minute`."""
        self._app, self._told, self._who = app, told, who
        self._by_address, self._by_person = parse(by_address), parse(by_person)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say that it was too often."""
        if scope["type"] != "http" or scope["path"].startswith(_STATIC) or await self._has_room(Visit(scope)):
            await self._app(scope, receive, send)
            return
        sorry = "That was too often. Wait a minute, then go on; nothing was sent."
        response = self._told(Visit(scope), 429, sorry)
        response.headers["Retry-After"] = "60"
        await response(scope, receive, send)

    async def _has_room(self, visit: Visit) -> bool:
        address = visit.client.host if visit.client else ""
        if not await self._limiter.hit(self._by_address, "address", address):
            return False
        who = self._who(visit)
        return not who or await self._limiter.hit(self._by_person, "person", who)


class Hosts:
    """Answers under its own names only: a page of another site, whose name leads here, reads nothing."""

    def __init__(self, app: ASGIApp, told: Told, names: Iterable[str]) -> None:
        """Stand before `app`."""
        self._app, self._told, self._names = app, told, frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say under which names it does."""
        if scope["type"] != "http" or _host(scope) in self._names:
            await self._app(scope, receive, send)
            return
        known = " or ".join(sorted(self._names))
        sorry = f"This inbox is not known by that name; it answers to {known}. MAINSPRING_INBOX_URL sets another."
        await self._told(Visit(scope), 400, sorry)(scope, receive, send)


def _host(scope: Scope) -> str:
    try:
        return urlsplit(f"//{AskedWith(scope=scope).get('host', '')}").hostname or ""
    except ValueError:
        return ""
