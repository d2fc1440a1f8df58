"""Plain Temporal with the conversation in a database of its own: activities pass the conversation's key."""

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think
    from benchmarks.protocol import Place
    from benchmarks.stacks.on_temporal import OnTemporal

TIMEOUT = timedelta(seconds=30)


@dataclass
class Turn:
    """The conversation by its key, and how many messages of it count."""

    job: Job
    key: str
    count: int
    page: int = -1


class Messages:
    """The store and the two activities on it. A step that is repeated writes the same row again."""

    def __init__(self, file: Path) -> None:
        """Open the file; every write is on the disk before it is answered."""
        self.db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        columns = "key TEXT, place INTEGER, role TEXT, text TEXT, PRIMARY KEY (key, place)"
        self.db.execute(f"CREATE TABLE IF NOT EXISTS messages ({columns})")

    def add(self, key: str, place: int, role: str, text: str) -> None:
        """Keep one message."""
        self.db.execute("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?)", (key, place, role, text))

    @activity.defn
    async def call_model(self, turn: Turn) -> int:
        """One reply; gives the page it asks for, or -1."""
        if turn.count == 0:
            self.add(turn.key, 0, "system", INSTRUCTIONS)
            self.add(turn.key, 1, "user", TASK)
        place = max(turn.count, 2)
        question = "SELECT role, text FROM messages WHERE key = ? AND place < ? ORDER BY place"
        thread = self.db.execute(question, (turn.key, place)).fetchall()
        await think(turn.job.latency)
        said = sum(role == "assistant" for role, _ in thread)
        self.add(turn.key, place, "assistant", reply_text(said))
        return said if said < turn.job.turns else -1

    @activity.defn
    async def read_page(self, turn: Turn) -> None:
        """One page."""
        self.add(turn.key, turn.count, "tool", page(turn.page))


@workflow.defn
class Triage:
    """The loop."""

    @workflow.run
    async def run(self, job: Job, key: str) -> int:
        """Read page after page until the model asks for none."""
        count = 0
        while True:
            turn = Turn(job, key, count)
            asks = await workflow.execute_activity_method(Messages.call_model, turn, start_to_close_timeout=TIMEOUT)
            count = max(count, 2) + 1
            if asks < 0:
                return count
            turn = Turn(job, key, count, asks)
            await workflow.execute_activity_method(Messages.read_page, turn, start_to_close_timeout=TIMEOUT)
            count += 1


class ByReference(OnTemporal):
    """The stack, with its store."""

    def __init__(self) -> None:
        """Only the workflow is known yet; the file comes with the place."""
        super().__init__(Triage)

    async def start(self, place: Place) -> None:
        """Open the store, then start the worker."""
        self.messages = Messages(Path(place.folder) / "messages.db")
        self.activities = [self.messages.call_model, self.messages.read_page]
        await super().start(place)

    async def run(self, job: Job, key: str) -> None:
        """The workflow takes the conversation's key as well."""
        await self.client.execute_workflow(Triage.run, args=[job, key], id=key, task_queue=self.queue)

    async def stored(self, key: str) -> int | None:
        """Bytes of the texts of the conversation."""
        question = "SELECT sum(length(text)) FROM messages WHERE key = ?"
        return int(self.messages.db.execute(question, (key,)).fetchone()[0])


def make() -> ByReference:
    """The stack."""
    return ByReference()
