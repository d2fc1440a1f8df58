"""Plays one run: starts it, disturbs it at its point, sees to it that it goes on, and looks at what came of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any, cast

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from mainspring.contracts.run import RunResult
from mainspring.devserver import DevServer
from mainspring.settings import Settings
from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids
from mainspring.telemetry.projection import joined, project
from mainspring.telemetry.trace import Trace
from mainspring.telemetry.trace_file import read_trace
from mainspring.testing.bench import connect
from tests.chaos import app
from tests.chaos.checks import Expected, Fault, Gap, Seen, Step, faults
from tests.chaos.failpoints import Act
from tests.chaos.nursery import Child, Nursery, Order
from tests.chaos.plan import Crash
from tests.chaos.watch import Person, came, histories, recorded
from tests.chaos.world import World

TASK = timedelta(seconds=2)
"""Workflow-task time-out of every run: a task that a dead worker held is given to another after so long."""
LIMIT = 90.0
"""Seconds after which a run counts as lost."""
REACHES = 30.0
"""Seconds in which a run must have come to its point for the server to be taken away."""


@dataclass
class Report:
    """What came of one crash. `reached` is false where the run took another way and ended undisturbed."""

    crash: Crash
    reached: bool = False
    found: list[Fault] = field(default_factory=list[Fault])
    asked: int = 0
    seconds: float = 0.0


@dataclass
class Ground:
    """What all runs stand on."""

    server: DevServer
    client: Client
    nursery: Nursery
    folder: Path
    count: int = 0

    def next_folder(self) -> Path:
        """A folder for one more run."""
        self.count += 1
        return self.folder / f"{self.count:04}"


class Outage:
    """One death of the server, in the middle of several runs at once."""

    def __init__(self, server: DevServer, runs: int) -> None:
        self.at: float | None = None
        self.over = asyncio.Event()
        self._server = server
        self._missing = runs
        self._all = asyncio.Event()

    def arrived(self) -> None:
        """Say that a run is at its point, or will never be."""
        self._missing -= 1
        if self._missing <= 0:
            self._all.set()

    async def happen(self, worlds: Iterable[World]) -> None:
        """Wait until every run is at its point; kill the server, let go who waits, start the server again."""
        await asyncio.wait([asyncio.ensure_future(self._all.wait())], timeout=REACHES)
        process = self._server._process
        assert process
        process.kill()
        self.at = time.time()
        await self._server.stop()
        for world in worlds:
            world.go_on()
        await self._server.start()
        self.over.set()


class Play:
    """One run of a scenario in a mode, disturbed or not."""

    def __init__(self, ground: Ground, crash: Crash, *, act: Act, outage: Outage | None = None) -> None:
        self.world = World(ground.next_folder())
        self.crash = crash
        self.person: Person | None = None
        self.gaps: list[Gap] = []
        self.deaths: list[int] = []
        self._ground = ground
        self._act = act
        self._outage = outage
        self._scenario = app.SCENARIOS[crash.scenario]
        self._name = f"{crash.scenario}-{crash.mode}"
        self._queue = self.world.folder.name
        self._over = False
        self._child: Child | None = None

    async def run(self) -> tuple[Any, str]:
        """Start it and see it through; gives its result and its first run id.

        Raises:
            TimeoutError: it did not end.
            WorkflowFailureError: it failed.
        """
        self._child = await self._spawn(self.crash.point, self._act)
        tasks = [asyncio.create_task(self._keep())]
        try:
            handle = await self._start()
            tasks.append(asyncio.create_task(self._at_event(handle)))
            self.person = Person(handle, self.world, may_tell=self._is_calm, at_request=self._at_request)
            async with asyncio.timeout(LIMIT):
                await self.person.follow()
                result = await self._result(handle)
            return result, handle.first_execution_run_id or ""
        finally:
            self._over = True
            if self._outage and not self._outage.over.is_set():
                await self._outage.over.wait()
            await self._child.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> WorkflowHandle[Any, Any]:
        case = app.cases()[self.crash.scenario, self.crash.mode]
        return await self._ground.client.start_workflow(
            case.what.name,
            case.given,
            id=f"run-{self._queue}",
            task_queue=self._queue,
            task_timeout=None if self._scenario.plain else TASK,
        )

    async def _result(self, handle: WorkflowHandle[Any, Any]) -> Any:
        while True:
            try:
                return await handle.result()
            except RPCError:
                await asyncio.sleep(0.2)

    async def _spawn(self, at: str = "", act: Act = "") -> Child:
        order = Order(str(self.world.folder), self._ground.server.address, self._queue, at, act, self._scenario.events)
        return await self._ground.nursery.spawn(order)

    async def _keep(self) -> None:
        """Disturb the server where that is the plan, and give the run another worker whenever its own has died."""
        if self._outage:
            await self._arrive(self._outage)
        dies = self._act == "die"
        while not self._over:
            assert self._child
            status = await self._child.gone
            if self._over:
                return
            stopped = self.world.stopped()
            if not (dies and stopped):
                self.deaths.append(status)
            elif not self._outage:
                self.gaps.append(Gap(stopped, time.time()))
            dies = False
            self._child = await self._spawn()

    async def _arrive(self, outage: Outage) -> None:
        while not (self._over or outage.over.is_set() or self.world.stopped()):  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(0.05)
        outage.arrived()
        await outage.over.wait()
        if outage.at:
            self.gaps.append(Gap(self.world.stopped() or outage.at, time.time()))

    def _is_calm(self) -> bool:
        """Whether nothing is cut off at this moment that may yet take effect: only then a person can tell."""
        return self._outage is None or self._outage.over.is_set()

    def _at_request(self, request: str) -> None:
        if self.crash.point == f"waiting:{request}":
            self._kill()

    async def _at_event(self, handle: WorkflowHandle[Any, Any]) -> None:
        kind, _, number = self.crash.point.partition(":")
        if kind == "event" and await came(self._ground.client, handle.id, handle.first_execution_run_id, int(number)):
            self._kill()

    def _kill(self) -> None:
        if self._act and self._child:
            self._child.send(SIGKILL)
            self.world.stop(self.crash.point)


def _outside(person: Person, events: int) -> list[str]:
    """The points at which a worker is killed from outside, as the harness sees the run come by."""
    waits = [f"waiting:{request}" for request in person.requests]
    return [*waits, *(f"event:{number}" for number in range(1, events))]


async def look_at(ground: Ground, play: Play, result: Any, first: str) -> Seen:
    """Everything that is known of a run that has ended."""
    given = RunResult.model_validate(result)
    steps: dict[Step, float] = {}
    tasks: list[float] = []
    traces: list[Trace] = []
    count = 0
    for events in await histories(ground.client, f"run-{play.world.folder.name}", first):
        its_steps, its_tasks = await recorded(events, ground.client)
        steps.update(its_steps)
        tasks.extend(its_tasks)
        count += len(events)
        traces.append(await project(events, ground.client.data_converter))
    trace = joined(traces)
    live = read_trace(Settings(state=play.world.folder / "state").trace_file, first)
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
        roots=tuple(span.id for span in trace.spans if span.text(a.STEP) == ids.RUN),
        traces=frozenset(span.trace for span in (*trace.spans, *live.spans)),
        live=frozenset(span.id for span in live.spans),
    )


async def rehearse(ground: Ground, scenario: str, mode: str) -> tuple[Expected, list[str], list[Fault]]:
    """An undisturbed run: what it comes to, the points it passes, and what is wrong with it all the same."""
    play = Play(ground, Crash(scenario, mode, "worker", ""), act="")
    seen = await look_at(ground, play, *await play.run())
    expected = Expected(seen.answer, seen.model_calls, seen.effects, Counter(name for _, _, name in seen.spans))
    points = [*play.world.points(), *_outside(cast("Person", play.person), seen.events)]
    return expected, points, _faults(play, seen, expected)


def _faults(play: Play, seen: Seen, expected: Expected) -> list[Fault]:
    deaths = [Fault("wrong", f"a worker ended by itself, with status {status}") for status in play.deaths]
    return deaths + faults(seen, expected, app.EFFECTS)


async def crash_at(ground: Ground, crash: Crash, expected: Expected, outage: Outage | None = None) -> Report:
    """Disturb a run at a point; gives what came of it."""
    play = Play(ground, crash, act="wait" if crash.who == "server" else "die", outage=outage)
    return await judge(ground, play, expected)


async def judge(ground: Ground, play: Play, expected: Expected) -> Report:
    """Play it, and say what came of it."""
    began = time.monotonic()
    report = Report(play.crash)
    try:
        result, first = await play.run()
        seen = await look_at(ground, play, result, first)
        report.found, report.asked = _faults(play, seen, expected), len(seen.asked)
    except TimeoutError:
        report.found = [Fault("lost", f"the run did not end within {LIMIT:g} s")]
    except WorkflowFailureError as error:
        report.found = [Fault("wrong", f"the run failed: {error.cause}")]
    except (TemporalError, RPCError, RuntimeError) as error:
        report.found = [Fault("lost", f"it could not be seen to its end: {error!r}")]
    report.reached = play.world.stopped() is not None
    report.seconds = time.monotonic() - began
    return report


async def client_of(server: DevServer) -> Client:
    """A client of the server, with the engine's converter."""
    return await connect(server.address)
