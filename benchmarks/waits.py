"""Where a run on Temporal's development server waits: the same run on the server as it comes, and with our options."""

import asyncio
from collections.abc import Iterable
from statistics import median
from typing import Any

from temporalio.api.enums.v1 import EventType

from benchmarks.catalogue import BY_NAME
from benchmarks.job import Job
from benchmarks.plan import FIRST
from benchmarks.results import Results, Wait
from benchmarks.runner import Runner, servers
from mainspring.devserver import OPTIONS

SETTLES = 2.0
STACK, JOB, RUNS = "plain", Job(50), 2
EARLY, LATE = slice(10), slice(-50, None)
"""Workflow tasks at the start of a run, and at its end."""
RATE = tuple(option for option in OPTIONS if "MaxPollRPS" in option[1])
SERVERS = {"as it comes": (), f"`{RATE[0][1]}`": RATE, "with all that `mainspring dev` sets": OPTIONS}


async def measure(results: Results) -> list[Wait]:
    """Do runs on one server after the other.

    Raises:
        Missing: the environment of the stack cannot be made.
        StackError: the runs do not end.
    """
    return [await _on(name, options, results) for name, options in SERVERS.items()]


async def _on(name: str, options: tuple[tuple[str, str], ...], results: Results) -> Wait:
    print(f"once: {STACK}: waits on a server {name} … ", end="", flush=True)
    async with servers([], options) as running:
        runner, entry = Runner(results, running), BY_NAME[STACK]
        async with await runner.begin(entry, [JOB]) as child:
            await child.run(FIRST, runner.keys(entry, 1), 1, 60)
            await asyncio.sleep(SETTLES)  # the server may save up for a burst again
            keys = runner.keys(entry, RUNS)
            done = await child.run(JOB, keys, 1, 120)
        events = [event async for event in running.client.get_workflow_handle(keys[0]).fetch_history_events()]
    tasks, activities = waits(events)
    found = Wait(name, tuple(done["seconds"]), median(tasks[EARLY]), median(tasks[LATE]), median(activities))
    print(f"{median(found.seconds):.2f} s a run")
    return found


def waits(events: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Seconds from scheduled to started, of each workflow task and of each activity."""
    times: dict[int, float] = {}
    tasks, activities = [], []
    for event in events:
        times[event.event_id] = now = event.event_time.ToNanoseconds() / 1e9
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            tasks.append(now - times[event.workflow_task_started_event_attributes.scheduled_event_id])
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            activities.append(now - times[event.activity_task_started_event_attributes.scheduled_event_id])
    return tasks, activities
