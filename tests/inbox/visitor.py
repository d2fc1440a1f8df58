"""Somebody who opens pages of the inbox and sends their forms, as a browser does: with cookies and hidden fields."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import httpx
from starlette.applications import Starlette


class _Hidden(HTMLParser):
    """Collects the hidden fields of the forms that are sent with POST, but for the one that logs out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("method") == "post" and given.get("action") != "/logout"
        if tag == "input" and given.get("type") == "hidden" and self._inside:
            self.found[given["name"] or ""] = given.get("value") or ""


class Visitor:
    """One browser, as far as HTTP goes."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, path: str, **options: Any) -> httpx.Response:
        """Open a page."""
        return await self.http.get(path, **options)

    async def press(self, page: httpx.Response, do: str, path: str = "", **typed: str) -> httpx.Response:
        """Send the form of a page with one of its buttons, and fields filled."""
        fields = hidden(page) | {name.replace("__", "."): text for name, text in typed.items()} | {"do": do}
        return await self.http.post(path or page.url.path, data=fields)


def hidden(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's form."""
    parser = _Hidden()
    parser.feed(page.text)
    return parser.found


def words(page: httpx.Response) -> str:
    """What a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))


@asynccontextmanager
async def visiting(app: Starlette, url: str = "http://127.0.0.1") -> AsyncIterator[Visitor]:
    """A visitor of an application, in this process; redirects are not followed."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=url) as http:
        yield Visitor(http)
