"""Makes keys, and signs with them, as joserfc does; keeps them in files that are whole or not there."""

import json
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from joserfc import jws, jwt
from joserfc.jwk import JWKRegistry, OKPKey

from mainspring.core.canonical import Json
from mainspring.core.tokens import PRIVATE, Jwk, may_sign

ALGORITHM = "EdDSA"
"""Ed25519 under the name that every reader of tokens knows; RFC 9864 gave it a second one."""


class _Registry(jws.JWSRegistry):
    """Without joserfc's warning about that second name."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def make_key(**members: Any) -> Jwk:
    """A new private key, with further members such as `sub`. Its id does not look like an option of a command."""
    while True:
        key = OKPKey.generate_key("Ed25519", parameters={"use": "sig"}, auto_kid=True)
        if not str(key.kid).startswith("-"):
            return {**key.as_dict(private=True), **members}


def public(key: Jwk) -> Jwk:
    """What others may see of a key."""
    return {name: value for name, value in key.items() if name not in PRIVATE}


def new_id() -> str:
    """The id of a token."""
    return secrets.token_hex(16)


def signed(key: Jwk, claims: dict[str, Json]) -> str:
    """A token with these claims.

    Raises:
        ValueError: it is no private key that can be used.
    """
    try:
        opened = JWKRegistry.import_key(key)
        return jwt.encode(
            {"alg": ALGORITHM, "kid": cast("str", opened.kid)},
            claims,
            opened,
            registry=_Registry(algorithms=[ALGORITHM]),
        )
    except Exception:  # noqa: BLE001 - its errors, and those of the library below it, may quote the key
        raise ValueError("it is no private Ed25519 key") from None


def why_unusable(key: Jwk) -> str:
    """Why a key cannot be signed with ("" where it can)."""
    if key.get("kty") != "OKP" or key.get("crv") != "Ed25519" or "d" not in key or not isinstance(key.get("kid"), str):
        return "it is no private Ed25519 key with a 'kid'"
    try:
        signed(key, {})
    except ValueError as error:
        return str(error)
    return ""


def can_verify(key: Jwk) -> bool:
    """Whether a public key is one that signatures can be checked with."""
    try:
        JWKRegistry.import_key(key)
    except Exception:  # noqa: BLE001 - likewise
        return False
    return may_sign(key)


def thumbprint(key: Jwk) -> str:
    """What is the same for the same key, whatever it is called (RFC 7638)."""
    return JWKRegistry.import_key(key).thumbprint()


def as_text(keys: Iterable[Jwk]) -> str:
    """A JWKS."""
    return json.dumps({"keys": list(keys)}, indent=2, ensure_ascii=False) + "\n"


def write(file: Path, text: str, *, private: bool, new: bool = False) -> None:
    """Write a file, whole or not at all; a `new` one replaces none.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the process: in containers that share the folder each may be number 1.
    number, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    draft = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as opened:
            opened.write(text)
        if not private:
            draft.chmod(0o644)
        if new:
            os.link(draft, file)  # fails where there is one
        else:
            draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
