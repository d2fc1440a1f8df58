"""The engine's own keys: they sign for who logged in, and for links in messages. The newest signs, all are trusted."""

import os
from contextlib import suppress
from pathlib import Path

from mainspring.adapters.approval_keys.signing import as_text, make_key, new_id, public, signed, why_unusable, write
from mainspring.core.tokens import OWN, Jwk, decision_claims, read_keys
from mainspring.errors import SetupError, did_you_mean


class ApprovalKeys:
    """The keys of a file (a private JWKS, oldest first), read again when it changed: another process may add one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._keys: list[Jwk] = []

    def sign(  # each is a part of the token
        self,
        person: str,
        *,
        binding: str,
        now: float,
        seconds: float,
        roles: tuple[str, ...] = (),
        form: str = "",
    ) -> str:
        """A token with which a person decides the request that has this `binding`, and in no other way than `form`.

        `form` is `core.approvals.form_digest`, "" for any decision; `now` is in seconds since 1970, and the token is
        valid for `seconds` from then.

        Raises:
            SetupError: the file cannot be used.
        """
        claims = decision_claims(
            issuer=OWN,
            person=person,
            roles=roles,
            binding=binding,
            form=form,
            now=now,
            seconds=seconds,
            token=new_id(),
        )
        return signed(self._read()[-1], claims)

    def public(self) -> list[Jwk]:
        """The public keys, oldest first: what the verifier trusts, and what an auditor keeps.

        Raises:
            SetupError: the file cannot be used.
        """
        return [public(each) for each in self._read()]

    def rotate(self) -> str:
        """Add a key, which signs from now on; gives its id.

        Raises:
            SetupError: the file cannot be used, or not be written.
        """
        key = make_key()
        keys = self._read() if self._file.exists() else []
        self._write([*keys, key])
        return str(key["kid"])

    def remove(self, kid: str) -> None:
        """Trust a key no longer: what it signed decides nothing from now on.

        Raises:
            SetupError: there is none, it is the one that signs, or the file cannot be written.
        """
        keys = self._read()
        if kid == keys[-1]["kid"]:
            raise SetupError(f"the key {kid!r} is the one that signs. Add another first: mainspring keys rotate")
        left = [each for each in keys if each["kid"] != kid]
        if len(left) == len(keys):
            raise SetupError(f"there is no key {kid!r}.{did_you_mean(kid, [str(each['kid']) for each in keys])}")
        self._write(left)

    def _write(self, keys: list[Jwk]) -> None:
        try:
            write(self._file, as_text(keys), private=True)
        except OSError as error:
            raise _unusable(self._file, error.strerror or type(error).__name__) from None

    def _read(self) -> list[Jwk]:
        try:
            state = os.stat(self._file)  # noqa: PTH116 - what changes with each new file
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp != self._stamp:
                self._keys = _checked(read_keys(self._file.read_text(encoding="utf-8")))
                self._stamp = stamp
        except OSError as error:
            raise _unusable(self._file, error.strerror or type(error).__name__) from None
        except ValueError as error:
            why = "it is not JSON" if isinstance(error, UnicodeDecodeError) else str(error)
            raise _unusable(self._file, why) from None
        return self._keys


def open_approval_keys(file: Path, *, make: bool = True) -> ApprovalKeys:
    """The keys of a file, which is made, with one key, where there is none; unless it is one that was given.

    Raises:
        SetupError: it cannot be used, or is not there and not to be made.
    """
    if make and not file.exists():
        try:
            with suppress(FileExistsError):  # another process was quicker, and its key is as good
                write(file, as_text([make_key()]), private=True, new=True)
        except OSError as error:
            raise _unusable(file, error.strerror or type(error).__name__) from None
    keys = ApprovalKeys(file)
    keys.public()
    return keys


def _checked(keys: list[Jwk]) -> list[Jwk]:
    if not keys:
        raise ValueError("it holds no key")
    for number, each in enumerate(keys, 1):
        if why := why_unusable(each):
            raise ValueError(f"of its key {number}, {why}")
    return keys


def _unusable(file: Path, why: str) -> SetupError:
    return SetupError(
        f"the file of approval keys {str(file)!r} cannot be used: {why}. 'mainspring keys rotate' makes one where "
        "there is none; MAINSPRING_APPROVAL_KEYS names another."
    )
