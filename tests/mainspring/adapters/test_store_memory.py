import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from langgraph.store.memory import InMemoryStore

from mainspring.adapters.store_memory import StoreMemory, open_sqlite
from mainspring.errors import SetupError
from mainspring.ports.memory import Note
from mainspring.testing.contracts import MemoryContract

WRITER = """
import asyncio, sys
from pathlib import Path
from mainspring.adapters.store_memory import open_sqlite
from mainspring.ports.memory import Note

async def main(path, name):
    async with open_sqlite(Path(path)) as memory:
        for second in range(5):
            note = Note(text=name, run=name, at=f"2026-01-01T00:00:0{second}+00:00")
            await memory.remember("shop", "ana", note, f"{name}/{second}")
            await memory.recall("shop", "ana")

asyncio.run(main(*sys.argv[1:]))
"""


def note(text: str, at: str = "2026-01-01T00:00:00+00:00") -> Note:
    """Write a note."""
    return Note(text=text, run="run", at=at)


class TestSqlite(MemoryContract):
    @pytest.fixture
    async def memory(self, tmp_path):
        """Open an empty file."""
        async with open_sqlite(tmp_path / "memory.db") as memory:
            yield memory


class TestAnyStore(MemoryContract):
    @pytest.fixture
    def memory(self):
        """Stand on a store that knows no order of time."""
        return StoreMemory(InMemoryStore())


class TestFile:
    async def test_kept(self, tmp_path):
        """What was remembered is there when the file is opened again."""
        async with open_sqlite(tmp_path / "new" / "memory.db") as memory:
            await memory.remember("shop", "ana", note("likes blue"), "1")
        async with open_sqlite(tmp_path / "new" / "memory.db") as memory:
            assert await memory.recall("shop", "ana") == (note("likes blue"),)

    async def test_no_names_in_the_index(self, tmp_path):
        """No address and no tenant stands in the columns that are indexed."""
        async with open_sqlite(tmp_path / "memory.db") as memory:
            await memory.remember("acme", "ana@example.com", note("likes blue"), "run/1")
        with closing(sqlite3.connect(tmp_path / "memory.db")) as file:
            [(prefix, key)] = file.execute("SELECT prefix, key FROM store").fetchall()
        assert "ana" not in prefix + key
        assert "acme" not in prefix + key

    async def test_processes_share_it(self, tmp_path):
        """Several processes make, write and read one file at once, and no note is lost."""
        path = str(tmp_path / "memory.db")
        writers = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, path, name, stderr=subprocess.PIPE)
            for name in ("a", "b")
        ]
        errors = [(await writer.communicate())[1].decode() for writer in writers]

        assert errors == ["", ""]
        async with open_sqlite(tmp_path / "memory.db") as memory:
            assert sorted(n.text for n in await memory.recall("shop", "ana")) == ["a"] * 5 + ["b"] * 5

    async def test_made_at_once(self, tmp_path):
        """Workers that start together make the file together, and each can use it."""

        async def open_and_write(worker):
            async with open_sqlite(tmp_path / "memory.db") as memory:
                await memory.remember("shop", "ana", note(worker), worker)

        await asyncio.gather(*(open_and_write(str(worker)) for worker in range(6)))
        async with open_sqlite(tmp_path / "memory.db") as memory:
            assert len(await memory.recall("shop", "ana")) == 6

    async def test_reads_and_writes_at_once(self, tmp_path):
        """Workers that read and write in the same moment do not get in one another's way."""

        async def work(worker):
            async with open_sqlite(tmp_path / "memory.db") as memory:
                for key in range(20):
                    written = memory.remember("shop", "ana", note("x"), f"{worker}/{key}")
                    await asyncio.gather(memory.recall("shop", "ana"), written)

        await asyncio.gather(*(work(worker) for worker in range(3)))

    async def test_readers_do_not_wait(self, tmp_path):
        """While another process is in the middle of writing, notes can be read."""
        async with open_sqlite(tmp_path / "memory.db") as memory:
            await memory.remember("shop", "ana", note("likes blue"), "1")
            with closing(sqlite3.connect(tmp_path / "memory.db", isolation_level=None)) as writer:
                writer.execute("BEGIN EXCLUSIVE")
                assert await memory.recall("shop", "ana") == (note("likes blue"),)

    async def test_leaves_nothing_running(self, tmp_path):
        """A closed memory leaves no task behind in the event loop."""
        before = asyncio.all_tasks()
        async with open_sqlite(tmp_path / "memory.db") as memory:
            await memory.recall("shop", "ana")
        assert asyncio.all_tasks() == before

    async def test_cancelled_caller(self, tmp_path):
        """A caller cancelled in the middle leaves a memory that still reads and writes."""
        async with open_sqlite(tmp_path / "memory.db") as memory:
            for turns in range(12):
                task = asyncio.create_task(memory.remember("shop", "ana", note("x"), str(turns)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
            await memory.remember("shop", "bob", note("still here"), "1")
            assert await memory.recall("shop", "bob") == (note("still here"),)

    async def test_more_than_a_page(self, tmp_path):
        """The newest notes are found behind more than one page of old ones that were written later."""
        async with open_sqlite(tmp_path / "memory.db") as memory:
            await memory.remember("shop", "ana", note("newest", "2026-02-01T00:00:00Z"), "newest")
            with closing(sqlite3.connect(tmp_path / "memory.db", isolation_level=None)) as file:
                file.execute("UPDATE store SET updated_at = '2000-01-01 00:00:00'")
            for number in range(130):
                await memory.remember("shop", "ana", note("old"), str(number))
            assert (await memory.recall("shop", "ana"))[0].text == "newest"

    @pytest.mark.parametrize("name", [".", "a file/memory.db"])
    async def test_unusable(self, tmp_path, name):
        """A path that cannot be a database file is refused with its name and what to do."""
        (tmp_path / "a file").touch()
        with pytest.raises(SetupError, match=r"the memory file '.*' cannot be used: .* Name a file in a folder"):
            async with open_sqlite(tmp_path / name):
                pass

    async def test_no_database(self, tmp_path):
        """A file that is something else is refused at once and left as it is."""
        (tmp_path / "letter.txt").write_text("Dear Ana, " * 100)
        with pytest.raises(SetupError, match="is not a database"):
            async with open_sqlite(tmp_path / "letter.txt"):
                pass
        assert (tmp_path / "letter.txt").read_text().startswith("Dear Ana")
