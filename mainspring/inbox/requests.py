"""One request: its card with the evidence, the form, the look at a change before it is sent, and what came of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request as Visit
from starlette.responses import Response
from temporalio.service import RPCError

from mainspring.core.approvals import Request
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.deciding import deciders
from mainspring.core.words import request_path
from mainspring.errors import PayloadError, TokenError
from mainspring.inbox.decided import find_decided
from mainspring.inbox.evidence import read_evidence
from mainspring.inbox.fields import fields_of
from mainspring.inbox.pages import Desk, read_form
from mainspring.inbox.people import Local, Person, Sign
from mainspring.inbox.saying import CHANGED, OWN, Saying, Unclear, can, is_prose, said
from mainspring.inbox.sending import send
from mainspring.inbox.sessions import csrf_of
from mainspring.inbox.waiting import ask_run
from mainspring.ports.verifier import Verifier

_SILENT = (
    "No worker answers for this run, so nobody knows what it waits for. Nothing was sent. "
    "See that a worker runs ('mainspring doctor' tells), then load this page again."
)
_OTHER = "This is not the request that you had before you. Nothing was sent. Read it anew, then decide."


@dataclass(frozen=True)
class Asked:
    """Which request a page is about, who looks at it, and the token of the link that they came by."""

    run: str
    number: str
    person: Person | None
    token: str = ""
    typed: Mapping[str, str] = field(default_factory=dict[str, str])


class Requests:
    """The pages of one request. `sign` and `verifier` are as `make_app` says."""

    def __init__(self, desk: Desk, sign: Sign | None, verifier: Verifier | None) -> None:
        """Pages of this desk."""
        self._desk, self._sign, self._verifier = desk, sign, verifier

    async def show(self, visit: Visit) -> Response:
        """The request with its form; or how it was decided."""
        if (person := self._desk.person(visit)) is None:
            return self._desk.to_login(visit)
        return await self._show(visit, self._asked(visit, person))

    async def show_link(self, visit: Visit) -> Response:
        """Likewise, for who came by a link from a mail."""
        asked = self._asked(visit, self._desk.person(visit), visit.query_params.get("t", ""))
        if asked.person is None and self._verifier is None:
            return self._desk.to_login(visit)
        return await self._show(visit, asked)

    async def decide(self, visit: Visit) -> Response:
        """Takes what the form says; each change is shown once before it is sent."""
        if (person := self._desk.person(visit)) is None:
            return await self._too_late(visit)
        typed = await read_form(visit)
        return await self._decide(visit, self._asked(visit, person, typed=typed))

    async def decide_link(self, visit: Visit) -> Response:
        """Likewise, with the token of the link."""
        typed = await read_form(visit)
        person = self._desk.person(visit)
        return await self._decide(visit, self._asked(visit, person, typed.get("t", ""), typed))

    async def _show(self, visit: Visit, asked: Asked) -> Response:
        request = await self._find(visit, asked)
        return await self._page(visit, asked, request) if isinstance(request, Request) else request

    async def _decide(self, visit: Visit, asked: Asked) -> Response:
        request = await self._find(visit, asked)
        if not isinstance(request, Request):
            return request
        typed, button = asked.typed, asked.typed.get("do", "")
        if typed.get("seen") != _seen(request):  # what was typed over other values is no change of these
            words = {name: value for name, value in typed.items() if not name.startswith("arg.")}
            return await self._page(visit, replace(asked, typed=words), request, 409, refused=_OTHER)
        if button == "back":
            return await self._page(visit, asked, request)
        saying = said(request, button, typed)
        if isinstance(saying, Unclear):
            return await self._page(visit, asked, request, 422, wrong=saying.wrong)
        if saying.changes and button != CHANGED:
            return self._request_page(visit, "check.html", asked, request, saying=saying)
        return await self._sent(visit, asked, request, saying)

    async def _sent(self, visit: Visit, asked: Asked, request: Request, saying: Saying) -> Response:
        form: dict[str, Json] = {"request": request.id, "binding": request.binding, **saying.form}
        if token := asked.token or self._signed(asked, request, saying):
            form["token"] = token
        sent = await send(self._desk.client, asked.run, saying.update, form, _update_id(asked.typed))
        left, _ = await ask_run(self._desk.client, asked.run)
        still = next((each for each in left if each.id == request.id), None)
        if sent.is_taken:
            others = [each for each in left if each.id != request.id]
            about: dict[str, Any] = {"saying": saying, "sentence": sent.sentence, "still": still, "others": others}
            return self._request_page(visit, "recorded.html", asked, request, **about)
        if still is None:
            return await self._over(visit, asked, sent.sentence)
        return await self._page(visit, asked, still, 409, refused=sent.sentence)

    def _signed(self, asked: Asked, request: Request, saying: Saying) -> str:
        """A token for this decision alone, where somebody is logged in whom the inbox may speak for."""
        person = asked.person
        if self._sign is None or person is None or isinstance(self._desk.login, Local):
            return ""
        return self._sign(person.name, person.roles, request.binding, saying.digest)

    async def _find(self, visit: Visit, asked: Asked) -> Request | Response:
        """The request, where it waits and may be seen; else the page that says why not."""
        requests, silence = await ask_run(self._desk.client, asked.run)
        if silence == "silent":
            return self._left(visit, asked, 503, _SILENT)
        request = next((each for each in requests if each.id == asked.number), None)
        if request is None:
            return await self._over(visit, asked)
        if why := await self._why_hidden(asked, request):
            return self._desk.error(visit, 403, why)
        return request

    async def _why_hidden(self, asked: Asked, request: Request) -> str:
        """Why somebody who is not logged in may not see a request ("" where the token of their link lets them)."""
        if asked.person or self._verifier is None:
            return "" if asked.person else "Log in, then open the link once more."
        try:
            await self._verifier.verify(asked.token, binding=request.binding, form="", now=self._desk.now())
        except TokenError as error:
            return f"This link does not open the request: {error}"
        return ""

    async def _over(self, visit: Visit, asked: Asked, sentence: str = "") -> Response:
        """The page of a request that does not wait: how it was decided, for who is logged in, and what they typed."""
        decided = await find_decided(self._desk.client, asked.run, asked.number) if asked.person else None
        status = 409 if asked.typed else 200 if decided or not asked.person else 404
        about: dict[str, Any] = {"decided": decided, "sentence": sentence, "left": _words(asked.typed)}
        return self._desk.page(visit, "over.html", status, run=asked.run, number=asked.number, **about)

    async def _too_late(self, visit: Visit) -> Response:
        """A form that came after the session had ended: it is not sent, and what was typed is shown."""
        form = await visit.form(max_files=0)
        typed = {name: str(value) for name, value in form.multi_items()}
        sorry = "Your session has ended, so nothing was sent. Log in, and decide once more."
        return self._left(visit, Asked("", "", None, typed=typed), 401, sorry, onwards=visit.url.path)

    def _left(self, visit: Visit, asked: Asked, status: int, sentence: str, onwards: str = "") -> Response:
        """An error's page that gives back what was typed."""
        about: dict[str, Any] = {
            "title": "Nothing was sent",
            "sentence": sentence,
            "left": _words(asked.typed),
            "onwards": onwards,
        }
        return self._desk.page(visit, "left.html", status, **about)

    async def _page(  # noqa: PLR0917 - each is a part of the page
        self,
        visit: Visit,
        asked: Asked,
        request: Request,
        status: int = 200,
        refused: str = "",
        wrong: Mapping[str, str] | None = None,
    ) -> Response:
        try:
            evidence = await read_evidence(self._desk.client, asked.run, request)
        except (RPCError, PayloadError):
            evidence = None
        about: dict[str, Any] = {"evidence": evidence, "refused": refused, "wrong": wrong or {}}
        return self._request_page(visit, "request.html", asked, request, status, **about)

    def _request_page(
        self, visit: Visit, template: str, asked: Asked, request: Request, status: int = 200, **more: Any
    ) -> Response:
        kind = "link" if asked.token else "requests"
        shared: dict[str, Any] = {
            "run": asked.run,
            "request": request,
            "token": asked.token,
            "typed": {name: asked.typed.get(name, "") for name in _TYPED} | dict(asked.typed),
            "fields": fields_of(request),
            "can": lambda choice: can(request, choice),  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a template calls it
            "is_prose": is_prose(request),
            "deciders": deciders(request),
            "is_mine": asked.person is not None and self._desk.is_for(asked.person, request),
            "own": OWN,
            "seen": _seen(request),
            "update": secrets.token_hex(16),
            "action": request_path(self._desk.client.namespace, asked.run, request.id, kind),
            "csrf": csrf_of(visit),
        }
        return self._desk.page(visit, template, status, **(shared | more))

    def _asked(
        self, visit: Visit, person: Person | None, token: str = "", typed: Mapping[str, str] | None = None
    ) -> Asked:
        namespace = visit.path_params["namespace"]
        if namespace != self._desk.client.namespace:
            known = self._desk.client.namespace
            raise HTTPException(404, f"This inbox is for the namespace {known!r}, not for {namespace!r}.")
        return Asked(visit.path_params["run"], visit.path_params["number"], person, token, typed or {})


_TYPED = ("comment", "reason", "own", "stop", "choice", "own answer", "outcome", "text", "other")
"""The fields that pages show again with what was typed, besides those of arguments."""
_HIDDEN = ("csrf", "t", "seen", "update", "do", "reason", "choice", "stop")


def _words(typed: Mapping[str, str]) -> list[str]:
    """What somebody typed, to be given back where there is no form any more."""
    return [
        value for name, value in typed.items() if value.strip() and name not in _HIDDEN and not name.startswith("arg.")
    ]


def _seen(request: Request) -> str:
    """What tells the request that was shown from another with its number, such as after a reset of the run."""
    return f"{request.args_digest}-{request.asked:.3f}"


def _update_id(typed: Mapping[str, str]) -> str:
    """The id of a page and what was said on it: a form that is sent twice is the same update, and counts once."""
    given = typed.get("update", "")
    if not (len(given) == 32 and given.isalnum() and given.isascii()):  # noqa: PLR2004 - hex digits of 16 bytes
        return secrets.token_hex(16)
    return digest(canonical({name: value for name, value in typed.items() if name not in ("csrf", "t")}))
