"""Mainspring in one of its modes, with the worker that `worker.py` starts, and runs as its own commands start them."""

import contextlib
import time
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think
from benchmarks.protocol import Place, Stack
from benchmarks.stacks.on_temporal import timed_replays
from mainspring import Agent, tool
from mainspring.contracts import names
from mainspring.core.messages import ToolCall, count_replies
from mainspring.core.spec import Mode
from mainspring.durable.continuing import FAST_TASK
from mainspring.durable.run import AnyRun
from mainspring.ports.model import Model, ModelReply, ModelRequest
from mainspring.serve import Project, data_converter, working
from mainspring.settings import Settings

MODEL = "bench:scripted"
SLEEPER = "sleeper"
WHOLE, ROOMY = 200, 1_000_000
"""Up to so many turns the model is given the whole conversation, as the peers' is; longer ones are made shorter."""


@tool("read", returns="trusted")
async def read_page(number: int) -> str:
    """Give one page of the backlog."""
    return page(number)


@tool("once", returns="trusted")
async def pay(amount: int) -> str:
    """Pay an invoice. Nobody wrote a rule for it, so a person is asked."""
    return f"paid {amount}"


class Scripted(Model):
    """Reads page after page; which job it is stands in the agent's name, `triage-TURNS-MILLISECONDS`."""

    async def reply(self, request: ModelRequest) -> ModelReply:
        """One reply, by how many this agent gave before."""
        said = count_replies(request.messages)
        if request.agent == SLEEPER:
            return reply("Done." if said else "", [] if said else [("pay", {"amount": 1})])
        turns, milliseconds = map(int, request.agent.split("-")[1:])
        await think(milliseconds / 1000)
        return reply(reply_text(said), [(read_page.name, {"number": said})] if said < turns else [])


def reply(text: str, asked: list[tuple[str, dict[str, Any]]]) -> ModelReply:
    """A reply with these words and calls."""
    calls = tuple(ToolCall(id=f"call_{n}", name=name, args=args) for n, (name, args) in enumerate(asked))
    return ModelReply(text=text, calls=calls, model="scripted", provider="scripted")


def name_of(job: Job) -> str:
    """The agent, and so the workflow type, of one job."""
    return f"triage-{job.turns}-{round(job.latency * 1000)}"


def agent_of(job: Job, mode: Mode) -> Agent:
    """The agent of one job, with a step limit that lets it end."""
    return Agent(
        name_of(job),
        instructions=INSTRUCTIONS,
        tools=[read_page],
        model=MODEL,
        max_steps=job.turns + 2,
        mode=mode,
        context=ROOMY if job.turns <= WHOLE else 0,
    )


class OnMainspring(Stack):
    """One agent per job, on one worker, and an agent whose runs soon wait for an approval."""

    model: Model = Scripted()
    others: tuple[Agent, ...] = ()

    def __init__(self, mode: Mode) -> None:
        """Choose the mode of every agent."""
        self.mode = mode
        # Started otherwise a `fast` run moves itself over to it, which takes one more execution.
        self.task_timeout = FAST_TASK if mode == "fast" else None
        self._open = contextlib.AsyncExitStack()

    async def start(self, place: Place) -> None:
        """Connect and work, as `mainspring.serve.run` does."""
        sleeper = Agent(SLEEPER, instructions="Pay the invoice.", tools=[pay], model=MODEL, mode=self.mode)
        agents = [agent_of(job, self.mode) for job in place.jobs]
        project = Project(sleeper, *agents, *self.others, models={MODEL: self.model})
        self.settings = Settings(model=MODEL, state=Path(place.folder), task_queue=place.queue)
        self.client = await Client.connect(place.temporal, data_converter=data_converter(self.settings))
        self.worker = await self._open.enter_async_context(working(project, self.client, self.settings))

    async def run(self, job: Job, key: str) -> None:
        """Start the agent and wait for its result."""
        await (await self.started(name_of(job), key)).result()

    async def started(self, name: str, key: str) -> Any:
        """Start a run of an agent."""
        queue = self.settings.task_queue
        return await self.client.start_workflow(name, TASK, id=key, task_queue=queue, task_timeout=self.task_timeout)

    async def replay(self, key: str, times: int, run_id: str | None = None) -> list[float] | None:
        """Replay with the class that runs every agent."""
        replayer = Replayer(
            workflows=[AnyRun],
            workflow_runner=UnsandboxedWorkflowRunner(),
            data_converter=data_converter(self.settings, read_only=True),
        )
        return await timed_replays(self.client, replayer, key, run_id, times)

    async def stored(self, key: str) -> int | None:
        """What stands in the folder of large payloads."""
        files = self.settings.payload_folder.glob(f"*/{key}/*")
        return sum(file.stat().st_size for file in files) or None

    async def answers(self, turns: int, latency: float, key: str) -> dict[str, float]:
        """How long a busy run takes to answer a query, an update and a cancellation, in seconds."""
        handle = await self.started(name_of(Job(turns, latency)), key)
        await handle.query(names.WAITING)  # from here on the run is busy
        took = {}
        start = time.perf_counter()
        await handle.query(names.WAITING)
        took["query"] = time.perf_counter() - start
        start = time.perf_counter()
        with contextlib.suppress(WorkflowUpdateFailedError):  # there is no such request: that is the answer
            await handle.execute_update(names.APPROVE, {"request": "1"})
        took["update"] = time.perf_counter() - start
        start = time.perf_counter()
        await handle.cancel()
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()
        took["cancel"] = time.perf_counter() - start
        return took

    async def put_to_sleep(self, keys: list[str], prefix: str) -> int:
        """Start runs that soon wait for an approval; gives how many with this prefix wait by now."""
        for key in keys:
            await self.started(SLEEPER, key)
        waiting = f"WorkflowId STARTS_WITH '{prefix}' AND {names.WAITS_FOR} = 'approval: pay'"
        return (await self.client.count_workflows(waiting)).count

    async def wake(self, key: str) -> float:
        """Approve; gives the seconds until the run has ended."""
        handle = self.client.get_workflow_handle(key)
        start = time.perf_counter()
        await handle.execute_update(names.APPROVE, {"request": "1"})
        await handle.result()
        return time.perf_counter() - start

    async def cache_size(self) -> int:
        """How many runs the worker keeps in memory."""
        return int(self.worker.config()["max_cached_workflows"])

    async def stop(self) -> None:
        """Shut the worker down."""
        await self._open.aclose()


def make(mode: Mode) -> OnMainspring:
    """The stack."""
    return OnMainspring(mode)
