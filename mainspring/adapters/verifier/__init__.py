"""Verifies tokens that say who decides: JWTs of identity providers, of people with keys, and of the engine itself.

It keeps no account of the tokens it has seen: that a token decides once is for the run, which counts each person once.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from mainspring.adapters.verifier.keyring import Signed, TrustedKey, judge_times, read_token, signer
from mainspring.adapters.verifier.sources import FileKeys, OwnKeys, Source, UrlKeys
from mainspring.core.approvals import Verified
from mainspring.core.canonical import Json, digest
from mainspring.core.tokens import (
    AUDIENCE,
    LONGEST,
    OWN,
    PERSONAL,
    Approver,
    Jwk,
    objection,
    person_in,
    roles_in,
)
from mainspring.errors import TokenError
from mainspring.ports.verifier import Verifier

__all__ = ["TokenVerifier", "open_verifier"]

_LONGEST_ID = 128


@dataclass(frozen=True)
class _Issuer:
    """One that is trusted: what its tokens must say, and where its keys are."""

    audience: str = AUDIENCE
    roles: str = "roles"
    person: str = "sub"
    longest: float = LONGEST
    sources: list[Source] = field(default_factory=list[Source])

    async def find(self, kid: str | None) -> list[TrustedKey]:
        """The keys of that id, or all where a token names none."""
        return [key for source in self.sources for key in await source.find(kid)]


class TokenVerifier(Verifier):
    """Trusts the issuers it is given, by the claim `iss` of their tokens."""

    def __init__(self, issuers: dict[str, _Issuer]) -> None:
        self._issuers = issuers

    async def verify(self, token: str, *, binding: str, form: str, now: float) -> Verified:
        """See `Verifier.verify`."""
        signed = read_token(token)
        said = signed.claims.get("iss")
        issuer = self._issuers.get(said) if isinstance(said, str) else None
        if issuer is None:
            raise TokenError("The token is of no issuer that is trusted.")
        keys = await issuer.find(signed.kid)
        if not keys:
            raise TokenError("The token is signed with a key that is not trusted.")
        key = signer(signed, keys)
        judge_times(signed, audience=issuer.audience, now=now)
        why = objection(
            signed.claims, audience=issuer.audience, binding=binding, form=form, longest=issuer.longest
        )  # fmt: skip
        if why:
            raise TokenError(why)
        return _verified(signed, issuer, key)


def _verified(signed: Signed, issuer: _Issuer, key: TrustedKey) -> Verified:
    """Whom the token speaks for: where a person's own key signed it, nobody else than the owner."""
    person = person_in(signed.claims, issuer.person)
    if not person:
        raise TokenError("The token names no person.")
    if key.person and person != key.person:
        raise TokenError("The token is forged: it names somebody else than the owner of its key.")
    named = cast("str", signed.claims["iss"])
    roles = key.roles if key.person else roles_in(signed.claims, issuer.roles)
    return Verified(person=person, roles=roles, issuer=named, token=_id(signed.claims.get("jti"), signed.content))


def _id(jti: Json, content: str) -> str:
    """The token's own id; of one that has none, a digest of what was signed."""
    is_usable = isinstance(jti, str) and 0 < len(jti) <= _LONGEST_ID and jti.isprintable()
    return cast("str", jti) if is_usable else digest(content)


def open_verifier(
    approvers: Sequence[Approver], own: Callable[[], Iterable[Jwk]] | None = None, *, check: bool = True
) -> TokenVerifier:
    """A verifier that trusts the issuers of the settings, and the engine's `own` public keys, asked for each token.

    Files are read at once, to `check` them, and again when they changed; addresses are fetched when a token comes.

    Raises:
        SetupError: a file of keys cannot be used; the message names it, and what is wrong with it.
    """
    issuers: dict[str, _Issuer] = {}
    for each in approvers:
        source = UrlKeys(each.keys) if each.is_address else FileKeys(each.keys, personal=not each.issuer)
        if check and isinstance(source, FileKeys):
            source.check()
        if each.issuer:
            issuers[each.issuer] = _Issuer(each.audience, each.roles, each.person, sources=[source])
        else:
            issuers.setdefault(PERSONAL, _Issuer()).sources.append(source)
    if own:
        issuers[OWN] = _Issuer(longest=0.0, sources=[OwnKeys(own)])
    return TokenVerifier(issuers)
