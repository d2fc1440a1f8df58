"""Who sits before the inbox: one person of this machine, or whoever an identity provider vouches for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from mainspring.core.tokens import person_in

Sign = Callable[[str, Sequence[str], str, str], str]
"""Signs a short-lived token for one decision: the person, their roles, `Request.binding`, and the form's digest."""
COOKIE_BYTES = 3000
"""How much of a cookie, which browsers keep up to 4,096 bytes, a person with their roles may take."""


@dataclass(frozen=True)
class Local:
    """Whoever may open a page of this machine is this person. Nobody checks it: decisions are recorded as claimed."""

    person: str
    how: Literal["local"] = "local"


@dataclass(frozen=True)
class Oidc:
    """People log in at an identity provider (OpenID Connect). `roles` is the claim with their roles or groups."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    roles: str = "roles"
    how: Literal["oidc"] = "oidc"


Login = Local | Oidc


@dataclass(frozen=True)
class Person:
    """Somebody who may look and decide. `via` is who vouches for them, "" for nobody."""

    name: str
    roles: tuple[str, ...] = ()
    via: str = ""


def person_of(claims: Mapping[str, Any], login: Oidc) -> Person:
    """The person that an identity token names: the mail address, or `sub` where it has none.

    Raises:
        ValueError: it names nobody, or more roles than a cookie holds.
    """
    if claims.get("email") and claims.get("email_verified", True) is not True:  # by `sub` they would be another person
        raise ValueError(
            "The identity provider says that nobody has checked your mail address. Have it checked there, then log in."
        )
    sub = person_in(claims, "sub")
    name = person_in(claims, "email") or (sub if "@" not in sub else "")  # what looks like an address must be one
    if not name:
        raise ValueError("The identity provider names nobody: there is neither 'email' nor 'sub' in its token.")
    roles = _roles(claims, login.roles)
    if len(str(roles).encode()) > COOKIE_BYTES:
        raise ValueError(
            f"The claim {login.roles!r} holds {len(roles)} roles, more than fit in a cookie. "
            "Have the identity provider send fewer, or name another claim in MAINSPRING_INBOX_OIDC_ROLES."
        )
    return Person(name, roles, login.issuer)


def _roles(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The roles of a claim: a list or one text; a dot leads into an object (`realm_access.roles`)."""
    value: Any = claims.get(claim)
    if value is None:
        value = claims
        for part in claim.split("."):
            value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return (value,)
    return tuple(str(each) for each in cast("list[Any]", value)) if isinstance(value, list) else ()
