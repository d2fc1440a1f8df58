"""What the tests of `mainspring approvals` share: an office of agents that pay, and the command line beside it."""

import asyncio
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mainspring import Agent, Context, tool
from mainspring.cli import app
from mainspring.cli.approvals_listed import Waiting
from mainspring.cli.approvals_sent import Order, Sending, Tally
from mainspring.contracts.names import WAITING_RUNS
from mainspring.devserver import DevServer
from mainspring.serve import Project, working
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun, connect

PAID: Counter[str] = Counter()
"""How often each call has paid, by run and amount."""
PROGRAM = [sys.executable, "-c", "from mainspring.cli import main; main()", "approvals"]


@tool("once", returns="trusted")
def pay(cents: int, context: Context) -> str:
    """Pay money."""
    PAID[f"{context.run} {cents}"] += 1
    return f"paid {cents}"


@tool("once", returns="trusted")
def post(text: str) -> str:
    """Post a letter."""
    return f"posted {text}"


class Office:
    """Runs on one task queue, with a worker that can be sent away and comes back."""

    def __init__(self, bench: Bench, server: DevServer) -> None:
        """Nobody works yet."""
        self.bench = bench
        self._server = server
        self.settings = bench.settings(model="test:model")
        self.where = f"TaskQueue = '{self.settings.task_queue}'"
        self._project: Project | None = None
        self._worker = AsyncExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """What points a command line to this office."""
        own = {"MAINSPRING_STATE": str(self.bench.folder), "MAINSPRING_TASK_QUEUE": self.settings.task_queue}
        return {**self._server.environment, **own, "COLUMNS": "300"}

    async def open(self, *agents: Agent, model: ScriptedModel) -> None:
        """Have a worker serve these agents."""
        self._project = Project(*agents, models={"test:model": model})
        await self.come()

    async def come(self) -> None:
        """The worker comes back."""
        assert self._project
        await self._worker.enter_async_context(working(self._project, self.bench.client, self.settings))

    async def leave(self) -> None:
        """The worker goes away."""
        await self._worker.aclose()

    async def start(self, name: str, count: int = 1) -> TestRun:
        """Start a run that asks so many times at once; it is listed when this returns."""
        run = await self.bench.submit(name, "Pay", self.settings.task_queue)
        await run.waiting(count)
        async with asyncio.timeout(30):
            while not (
                await self.bench.client.count_workflows(f"{WAITING_RUNS} AND WorkflowId = '{run.handle.id}'")
            ).count:
                pass  # the server's list follows a run after a moment
        return run

    async def approvals(self, *options: str) -> Result:
        """Run the command over what waits here, while the worker goes on."""
        arguments = ["approvals", "--where", self.where, *options]
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=self.environment)

    async def process(self, *options: str, **more: int) -> asyncio.subprocess.Process:
        """The same as a process of its own."""
        return await asyncio.create_subprocess_exec(
            *PROGRAM,
            *("--where", self.where, *options),
            env={**os.environ, **self.environment, "TERM": "xterm"},
            **{"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT, **more},
        )

    async def seen(self, run: TestRun) -> list[Waiting]:
        """What waits in a run, as it would be listed."""
        run_id = (await run.handle.describe()).run_id
        return [Waiting(run.handle.id, run_id, each) for each in await run.waiting()]

    async def say(self, order: Order, waiting: list[Waiting], person: str = "ada") -> Tally:
        """What a person gets who says this to these requests."""
        client = await connect(self._server.address, self.bench.folder)
        client.service_client.config.identity = person
        tally = Tally(order, len(waiting))
        await Sending(client, order, 32, tally.told.append).through(waiting)
        return tally


def payer(name: str = "payer") -> Agent[str]:
    """An agent whose tools need a person."""
    return Agent(name, instructions="Pay what you are told to pay.", tools=[pay, post])


def pays(*cents: int) -> ScriptedModel:
    """A model that wants to pay, all at once, and then says what came of it."""
    return ScriptedModel(calls(*(call("pay", cents=each) for each in cents)), say("That is that."))


@pytest.fixture
async def office(mainspring: Bench, temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An office; its worker leaves with the test."""
    monkeypatch.chdir(tmp_path)
    office = Office(mainspring, temporal_server)
    yield office
    await office.leave()
