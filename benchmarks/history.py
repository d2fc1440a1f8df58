"""What a run left in Temporal's history: bytes, events, how long its workflow tasks took. Read after the run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistoryEventFilterType

LOCAL_ACTIVITY = "core_local_activity"


@dataclass(frozen=True)
class Recorded:
    """One run, its executions (each continued the one before) taken together.

    `longest_run` is the execution with most events, `longest_task` the seconds of the longest workflow task.
    """

    bytes: int
    events: int
    executions: int
    longest_run: str
    longest_events: int
    longest_task: float = 0.0


async def read(client: Client, key: str, *, first_run: str | None = None, with_tasks: bool = False) -> Recorded:
    """Read a run, from its first execution to its last."""
    sizes: list[tuple[int, int, str]] = []
    longest = 0.0
    run: str | None = first_run or await _first_run(client, key)
    while run:
        handle = client.get_workflow_handle(key, run_id=run)
        described = (await handle.describe()).raw_description.workflow_execution_info
        sizes.append((described.history_length, described.history_size_bytes, run))
        following: str | None = None
        async for event in handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT):
            ended = event.workflow_execution_continued_as_new_event_attributes
            following = ended.new_execution_run_id or None
        if with_tasks:
            events = [event async for event in handle.fetch_history_events()]
            longest = max([longest, *task_seconds(events)])
        run = following
    most = max(sizes)
    return Recorded(
        bytes=sum(size for _, size, _ in sizes),
        events=sum(length for length, _, _ in sizes),
        executions=len(sizes),
        longest_run=most[2],
        longest_events=most[0],
        longest_task=longest,
    )


def task_seconds(events: Iterable[Any]) -> list[float]:
    """Seconds of each workflow task that did nothing but replay and decide.

    Left out are tasks that local activities ran in: those end with the call, or are extended for it.
    """
    started: dict[int, float] = {}
    took: dict[int, float] = {}
    waited: set[int] = set()
    newest = 0
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            started[event.event_id] = _seconds(event)
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            newest = event.event_id
            took[newest] = _seconds(event) - started[event.workflow_task_completed_event_attributes.started_event_id]
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED and newest == event.event_id - 1:
            waited.add(newest)  # nothing came of it but another task: it was extended
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == LOCAL_ACTIVITY:
                waited.add(marker.workflow_task_completed_event_id)
    return [seconds for task, seconds in took.items() if task not in waited]


def _seconds(event: Any) -> float:
    return float(event.event_time.ToMilliseconds()) / 1000


async def _first_run(client: Client, key: str) -> str:
    return str((await client.get_workflow_handle(key).describe()).raw_description.workflow_execution_info.first_run_id)
