"""The login at an identity provider: a tiny one stands in for the outside world, with real keys and signed tokens."""

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request as Visit
from starlette.responses import JSONResponse
from starlette.routing import Route

from mainspring.core.approvals import form_digest
from mainspring.inbox.app import make_app
from mainspring.inbox.people import Oidc, person_of
from mainspring.testing.bench import Bench
from tests.inbox.asked import asked
from tests.inbox.conftest import SECRET, Ask
from tests.inbox.visitor import Visitor, visiting, words


class Provider:
    """An identity provider: it lets everybody in, as `claims` says; `challenge` is what PKCE holds it to."""

    def __init__(self, issuer: str) -> None:
        self.issuer, self.called = issuer, issuer
        self.key = ECKey.generate_key("P-256", {"kid": "1", "alg": "ES256", "use": "sig"})
        self.claims: dict[str, Any] = {}
        self.signed_with = self.key
        self.challenge = ""

    def app(self) -> Starlette:
        """Its three addresses."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._about),
                Route("/keys", self._keys),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _about(self, _visit: Visit) -> JSONResponse:
        at = self.issuer
        return JSONResponse(
            {
                "issuer": self.called,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "jwks_uri": f"{at}/keys",
                "id_token_signing_alg_values_supported": ["ES256"],
            }
        )

    async def _keys(self, _visit: Visit) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _token(self, visit: Visit) -> JSONResponse:
        async with visit.form() as form:
            verifier = str(form.get("code_verifier") or "")
        made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if made != self.challenge:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        token = jwt.encode({"alg": "ES256", "kid": "1"}, self.claims, self.signed_with)
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": token})


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> AsyncIterator[Provider]:
    """An identity provider on a port of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    found = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(found.app(), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they are pytest's
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield found
    server.should_exit = True
    await task


@pytest_asyncio.fixture(loop_scope="session")
async def somebody(mainspring: Bench, provider: Provider) -> AsyncIterator[Visitor]:
    """Somebody before an inbox that asks the provider, who signs what they decide by writing it down."""
    login = Oidc(provider.issuer, "the-inbox", "a secret", roles="groups")
    app = make_app(mainspring.client, login, url="http://127.0.0.1", secret=SECRET, sign=written)
    async with visiting(app) as visitor:
        yield visitor


def written(person: str, roles: Any, binding: str, form: str) -> str:
    """What a token would say."""
    return f"{person}|{','.join(roles)}|{binding}|{form}"


async def log_in(somebody: Visitor, provider: Provider, onwards: str = "/", **claims: Any):
    """Go through the login as a browser does; gives the page that it ends with."""
    await somebody.open(f"/login?next={onwards}")
    away = await somebody.open("/login/start")
    asked_for = {name: values[0] for name, values in parse_qs(urlsplit(away.headers["location"]).query).items()}
    now = int(time.time())
    provider.challenge = asked_for.get("code_challenge", "")
    provider.claims = {
        "iss": provider.issuer,
        "sub": "4711",
        "aud": "the-inbox",
        "exp": now + 60,
        "iat": now,
        "nonce": asked_for.get("nonce", ""),
        "email": "ada@example.com",
        "groups": ["finance"],
    } | claims
    return await somebody.open(f"/login/callback?code=1&state={asked_for['state']}")


async def test_who_logs_in_is_known_and_comes_back(somebody: Visitor, provider: Provider):
    """The provider's word makes the session, which leads to the page that was asked for."""
    arrived = await log_in(somebody, provider, "/decisions")
    page = await somebody.open("/decisions")

    assert (arrived.status_code, arrived.headers["location"]) == (303, "/decisions")
    assert "ada@example.com" in words(page)


async def test_a_decision_is_signed_for_the_person(somebody: Visitor, provider: Provider, ask: Ask):
    """What somebody decides goes with a token that is for them, their roles, this request and this decision."""
    run = await ask(asked())
    await log_in(somebody, provider)

    page = await somebody.open(f"/requests/default/{run.id}/1")
    await somebody.press(page, "deny", reason="1")

    ((_, form),) = await run.result()
    digest = form_digest("deny", {"comment": "not enough evidence"})
    assert form["token"] == f"ada@example.com|finance|binding-1|{digest}"


async def test_who_logs_out_is_nobody(somebody: Visitor, provider: Provider):
    """After the log-out, pages ask for a login."""
    await log_in(somebody, provider)
    page = await somebody.open("/decisions")
    token = page.text.split('name="csrf" value="')[1].split('"')[0]

    left = await somebody.http.post("/logout", data={"csrf": token})
    after = await somebody.open("/decisions")

    assert (left.headers["location"], after.status_code) == ("/login", 303)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"aud": "another", "azp": "the-inbox"},
        {"iss": "http://another.example"},
        {"exp": 1000},
    ],
)
async def test_a_token_that_does_not_fit_lets_nobody_in(somebody: Visitor, provider: Provider, claims: dict[str, Any]):
    """A token of another login, for another client, of another provider, or of yesterday is refused in words."""
    refused = await log_in(somebody, provider, **claims)
    page = await somebody.open("/")

    assert (refused.status_code, page.status_code) == (403, 303)
    assert "The login failed." in words(refused)


async def test_a_forged_token_lets_nobody_in(somebody: Visitor, provider: Provider):
    """A token that another key signed is refused."""
    provider.signed_with = ECKey.generate_key("P-256", {"kid": "1", "alg": "ES256", "use": "sig"})

    assert (await log_in(somebody, provider)).status_code == 403


async def test_a_login_that_was_not_begun_here_ends_nowhere(somebody: Visitor, provider: Provider):
    """An answer of the provider with a state that this browser never had is refused."""
    refused = await somebody.open("/login/callback?code=1&state=made-up")

    assert refused.status_code == 403


async def test_a_provider_that_calls_itself_otherwise_is_not_asked(somebody: Visitor, provider: Provider):
    """The provider's own name must be the configured one."""
    provider.called = "http://another.example"

    refused = await somebody.open("/login/start")

    assert refused.status_code == 403
    assert "it calls itself" in words(refused)


@pytest.mark.parametrize(
    ("claims", "name", "roles"),
    [
        ({"sub": "1", "email": "a@b", "groups": ["x"]}, "a@b", ("x",)),
        ({"sub": "1", "email": "a@b", "email_verified": True}, "a@b", ()),
        ({"sub": "1", "groups": "x"}, "1", ("x",)),
        ({"sub": "1", "groups": {"x": 1}}, "1", ()),
    ],
)
def test_a_person_is_what_the_claims_say(claims: dict[str, Any], name: str, roles: tuple[str, ...]):
    """The mail address names somebody, or `sub` where there is none; roles are a list or one text."""
    person = person_of(claims, Oidc("https://login.example.com", "inbox", "", roles="groups"))

    assert (person.name, person.roles) == (name, roles)


def test_an_address_that_nobody_has_checked_is_no_other_name():
    """By their `sub` somebody would be a second person, who may approve what the first one asked for."""
    claims = {"sub": "1", "email": "a@b", "email_verified": False}

    with pytest.raises(ValueError, match="nobody has checked your mail address"):
        person_of(claims, Oidc("https://login.example.com", "inbox", ""))


def test_roles_may_stand_deeper():
    """A dot in the claim's name leads into an object."""
    login = Oidc("https://login.example.com", "inbox", "", roles="realm_access.roles")

    assert person_of({"sub": "1", "realm_access": {"roles": ["finance"]}}, login).roles == ("finance",)


def test_more_roles_than_a_cookie_holds_are_refused():
    """Who has thousands of roles is told so, instead of being asked to log in for ever."""
    with pytest.raises(ValueError, match="more than fit in a cookie"):
        person_of({"sub": "1", "roles": ["r" * 50] * 100}, Oidc("https://login.example.com", "inbox", ""))
