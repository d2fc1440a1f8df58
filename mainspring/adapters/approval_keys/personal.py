"""Keys of people: each is kept by its owner, and its public half, with who that is, in a file that a team keeps."""

import json
from pathlib import Path

from mainspring.adapters.approval_keys.signing import (
    as_text,
    can_verify,
    make_key,
    new_id,
    public,
    signed,
    thumbprint,
    why_unusable,
    write,
)
from mainspring.core.tokens import PERSONAL, Jwk, decision_claims, is_name, is_private, read_keys, why_no_personal_key
from mainspring.errors import SetupError, UsageError, did_you_mean


def make_personal_key(file: Path, person: str, roles: tuple[str, ...] = ()) -> Jwk:
    """Write a new private key of a person to a file that is not there yet; gives its public half.

    Raises:
        UsageError: there is such a file, or a name is none.
        SetupError: it cannot be written.
    """
    for name in (person, *roles):
        if not is_name(name):
            raise UsageError(f"{name!r} names nobody: a name is printable, not empty, and at most 256 characters.")
    key = make_key(sub=person, **({"roles": list(dict.fromkeys(roles))} if roles else {}))
    try:
        write(file, json.dumps(key, indent=2, ensure_ascii=False) + "\n", private=True, new=True)
    except FileExistsError:
        raise UsageError(
            f"There is a file {str(file)!r} already, and it was left as it is. 'mainspring keys public' shows the "
            "public half of a key; '--out' names another file."
        ) from None
    except OSError as error:
        raise SetupError(f"the file {str(file)!r} cannot be written: {error.strerror}.") from None
    return public(key)


def read_personal_key(file: Path) -> Jwk:
    """The private key in a file.

    Raises:
        SetupError: it cannot be read, or holds none that can be used.
    """
    keys = _read(file)
    if len(keys) != 1:
        raise SetupError(f"{str(file)!r} holds {len(keys)} keys; a personal key is one.")
    why = why_unusable(keys[0]) or why_no_personal_key(keys[0])
    if why:
        raise SetupError(f"{str(file)!r} cannot be signed with: {why}. 'mainspring keys new' makes a key.")
    return keys[0]


def sign_as(key: Jwk, *, binding: str, form: str, now: float, seconds: float) -> str:
    """A token with which the owner of a private key decides a request; `now` is in seconds since 1970."""
    claims = decision_claims(
        issuer=PERSONAL, person=key["sub"], binding=binding, form=form, now=now, seconds=seconds, token=new_id()
    )
    return signed(key, claims)


def read_trusted(file: Path) -> list[Jwk]:
    """The public keys of a team's file, in its order; none where there is no file.

    Raises:
        SetupError: it cannot be read, or one of its keys is private or names nobody.
    """
    keys = _read(file) if file.exists() else []
    for number, each in enumerate(keys, 1):
        if why := _why_not_trusted(each):
            raise SetupError(f"{str(file)!r}: key {number} cannot be trusted: {why}.")
    return keys


def trust(file: Path, key: Jwk) -> bool:
    """Add a public key to a team's file; whether it was not there yet.

    Raises:
        SetupError: the file cannot be read or written.
        UsageError: the key is private, names nobody, or is there as that of somebody else.
    """
    if why := _why_not_trusted(key):
        raise UsageError(f"This key cannot be trusted: {why}.")
    keys = read_trusted(file)
    same = next((each for each in keys if each["kid"] == key["kid"] or thumbprint(each) == thumbprint(key)), None)
    if same == key:
        return False
    if same:
        raise UsageError(
            f"{str(file)!r} has the key {same['kid']!r} already, as that of {same['sub']!r}, with other members. "
            f"To change it, take it out first: mainspring keys remove {same['kid']}"
        )
    _write(file, [*keys, key])
    return True


def distrust(file: Path, kid: str) -> Jwk:
    """Take a key out of a team's file; gives it.

    Raises:
        UsageError: there is none of that id.
        SetupError: the file cannot be read or written.
    """
    keys = read_trusted(file)
    gone = next((each for each in keys if each["kid"] == kid), None)
    if gone is None:
        raise UsageError(f"There is no key {kid!r} in {str(file)!r}.{did_you_mean(kid, [k['kid'] for k in keys])}")
    _write(file, [each for each in keys if each is not gone])
    return gone


def _why_not_trusted(key: Jwk) -> str:
    if is_private(key):
        return "it is a private key, which belongs to its owner alone; take the public half ('mainspring keys public')"
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        return "it has no member 'kid'"
    if not can_verify(key):
        return "it is no public key that signs (Ed25519, P-256, RSA of 2048 bits …)"
    return why_no_personal_key(key)


def _read(file: Path) -> list[Jwk]:
    try:
        return read_keys(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupError(f"{str(file)!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        why = "it is not JSON" if isinstance(error, UnicodeDecodeError) else error
        raise SetupError(f"{str(file)!r} cannot be used: {why}.") from None


def _write(file: Path, keys: list[Jwk]) -> None:
    try:
        write(file, as_text(keys), private=False)
    except OSError as error:
        raise SetupError(f"{str(file)!r} cannot be written: {error.strerror}.") from None
