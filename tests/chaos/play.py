"""Plays one run: starts it, disturbs it at its point, and sees to it that it goes on."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from mainspring.devserver import DevServer
from mainspring.testing.bench import connect
from tests.chaos import app
from tests.chaos.checks import Gap
from tests.chaos.failpoints import Act
from tests.chaos.nursery import Child, Nursery, Order
from tests.chaos.plan import Crash
from tests.chaos.watch import Person, came
from tests.chaos.world import World

TASK = timedelta(seconds=2)
"""Workflow-task time-out of every run: a task that a dead worker held is given to another after so long."""
LIMIT = 90.0
"""Seconds after which a run counts as lost."""
REACHES = 30.0
"""Seconds in which a run must have come to its point for the server to be taken away."""


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
        self.first = ""
        self.person: Person | None = None
        self.gaps: list[Gap] = []
        self.deaths: list[int] = []
        self._ground = ground
        self._act = act
        self._outage = outage
        self._scenario = app.SCENARIOS[crash.scenario]
        self._queue = self.world.folder.name
        self.name = f"run-{self._queue}"
        self._over = False
        self._child: Child | None = None

    async def run(self) -> Any:
        """Start it and see it through; gives its result.

        Raises:
            TimeoutError: it did not end.
            WorkflowFailureError: it failed.
        """
        self._child = await self._spawn(self.crash.point, self._act)
        tasks = [asyncio.create_task(self._keep())]
        try:
            handle = await self._start()
            self.first = handle.first_execution_run_id or ""
            tasks.append(asyncio.create_task(self._at_event(handle)))
            letters = app.cases()[self.crash.scenario, self.crash.mode].letters
            self.person = Person(handle, self.world, self._is_calm, letters, self._at_request)
            async with asyncio.timeout(LIMIT):
                await self.person.follow()
                return await self._result(handle)
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
            id=self.name,
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


async def client_of(server: DevServer) -> Client:
    """A client of the server, with the engine's converter."""
    return await connect(server.address)
