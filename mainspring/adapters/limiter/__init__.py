"""Where limits are counted: a SQLite file, or any storage of the package `limits` that has a moving window.

Activity side.
"""

import asyncio
import re
import sqlite3
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mainspring.errors import SetupError, did_you_mean
from mainspring.ports.limiter import Limiter

if TYPE_CHECKING:
    from limits.storage import Storage

# The client package for an address, and what 'pip install limits[…]' calls it. Memcached has no moving window.
_CLIENTS = {
    "memory": ("", ""),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
    "redis+unix": ("redis", "redis"),
    "redis+cluster": ("redis", "rediscluster"),
    "redis+sentinel": ("redis", "redis"),
    "valkey": ("valkey", "valkey"),
    "valkeys": ("valkey", "valkey"),
    "valkey+unix": ("valkey", "valkey"),
    "valkey+cluster": ("valkey", "valkey"),
    "valkey+sentinel": ("valkey", "valkey"),
    "mongodb": ("pymongo", "mongodb"),
    "mongodb+srv": ("pymongo", "mongodb"),
}
_SETTING = "MAINSPRING_LIMITS"
_TIME_OUTS = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}


@asynccontextmanager
async def open_limiter(address: str, file: Path) -> AsyncGenerator[Limiter]:
    """Give a limiter that counts at an address of `limits`, such as `redis://host:6379`; in `file` where it is empty.

    `memory://` counts for this process alone, and forgets when it ends.

    Raises:
        SetupError: the address is wrong, its client package is missing, or its server or the file cannot be used.
    """
    # The package takes a tenth of a second to load, which only a worker has to spend.
    from mainspring.adapters.limiter.counting import CountingLimiter

    loop = asyncio.get_running_loop()
    place = shown(address) if address else f"the file '{file}'"
    with ThreadPoolExecutor(1, thread_name_prefix="limits") as thread:
        storage = await loop.run_in_executor(thread, _open, address, file)
        try:
            yield CountingLimiter(storage, thread, place=place)
        finally:
            await loop.run_in_executor(thread, _close, storage)


def shown(address: str) -> str:
    """An address as others may read it: without user, password and options."""
    scheme, _, rest = address.partition("://")
    host = re.split(r"[/?#]", rest.rpartition("@")[2])[0]
    return f"'{scheme}://{host}'"


def _open(address: str, file: Path) -> "Storage":
    return _open_address(address) if address else _open_file(file)


def _open_file(file: Path) -> "Storage":
    from mainspring.adapters.limiter.sqlite import SqliteStorage

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return SqliteStorage(file)
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"the file of limits '{file}' cannot be used: {error}. Name a state folder you may write to."
        ) from error


def _open_address(address: str) -> "Storage":
    from limits.storage import storage_from_string

    scheme, separator, _ = address.partition("://")
    if not separator:  # and so nothing that could be shown: it may be a password
        raise SetupError(f"{_SETTING} must be an address, such as 'redis://host:6379' or 'memory://', or not be set.")
    if scheme not in _CLIENTS:
        suggestion = did_you_mean(scheme, _CLIENTS)
        raise SetupError(f"limits cannot be counted at {shown(address)} ({_SETTING}): no such scheme.{suggestion}")
    package, extra = _CLIENTS[scheme]
    if package and find_spec(package) is None:
        command = f"pip install 'limits[{extra}]'"
        raise SetupError(f"limits at {shown(address)} ({_SETTING}) need a package. Run: {command}")
    # By themselves the clients of Redis and Valkey wait for ever.
    options = _TIME_OUTS if package in ("redis", "valkey") else {}
    try:
        storage = cast("Storage", storage_from_string(address, **options))
        answers = storage.check()
    except Exception as error:
        raise _unusable(address, str(error) or type(error).__name__) from error
    if not answers:
        raise _unusable(address, "nothing answers there")
    return storage


def _unusable(address: str, why: str) -> SetupError:
    said = why.splitlines()[0].rstrip(".").replace(address, shown(address))
    return SetupError(
        f"limits cannot be counted at {shown(address)} ({_SETTING}): {said}. "
        "Start the server, mend the address, or set none to count in a file."
    )


def _close(storage: "Storage") -> None:
    from mainspring.adapters.limiter.sqlite import SqliteStorage

    if isinstance(storage, SqliteStorage):
        storage.close()
