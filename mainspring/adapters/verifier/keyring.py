"""Tokens and public keys as joserfc reads them, and which of the keys signed which token."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry

from mainspring.core.canonical import Json, read_json
from mainspring.core.tokens import LARGEST, LEEWAY, Jwk, is_private, may_sign
from mainspring.errors import TokenError

ALGORITHMS = frozenset({
    "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
})  # fmt: skip
"""Ways to sign with a key pair. With any other, who can check a token could make one."""
_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class _Registry(jws.JWSRegistry):
    """What joserfc accepts for us: without its warning that EdDSA has a second name since RFC 9864."""

    max_header_length = LARGEST
    max_payload_length = LARGEST
    max_signature_length = LARGEST

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class TrustedKey(NamedTuple):
    """A public key. Of a personal one, `person` is its owner and `roles` are theirs."""

    kid: str
    key: OKPKey | ECKey | RSAKey
    person: str = ""
    roles: tuple[str, ...] = ()


class Signed(NamedTuple):
    """A token that was taken apart, not verified yet. `content` is what was signed, `kid` the key it names."""

    parts: jws.CompactSignature
    kid: str | None
    claims: dict[str, Json]
    content: str


def read_token(token: str) -> Signed:
    """Take a token apart; nothing of it is to be believed yet.

    Raises:
        TokenError: it is no JWT, or not signed with a key pair.
    """
    none = TokenError("What was sent is no token (JWT).")
    if len(token) > LARGEST:
        raise TokenError(f"What was sent is no token (JWT): it is longer than {LARGEST // 1024} KiB.")
    if not _FORM.fullmatch(token):
        raise none
    try:
        parts = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header, claims = parts.headers(), read_json(parts.payload.decode())
        kid, way = header.get("kid"), str(header.get("alg"))
    except Exception:  # noqa: BLE001 - whatever a library stumbles over in a stranger's text, it is no token
        raise none from None
    if not isinstance(claims, dict) or not (kid is None or isinstance(kid, str)) or "crit" in header:
        raise none
    if way not in ALGORITHMS:
        raise TokenError("The token is forged: it is not signed with a key pair (EdDSA, ES256, RS256 …).")
    return Signed(parts, kid, claims, token.rpartition(".")[0])


def signer(signed: Signed, keys: Iterable[TrustedKey]) -> TrustedKey:
    """The key that signed a token.

    Raises:
        TokenError: none of them did, or not in a way that fits it.
    """
    fits = False
    for each in keys:
        try:
            if jws.validate_compact(signed.parts, each.key, registry=_REGISTRY):
                return each
            fits = True
        except (JoseError, ValueError, TypeError):  # a header that is none, or a key of another kind
            continue
    why = "its signature does not fit its content" if fits else "its key does not sign in this way"
    raise TokenError(f"The token is forged: {why}.")


_REFUSALS = {
    "exp": "The token does not say until when it is valid.",
    "iat": "The token does not say when it was made.",
    "nbf": "The token does not say from when it is valid.",
    "aud": "The token is for another audience.",
    "sub": "The token names no person.",
}


def judge_times(signed: Signed, *, audience: str, now: float) -> None:
    """Check when, and for whom, a token is valid.

    Raises:
        TokenError: it has expired, is not valid yet, does not say, or is for another audience.
    """
    needed = {"essential": True}
    moment = int(now)
    rules = JWTClaimsRegistry(
        now=moment,
        leeway=LEEWAY,
        exp=needed,  # pyright: ignore[reportArgumentType] - a typed dict
        iat=needed,  # pyright: ignore[reportArgumentType]
        aud={"essential": True, "value": audience},
    )
    try:
        rules.validate(signed.claims)
    except ExpiredTokenError:
        raise TokenError("The token has expired.") from None
    except ClaimError as error:
        name = error.claim.partition(",")[0]
        value = signed.claims.get(name)
        if name in ("iat", "nbf") and isinstance(value, int | float) and value > moment + LEEWAY:
            raise TokenError("The token is not valid yet.") from None
        raise TokenError(_REFUSALS.get(name, "What was sent is no token (JWT).")) from None


def usable(jwk: Jwk) -> OKPKey | ECKey | RSAKey | None:
    """A public key that may sign tokens; None for one that is for something else, or that we cannot use.

    A set may hold any: who publishes it is free to add what others need (RFC 7517, section 5).
    """
    if is_private(jwk) or not may_sign(jwk):
        return None
    try:
        key = JWKRegistry.import_key(jwk)
        key.ensure_kid()
    except Exception:  # noqa: BLE001 - a key of others that is broken is as good as none
        return None
    return key if isinstance(key, OKPKey | ECKey | RSAKey) else None


def key_of(jwk: Jwk, *, personal: bool = False) -> TrustedKey | None:
    """A trusted key, where it is usable."""
    key = usable(jwk)
    if key is None:
        return None
    owner, roles = (jwk["sub"], tuple(jwk.get("roles", ()))) if personal else ("", ())
    return TrustedKey(str(key.kid), key, owner, roles)
