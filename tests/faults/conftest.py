"""Workers as processes of their own, and the table in which their effects stand."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEMA = """
CREATE TABLE attempts (agent TEXT, key TEXT, pid INTEGER);
CREATE TABLE effects (agent TEXT, key TEXT, pid INTEGER, UNIQUE (agent, key));
"""


class World:
    """What the worker processes of one test do, and did to the world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = folder / "faults.db"
        with sqlite3.connect(self._db) as db:
            db.executescript(SCHEMA)

    def empty(self) -> None:
        """Forget every attempt and effect."""
        with sqlite3.connect(self._db, timeout=30) as db:
            db.execute("DELETE FROM attempts")
            db.execute("DELETE FROM effects")

    @contextmanager
    def worker(self, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker process that serves `fault_app` while the block runs; killed at its end, however that comes."""
        environment = {
            **os.environ,
            **settings,
            "PYTHONPATH": str(ROOT),
            "FAULTS_DB": str(self._db),
            "MAINSPRING_STATE": str(self.folder / "state"),
            "MAINSPRING_MODEL": "test:model",
        }
        command = [sys.executable, str(Path(__file__).with_name("fault_app.py"))]
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def attempted(self, agents: set[str], process: "subprocess.Popen[bytes]") -> None:
        """Return once every one of these agents has begun the call it stops in."""
        async with asyncio.timeout(60):
            while {agent for agent, _ in self.rows("attempts")} < agents:
                assert process.poll() is None, (self.folder / "worker.log").read_text()
                await asyncio.sleep(0.1)

    def rows(self, table: str, agent: str = "") -> list[tuple[str, str]]:
        """Agent and key of every row, oldest first."""
        with sqlite3.connect(self._db, timeout=30) as db:
            found = db.execute(f"SELECT agent, key FROM {table} ORDER BY rowid").fetchall()
        return [(name, key) for name, key in found if agent in ("", name)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An empty world for the tests of one file."""
    return World(tmp_path_factory.mktemp("world"))
