"""A browser's session: who is logged in, until when, and the token that every form of it carries."""

import secrets
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request as Visit

from mainspring.inbox.people import Person

_CSRF, _PERSON, _UNTIL = "csrf", "person", "until"
FORGED = (
    "This form does not belong to your session, so nothing was sent. Cookies may be off, or you logged in again "
    "in between. Open the page once more."
)


def csrf_of(visit: Visit) -> str:
    """The token of this session; made with its first page."""
    return str(visit.session.setdefault(_CSRF, secrets.token_urlsafe(24)))


def check_csrf(visit: Visit, given: str) -> None:
    """Refuse a form that no page of this session gave out.

    Raises:
        HTTPException: 403, in words.
    """
    known = str(visit.session.get(_CSRF) or "")
    if not known or not secrets.compare_digest(known.encode(), given.encode()):
        raise HTTPException(403, FORGED)


def log_in(visit: Visit, person: Person, until: float) -> None:
    """Begin a new session for a person, which ends at a moment, whatever they do meanwhile."""
    visit.session.clear()
    visit.session.update({_PERSON: [person.name, list(person.roles), person.via], _UNTIL: until})


def log_out(visit: Visit) -> None:
    """Forget who it was."""
    visit.session.clear()


def logged_in(visit: Visit, now: float) -> Person | None:
    """Who is logged in, where that session has not ended."""
    held: Any = visit.session.get(_PERSON)
    if held is None or now >= float(visit.session.get(_UNTIL) or 0):
        return None
    name, roles, via = cast("tuple[str, list[str], str]", held)
    return Person(name, tuple(roles), via)


def safe_next(address: str) -> str:
    """Where somebody goes after the login: a page of this inbox, else its first one."""
    try:
        parts = urlsplit(address)
    except ValueError:  # no address at all
        return "/"
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return address if is_ours and address.isprintable() and "\\" not in address else "/"
