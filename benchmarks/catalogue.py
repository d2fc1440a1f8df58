"""The stacks that are compared: what each is called, where it lives, and what it needs."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Entry:
    """One stack. `module` is in `benchmarks/stacks`, `lock` in `benchmarks/locks` (empty: Mainspring's own `.venv`)."""

    name: str
    module: str
    lock: str
    server: Literal["temporal", "postgres"]
    arguments: tuple[str, ...] = ()
    about: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is Mainspring."""
        return not self.lock


ENTRIES = (
    *(
        Entry(f"mainspring-{mode}", "mainspring", "", "temporal", (mode,), f"Mainspring, mode `{mode}`")
        for mode in ("step", "turn", "fast")
    ),
    Entry(
        "plain",
        "plain",
        "plain",
        "temporal",
        about="a Temporal workflow by hand: one activity per call, the whole conversation as argument",
    ),
    Entry(
        "plain-by-reference",
        "plain_by_reference",
        "plain",
        "temporal",
        about="the same with the conversation in a SQLite file, and its key as argument",
    ),
    Entry(
        "temporalio-openai-agents",
        "temporalio_openai_agents",
        "temporalio-openai-agents",
        "temporal",
        about="Temporal's plugin for the OpenAI Agents SDK",
    ),
    Entry(
        "temporalio-langgraph",
        "temporalio_langgraph",
        "temporalio-langgraph",
        "temporal",
        about="Temporal's plugin for LangGraph",
    ),
    Entry(
        "langgraph-postgres",
        "langgraph_postgres",
        "langgraph-postgres",
        "postgres",
        about="LangGraph with its PostgreSQL saver, durability `sync`; no Temporal",
    ),
    Entry("dbos", "dbos", "dbos", "postgres", about="DBOS on PostgreSQL; no Temporal"),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
TEMPORAL_PEERS = tuple(entry.name for entry in ENTRIES if entry.server == "temporal" and not entry.is_ours)
"""Who does the job on Temporal without Mainspring."""
