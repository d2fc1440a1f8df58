"""A storage of the package `limits` in a SQLite file, which survives a restart and is shared by processes.

Activity side. It has a moving window only. What was taken is one row each, deleted once no window holds it.
"""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from limits.storage import MovingWindowSupport, Storage
from typing_extensions import override

BUSY_SECONDS = 30.0
_PAUSE = 0.02
_TABLES = """
CREATE TABLE IF NOT EXISTS taken (key TEXT NOT NULL, at REAL NOT NULL, until REAL NOT NULL);
CREATE INDEX IF NOT EXISTS taken_by_key ON taken (key, at);
CREATE INDEX IF NOT EXISTS taken_by_until ON taken (until);
"""
# A limit that was made smaller leaves more than it allows. The older of them go before there is room: no need to count.
_WINDOW = """
SELECT min(at), count(*) FROM (SELECT at FROM taken WHERE key = ? AND at > ? ORDER BY at DESC LIMIT ?)
"""


class SqliteStorage(Storage, MovingWindowSupport):
    """Rows in a SQLite file. To be used in the thread that opened it."""

    STORAGE_SCHEME = None  # made by us alone, never from an address

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock
        self._file = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            self._write_ahead()
            self._file.execute("PRAGMA synchronous=NORMAL")  # loses nothing to a kill, the last rows to a power cut
            with self.transaction():
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._file.execute(statement)
        except BaseException:
            self._file.close()
            raise

    def _write_ahead(self) -> None:
        """Switch to a log (WAL). Where others make the file at the same time, SQLite itself does not wait here."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._file.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    @property
    @override
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All that is read and taken within is one step, which no other process comes between."""
        if self._file.in_transaction:
            yield
            return
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    @override
    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take `amount`, where that many are left."""
        with self.transaction():
            now = self._clock()
            self._file.execute("DELETE FROM taken WHERE until <= ?", (now,))
            _, count = self.get_moving_window(key, limit, expiry)
            if count + amount > limit:
                return False
            self._file.executemany("INSERT INTO taken VALUES (?, ?, ?)", [(key, now, now + expiry)] * amount)
            return True

    @override
    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest of the newest `limit` in the window was taken, and how many these are."""
        now = self._clock()
        oldest, count = self._file.execute(_WINDOW, (key, now - expiry, limit)).fetchone()
        return (now if oldest is None else oldest), count

    @override
    def check(self) -> bool:
        """Whether the file can be read."""
        return bool(self._file.execute("SELECT count(*) FROM taken").fetchone())

    @override
    def reset(self) -> int:
        """Forget everything; gives how much that was."""
        return self._file.execute("DELETE FROM taken").rowcount

    @override
    def clear(self, key: str) -> None:
        """Forget what was taken under a key."""
        self._file.execute("DELETE FROM taken WHERE key = ?", (key,))

    @override
    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows are not kept."""
        raise NotImplementedError

    @override
    def get(self, key: str) -> int:
        """Fixed windows are not kept."""
        raise NotImplementedError

    @override
    def get_expiry(self, key: str) -> float:
        """Fixed windows are not kept."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        self._file.close()
