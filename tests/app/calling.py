"""Calls tools as the engine does, and looks into their files past them."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from mainspring import Context, Tool


async def forgets(note: str) -> None:
    """Stand where the engine puts its memory; no tool here remembers."""


def context(key: str) -> Context:
    """Build what the engine tells a tool."""
    return Context(run="run", agent="agent", idempotency_key=key, user="", tenant="", remember=forgets)


def call(tool: Tool, key: str = "key-1", **args: Any) -> Any:
    """Call a tool as the engine does: JSON in, JSON out."""
    return tool.dump(tool.call(tool.parse(args), context(key)))


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the database itself, past the tools; nothing where there is none."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()
