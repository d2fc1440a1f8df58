"""What the workers of one case do, and did to the world: one SQLite file, which outlives them all."""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCHEMA = """
CREATE TABLE attempts (
    run TEXT, type TEXT, step TEXT, tool TEXT, local INTEGER, pid INTEGER, began REAL, ended REAL, failed INTEGER
);
CREATE TABLE effects (tool TEXT, key TEXT, pid INTEGER);
CREATE TABLE passages (point TEXT, label TEXT, pid INTEGER, at REAL);
CREATE TABLE stopped (point TEXT, at REAL);
"""


@dataclass(frozen=True)
class Attempt:
    """One attempt at an activity. `ended` is None where it was cut off; `failed` that it raised."""

    run: str
    type: str
    step: str
    tool: str
    local: bool
    pid: int
    began: float
    ended: float | None = None
    failed: bool = False


class World:
    """The file of one case, as its workers and those who watch them see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "world.db"
        self._go = folder / "go"
        if not self._path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with self._open() as db:
                db.executescript(SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._path, timeout=30)
        try:
            # Nobody pulls the plug here: what a killed process has written is written.
            db.execute("PRAGMA synchronous = OFF")
            with db:
                yield db
        finally:
            db.close()

    def begin(self, attempt: Attempt) -> int:
        """Write that an attempt begins; gives its row."""
        with self._open() as db:
            row = db.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 0)",
                (attempt.run, attempt.type, attempt.step, attempt.tool, attempt.local, attempt.pid, attempt.began),
            )
            return int(row.lastrowid or 0)

    def end(self, row: int, *, failed: bool) -> None:
        """Write that an attempt has ended."""
        with self._open() as db:
            db.execute("UPDATE attempts SET ended = ?, failed = ? WHERE rowid = ?", (time.time(), failed, row))

    def take_effect(self, tool: str, key: str, pid: int, *, unique: bool) -> None:
        """Let a tool take effect; a `unique` one does so once for its key, as a service does that knows such keys."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            known = db.execute("SELECT 1 FROM effects WHERE tool = ? AND key = ?", (tool, key)).fetchone()
            if not (unique and known):
                db.execute("INSERT INTO effects VALUES (?, ?, ?)", (tool, key, pid))

    def has_happened(self, tool: str, step: str) -> bool:
        """Whether a step took effect: what a person finds who looks."""
        return self.effects()[tool, step] > 0

    def passed(self, point: str, label: str, pid: int) -> None:
        """Write that a worker went past a point."""
        with self._open() as db:
            db.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", (point, label, pid, time.time()))

    def stop(self, point: str) -> None:
        """Write that the point of this case is reached."""
        with self._open() as db:
            db.execute("INSERT INTO stopped VALUES (?, ?)", (point, time.time()))

    def stopped(self) -> float | None:
        """When the point of this case was reached."""
        with self._open() as db:
            found = db.execute("SELECT at FROM stopped").fetchone()
        return float(found[0]) if found else None

    def go_on(self) -> None:
        """Let go whoever waits at a point."""
        self._go.touch()

    def may_go_on(self) -> bool:
        """Whether who waits at a point may go on."""
        return self._go.exists()

    def points(self) -> list[str]:
        """Every point that was passed, in order."""
        with self._open() as db:
            return [str(point) for (point,) in db.execute("SELECT point FROM passages ORDER BY rowid")]

    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt, oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM attempts ORDER BY rowid").fetchall()
        return tuple(
            Attempt(run, kind, step, tool, bool(local), pid, began, ended, bool(failed))
            for run, kind, step, tool, local, pid, began, ended, failed in rows
        )

    def effects(self) -> Counter[tuple[str, str]]:
        """How often each step of each tool took effect. A key ends with its step."""
        with self._open() as db:
            rows = db.execute("SELECT tool, key FROM effects").fetchall()
        return Counter((str(tool), str(key).rpartition(":")[2]) for tool, key in rows)
