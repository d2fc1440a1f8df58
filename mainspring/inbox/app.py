"""The inbox as an ASGI application: its routes, and what stands before them."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request as Visit
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from temporalio.client import Client

from mainspring.core.routes import People
from mainspring.inbox.guarding import LARGEST_BODY, Bounds, Calm, Headers, Hosts
from mainspring.inbox.lists import Lists
from mainspring.inbox.login import Door
from mainspring.inbox.pages import Desk
from mainspring.inbox.people import Login, Sign
from mainspring.inbox.rendering import STATIC
from mainspring.inbox.requests import Requests
from mainspring.ports.verifier import Verifier

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def make_app(
    client: Client,
    login: Login,
    *,
    url: str,
    secret: str,
    sign: Sign | None = None,
    verifier: Verifier | None = None,
    people: Mapping[str, People] | None = None,
    session: timedelta = timedelta(hours=8),
    by_address: str = "600/minute",
    by_person: str = "240/minute",
    now: Callable[[], float] = time.time,
) -> Starlette:
    """The inbox of one namespace.

    Args:
        client: connected to that namespace; its identity is what decisions without a token are recorded with.
        login: who people are, and who says so.
        url: where browsers find it, such as `https://inbox.example.com`; with https, cookies go over nothing else.
        secret: signs the cookies. With another one, all sessions end.
        sign: signs the decisions of people who logged in; without it they are recorded as the client's.
        verifier: lets the holder of a link in a mail see its request without a login.
        people: the groups and delegations of each agent's and graph's rule files, by name, to tell what is for whom.
        session: how long after a login a session ends, whatever is done meanwhile.
        by_address: how often one address may ask, as the package `limits` writes it.
        by_person: likewise for a person.
        now: seconds since 1970.
    """
    is_https = url.startswith("https://")
    desk = Desk(client, login, url=url.rstrip("/"), session=session.total_seconds(), people=people or {}, now=now)
    told = desk.error
    middleware = [
        Middleware(Headers),
        Middleware(Calm, told),
        Middleware(Hosts, told, {*_LOOPBACK, urlsplit(url).hostname or "localhost"}),
        Middleware(RequestBodyLimitMiddleware, max_body_size=2 * LARGEST_BODY),
        Middleware(
            SessionMiddleware,
            secret_key=secret,
            session_cookie="__Host-mainspring-inbox" if is_https else "mainspring-inbox",
            max_age=int(session.total_seconds()),
            same_site="lax",  # strict would lose the session where the identity provider sends somebody back
            https_only=is_https,
        ),
        Middleware(Bounds, told, desk.name_of, by_address, by_person),
    ]
    lists, requests, door = Lists(desk), Requests(desk, sign, verifier), Door(desk)
    about = "{namespace}/{run:path}/{number}"
    return Starlette(
        routes=[
            Route("/", lists.waiting),
            Route("/decisions", lists.decided),
            Route(f"/requests/{about}", requests.show),
            Route(f"/requests/{about}", requests.decide, methods=["POST"]),
            Route(f"/link/{about}", requests.show_link),
            Route(f"/link/{about}", requests.decide_link, methods=["POST"]),
            Route("/login", door.page),
            Route("/login/start", door.start),
            Route("/login/callback", door.arrive),
            Route("/logout", door.leave, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _refused(desk)},
    )


def _refused(desk: Desk) -> Callable[[Visit, Exception], Response]:
    def page(visit: Visit, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = {
            404: "There is no such page.",
            405: "This page takes no such request.",
            413: f"That is more than the {LARGEST_BODY // 1024} KiB that a form may have. Nothing was sent.",
        }
        said = error.detail if isinstance(error, HTTPException) else ""
        is_plain = said in ("Not Found", "Method Not Allowed", "Content Too Large")
        return desk.error(visit, status, words.get(status, said) if is_plain else said)

    return page
