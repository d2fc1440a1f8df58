"""The login at an identity provider (OpenID Connect: discovery, PKCE, state, nonce), and its end."""

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request as Visit
from starlette.responses import RedirectResponse, Response

from mainspring.inbox.pages import Desk, read_form
from mainspring.inbox.people import Oidc, person_of
from mainspring.inbox.sessions import log_in, log_out, safe_next

_NEXT = "next"
_CALLBACK = "/login/callback"


class Door:
    """The pages through which people come in and leave."""

    def __init__(self, desk: Desk) -> None:
        """Pages of this desk. The provider is first asked when somebody logs in."""
        self._desk = desk
        self._provider: Any = _provider(desk.login) if isinstance(desk.login, Oidc) else None

    async def page(self, visit: Visit) -> Response:
        """Says that a login is needed, and where it is."""
        onwards = safe_next(visit.query_params.get("next", "/"))
        if self._desk.person(visit):
            return RedirectResponse(onwards, status_code=303)
        visit.session[_NEXT] = onwards
        issuer = self._desk.login.issuer if isinstance(self._desk.login, Oidc) else ""
        return self._desk.page(visit, "login.html", issuer=issuer)

    async def start(self, visit: Visit) -> Response:
        """Sends the browser to the identity provider."""
        login = self._must_be_oidc()
        try:
            known: Any = await self._provider.load_server_metadata()
            if known.get("issuer") != login.issuer:
                return self._failed(visit, f"it calls itself {known.get('issuer')!r}, not {login.issuer!r}")
            return await self._provider.authorize_redirect(visit, self._desk.url + _CALLBACK)
        except Exception as error:  # noqa: BLE001 - its library, httpx and JSON raise many kinds
            return self._failed(visit, f"it cannot be reached ({type(error).__name__})")

    async def arrive(self, visit: Visit) -> Response:
        """Takes the browser back, and the person with it; a new session begins."""
        from authlib.integrations.starlette_client import OAuthError

        login = self._must_be_oidc()
        wanted = {
            "iss": {"essential": True, "values": [login.issuer]},
            "aud": {"essential": True, "value": login.client_id},
        }
        try:
            token: Any = await self._provider.authorize_access_token(visit, claims_options=wanted)
        except OAuthError as error:
            return self._failed(visit, f"it says {error.error!r}")
        except Exception as error:  # noqa: BLE001 - likewise; and a forged or expired token is one of them
            return self._failed(visit, f"its answer does not hold ({type(error).__name__})")
        try:
            person = person_of(token.get("userinfo") or {}, login)
        except ValueError as error:
            return self._desk.error(visit, 403, str(error))
        onwards = safe_next(str(visit.session.get(_NEXT) or "/"))
        log_in(visit, person, self._desk.now() + self._desk.session)
        return RedirectResponse(onwards, status_code=303)

    async def leave(self, visit: Visit) -> Response:
        """Ends the session."""
        await read_form(visit)
        log_out(visit)
        return RedirectResponse("/login", status_code=303)

    def _must_be_oidc(self) -> Oidc:
        if not isinstance(self._desk.login, Oidc):
            raise HTTPException(404, "Nobody logs in here: the inbox was started for one person of this machine.")
        return self._desk.login

    def _failed(self, visit: Visit, why: str) -> Response:
        logging.getLogger(__name__).warning("A login failed: the identity provider: %s", why)
        sorry = f"The login failed. Of the identity provider: {why}. Try it again; if it stays so, ask its operators."
        return self._desk.error(visit, 403, sorry)


def _provider(login: Oidc) -> Any:
    from authlib.integrations.starlette_client import OAuth

    known: Any = OAuth()
    return known.register(
        name="inbox",
        client_id=login.client_id,
        client_secret=login.secret,
        server_metadata_url=f"{login.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
    )
