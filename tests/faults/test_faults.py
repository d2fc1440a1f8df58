"""What goes wrong in models, tools and servers, and how each run ends: as a person would want."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError

from mainspring import Agent, NotDone, ToolError, tool
from mainspring.devserver import DevServer
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project, data_converter, working
from mainspring.telemetry.projection import project
from mainspring.telemetry.trace import orphans
from mainspring.testing import ScriptedModel, call, delay, fail, say
from mainspring.testing.bench import Bench, TestRun, connect
from mainspring.testing.scripted import Step

MODEL = "test:model"
BACKOFF = timedelta(minutes=2)
"""Longer than all attempts at anything take together; skipped, not waited for."""
A_MOMENT = timedelta(milliseconds=200)
FOR_EVER = 600


class Book:
    """A file in which every attempt at a tool, and every effect of one, is a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, line: str) -> int:
        """Add a line; gives how often it is there now."""
        with self._path.open("a") as file:
            file.write(f"{line}\n")
        return self.count(line)

    def count(self, line: str) -> int:
        """How often a line is there."""
        return self._path.read_text().splitlines().count(line) if self._path.exists() else 0


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """An empty book."""
    return Book(tmp_path / "book")


def looker(book: Book, *, error: Exception | None = None, timeout: timedelta = timedelta(seconds=30)) -> Agent[str]:
    """An agent whose only tool, a read, fails with this error, or never ends."""

    @tool(effect="read", returns="trusted", timeout=timeout)
    async def look() -> str:
        """Look."""
        book.write("attempt")
        if error:
            raise error
        return await asyncio.sleep(FOR_EVER, "never")

    return Agent("looker", instructions="Look.", tools=[look])


def launcher(
    book: Book,
    *,
    busy: int = 0,
    error: Exception | None = None,
    hangs: bool = False,
    timeout: timedelta = timedelta(seconds=30),
) -> Agent[str]:
    """An agent with a `once` tool, which says NotDone so often, takes effect, then fails or never ends."""

    @tool(effect="once", returns="trusted", timeout=timeout)
    async def launch() -> str:
        """Launch."""
        if book.write("attempt") <= busy:
            raise NotDone("the pad is busy")
        book.write("effect")
        if error:
            raise error
        if hangs:
            await asyncio.sleep(FOR_EVER)
        return "launched"

    return Agent("launcher", instructions="Launch.", tools=[launch])


def launching() -> ScriptedModel:
    """A model that launches, then repeats what came of it."""
    return ScriptedModel(call("launch"), lambda request: say(request.messages[-1].text))


def slow_at_first() -> ScriptedModel:
    """A model whose first attempt never ends."""
    attempts = [delay(FOR_EVER, say("Too late.")), say("In time.")]

    def reply(_: ModelRequest) -> Step:
        return attempts.pop(0)

    return ScriptedModel(reply)


async def failure_of(run: TestRun) -> ApplicationError:
    """The error that a run ends with."""
    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


# Models


async def test_a_model_that_is_down_for_a_moment_is_asked_again(mainspring: Bench) -> None:
    """An error of the model that may pass is not seen by the user."""
    model = ScriptedModel(fail("overloaded"), say("Hello."))
    run = await mainspring.start(Agent("pilot", instructions="Fly."), "Hi", model=model)

    await run.skip(BACKOFF)
    result = await run.result()

    assert (result.answer, len(model.requests)) == ("Hello.", 2)


async def test_a_model_that_cannot_be_helped_fails_the_run_at_once(mainspring: Bench) -> None:
    """An error that trying again cannot help ends the run with one sentence, after one attempt."""
    model = ScriptedModel(fail("the key is not valid", retryable=False, times=9), say("never"))
    run = await mainspring.start(Agent("pilot", instructions="Fly."), "Hi", model=model)

    error = await failure_of(run)

    assert error.message == f"agent 'pilot', step 1: the model '{MODEL}' failed: the key is not valid"
    assert (error.type, len(model.requests)) == ("ModelFailed", 1)


async def test_a_slow_model_is_asked_again(mainspring: Bench) -> None:
    """A reply that does not come in the agent's time is asked for again."""
    pilot = Agent("pilot", instructions="Fly.", model_timeout=timedelta(seconds=1))
    run = await mainspring.start(pilot, "Hi", model=slow_at_first())

    await run.skip(BACKOFF)
    result = await run.result()

    assert result.answer == "In time."


async def test_a_model_that_stays_slow_fails_the_run(mainspring: Bench) -> None:
    """A model that never answers in time ends the run with a sentence that names the time it had."""
    pilot = Agent("pilot", instructions="Fly.", model_timeout=A_MOMENT)
    model = ScriptedModel(delay(FOR_EVER, say("never")))
    run = await mainspring.start(pilot, "Hi", model=model)

    await run.skip(BACKOFF)
    error = await failure_of(run)

    assert (error.type, len(model.requests)) == ("ModelFailed", 4)
    assert error.message.endswith("failed: no answer within 0.2 s")


# Tools that may be repeated


async def test_a_read_that_breaks_is_tried_three_times(mainspring: Bench, book: Book) -> None:
    """A read that raises is tried again; in the end the model is told and the run goes on."""
    model = ScriptedModel(call("look"), say("I could not look."))
    run = await mainspring.start(looker(book, error=OSError("the line is dead")), "Look", model=model)

    await run.skip(BACKOFF)
    result = await run.result()

    answer = model.requests[-1].messages[-1]
    assert (answer.status, answer.text) == ("error", "look failed: OSError: the line is dead")
    assert (result.answer, book.count("attempt")) == ("I could not look.", 3)


async def test_an_expected_failure_is_told_at_once(mainspring: Bench, book: Book) -> None:
    """A ToolError is what the model should read, so it is not tried again."""
    model = ScriptedModel(call("look"), say("Nothing there."))
    run = await mainspring.start(looker(book, error=ToolError("there is nothing to see")), "Look", model=model)

    await run.result()

    answer = model.requests[-1].messages[-1]
    assert (answer.status, answer.text) == ("error", "there is nothing to see")
    assert book.count("attempt") == 1


async def test_a_slow_read_is_tried_three_times(mainspring: Bench, book: Book) -> None:
    """A read that does not end in its time is tried again; in the end the model is told how long it had."""
    model = ScriptedModel(call("look"), say("I could not look."))
    run = await mainspring.start(looker(book, timeout=A_MOMENT), "Look", model=model)

    await run.skip(BACKOFF)
    await run.result()

    assert model.requests[-1].messages[-1].text == "look failed: it did not end within 0.2 s"
    assert book.count("attempt") == 3


async def test_a_time_out_of_the_tools_own_is_told_as_such(mainspring: Bench, book: Book) -> None:
    """A TimeoutError from inside a tool is not taken for the engine's own time limit."""
    model = ScriptedModel(call("look"), say("I could not look."))
    run = await mainspring.start(looker(book, error=TimeoutError("the camera is silent")), "Look", model=model)

    await run.skip(BACKOFF)
    await run.result()

    assert model.requests[-1].messages[-1].text == "look failed: TimeoutError: the camera is silent"


# Tools that must not be repeated


async def test_a_once_call_that_was_not_done_is_made_again(mainspring: Bench, book: Book) -> None:
    """NotDone is the one outcome after which a `once` tool is run again without asking."""
    run = await mainspring.start(launcher(book, busy=2), "Go", model=launching())

    await run.approve((await run.waiting())[0])
    result = await run.result()

    assert result.answer == '"launched"'
    assert (book.count("attempt"), book.count("effect")) == (3, 1)


async def test_a_once_call_that_is_never_done_is_told(mainspring: Bench, book: Book) -> None:
    """After three times NotDone the model is told, and nothing has happened."""
    run = await mainspring.start(launcher(book, busy=9), "Go", model=launching())

    await run.approve((await run.waiting())[0])
    result = await run.result()

    assert result.answer == "launch failed: launch was not done: the pad is busy"
    assert (book.count("attempt"), book.count("effect")) == (3, 0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"error": OSError("the line is dead")}, "OSError: the line is dead"),
        ({"hangs": True, "timeout": A_MOMENT}, "it did not end within 0.2 s"),
    ],
    ids=["raised", "slow"],
)
async def test_a_once_call_with_an_unknown_outcome_asks(
    mainspring: Bench, book: Book, fault: dict[str, Any], reason: str
) -> None:
    """Whatever else a `once` tool ends with, a person is asked how it ended, and it is not repeated."""
    run = await mainspring.start(launcher(book, **fault), "Go", model=launching())

    await run.approve((await run.waiting())[0])
    request = await asked_for_outcome(run)
    await run.answer(request, "happened")
    await run.result()

    assert request.reason == reason
    assert (book.count("attempt"), book.count("effect")) == (1, 1)


async def test_an_outcome_that_nobody_tells_ends_the_run(mainspring: Bench, book: Book) -> None:
    """Silence is no answer: the model is never told that a call which may have happened was denied."""
    run = await mainspring.start(launcher(book, error=OSError("the line is dead")), "Go", model=launching())

    await run.approve((await run.waiting())[0])
    await asked_for_outcome(run)
    await run.skip(timedelta(hours=25))
    error = await failure_of(run)

    assert error.type == "UnknownOutcome"
    assert error.message == "Nobody said in time whether launch took effect, so its outcome is not known."


async def asked_for_outcome(run: TestRun) -> Any:
    """The request that asks how a call ended, once it is there."""
    while (request := (await run.waiting())[0]).kind != "outcome":
        pass
    return request


# Workers, servers and runs that go away


async def test_a_tool_that_is_gone_is_told(mainspring: Bench, book: Book) -> None:
    """A worker of a later deploy, without the tool, tells the model so instead of hanging."""
    model, settings = launching(), mainspring.settings(model=MODEL)
    without = Project(Agent("launcher", instructions="Launch."), models={MODEL: model})
    async with working(Project(launcher(book), models={MODEL: model}), mainspring.client, settings):
        run = await mainspring.submit("launcher", "Go", settings.task_queue)
        (request,) = await run.waiting()

    async with working(without, mainspring.client, settings):
        await run.approve(request)
        result = await run.result()

    assert "launch was not run: this worker does not have it" in result.answer
    assert book.count("attempt") == 0


async def test_an_unknown_name_fails_naming_what_exists(mainspring: Bench) -> None:
    """A run of a type that nobody serves waits for a deploy, then fails with what there is."""
    settings = mainspring.settings(model=MODEL)
    pilot = Agent("pilot", instructions="Fly.")
    await mainspring.work(Project(pilot, models={MODEL: ScriptedModel(say("never"))}), settings)
    run = await mainspring.submit("pilto", "Go", settings.task_queue)

    await run.skip(BACKOFF)
    error = await failure_of(run)

    assert error.type == "UnknownName"
    assert error.message == "no agent or graph is named 'pilto'. Did you mean 'pilot'? The worker serves: pilot."


async def test_a_wait_survives_a_restart_of_the_server(tmp_path: Path, book: Book) -> None:
    """A server that was stopped and started during a wait finds run and worker where they were."""
    async with DevServer(tmp_path / "server", port=0, ui_port=0) as server, bench_on(server, tmp_path) as bench:
        run = await bench.start(launcher(book), "Go", model=launching())
        (request,) = await run.waiting()

        await server.stop()
        await server.start()
        (same,) = await run.waiting()
        await run.approve(request)
        result = await run.result()

    assert same == request
    assert (result.answer, book.count("effect")) == ('"launched"', 1)


async def test_a_cancelled_wait_ends_the_run(mainspring: Bench, book: Book) -> None:
    """A run cancelled while it waits ends as cancelled: nothing waits any more, and nothing has happened."""
    run = await mainspring.start(launcher(book), "Go", model=launching())
    (request,) = await run.waiting()

    await run.handle.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    waiting = await run.handle.query("waiting")
    assert isinstance(failed.value.cause, CancelledError)
    assert (await run.handle.describe()).status == WorkflowExecutionStatus.CANCELED
    assert (waiting, book.count("attempt")) == ([], 0)
    with pytest.raises(RPCError, match="already completed"):
        await run.approve(request)


async def test_a_cancelled_run_closes_its_trace(mainspring: Bench, book: Book) -> None:
    """The trace of a cancelled run is whole: every span has ended and hangs on another."""
    run = await mainspring.start(launcher(book), "Go", model=launching())
    await run.waiting()

    await run.handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await run.result()
    trace = await project(run.handle.fetch_history_events(), data_converter())

    assert trace.root
    assert [span.name for span in trace.spans if span.end is None] == []
    assert orphans(trace) == ()


async def test_approvals_work_without_our_search_attribute(
    temporal_server: DevServer, tmp_path: Path, book: Book
) -> None:
    """On a server that nobody set up for us the run goes on; only the list of waiting runs is missing."""
    await add_namespace(temporal_server, "foreign")
    async with bench_on(temporal_server, tmp_path, "foreign") as bench:
        run = await bench.start(launcher(book), "Go", model=launching())
        (request,) = await run.waiting()
        await run.approve(request)
        result = await run.result()
        attributes = (await run.handle.describe()).typed_search_attributes

    assert (result.answer, book.count("effect")) == ('"launched"', 1)
    assert "MainspringWaitsFor" not in [pair.key.name for pair in attributes]


@asynccontextmanager
async def bench_on(server: DevServer, folder: Path, namespace: str = "default") -> AsyncIterator[Bench]:
    """A bench on a server, or a namespace, of the test's own."""
    client = await Client.connect(server.address, namespace=namespace, data_converter=data_converter())
    bench = Bench(client, folder / "state")
    try:
        yield bench
    finally:
        await bench.close()


async def add_namespace(server: DevServer, name: str) -> None:
    """Make a namespace as an operator does who has not heard of us: without our search attribute."""
    client = await connect(server.address)
    day = Duration(seconds=24 * 3600)
    asked = RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=day)
    await client.workflow_service.register_namespace(asked)
