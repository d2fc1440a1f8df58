"""What the worker's settings were measured at: each with the value in use, and with others beside it.

`python -m benchmarks.settings` prints this part of `docs/benchmarks.md` alone.
"""

import asyncio
import dataclasses
import itertools
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median
from typing import Any

from temporalio.api.enums.v1 import EventType

from benchmarks import report, sleeping
from benchmarks.catalogue import BY_NAME, Entry
from benchmarks.child import Child, processor_time
from benchmarks.job import Job
from benchmarks.plan import FIRST
from benchmarks.results import Finding, Results
from benchmarks.runner import Runner, machine, servers
from benchmarks.targets import FAST, MB, OURS, SLOW, STEP, TURN

CROWD, AT_ONCE = 40, 20
SLEEPERS = 60
TRIES = 3
AFTER = (0.3, 0.7, 1.1, 1.5, 1.9)
"""Seconds after its begin when a tool is cancelled: now shortly before a heartbeat, now shortly after."""
LONG = Job(20)
WORKERS = (1, 2, 8)
BUSY, LASTING = Job(50, SLOW), Job(200, SLOW)
"""Runs of a slow model: one that is seen to its end, and one that is cancelled before."""
WITHIN = 120.0
STICKY_TIMEOUT = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT


async def measure(runner: Runner) -> list[Finding]:
    """All of them, one after the other.

    Raises:
        StackError: a run did not end.
    """
    async with begun(runner, BY_NAME[TURN]) as child:
        usual: dict[str, float] = await child.ask("usual", WITHIN)
    found = []
    for of in (_pollers, _cache, _sticky, _throttle, _task, _calls, _workers):
        print(f"once: settings: {of.__name__.strip('_')} … ", end="", flush=True)
        found.append(await of(runner, usual))
        print("done")
    return found


@asynccontextmanager
async def begun(runner: Runner, entry: Entry, jobs: Iterable[Job] = (), **values: float) -> AsyncGenerator[Child]:
    """A stack of Mainspring with these settings in place of its own; it has done its first run."""
    otherwise = dataclasses.replace(
        entry, module="mainspring_otherwise", arguments=(*entry.arguments, json.dumps(values))
    )
    async with await runner.begin(otherwise, (FIRST, *jobs)) as child:
        await child.run(FIRST, runner.keys(entry, 1), 1, WITHIN)
        yield child


async def _pollers(runner: Runner, usual: dict[str, float]) -> Finding:
    rows = []
    for count in _beside(usual["pollers"], 2, 5, 10, 20):
        async with begun(runner, BY_NAME[TURN], pollers=count) as child:
            wall, worker, server = await _crowd(runner, child)
        rows.append((_mark(count, usual["pollers"]), f"{CROWD / wall:.1f}", f"{worker:.0f}", f"{server:.0f}"))
    text = (
        f"How many calls wait at the server for tasks, of each kind. Mode `turn`, T = {FIRST.turns}, {AT_ONCE} at once."
    )
    return Finding("Pollers", text, ("pollers", "runs/s", "worker CPU ms/run", "server CPU ms/run"), tuple(rows))


async def _cache(runner: Runner, usual: dict[str, float]) -> Finding:
    rows = []
    for size in _beside(usual["cache"], 10):
        async with begun(runner, BY_NAME[TURN], cache=size) as child:
            await sleeping.warm_up(child, runner.keys(child.entry, sleeping.WARM_UP))
            empty, keys = await sleeping.resting(child), runner.keys(child.entry, SLEEPERS)
            await sleeping.put_to_sleep(child, keys)
            grown = await sleeping.resting(child) - empty
            took = [float(await child.ask("wake", WITHIN, key=key)) for key in keys[: sleeping.WOKEN]]
        rows.append((_mark(size, usual["cache"]), f"{grown / MB:.1f}", f"{median(took):.3f}"))
    text = (
        f"How many runs a worker keeps in memory; the others it replays when they go on. {SLEEPERS} runs wait for an "
        "approval, and those that began to wait first are approved."
    )
    return Finding("Runs in memory", text, ("runs kept", "memory MB", "from approval to the end s"), tuple(rows))


async def _sticky(runner: Runner, usual: dict[str, float]) -> Finding:
    rows = []
    for seconds in _beside(usual["sticky"], 0.2, 1, 2, 10):
        async with begun(runner, BY_NAME[TURN], sticky=seconds) as child:
            keys = runner.keys(child.entry, CROWD)
            await child.run(FIRST, keys, CROWD, WITHIN)
            lost = sum([await _count(runner, key, STICKY_TIMEOUT) for key in keys])
            [key] = runner.keys(child.entry, 1)
            await sleeping.put_to_sleep(child, [key])
            await child.kill()
        async with await runner.begin(child.entry, (), queue=child.queue) as heir:
            took = float(await heir.ask("wake", WITHIN, key=key))
        rows.append((_mark(seconds, usual["sticky"]), f"{took:.2f}", str(lost)))
    text = (
        "How long a workflow task waits for the worker that has the run in memory. Too long delays the runs of a lost "
        f"worker, too short takes runs away from a busy one, which is then in vain ({CROWD} runs at once)."
    )
    head = ("seconds", "from approval to the end s, worker lost", "tasks taken away from a busy worker")
    return Finding("Sticky schedule-to-start time-out", text, head, tuple(rows))


async def _throttle(runner: Runner, usual: dict[str, float]) -> Finding:
    rows = []
    for seconds in _beside(usual["throttle"], 0.25, 1, 10):
        async with begun(runner, BY_NAME[TURN], throttle=seconds) as child:
            keys = runner.keys(child.entry, len(AFTER))
            told = [
                float(await child.ask("cancelled", WITHIN, key=key, after=after))
                for key, after in zip(keys, AFTER, strict=True)
            ]
        rows.append((_mark(seconds, usual["throttle"]), f"{median(told):.2f}", f"{max(told):.2f}"))
    text = "How soon a heartbeat is passed on. Its answer brings the cancellation to a tool that is at work."
    return Finding("Heartbeat throttle", text, ("seconds", "until a tool is told s", "at most"), tuple(rows))


async def _task(runner: Runner, usual: dict[str, float]) -> Finding:
    rows = []
    for seconds in _beside(usual["task"], 0.5, 1, 2, 3):
        async with begun(runner, BY_NAME[FAST], [BUSY, LASTING], task=seconds) as child:
            [key, other] = runner.keys(child.entry, 2)
            asked = await child.ask("answers", WITHIN, turns=LASTING.turns, latency=SLOW, key=key)
            done = await child.run(BUSY, [other], 1, WITHIN)
        events = await _count(runner, other)
        answers = (f"{asked[name]:.2f}" for name in ("query", "update", "cancel"))
        rows.append((_mark(seconds, usual["task"]), *answers, f"{done['wall']:.2f}", str(events)))
    text = (
        "While local activities run, a workflow task lasts 0.8 of its time-out; then they are recorded, and questions "
        f"are answered. A `fast` run with T = {BUSY.turns} and a model that takes {SLOW * 1000:.0f} ms."
    )
    head = ("seconds", "a query s", "an update s", "cancelling s", "whole run s", "events")
    return Finding("Workflow-task time-out of `fast` runs", text, head, tuple(rows))


async def _calls(runner: Runner, usual: dict[str, float]) -> Finding:
    del usual
    spent: dict[str, tuple[float, float, float]] = {}
    for stack in OURS:
        async with begun(runner, BY_NAME[stack], [LONG]) as child:
            spent[stack] = await _spent(runner, child, LONG, TRIES, 1)
    rows = [
        ("a tool call", *_saved(spent[STEP], spent[TURN], LONG.turns)),
        ("a model call", *_saved(spent[TURN], spent[FAST], LONG.turns + 1)),
    ]
    text = f"What a call costs less as a local activity. Modes `step`, `turn` and `fast`, T = {LONG.turns}."
    return Finding("Local activities", text, ("call", "ms", "worker CPU ms", "server CPU ms"), tuple(rows))


async def _workers(runner: Runner, usual: dict[str, float]) -> Finding:
    del usual
    rows = []
    for count, eager in itertools.product(WORKERS, (True, False)):
        async with AsyncExitStack() as stack:
            child = await stack.enter_async_context(begun(runner, BY_NAME[STEP], [LONG], eager=eager))
            others = [await runner.begin(child.entry, (FIRST, LONG), queue=child.queue) for _ in range(count - 1)]
            children = [child, *[await stack.enter_async_context(each) for each in others]]
            await child.run(LONG, runner.keys(child.entry, AT_ONCE), AT_ONCE, WITHIN)
            found: list[dict[str, float]] = [await each.ask("misses", WITHIN) for each in children]
        misses, size, took = (sum(each[name] for each in found) for name in ("misses", "bytes", "milliseconds"))
        share = misses / (AT_ONCE * (2 * LONG.turns + 1))
        each = (f"{size / misses / 1000:.1f}", f"{took / misses:.1f}") if misses else ("-", "-")
        rows.append((str(count), "**worker**, in use" if eager else "server", f"{share:.2f}", *each))
    text = (
        "A worker that lacks the conversation before a step reads it in the history. The worker that decides on a "
        "step is let do it at once (eager), so it seldom lacks any; where the server hands out each step, it often "
        f"does. Mode `step`, T = {LONG.turns}, {AT_ONCE} runs at once."
    )
    head = ("workers", "steps handed out by", "misses a call", "KB a miss", "ms a miss")
    return Finding("Workers that share a task queue", text, head, tuple(rows))


def _saved(one: tuple[float, ...], other: tuple[float, ...], calls: int) -> Iterable[str]:
    return (f"{(before - after) / calls:.1f}" for before, after in zip(one, other, strict=True))


async def _crowd(runner: Runner, child: Child) -> tuple[float, float, float]:
    wall, worker, server = await _spent(runner, child, FIRST, CROWD, AT_ONCE)
    return wall * CROWD / 1000, worker, server


async def _spent(runner: Runner, child: Child, job: Job, runs: int, at_once: int) -> tuple[float, float, float]:
    """Milliseconds of a run: on the clock, of the worker's processor, of the server's."""
    pid = runner.servers.temporal.pid
    before = processor_time(pid)
    done: dict[str, Any] = await child.run(job, runner.keys(child.entry, runs), at_once, WITHIN)
    server = processor_time(pid) - before
    return tuple(each * 1000 / runs for each in (done["wall"], done["cpu"], server))  # type: ignore[return-value]


async def _count(runner: Runner, key: str, kind: int | None = None) -> int:
    """How many events of this kind, or of any, a run's history has."""
    events = runner.servers.client.get_workflow_handle(key).fetch_history_events()
    return sum([kind in {None, event.event_type} async for event in events])


def _beside(usual: float, *others: float) -> list[float]:
    return sorted({usual, *others})


def _mark(value: float, usual: float) -> str:
    return f"**{value:g}**, in use" if value == usual else f"{value:g}"


async def main() -> None:
    """Measure, and print."""
    async with servers([]) as running:
        print(report.findings(await measure(Runner(Results(machine()), running))))


if __name__ == "__main__":
    asyncio.run(main())
