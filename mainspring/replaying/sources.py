"""Where histories come from: files as the CLI and the Web UI write them, folders of them, the server. Assembly."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

from mainspring.errors import SetupError

_WAY = "Save one with `temporal workflow show --output json`, or with the Web UI's Download, payloads not decoded."


@dataclass(frozen=True)
class Entry:
    """A history by the name it is known by, or why there is none."""

    name: str
    history: WorkflowHistory | None = None
    problem: str = ""


def read(path: Path) -> Iterator[Entry]:
    """The history of a file, or those of every `.json` in a folder and the folders in it."""
    if path.is_dir():
        for each in sorted(path.rglob("*.json")):
            yield _entry(each)
    else:
        yield _entry(path)


def _entry(path: Path) -> Entry:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Entry(str(path), problem=f"it cannot be read as JSON: {error}. {_WAY}")
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value)
        value = cast("dict[str, Any]", value.get("history", value)).get("events")  # the server's own answer wraps it
    if not isinstance(value, list) or not value:
        return Entry(str(path), problem=f"it is no history: it has no events. {_WAY}")
    try:
        history = WorkflowHistory.from_json(path.stem, {"events": value})
    except Exception as error:  # noqa: BLE001 - the parser raises many kinds
        return Entry(str(path), problem=f"it is no history: {str(error).splitlines()[0]}. {_WAY}")
    in_order = sorted(history.events, key=lambda event: event.event_id)  # `--reverse` has the newest first
    return Entry(str(path), WorkflowHistory(path.stem, in_order))


async def fetch(client: Client, run: str, run_id: str | None) -> Entry:
    """The history of a run that the server has.

    Raises:
        SetupError: the server does not give it.
    """
    try:
        return Entry(run, await client.get_workflow_handle(run, run_id=run_id).fetch_history())
    except RPCError as error:
        raise SetupError(f"The Temporal server does not give the history of run {run!r}: {error.message}.") from None


async def listed(
    client: Client, task_queue: str, since: timedelta | None, query: str, limit: int | None
) -> AsyncIterator[tuple[str, str]]:
    """Workflow ids and run ids of a task queue's runs ("": of all), as the server lists them: the newest first.

    Raises:
        SetupError: the server refuses the query.
    """
    whole = _query(task_queue, since, query)
    try:
        async for each in client.list_workflows(whole, limit=limit):
            yield each.id, each.run_id
    except RPCError as error:
        raise SetupError(f"The Temporal server does not list {whole!r}: {error.message}.") from None


def _query(task_queue: str, since: timedelta | None, query: str) -> str:
    parts = [f"TaskQueue = '{task_queue}'"] if task_queue else []
    if since is not None:
        parts.append(f"StartTime > '{(datetime.now(UTC) - since).isoformat(timespec='seconds')}'")
    return " AND ".join([*parts, *([f"({query})"] if query else [])])


def save(entry: Entry, folder: Path) -> Path | None:
    """Write a history as a file that `read` reads; the file, where there is a history.

    Raises:
        SetupError: the folder cannot be written.
    """
    if entry.history is None:
        return None
    name = re.sub(r"[^\w.-]+", "_", entry.name)
    # A workflow id may have many runs; the ends of their ids tell these apart, the beginnings are a time.
    path = folder / f"{name}-{entry.history.run_id.rpartition('-')[2]}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(json.loads(entry.history.to_json()), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SetupError(f"{str(path)!r} cannot be written: {error.strerror}.") from None
    return path
