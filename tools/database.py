"""Application: a SQLite file that is made on its first use, with what it starts with.

Every process may come first, so a file is made in one transaction, under a lock. Each call of a tool
opens its own connection, because the engine runs tools in threads.
"""

import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainspring import NotDone, SetupError

PATIENCE = 10.0
"""How long to wait for another writer, in seconds."""

Fill = Callable[[sqlite3.Connection], None]
"""Puts in what a new file starts with."""


@dataclass(frozen=True)
class Database:
    """One kind of file: `name` says in errors what it is, `setting` is the variable that says where it is."""

    name: str
    setting: str
    default: str
    schema: Sequence[str]
    fill: Fill
    version: int = 1
    """Stands in the file's `user_version`; 0 is a file that is still empty."""

    def place(self) -> Path:
        """Where the file is: as the environment says, or the default in the working folder."""
        return Path(os.environ.get(self.setting) or self.default)

    def create(self, path: Path, fill: Fill | None = None) -> bool:
        """Make the file `path`; False if there is something in it already, which stays as it is.

        All rows come in one transaction, so two processes may try at once, and one that dies half way
        leaves nothing behind.

        Raises:
            OSError: the folder cannot be made.
            sqlite3.Error: the file cannot be written, or is no database.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as new:
            if not _is_empty(new):
                return False
            new.execute("BEGIN IMMEDIATE")
            with new:
                # Again, under the lock: another process may have been quicker.
                if not _is_empty(new):
                    return False
                for statement in self.schema:
                    new.execute(statement)
                (fill or self.fill)(new)
                new.execute(f"PRAGMA user_version = {self.version}")
                # Keeps the file locked after the commit: the change to WAL does not wait for others, it fails.
                new.execute("PRAGMA locking_mode = EXCLUSIVE")
            new.execute("PRAGMA journal_mode = WAL")
            return True

    @contextmanager
    def opened(self) -> Generator[sqlite3.Connection, None, None]:
        """Open the file, made on first use, in autocommit mode with rows that know their column names.

        Raises:
            SetupError: the file cannot be made, opened or written, or is of another kind.
        """
        path = self.place()
        try:
            self.create(path)
            connection = self._connect(path)
        except (OSError, sqlite3.Error) as error:
            raise SetupError(
                f"The {self.name}'s database {str(path)!r} cannot be used: {error}. "
                f"Delete it, or set {self.setting} to a file in a folder you may write."
            ) from error
        with closing(connection):
            yield connection

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != self.version:
            connection.close()
            raise sqlite3.DatabaseError(f"it is not a {self.name} of version {self.version}")
        return connection


@contextmanager
def alone(connection: sqlite3.Connection, otherwise: str) -> Generator[None, None, None]:
    """Write all or nothing, with no other writer; `otherwise` says what did not happen where the file is busy.

    Raises:
        NotDone: another writer holds the file; nothing was done.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise NotDone(f"{otherwise}, the database is busy: {error}") from error
    with connection:
        yield


def _is_empty(new: sqlite3.Connection) -> bool:
    (version,) = new.execute("PRAGMA user_version").fetchone()
    (tables,) = new.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return version == 0 and tables == 0
