"""The three modes of durability: which steps are activities, which are local ones, and what becomes of slow ones."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Graph, tool, use
from mainspring.core.spec import Mode
from mainspring.core.tool import Tool
from mainspring.durable import running
from mainspring.ports.model import ModelReply, ModelRequest
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, fail, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.reading import executions, started, steps

MODES: tuple[Mode, ...] = ("step", "turn", "fast")


@tool(effect="read", returns="trusted")
def look(number: int) -> int:
    """Look at a number."""
    return number


@tool(effect="read", returns="trusted", mode="step")
def study(number: int) -> int:
    """Look at a number, always as an activity."""
    return number


@tool(effect="read", returns="trusted", mode="turn")
def glance(number: int) -> int:
    """Look at a number, as a local activity wherever that is."""
    return number


@tool(effect="idempotent", returns="trusted")
def put(number: int) -> int:
    """Put a number."""
    return number


@tool(effect="once", returns="trusted")
def pay(number: int) -> int:
    """Pay a number."""
    return number


def agent(mode: Mode, *more: Tool, rules: Path | str = "") -> Agent[str]:
    """An agent of this mode with a tool of each kind."""
    return Agent("clerk", instructions="Work.", tools=[look, study, glance, put, pay, *more], mode=mode, rules=rules)


@pytest.fixture
def paid_unasked(tmp_path: Path) -> Path:
    """A rule that lets `pay` run without a person."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - {id: fine, point: tool_call, tool: pay, when: 'true', verdict: allow, reason: Fine.}\n"
    )
    return path


# Which steps are local


@pytest.mark.parametrize(
    ("mode", "made"),
    [
        ("step", ["call_model 1", "call_tool 2", "call_model 3", "call_tool 4", "call_model 5"]),
        ("turn", ["call_model 1", "local call_tool 2", "call_model 3", "call_tool 4", "call_model 5"]),
        (
            "fast",
            ["local call_model 1", "local call_tool 2", "local call_model 3", "call_tool 4", "local call_model 5"],
        ),
    ],
)
async def test_each_mode_has_its_own_local_steps(mainspring: Bench, mode: Mode, made: list[str]) -> None:
    """In `turn` the reads are local activities, in `fast` the model calls too, in `step` neither."""
    model = ScriptedModel(call("look", number=1), call("put", number=2), say("Done."))
    run = await mainspring.start(agent(mode), "Go", model=model)

    result = await run.result()

    assert result.answer == "Done."
    assert steps(await run.history())[-6:] == [*made, "local close close"]


@pytest.mark.parametrize("mode", MODES)
async def test_what_has_effects_is_never_local(mainspring: Bench, paid_unasked: Path, mode: Mode) -> None:
    """A `once` and an `idempotent` call are ordinary activities in every mode."""
    model = ScriptedModel(call("pay", number=1), call("put", number=2), say("Done."))
    run = await mainspring.start(agent(mode, rules=paid_unasked), "Go", model=model)

    await run.result()

    assert {"call_tool 2", "call_tool 4"} <= set(steps(await run.history()))


async def test_a_message_of_reads_is_local_as_a_whole(mainspring: Bench) -> None:
    """Several reads of one message are local activities side by side."""
    model = ScriptedModel(calls(call("look", number=1), call("glance", number=2)), say("Done."))
    run = await mainspring.start(agent("turn"), "Go", model=model)

    await run.result()

    assert {"local call_tool 2", "local call_tool 3"} <= set(steps(await run.history()))


@pytest.mark.parametrize("mode", ["turn", "fast"])
async def test_one_ordinary_call_makes_all_of_its_message_ordinary(mainspring: Bench, mode: Mode) -> None:
    """Beside an ordinary activity a local one gains nothing, so none of that message is one; the next may be."""
    batch = calls(call("look", number=1), call("put", number=2), call("look", number=3))
    model = ScriptedModel(batch, call("look", number=4), say("Done."))
    run = await mainspring.start(agent(mode), "Go", model=model)

    await run.result()

    made = [step for step in steps(await run.history()) if "call_tool" in step]
    assert sorted(made) == ["call_tool 2", "call_tool 3", "call_tool 4", "local call_tool 6"]


@pytest.mark.parametrize(
    ("mode", "made"), [("step", ["call_tool 2", "local call_tool 4"]), ("fast", ["call_tool 2", "local call_tool 4"])]
)
async def test_a_tools_mode_overrides_the_agents(mainspring: Bench, mode: Mode, made: list[str]) -> None:
    """A read says for itself how it is made, whatever its agent says."""
    model = ScriptedModel(call("study", number=1), call("glance", number=2), say("Done."))
    run = await mainspring.start(agent(mode), "Go", model=model)

    await run.result()

    assert [step for step in steps(await run.history()) if "call_tool" in step] == made


async def test_a_read_that_a_person_allowed_may_be_local(mainspring: Bench, tmp_path: Path) -> None:
    """What was asked about runs as its effect says, under the person's permit."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  - {id: nosy, point: tool_call, tool: look, when: 'true', verdict: ask, reason: Why so.}\n"
    )
    model = ScriptedModel(call("look", number=1), say("Done."))
    run = await mainspring.start(agent("turn", rules=rules), "Go", model=model)

    await run.approve((await run.waiting())[0])
    await run.result()

    assert "local call_tool 2" in steps(await run.history())


async def test_an_agent_as_a_tool_has_its_own_mode(mainspring: Bench) -> None:
    """The steps of an inner agent go by that agent's mode, not by that of the agent which asks it."""
    inner: Agent[str] = Agent("inner", instructions="Look.", description="Looks.", tools=[look], mode="step")
    outer: Agent[str] = Agent("outer", instructions="Lead.", tools=[inner, look], mode="turn")
    model = ScriptedModel(
        {
            "outer": [call("inner", request="look"), call("look", number=1), say("Done.")],
            "inner": [call("look", number=2), say("Seen.")],
        }
    )
    run = await mainspring.start(outer, "Go", model=model)

    await run.result()

    assert [step for step in steps(await run.history()) if "call_tool" in step] == [
        "call_tool 2.2",
        "local call_tool 4",
    ]


class State(TypedDict, total=False):
    """The state of the graph below."""

    input: str
    answer: str


async def test_a_graphs_own_reads_are_activities(mainspring: Bench) -> None:
    """A graph has no mode: its nodes' calls are activities, but for tools that say otherwise."""

    async def work(state: State) -> State:
        return {"answer": f"{await use(look, number=1)} {await use(glance, number=2)}"}

    built = StateGraph(State)
    built.add_node("work", work)
    built.add_edge(START, "work")
    built.add_edge("work", END)
    run = await mainspring.start(Graph("looking", built, tools=[look, glance]), "Go")

    result = await run.result()

    assert result.answer == "1 2"
    assert [step for step in steps(await run.history()) if "call_tool" in step] == [
        "call_tool 1.1",
        "local call_tool 1.2",
    ]


# What becomes of slow and failing ones


async def test_a_read_longer_than_the_limit_is_ordinary_from_then_on(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local activity that is cut off is done once more as an ordinary one, and so is every later call of it."""
    monkeypatch.setattr(running, "LOCAL_LIMIT", timedelta(milliseconds=200))
    attempts: list[int] = []

    @tool(effect="read", returns="trusted")
    async def search(number: int) -> int:
        """Search; the first attempt does not come back."""
        attempts.append(number)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return number

    model = ScriptedModel(call("search", number=1), call("search", number=2), call("look", number=3), say("Done."))
    run = await mainspring.start(agent("turn", search), "Go", model=model)

    await run.result()

    made = [step for step in steps(await run.history()) if "call_tool" in step]
    assert made == ["failed local call_tool 2", "call_tool 2", "call_tool 4", "local call_tool 6"]
    assert attempts == [1, 1, 2]


async def test_a_local_read_that_fails_is_done_once_more_as_an_ordinary_one(mainspring: Bench) -> None:
    """A failure is no slowness: the call is repeated as an activity, and the next one is local again."""
    attempts: list[int] = []

    @tool(effect="read", returns="trusted")
    def shaky(number: int) -> int:
        """Fail at first."""
        attempts.append(number)
        if len(attempts) == 1:
            raise RuntimeError("connection lost")
        return number

    model = ScriptedModel(call("shaky", number=1), call("shaky", number=2), say("Done."))
    run = await mainspring.start(agent("turn", shaky), "Go", model=model)

    await run.result()

    made = [step for step in steps(await run.history()) if "call_tool" in step]
    assert made == ["failed local call_tool 2", "call_tool 2", "local call_tool 4"]
    assert [message.value for message in model.requests[-1].messages if message.role == "tool"] == [1, 2]


@pytest.mark.parametrize("mode", ["step", "turn"])
async def test_a_read_that_keeps_failing_has_as_many_attempts_in_every_mode(mainspring: Bench, mode: Mode) -> None:
    """The local attempt counts as one of the three; then the model is told why."""
    attempts: list[int] = []

    @tool(effect="read", returns="trusted")
    def broken(number: int) -> int:
        """Fail always."""
        attempts.append(number)
        raise RuntimeError("connection lost")

    model = ScriptedModel(call("broken", number=1), say("It is broken."))
    run = await mainspring.start(agent(mode, broken), "Go", model=model)

    await run.result()

    told = model.requests[-1].messages[-1]
    assert len(attempts) == 3
    assert (told.status, told.text) == ("error", "broken failed: RuntimeError: connection lost")


async def test_a_fast_model_call_that_fails_is_done_once_more_as_an_ordinary_one(mainspring: Bench) -> None:
    """Retries with pauses are left to an ordinary activity; the next call is local again."""
    model = ScriptedModel(fail("busy"), call("look", number=1), say("Done."))
    run = await mainspring.start(agent("fast"), "Go", model=model)

    await run.result()

    assert steps(await run.history()) == [
        "failed local call_model 1",
        "call_model 1",
        "local call_tool 2",
        "local call_model 3",
        "local close close",
    ]


async def test_a_model_that_cannot_help_is_not_asked_again(mainspring: Bench) -> None:
    """Where the model says that another attempt is of no use, the local attempt was the last."""
    model = ScriptedModel(fail("no such model", retryable=False, times=9), say("never"))
    run = await mainspring.start(agent("fast"), "Go", model=model)

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert "no such model" in str(failed.value.cause)
    assert len(model.requests) == 1


async def test_a_slow_model_is_called_by_ordinary_activities_from_then_on(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply of a slow model counts, as it cost money; the calls after it no longer hold up the run."""
    monkeypatch.setattr(running, "LOCAL_LIMIT", timedelta(0))
    run = await mainspring.start(agent("fast"), "Go", model=ScriptedModel(call("put", number=1), say("Done.")))

    await run.result()

    made = [step for step in steps(await run.history()) if "call_model" in step]
    assert made == ["local call_model 1", "call_model 3"]


# Workflow tasks of `fast`


async def test_a_fast_run_started_plainly_moves_itself_over(mainspring: Bench) -> None:
    """It goes on with workflow tasks of a second, as the same run, before any model was asked."""
    model = ScriptedModel(call("look", number=1), say("Done."))
    run = await mainspring.start(agent("fast"), "Go", model=model)

    result = await run.result()

    before, after = await executions(run)
    assert steps(before) == ["local admit admit"]
    assert "local admit admit" not in steps(after)
    assert [started(each).workflow_task_timeout.seconds for each in (before, after)] == [10, 1]
    assert len(model.requests) == result.totals.model_calls == 2


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_moves_over_that_has_short_tasks_already(mainspring: Bench, mode: Mode) -> None:
    """A run whose starter set the time-out, or that is not `fast`, stays one execution."""
    settings = mainspring.settings(model="test:model")
    model = ScriptedModel(say("Done."))
    await mainspring.work(Project(agent(mode), models={"test:model": model}), settings)
    short = timedelta(seconds=1) if mode == "fast" else None
    handle = await mainspring.client.start_workflow(
        "clerk", "Go", id=f"short-{mode}", task_queue=settings.task_queue, task_timeout=short
    )

    await handle.result()

    assert (await handle.describe()).run_id == handle.first_execution_run_id


# Cancellation


class Silent(ScriptedModel):
    """A model that does not answer, and tells whether it was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.stopped = asyncio.Event(), asyncio.Event()

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Wait for ever."""
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped.set()
            raise
        return await super().reply(request)


@pytest.mark.parametrize("mode", MODES)
async def test_cancellation_reaches_a_model_call(mainspring: Bench, mode: Mode) -> None:
    """Who cancels a run stops the model call in flight, local or not, and the run ends as cancelled."""
    model = Silent()
    run = await mainspring.start(agent(mode), "Go", model=model)
    await model.asked.wait()

    await run.handle.cancel()
    await model.stopped.wait()
    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert "cancelled" in str(failed.value.cause).lower()


@pytest.mark.parametrize("effect", ["read", "idempotent"])
async def test_cancellation_reaches_a_running_tool(mainspring: Bench, effect: str) -> None:
    """A tool that may be repeated is stopped where it waits."""
    began, stopped = asyncio.Event(), asyncio.Event()

    @tool(effect=effect)  # type: ignore[arg-type]
    async def endless() -> str:
        """Wait for ever."""
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "never"

    run = await mainspring.start(agent("step", endless), "Go", model=ScriptedModel(call("endless"), say("never")))
    await began.wait()

    await run.handle.cancel()
    await stopped.wait()
    with pytest.raises(WorkflowFailureError):
        await run.result()
