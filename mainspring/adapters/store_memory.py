"""The memory port on LangGraph's `BaseStore`: a SQLite file by default, any other store by the same class.

Activity side. An entry's place is made of digests, so that no address and no tenant's name stands in
an index; the note itself is the entry's value.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mainspring.core.canonical import digest
from mainspring.errors import SetupError
from mainspring.ports.memory import Memory, Note

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Item
    from langgraph.store.sqlite.aio import AsyncSqliteStore  # pyright: ignore[reportMissingTypeStubs]

RECALLED = 20
BUSY_SECONDS = 30.0
PAGE = 100
SETUP_ATTEMPTS = 50
SETUP_PAUSE = 0.1
SIGNS_OF_ANOTHER = ("database is locked", "duplicate column", "UNIQUE constraint")

Result = TypeVar("Result")


class StoreMemory(Memory):
    """Notes in a LangGraph store, apart by tenant and user."""

    def __init__(self, store: "BaseStore") -> None:
        self._store = store
        self._running: set[asyncio.Task[Any]] = set()

    async def recall(self, tenant: str, user: str) -> tuple[Note, ...]:
        """The newest 20 notes about a user, newest first.

        All notes of the user are read: stores order by the second of the last write at best, and a
        repeated write must not make an old note new.
        """
        items = await self._whole(self._read(_place(tenant, user)))
        notes = [Note.model_validate(items[key].value) for key in sorted(items)]
        return tuple(sorted(notes, key=_instant, reverse=True)[:RECALLED])

    async def remember(self, tenant: str, user: str, note: Note, key: str) -> None:
        """Keep a note; the same `key` again replaces it."""
        from langgraph.store.base import PutOp

        put = PutOp(_place(tenant, user), key, note.model_dump(mode="json"))
        # Not `aput`: that batches the reads and writes of several callers into one transaction, which SQLite
        # refuses ("database is locked") as soon as another process has written between the two.
        await self._whole(self._store.abatch([put]))

    async def _read(self, place: tuple[str, ...]) -> "dict[str, Item]":
        from langgraph.store.base import SearchOp

        found: dict[str, Item] = {}
        while True:
            [page] = await self._store.abatch([SearchOp(place, limit=PAGE, offset=len(found))])
            items: list[Item] = [item for item in page if not isinstance(item, tuple)] if isinstance(page, list) else []
            before = len(found)
            found |= {item.key: item for item in items}
            if len(items) < PAGE or len(found) == before:
                return found

    async def _whole(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Let `work` end even if the caller is cancelled: SQLite's store would stay inside its transaction."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def settle(self) -> None:
        """Wait for writes whose callers were cancelled."""
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncGenerator[StoreMemory]:
    """Give memory on a SQLite file (made where missing) that several processes may share.

    Raises:
        SetupError: the file cannot be made, opened or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store = await _open(path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    memory = StoreMemory(store)
    try:
        yield memory
    finally:
        await memory.settle()
        await _close(store)


async def _open(path: Path) -> "AsyncSqliteStore":
    """Open the file and make its tables; begin anew when another process did the same at the same time.

    The store's own set-up does not expect that, and a connection it failed on stays unusable.
    """
    attempt = 1
    while True:
        try:
            return await _try_to_open(path)
        except sqlite3.Error as error:
            if attempt == SETUP_ATTEMPTS or not any(sign in str(error) for sign in SIGNS_OF_ANOTHER):
                raise
        attempt += 1
        await asyncio.sleep(SETUP_PAUSE)


async def _try_to_open(path: Path) -> "AsyncSqliteStore":
    import aiosqlite
    from langgraph.store.sqlite.aio import AsyncSqliteStore  # pyright: ignore[reportMissingTypeStubs]

    store = AsyncSqliteStore(await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS))
    try:
        async with store.conn.execute("PRAGMA journal_mode=WAL") as answer:
            await answer.fetchone()
        await store.setup()
    except BaseException:
        await _close(store)
        raise
    return store


async def _close(store: "AsyncSqliteStore") -> None:
    await store.conn.close()
    # The store starts a task that batches `aput` and friends, and never ends it.
    batching = cast("asyncio.Task[None] | None", getattr(store, "_task", None))
    if batching is not None:
        batching.cancel()
        await asyncio.gather(batching, return_exceptions=True)


def _unusable(path: Path, error: Exception) -> SetupError:
    return SetupError(f"the memory file '{path}' cannot be used: {error}. Name a file in a folder you may write to.")


def _place(tenant: str, user: str) -> tuple[str, ...]:
    return ("mainspring", "notes", digest(tenant), digest(user))


def _instant(note: Note) -> datetime:
    at = datetime.fromisoformat(note.at)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
