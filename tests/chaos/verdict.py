"""Says what came of a run: plays it, looks at its histories, its trace and its world, and has them judged."""

import asyncio
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from mainspring.contracts.run import RunResult
from mainspring.settings import Settings
from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids
from mainspring.telemetry.projection import joined, project
from mainspring.telemetry.trace import Trace
from mainspring.telemetry.trace_file import read_trace
from tests.chaos import app
from tests.chaos.checks import Expected, Fault, Seen, Step, Task, absent, faults
from tests.chaos.plan import Crash
from tests.chaos.play import LIMIT, Ground, Play
from tests.chaos.watch import histories, recorded

EVIDENCE = Path(__file__).parents[2] / "build" / "chaos"
"""Where the histories, the world and the log of each run at fault are kept."""


@dataclass
class Report:
    """What came of one run. `reached` is false where it took another way than to its point, and ended undisturbed."""

    crash: Crash
    seen: Seen | None = None
    reached: bool = False
    found: list[Fault] = field(default_factory=list[Fault])
    asked: int = 0
    seconds: float = 0.0

    @property
    def calm(self) -> bool:
        """Whether the machine was quick enough for every workflow task, so that the run went as it usually does."""
        return self.seen is not None and all(task.done for task in self.seen.tasks)


async def look_at(ground: Ground, play: Play, result: Any) -> Seen:
    """Everything that is known of a run that has ended."""
    given = RunResult.model_validate(result)
    steps: dict[Step, float] = {}
    tasks: list[Task] = []
    traces: list[Trace] = []
    count = 0
    for events in await histories(ground.client, play.name, play.first):
        its_steps, its_tasks = await recorded(events, ground.client)
        steps.update(its_steps)
        tasks.extend(its_tasks)
        count += len(events)
        traces.append(await project(events, ground.client.data_converter))
    trace = joined(traces)
    live = read_trace(Settings(state=play.world.folder / "state").trace_file, play.first)
    return Seen(
        mode=play.crash.mode,
        answer=given.answer,
        model_calls=given.totals.model_calls,
        effects=play.world.effects(),
        attempts=play.world.attempts(),
        recorded=steps,
        tasks=tuple(tasks),
        events=count,
        gaps=tuple(play.gaps),
        asked=frozenset(play.person.outcomes.values() if play.person else ()),
        spans=tuple((span.id, span.parent, span.name) for span in trace.spans),
        open=tuple(span.name for span in trace.spans if span.end is None),
        roots=tuple(span.id for span in trace.spans if span.text(a.STEP) == ids.RUN),
        traces=frozenset(span.trace for span in (*trace.spans, *live.spans)),
        live=frozenset(span.id for span in live.spans),
    )


async def rehearse(ground: Ground, scenario: str, mode: str) -> tuple[Report, list[str]]:
    """An undisturbed run, judged by itself, and the points that it passes."""
    play = Play(ground, Crash(scenario, mode, "worker", ""), act="")
    report = await judge(ground, play, None)
    if report.seen:
        report.found += absent(report.seen, app.SCENARIOS[scenario].shows)
    waits = [f"waiting:{request}" for request in (play.person.requests if play.person else ())]
    events = [f"event:{number}" for number in range(1, report.seen.events)] if report.seen else []
    return report, [*play.world.points(), *waits, *events]


async def crash_at(ground: Ground, crash: Crash, expected: Expected) -> Report:
    """Kill the worker of a run at a point; gives what came of it."""
    return await judge(ground, Play(ground, crash, act="die"), expected)


async def judge(ground: Ground, play: Play, expected: Expected | None) -> Report:
    """Play it, and say what came of it, measured by what was expected (None: by itself)."""
    began = time.monotonic()
    report = Report(play.crash)
    try:
        report.seen = seen = await look_at(ground, play, await play.run())
        report.found = faults(seen, expected or as_expected(seen), app.EFFECTS)
        report.asked = len(seen.asked)
    except TimeoutError:
        report.found = [Fault("lost", f"the run did not end within {LIMIT:g} s")]
    except WorkflowFailureError as error:
        report.found = [Fault("wrong", f"the run failed: {error.cause}")]
    except (TemporalError, RPCError, RuntimeError) as error:
        report.found = [Fault("lost", f"it could not be seen to its end: {error!r}")]
    report.found += [Fault("wrong", f"a worker ended by itself, with status {status}") for status in play.deaths]
    report.reached = play.world.stopped() is not None
    if report.found:
        await _keep(ground, play)
    report.seconds = time.monotonic() - began
    return report


def as_expected(seen: Seen) -> Expected:
    """What another run of this scenario has to come to as well."""
    return Expected(seen.answer, seen.model_calls, seen.effects, Counter(name for _, _, name in seen.spans))


async def _keep(ground: Ground, play: Play) -> None:
    """Keep all that is known of a run at fault; a history as `mainspring replay` takes it."""
    folder = EVIDENCE / str(play.crash).replace("/", "-").replace(":", "-")
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, play.world.folder, folder)
    parts: list[list[HistoryEvent]] = await histories(ground.client, play.name, play.first) if play.first else []
    for number, events in enumerate(parts, 1):
        (folder / f"history-{number}.json").write_text(WorkflowHistory(play.name, events).to_json())
