"""Tokens that say who decides: what they hold, who may make them, and what speaks against one. Pure.

A token is a JWT (RFC 7519). How it is signed is for adapters; what it says is judged here. There are three kinds of
issuer: an identity provider, people with keys of their own (`PERSONAL`), and the engine itself (`OWN`).
"""

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Self, cast
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from mainspring.core.canonical import Json, Value, read_json

OWN = "mainspring"
"""The issuer of tokens that the engine signs, for who logged in and for links in messages."""
PERSONAL = "mainspring:key"
"""The issuer of tokens that people sign with keys of their own."""
AUDIENCE = "mainspring"
"""For whom those are, and those of an identity provider for which nothing else is set."""
LARGEST = 16 * 1024
"""Characters of a token; a longer one is not looked at."""
LONGEST = 86_400.0
"""Seconds for which a token of somebody else may be valid."""
LEEWAY = 60
"""Seconds by which clocks may differ."""
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a key (JWK, RFC 7517) that nobody but its owner may see."""
_LONGEST_NAME = 256
_SMALLEST_RSA = 342
"""Characters of the modulus of an RSA key of 2048 bits."""

Jwk = dict[str, Any]
"""A key as JSON has it (RFC 7517)."""


class Approver(Value):
    """Who is trusted to say who somebody is: a table `[[approvers]]` of the settings.

    `issuer` is the claim `iss` of their tokens; without it `keys` is a file of personal keys. `keys` is the path of a
    JWKS file, or its address. `audience` is the claim `aud`, `roles` and `person` the claims with those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = ""
    keys: str = Field(min_length=1)
    audience: str = Field(default=AUDIENCE, min_length=1)
    roles: str = Field(default="roles", min_length=1)
    person: str = Field(default="sub", min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.issuer in (OWN, PERSONAL):
            raise ValueError(f"'issuer' is {self.issuer!r}, which is Mainspring's own; write the one of your tokens")
        if self.is_address and not _is_safe(self.keys):
            raise ValueError(
                "'keys' must be the path of a JWKS file or an https:// address (http:// only on this machine), "
                "without a password"
            )
        if self.issuer:
            return self
        if self.is_address:
            raise ValueError("it has no 'issuer', so 'keys' must be the path of a file of personal keys")
        odd = sorted({"audience", "roles", "person"} & self.model_fields_set)
        if odd:
            raise ValueError(f"{odd[0]!r} goes with an 'issuer'; personal keys say themselves whose they are")
        return self

    @property
    def is_address(self) -> bool:
        """Whether the keys are fetched, rather than read from a file."""
        return "://" in self.keys


def _is_safe(address: str) -> bool:
    """Whether nobody on the way can give us other keys."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return (
        bool(host)
        and not parts.username
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def decision_claims(
    *,
    issuer: str,
    person: str,
    roles: tuple[str, ...] = (),
    binding: str,
    form: str = "",
    now: float,
    seconds: float,
    token: str,
) -> dict[str, Json]:
    """What a token says with which a person decides one request. `token` is its id, `seconds` how long it is valid."""
    claims: dict[str, Json] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": person,
        "iat": int(now),
        "exp": int(now + seconds),
        "jti": token,
        "nonce": binding,
    }
    if roles:
        claims["roles"] = list(roles)
    return {**claims, "form": form} if form else claims


def objection(claims: Mapping[str, Json], *, audience: str, binding: str, form: str, longest: float) -> str:
    """What speaks against a token whose signature and times are right, as its refusal says it; "" for nothing.

    `longest` is in seconds, 0 for no bound. A claim `form` that is there has to fit, whatever it is.
    """
    others = claims.get("aud")
    if isinstance(others, list) and len(others) > 1 and claims.get("azp") != audience:
        return "The token is for another audience."
    exp, iat = cast("float", claims["exp"]), cast("float", claims["iat"])
    if longest and exp > iat + longest:
        return "The token is valid for longer than a day."
    if not binding or not _same(claims.get("nonce"), binding):
        return "The token is for another request, or for other arguments."
    if "form" in claims and not _same(claims["form"], form):
        return "The token is for another decision."
    return ""


def _same(said: Json, wanted: str) -> bool:
    """Compares in a time that tells nothing of how much is the same."""
    return isinstance(said, str) and hmac.compare_digest(said.encode(errors="replace"), wanted.encode())


def claim(claims: Mapping[str, Json], name: str) -> Json:
    """A claim by name, or by its path through objects: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    value: Json = dict(claims)
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def person_in(claims: Mapping[str, Json], name: str) -> str:
    """The person whom a claim names; "" where it names nobody, or by an address that the issuer has not checked."""
    person = claim(claims, name)
    if name == "email" and claims.get("email_verified", True) is not True:
        return ""
    return person if isinstance(person, str) and is_name(person) else ""


def roles_in(claims: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """The roles in a claim: a list of texts, or one."""
    found = claim(claims, name)
    roles = found if isinstance(found, list) else [found]
    return tuple(dict.fromkeys(role for role in roles if isinstance(role, str) and is_name(role)))


def is_name(text: str) -> bool:
    """Whether a text can name a person or role: not empty, not long, and nothing in it that is not seen."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def read_keys(text: str) -> list[Jwk]:
    """The keys of a JWKS, or the one key (JWK) that a text holds.

    Raises:
        ValueError: it is neither; the message says why, and holds nothing of the text.
    """
    try:
        value = read_json(text)
    except ValueError:
        raise ValueError("it is not JSON") from None
    found = value.get("keys") if isinstance(value, dict) and "kty" not in value else [value]
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError('it holds no keys; it must be {"keys": [{"kty": …}, …]}')
    return cast("list[Jwk]", found)


def is_private(key: Jwk) -> bool:
    """Whether who has this can sign with it."""
    return bool(PRIVATE & key.keys())


def may_sign(key: Jwk) -> bool:
    """Whether a key is of a kind that signs, half of a pair, and not too short."""
    return (
        key.get("kty") in ("OKP", "EC", "RSA")
        and key.get("use", "sig") == "sig"
        and key.get("crv") not in ("X25519", "X448")
        and (key["kty"] != "RSA" or len(str(key.get("n"))) >= _SMALLEST_RSA)
    )


def why_no_personal_key(key: Jwk) -> str:
    """Why a key cannot say whose it is ("" where it does): each has members `sub` and, where there are any, `roles`."""
    roles = key.get("roles", [])
    if not isinstance(key.get("sub"), str) or not is_name(key["sub"]):
        return "it has no member 'sub' that names a person"
    if not isinstance(roles, list) or not all(isinstance(each, str) and is_name(each) for each in cast("Any", roles)):
        return "its member 'roles' is no list of names"
    return ""
