"""Large payloads outside the history: in a folder, or in an S3 bucket. Both sides, through the data converter.

Temporal's SDK calls this external storage and its interface experimental, so nothing outside this package touches it.
A payload over its threshold is stored when it is sent, and history holds a reference to it; whoever has the storage
reads through it. Nothing here ever deletes: a history may be read for as long as the server keeps it.
"""

import sys
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, ExternalStorage, StorageDriver, StorageDriverSelectContext

from mainspring.adapters.payloads.bucket import BucketDriver
from mainspring.adapters.payloads.folder import FolderDriver
from mainspring.contracts import names

THRESHOLD = 128 * 1024
"""Bytes from which a payload is stored outside. The Web UI stays quick, and Temporal's own bound is 2 MB."""
WINDOW_THRESHOLD = 16 * 1024
"""Likewise for messages that the history has already, in a payload that is marked as such."""
ITEM_LIMIT = 8 * 1024 * 1024
"""Bytes that one tool result or model reply may have where there is storage."""


def open_storage(address: str, folder: Path, *, read_only: bool = False) -> ExternalStorage:
    """The storage that new payloads go to: an `s3://` address, `folder` (""), or nowhere (`none`, or `read_only`).

    What was stored in `folder` or in any bucket can be read in each case, so changing the setting breaks no run.
    """
    nowhere = read_only or address == "none"
    bucket, files = BucketDriver("" if nowhere else address), FolderDriver(folder)

    def choose(_: StorageDriverSelectContext, payload: Payload) -> StorageDriver | None:
        if payload.ByteSize() < THRESHOLD and names.WINDOW not in payload.metadata:
            return None
        return bucket if address else files

    return ExternalStorage(
        drivers=[bucket, files],
        driver_selector=choose,
        payload_size_threshold=sys.maxsize if nowhere else WINDOW_THRESHOLD,
    )


async def check_storage(address: str, folder: Path) -> None:
    """Try whether large payloads can be stored: before a worker takes on runs that need it.

    Raises:
        SetupError: the folder cannot be written, the bucket is not there or refuses.
    """
    if address == "none":
        return
    await (BucketDriver(address) if address else FolderDriver(folder)).check()


def item_limit(converter: DataConverter, without: int) -> int:
    """Bytes that one item may have with this converter; `without` where it stores nothing outside."""
    storage = converter.external_storage
    return ITEM_LIMIT if storage and storage.payload_size_threshold <= THRESHOLD else without


__all__ = ["ITEM_LIMIT", "THRESHOLD", "WINDOW_THRESHOLD", "check_storage", "item_limit", "open_storage"]
