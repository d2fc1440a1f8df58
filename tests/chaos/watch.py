"""What the harness sees of a run from outside: how it goes, who is to be asked, and what its history says."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import TemporalError

from mainspring.contracts import names
from mainspring.core.approvals import Request
from mainspring.core.canonical import Json
from tests.chaos.checks import Step, Task
from tests.chaos.world import World

A_CALL = timedelta(seconds=12)
PAUSE = 0.25
"""Seconds between two looks at a run."""
LOOKS = 20
"""After so many looks somebody is asked for, even where the list of runs does not say that somebody waits."""
TASKS = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: True,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: False,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: False,
}


@dataclass
class Person:
    """Sends a session its letters, approves everything, tells truthfully how a call ended: whether its effect is there.

    `requests` are all that were asked, `outcomes` those about an outcome, with the step each is about.
    """

    run: WorkflowHandle[Any, Any]
    world: World
    may_tell: Callable[[], bool] = lambda: True
    letters: tuple[str, ...] = ()
    at_request: Callable[[str], None] = lambda _: None
    requests: list[str] = field(default_factory=list[str])
    outcomes: dict[str, str] = field(default_factory=dict[str, str])

    async def follow(self) -> None:
        """Write and answer until the run has ended."""
        looks = 0
        post = [*((names.SEND, letter) for letter in self.letters), (names.FINISH, None)] if self.letters else []
        while True:
            try:
                now = await self.run.describe(rpc_timeout=A_CALL)
                if now.status not in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
                    return
                if post:
                    await self._update(*post[0], f"letter-{len(post)}")
                    del post[0]
                waits = [pair for pair in now.typed_search_attributes if pair.key.name == names.WAITS_FOR]
                looks += 1
                if waits or looks % LOOKS == 0:
                    await self._answer()
            except (TemporalError, RuntimeError, TimeoutError):
                pass  # nobody is there just now; it is asked again
            await asyncio.sleep(PAUSE)

    async def _answer(self) -> None:
        waiting: list[Request] = await self.run.query(names.WAITING, result_type=list[Request], rpc_timeout=A_CALL)
        for request in waiting:
            if request.id not in self.requests:
                self.requests.append(request.id)
                self.at_request(request.id)
            if request.kind == "outcome" and not self.may_tell():
                continue
            form: dict[str, Json] = {"request": request.id}
            if request.kind == "outcome":
                self.outcomes[request.id] = request.step
                form["outcome"] = "happened" if self.world.has_happened(request.tool, request.step) else "not-happened"
            name = names.ANSWER if request.kind == "outcome" else names.APPROVE
            await self._update(name, form, f"{name}-{request.id}")

    async def _update(self, name: str, form: Json, update: str) -> None:
        """An update by its id: sent again, it is the same one."""
        args = [] if form is None else [form]
        async with asyncio.timeout(A_CALL.total_seconds()):
            await self.run.execute_update(name, args=args, id=update, rpc_timeout=A_CALL)


async def came(client: Client, workflow_id: str, first: str | None, number: int) -> bool:
    """Wait for an event of a run by its number, counted through all its executions; false where none has it."""
    run = first
    while run:
        following = ""
        handle = client.get_workflow_handle(workflow_id, run_id=run)
        async for event in handle.fetch_history_events(wait_new_event=True):
            number -= 1
            if not number:
                return True
            following = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        run = following
    return False


async def histories(client: Client, workflow_id: str, first: str) -> list[list[HistoryEvent]]:
    """The events of a run, oldest first, for each of its executions."""
    parts: list[list[HistoryEvent]] = []
    run = first
    while run:
        handle = client.get_workflow_handle(workflow_id, run_id=run)
        parts.append([event async for event in handle.fetch_history_events()])
        run = parts[-1][-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return parts


async def recorded(events: list[HistoryEvent], client: Client) -> tuple[dict[Step, float], list[Task]]:
    """When the success of each step of an execution came into history, and its workflow tasks."""
    steps: dict[Step, float] = {}
    tasks: list[Task] = []
    began = 0.0
    scheduled: dict[int, tuple[str, str]] = {}
    run = events[0].workflow_execution_started_event_attributes.original_execution_run_id
    for event in events:
        at = event.event_time.ToNanoseconds() / 1e9
        if event.HasField("activity_task_scheduled_event_attributes"):
            given = event.activity_task_scheduled_event_attributes
            scheduled[event.event_id] = (given.activity_type.name, given.activity_id)
        elif event.HasField("activity_task_completed_event_attributes"):
            steps[run, *scheduled[event.activity_task_completed_event_attributes.scheduled_event_id]] = at
        elif event.event_type in TASKS:
            tasks.append(Task(began, at, TASKS[event.event_type]))
            began = 0.0
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            began = at
        elif event.HasField("marker_recorded_event_attributes"):
            marker = event.marker_recorded_event_attributes
            if marker.marker_name == "core_local_activity" and "result" in marker.details:
                (data,) = await client.data_converter.decode(marker.details["data"].payloads)
                steps[run, data["activity_type"], data["activity_id"]] = at
    return steps, [task for task in tasks if task.start]
