"""Where the keys of those who are trusted are: a file, an address, or the engine itself."""

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from mainspring.adapters.verifier.keyring import TrustedKey, key_of
from mainspring.core.tokens import Jwk, is_loopback, is_private, read_keys, why_no_personal_key
from mainspring.errors import SetupError, TokenError, UsageError

FRESH = 300.0
"""Seconds for which fetched keys hold: as long a key that was withdrawn may still be trusted."""
AGAIN = 15.0
"""Seconds between two fetches for a key that is not there, and after one that failed."""
WITHIN = 5.0
"""Seconds that an identity provider has to answer in."""
_LARGEST = 256 * 1024


class Source(ABC):
    """Gives the keys that are trusted now."""

    @abstractmethod
    async def find(self, kid: str | None) -> list[TrustedKey]:
        """The keys with an id, all of them for None.

        Raises:
            TokenError: nobody can say, and why.
        """


def _with_id(keys: Iterable[TrustedKey], kid: str | None) -> list[TrustedKey]:
    return [key for key in keys if kid is None or key.kid == kid]


class OwnKeys(Source):
    """The public keys of the engine, asked for each token: another process may have added one."""

    def __init__(self, keys: Callable[[], Iterable[Jwk]]) -> None:
        self._keys = keys

    async def find(self, kid: str | None) -> list[TrustedKey]:
        """See `Source.find`."""
        try:
            found = [key_of(each) for each in self._keys()]
        except UsageError:
            raise TokenError("The token cannot be checked: the keys of Mainspring itself cannot be read.") from None
        return _with_id((key for key in found if key), kid)


class FileKeys(Source):
    """A JWKS file, read again when it changed. In one of `personal` keys, each says whose it is."""

    def __init__(self, path: str, *, personal: bool) -> None:
        self._path = Path(path)
        self._personal = personal
        self._stamp: tuple[int, int, int] | None = None
        self._keys: list[TrustedKey] = []

    def check(self) -> None:
        """Read it now.

        Raises:
            SetupError: it cannot be used.
        """
        try:
            self._read()
        except ValueError as error:
            way = "Add keys with `mainspring keys trust`." if self._personal else "It must be a JWKS of public keys."
            raise SetupError(f"the file of keys {str(self._path)!r} cannot be used: {error}. {way}") from None

    async def find(self, kid: str | None) -> list[TrustedKey]:
        """See `Source.find`."""
        try:
            self._read()
        except ValueError:
            raise TokenError(
                f"The token cannot be checked: the file of keys {str(self._path)!r} cannot be used."
            ) from None
        return _with_id(self._keys, kid)

    def _read(self) -> None:
        """Read the file, where it is not the one that was read before.

        Raises:
            ValueError: it cannot be used; the message says why.
        """
        try:
            state = os.stat(self._path)  # noqa: PTH116 - with `read_bytes` below, both of the path
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return
            text = self._path.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(error.strerror or type(error).__name__) from None
        except UnicodeDecodeError:
            raise ValueError("it is not JSON") from None
        self._keys = self._usable(read_keys(text))
        self._stamp = stamp

    def _usable(self, jwks: list[Jwk]) -> list[TrustedKey]:
        found: list[TrustedKey] = []
        for number, each in enumerate(jwks, 1):
            if is_private(each):
                raise ValueError(f"key {number} of it is a private one, which belongs to its owner alone")
            if self._personal and (why := why_no_personal_key(each)):
                raise ValueError(f"key {number} of it names nobody: {why}")
            key = key_of(each, personal=self._personal)
            if key is None and self._personal:
                raise ValueError(f"key {number} of it is no public key that signs (Ed25519, P-256, RSA of 2048 bits …)")
            found += [key] if key else []
        return found


class UrlKeys(Source):
    """A JWKS at an address, fetched when a token needs it.

    What was fetched holds for `FRESH` seconds. For a key that is not there it is fetched again, so that an issuer may
    change its keys at any time, but no more often than every `AGAIN` seconds, whatever tokens strangers send.
    """

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: list[TrustedKey] = []
        self._fetched = self._missed = self._failed = float("-inf")

    async def find(self, kid: str | None) -> list[TrustedKey]:
        """See `Source.find`."""
        async with self._lock:
            if self._clock() - self._fetched > FRESH:
                await self._fetch()
            elif not _with_id(self._keys, kid) and self._clock() - self._missed > AGAIN:
                self._missed = self._clock()
                await self._fetch()
            return _with_id(self._keys, kid)

    async def _fetch(self) -> None:
        if self._clock() - self._failed < AGAIN:
            raise self._refusal("they could not be fetched a moment ago")
        try:
            async with asyncio.timeout(WITHIN):
                text = await self._get()
            keys = [key_of(each) for each in read_keys(text)]
        except TimeoutError:
            self._failed = self._clock()
            raise self._refusal(f"there was no answer within {WITHIN:.0f} s") from None
        except ValueError as error:
            self._failed = self._clock()
            raise self._refusal(str(error)) from None
        self._keys = [key for key in keys if key]
        self._fetched = self._clock()

    async def _get(self) -> str:
        """What is at the address.

        Raises:
            ValueError: there is nothing that can be used; the message says why.
        """
        import httpx

        here = is_loopback(urlsplit(self._address).hostname or "")
        try:
            # Redirects are not followed: they could lead to where nobody checks who answers.
            async with (
                httpx.AsyncClient(timeout=WITHIN, trust_env=not here) as client,
                client.stream("GET", self._address, headers={"accept": "application/json"}) as response,
            ):
                if response.status_code != HTTPStatus.OK:
                    raise ValueError(f"the answer was {response.status_code}")
                body = b""
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _LARGEST:
                        raise ValueError(f"the answer is larger than {_LARGEST // 1024} KiB")
                return body.decode()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ValueError(type(error).__name__) from None
        except UnicodeDecodeError:
            raise ValueError("the answer is not JSON") from None

    def _refusal(self, why: str) -> TokenError:
        return TokenError(f"The token cannot be checked: the keys at {self._address!r} cannot be had, {why}.")
