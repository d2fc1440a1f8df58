"""Large payloads as files: `FOLDER/NAMESPACE/WORKFLOW ID/SHA-256`. Both sides, through the data converter.

A file is complete or not there: it is written under another name, flushed to the disk, and then renamed. Its name is
the digest of its bytes, so writers need no lock, a repeated attempt writes nothing new, and damage shows at reading.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)
from temporalio.exceptions import ApplicationError

from mainspring.adapters.payloads.failures import damaged, owner
from mainspring.errors import PayloadError, SetupError

_PLACE = re.compile(r"(?P<run>[\w%~-][\w.%~-]*/[\w%~-][\w.%~-]*)/(?P<digest>[0-9a-f]{64})", re.ASCII)
_LONGEST = 150
"""Characters of a folder's name; most file systems take 255."""


class _Place(NamedTuple):
    """Where one payload is, below the folder."""

    run: str
    digest: str


class FolderDriver(StorageDriver):
    """Stores payloads in a folder that every worker and client sees."""

    def __init__(self, folder: Path) -> None:
        """Use this folder; it is made when there is something to store."""
        self._folder = folder.absolute()

    def name(self) -> str:
        """The name in references, for ever."""
        return "mainspring.folder"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Write each payload, unless it is there; the claim is the file's place below the folder.

        Raises:
            PayloadError: the folder cannot be written.
        """
        run = "/".join(_name(part) for part in owner(context))
        return await asyncio.to_thread(lambda: [self._store(run, each.SerializeToString()) for each in payloads])

    async def retrieve(
        self,
        context: StorageDriverRetrieveContext,  # noqa: ARG002 - the SDK passes it by name
        claims: Sequence[StorageDriverClaim],
    ) -> list[Payload]:
        """Read each payload and check it against its digest.

        Raises:
            PayloadError: a file is damaged or not there (any more, or on this machine).
            ApplicationError: a reference that no worker has written; it fails the run.
        """
        places = [_place(claim) for claim in claims]
        return await asyncio.to_thread(lambda: [Payload.FromString(self._read(place)) for place in places])

    async def check(self) -> None:
        """Write a file and remove it again.

        Raises:
            SetupError: the folder cannot be written.
        """
        try:
            _make(self._folder)
            with tempfile.TemporaryFile(dir=self._folder):
                return
        except OSError as error:
            raise SetupError(
                f"the folder of large payloads, {str(self._folder)!r}, cannot be written ({error.strerror}). "
                "Set MAINSPRING_PAYLOADS to another, or to 'none'."
            ) from None

    def _store(self, run: str, data: bytes) -> StorageDriverClaim:
        digest = hashlib.sha256(data).hexdigest()
        file = self._folder / run / digest
        try:
            if _holds(file, digest):
                with contextlib.suppress(OSError):  # a reader may see a folder that is not theirs to write
                    os.utime(file)  # it is needed anew, so whoever removes files by their age should see a young one
            else:
                _write(file, data, below=self._folder)
        except OSError as error:
            raise PayloadError(
                f"a payload of run {run!r} ({len(data):,} bytes) cannot be written to {str(self._folder)!r}: "
                f"{error.strerror}. Free space or mend the folder; it is tried again."
            ) from None
        return StorageDriverClaim(claim_data={"file": f"{run}/{digest}"})

    def _read(self, place: _Place) -> bytes:
        file = self._folder / place.run / place.digest
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise PayloadError(
                f"a payload of run {place.run!r} is not in the folder {str(self._folder)!r}: there is no file "
                f"'{place.run}/{place.digest}'. Every worker and client must see the same folder: mount it here, set "
                "MAINSPRING_PAYLOADS to it, or put the file back from a backup."
            ) from None
        except OSError as error:
            raise PayloadError(
                f"a payload of run {place.run!r} cannot be read, '{place.run}/{place.digest}' in "
                f"{str(self._folder)!r}: {error.strerror}. Mend the folder; it is tried again."
            ) from None
        if hashlib.sha256(data).hexdigest() != place.digest:
            raise damaged(place.run, f"file '{place.run}/{place.digest}' in {str(self._folder)!r}")
        return data


def _place(claim: StorageDriverClaim) -> _Place:
    """The place in a reference. Whoever starts a run can make one up, so nothing outside the folder may fit."""
    file = claim.claim_data.get("file", "")
    found = _PLACE.fullmatch(file)
    if found is None:
        why = f"a reference to a large payload names the file {file[:200]!r}, which no worker has written."
        raise ApplicationError(why, type="PayloadError", non_retryable=True)
    return _Place(found["run"], found["digest"])


def _name(part: str) -> str:
    """A folder's name for a namespace or workflow id, of any length and characters."""
    name = quote(part, safe="")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}~{hashlib.sha256(part.encode()).hexdigest()[:16]}"
    return name


def _holds(file: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return False


def _write(file: Path, data: bytes, *, below: Path) -> None:
    """Put the file there in one step, for its owner alone."""
    for folder in (below, file.parent.parent, file.parent):
        _make(folder)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as writing:
            writing.write(data)
            writing.flush()
            os.fsync(writing.fileno())
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    _flush_names(file.parent)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        _flush_names(folder.parent)


def _flush_names(folder: Path) -> None:
    """Bring a new name to the disk; where a folder cannot be opened for that, the system does it in its own time."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
