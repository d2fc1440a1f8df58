"""What all pages of the inbox share: whom they are for, the form that came with them, errors in words."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Visit
from starlette.responses import RedirectResponse, Response
from temporalio.client import Client

from mainspring.core.approvals import Request
from mainspring.core.deciding import deciders
from mainspring.core.routes import People, person_name
from mainspring.inbox.guarding import LARGEST_BODY
from mainspring.inbox.people import Local, Login, Person
from mainspring.inbox.rendering import render
from mainspring.inbox.sessions import check_csrf, csrf_of, logged_in

_FIELDS = 300
"""How many fields a form may have."""
_NO_GROUPS = People()
_TITLES = {400: "Not understood", 401: "Log in again", 403: "Not allowed", 404: "Not there", 409: "Decided already"}


@dataclass(frozen=True)
class Desk:
    """The server, who may come, who is in which group and stands in for whom (by agent), and the clock."""

    client: Client
    login: Login
    url: str
    session: float
    people: Mapping[str, People]
    now: Callable[[], float] = time.time

    def person(self, visit: Visit) -> Person | None:
        """Who this page is for."""
        if isinstance(self.login, Local):
            return Person(self.login.person)
        return logged_in(visit, self.now())

    def name_of(self, visit: Visit) -> str:
        """Who it is, or ""; where everybody is the same person, only the address tells them apart."""
        person = logged_in(visit, self.now()) if "session" in visit.scope else None
        return person.name if person else ""

    def is_for(self, person: Person, request: Request) -> bool:
        """Whether this person may decide, and has not said anything yet, as far as names tell."""
        name, wanted = person_name(person.name), set(deciders(request))
        if any(vote.identity.person == name for vote in request.votes):
            return False
        people = self.people.get(request.agent, _NO_GROUPS)
        today = datetime.fromtimestamp(self.now(), UTC).date().isoformat()
        return not wanted or not wanted.isdisjoint(people.names_of(name, person.roles, today))

    def page(self, visit: Visit, template: str, status: int = 200, **context: Any) -> Response:
        """A page, with what stands at the head of each."""
        has_session = "session" in visit.scope
        person = self.person(visit) if has_session else None
        shared = {
            "person": person,
            "is_local": isinstance(self.login, Local),
            "csrf": csrf_of(visit) if has_session and person else "",
            "here": visit.url.path,
            "now": self.now(),
            "namespace": self.client.namespace,
        }
        return render(template, status, **(shared | context))

    def error(self, visit: Visit, status: int, sentence: str) -> Response:
        """The page of an error."""
        return self.page(visit, "error.html", status, title=_TITLES.get(status, "That did not work"), sentence=sentence)

    def to_login(self, visit: Visit) -> Response:
        """Where somebody goes who is not logged in; they come back to the page they asked for."""
        query = f"?{visit.url.query}" if visit.url.query else ""
        return RedirectResponse(f"/login?next={quote(visit.url.path + query, safe='')}", status_code=303)


async def read_form(visit: Visit) -> dict[str, str]:
    """The fields of a form, once it is known to be one of this session.

    Raises:
        HTTPException: 413 where it is too large, 400 where it is no form, 403 where it is somebody else's.
    """
    length = visit.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise HTTPException(
            413, f"A form may have {LARGEST_BODY // 1024} KiB, and this one has more. Nothing was sent."
        )
    if not visit.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise HTTPException(400, "This is no form of the inbox. Nothing was sent.")
    try:
        async with visit.form(max_files=0, max_fields=_FIELDS) as form:
            fields = {name: value for name, value in form.multi_items() if not isinstance(value, UploadFile)}
    except ClientDisconnect:
        raise HTTPException(400, "The form came only in part. Nothing was sent.") from None
    check_csrf(visit, fields.get("csrf", ""))
    return fields
