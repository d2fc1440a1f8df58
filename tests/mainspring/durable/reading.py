"""Reads what there is of a run, for the tests beside it: its steps and how each was made, its messages, its page."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHistory

from mainspring.contracts.carried import Exchange
from mainspring.testing.bench import TestRun

T = TypeVar("T")


async def until(find: Callable[[], Awaitable[T]]) -> T:
    """What is looked for, once it is there: what is not there after a minute will not come."""
    async with asyncio.timeout(60):
        while not (found := await find()):  # noqa: ASYNC110 - it is elsewhere that it comes about
            await asyncio.sleep(0.02)
    return found


def steps(history: WorkflowHistory) -> list[str]:
    """Every step in the order of the history: `call_tool 2`, with `local` before it where it was a local activity.

    A local activity that failed is `failed local …`; it is followed by an ordinary one of the same step.
    """
    return list(_steps(history))


def _steps(history: WorkflowHistory) -> Iterator[str]:
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            asked = event.activity_task_scheduled_event_attributes
            yield f"{asked.activity_type.name} {asked.activity_id}"
        elif event.HasField("marker_recorded_event_attributes"):
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == "core_local_activity":
                data = json.loads(marker.details["data"].payloads[0].data)
                failed = "" if "result" in marker.details else "failed "
                yield f"{failed}local {data['activity_type']} {data['activity_id']}"


def started(history: WorkflowHistory) -> Any:
    """What an execution began with."""
    return history.events[0].workflow_execution_started_event_attributes


async def executions(run: TestRun) -> list[WorkflowHistory]:
    """The histories of all executions of a run, the first one first."""
    client, found = run.handle._client, [await run.history()]
    while before := started(found[0]).continued_execution_run_id:
        found.insert(0, await client.get_workflow_handle(run.handle.id, run_id=before).fetch_history())
    return found


async def messages(run: TestRun) -> list[Exchange]:
    """A session's exchanges, as the query gives them."""
    return await run.handle.query("messages", result_type=list[Exchange])


async def card(run: TestRun) -> str:
    """What the run's page shows."""
    told = await run.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return told.current_details
