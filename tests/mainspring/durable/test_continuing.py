"""Runs that continue as new: everything goes along, nothing is done twice, and nobody notices but the history."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Context, Graph, ask, tool, use
from mainspring.core.spec import Mode
from mainspring.core.tool import Tool
from mainspring.durable import continuing, running
from mainspring.effects import seal
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun
from mainspring.testing.scripted import Step
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.reading import card, executions, started, steps, until

MODES: tuple[Mode, ...] = ("step", "turn", "fast")


@tool(effect="read", returns="trusted")
def look(number: int) -> str:
    """Look at a number."""
    return f"seen {number}"


@tool(effect="idempotent", returns="trusted")
def mark(number: int) -> str:
    """Mark a number."""
    return f"marked {number}"


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


def pilot(*tools: Tool, mode: Mode = "turn", **more: Any) -> Agent[str]:
    """An agent with a harmless and an irrevocable tool."""
    return Agent("pilot", instructions="Fly.", tools=[look, launch, *tools], mode=mode, **more)


def tells(request: ModelRequest) -> Step:
    """Answer with everything the model was given."""
    return say(" | ".join(message.text for message in request.messages if message.text))


# The conversation


@pytest.mark.parametrize("mode", MODES)
async def test_a_run_of_several_executions_gives_the_right_answer(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    """The model sees the whole thread, each step was made once, and the totals add up over all executions."""
    monkeypatch.setattr(continuing, "EVENTS", 14)
    script = [call(name, number=number) for number in range(3) for name in ("look", "mark")]
    model = ScriptedModel(*script, tells)
    run = await mainspring.start(pilot(mark, mode=mode), "Go", model=model)

    result = await run.result()

    made = [each for history in await executions(run) for each in steps(history) if " call_" in f" {each}"]
    assert result.answer == "Go | " + " | ".join(f'"seen {number}" | "marked {number}"' for number in range(3))
    assert [step.split()[-1] for step in made] == [str(number) for number in range(1, 14)]
    assert (result.totals.model_calls, result.totals.tool_calls) == (7, 6)
    assert len(model.requests) == 7
    assert len(await executions(run)) > 2


async def test_a_run_needs_no_history_but_its_newest(mainspring: Bench, move: Move) -> None:
    """It goes on from what the newest execution began with, on a worker that remembers nothing of it."""
    model = ScriptedModel(call("look", number=1), call("mark", number=2), call("launch", pad=3), tells)
    project, settings = Project(pilot(mark), models={"test:model": model}), mainspring.settings(model="test:model")
    await mainspring.work(project, settings)
    run = await mainspring.submit("pilot", "Go", settings.task_queue)
    (request,) = await run.waiting()
    await move(run)

    await mainspring.close()
    await mainspring.work(project, settings)
    await run.approve(request)

    assert (await run.result()).answer == 'Go | "seen 1" | "marked 2" | "launched from 3"'


async def test_a_run_that_moved_shows_what_it_does(mainspring: Bench, move: Move) -> None:
    """The page of a run that waits for nobody says so, whichever execution it is."""
    run = await mainspring.start(pilot(), model=ScriptedModel(say("Hello.")))
    await run.send("Hello")
    await run.reply(1)

    await move(run)

    assert (await card(run)).startswith("### Session")


async def test_the_length_of_an_execution_is_bounded(mainspring: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No execution goes much beyond the length at which it is to end."""
    monkeypatch.setattr(continuing, "EVENTS", 20)
    model = ScriptedModel(*(call("look", number=number) for number in range(8)), say("Done."))
    run = await mainspring.start(pilot(mode="step"), "Go", model=model)

    await run.result()

    assert max(len(history.events) for history in await executions(run)) < 20 + 20


async def test_a_tool_found_slow_stays_ordinary(mainspring: Bench, monkeypatch: pytest.MonkeyPatch, move: Move) -> None:
    """What was learned of a tool is carried along."""
    attempts: list[int] = []

    @tool(effect="read", returns="trusted")
    async def search(number: int) -> int:
        """Search; the first attempt does not come back."""
        attempts.append(number)
        if len(attempts) == 1:
            await asyncio.Event().wait()
        return number

    model = ScriptedModel(call("search", number=1), call("launch", pad=1), call("search", number=2), say("Done."))
    with monkeypatch.context() as patch:
        patch.setattr(running, "LOCAL_LIMIT", timedelta(milliseconds=200))
        run = await mainspring.start(pilot(search), "Go", model=model)
        (request,) = await run.waiting()

    await move(run)
    await run.approve(request)
    await run.result()

    assert "call_tool 6" in steps(await run.history())


# People


async def test_what_waits_for_a_person_waits_on(mainspring: Bench, move: Move) -> None:
    """Number, deadline, arguments and card of a request are the same after the move, and its button works."""
    model = ScriptedModel(calls(call("launch", pad=1), call("launch", pad=2)), tells)
    run = await mainspring.start(pilot(), "Go", model=model)
    before = await run.waiting(2)
    shown = await card(run)

    await move(run)
    after = await run.waiting(2)
    moved = await card(run)
    await run.update("approve 1: launch")
    await run.update("deny 2: no reason given")

    assert after == before
    assert moved == shown
    assert "`approve 1: launch`" in moved
    denial = "A person denied this call without giving a reason."
    assert (await run.result()).answer == f'Go | "launched from 1" | {denial}'


async def test_a_deadline_passes_after_the_move_as_before_it(mainspring: Bench, move: Move) -> None:
    """The day that a person has does not begin anew."""
    model = ScriptedModel(call("launch", pad=1), say("Nobody came."))
    run = await mainspring.start(pilot(), "Go", model=model)
    await run.waiting()

    await run.skip(timedelta(hours=23))
    await move(run)
    await run.skip(timedelta(hours=2))

    assert (await run.result()).answer == "Nobody came."


async def test_a_decision_just_before_the_move_is_not_lost(mainspring: Bench, move: Move) -> None:
    """What was decided while the run could not act on it is acted on afterwards, once."""
    run = await mainspring.start(pilot(), "Go", model=ScriptedModel(call("launch", pad=1), tells))
    (request,) = await run.waiting()
    await run.update("pause")
    await run.approve(request)

    await move(run, "pause")
    still = await card(run)
    await run.update("resume")
    result = await run.result()

    made = [each for history in await executions(run) for each in steps(history)]
    assert still.startswith("### Paused")
    assert result.answer == 'Go | "launched from 1"'
    assert Counter(made)["call_tool 2"] == 1


async def test_a_late_click_is_answered_in_a_later_execution(mainspring: Bench, move: Move) -> None:
    """Who clicks on what was settled before the move reads how, and changes nothing."""
    model = ScriptedModel(call("launch", pad=1), call("launch", pad=2), say("Both."))
    run = await mainspring.start(pilot(), "Go", model=model)
    await run.waiting()
    await run.update("deny 1: no reason given")
    await asked_for(run, id="2")

    await move(run)

    late = "Request 1 (launch) was denied. Nothing was changed by this click."
    assert await run.refusal_of("approve 1: launch") == late
    assert await run.refusal_of("deny 1: a reason of the execution before") == late
    assert await run.refusal_of("approve", {"request": "1"}) == late
    assert (await run.waiting())[0].id == "2"
    carried = json.loads(started(await run.history()).input.payloads[0].data)
    assert (
        carried["questions"]["settled"][0]["request"]["args"] == {}
    )  # nobody needs them any more, and they may be large


async def test_an_inner_agents_question_waits_on(mainspring: Bench, move: Move) -> None:
    """An agent that another one asked goes on in its own thread."""
    inner: Agent[str] = Agent("crew", instructions="Launch.", description="Launches.", tools=[launch])
    model = ScriptedModel(
        {"captain": [call("crew", request="launch 3"), tells], "crew": [call("launch", pad=3), tells]}
    )
    run = await mainspring.start(Agent("captain", instructions="Lead.", tools=[inner]), "Go", model=model)
    (request,) = await run.waiting()

    await move(run)
    await run.approve(request)

    assert (await run.result()).answer == 'Go | "launch 3 | \\"launched from 3\\""'


def lost_once(fences: list[int]) -> Tool:
    """A tool that launches and then loses its connection, the first time."""

    @tool(effect="once", returns="trusted")
    def fire(context: Context) -> str:
        """Fire."""
        fences.append(context.fence)
        if len(fences) == 1:
            raise RuntimeError("connection lost")
        return "fired"

    return fire


async def test_a_question_about_an_outcome_waits_on(mainspring: Bench, move: Move) -> None:
    """A call whose outcome is not known runs again after the move where a person says so, with a higher fence."""
    fences: list[int] = []
    run = await mainspring.start(pilot(lost_once(fences)), "Go", model=ScriptedModel(call("fire"), tells))
    await run.approve((await run.waiting())[0])
    request = await asked_for(run, kind="outcome")

    await move(run)
    await run.answer(request, "not-happened")

    assert (await run.result()).answer == 'Go | "fired"'
    assert fences == [1, 2]


async def asked(run: TestRun) -> list[str]:
    """The numbers of all requests of a run, as its newest execution knows them from what waited and from timers."""
    found: set[str] = set()
    for history in await executions(run):
        for event in history.events:
            if event.HasField("timer_started_event_attributes"):
                summary = event.user_metadata.summary.data.decode()
                found |= set(re.findall(r"request (\d+)", summary))
    return sorted(found)


async def asked_for(run: TestRun, **wanted: str) -> Any:
    """The first question to a person, once it is one like this."""

    async def find() -> Any:
        first = (await run.waiting())[0]
        return first if wanted.items() <= first.model_dump().items() else None

    return await until(find)


# Graphs


class State(TypedDict, total=False):
    """The state of the graphs below."""

    input: str
    numbers: list[int]
    answer: str


def graph_of(node: Callable[[State], Any], *tools: Tool, **more: Any) -> Graph:
    """A graph of one node."""
    built = StateGraph(State)
    built.add_node("work", node)
    built.add_edge(START, "work")
    built.add_edge("work", END)
    return Graph("working", built, tools=[look, launch, *tools], **more)


async def test_a_graph_does_no_step_twice(mainspring: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph is run from its start in each execution; steps that were made give what they gave."""
    monkeypatch.setattr(continuing, "EVENTS", 14)
    seen: list[int] = []

    @tool(effect="idempotent", returns="trusted")
    def count(number: int) -> str:
        """Count."""
        seen.append(number)
        return f"counted {number}"

    speaker: Agent[str] = Agent("speaker", instructions="Speak.", tools=[look])

    async def work(state: State) -> State:
        found = [await use(count, number=number) for number in range(4)]
        return {"answer": f"{await ask(speaker, state['input'])} {found[-1]}"}

    model = ScriptedModel({"speaker": [call("look", number=1), tells]})
    run = await mainspring.start(graph_of(work, count, agents=(speaker,)), "Go", model=model)

    result = await run.result()

    assert result.answer == 'Go | "seen 1" counted 3'
    assert seen == [0, 1, 2, 3]
    assert (result.totals.model_calls, result.totals.tool_calls) == (2, 5)
    assert len(await executions(run)) > 2


async def test_a_graphs_question_waits_on(mainspring: Bench, move: Move) -> None:
    """A call that a node made itself is approved after the move, and runs once."""
    run = await mainspring.start(graph_of(fires), "Go")
    (request,) = await run.waiting()

    await move(run)
    await run.approve(request)

    assert (await run.result()).answer == "launched from 7"
    assert await asked(run) == ["1"]


async def fires(state: State) -> State:
    """A node that launches."""
    return {"answer": await use(launch, pad=7)}


async def test_a_graphs_decision_just_before_the_move_is_not_lost(mainspring: Bench, move: Move) -> None:
    """What was decided while the graph could not act on it is acted on afterwards; nobody is asked again."""
    run = await mainspring.start(graph_of(fires), "Go")
    (request,) = await run.waiting()
    await run.update("pause")
    await run.approve(request)

    await move(run, "pause")
    await run.update("resume")

    assert (await run.result()).answer == "launched from 7"
    assert await asked(run) == ["1"]


async def fired(mainspring: Bench, fences: list[int], **more: Any) -> TestRun:
    """A graph whose one call of `fire` has ended in a way that nobody knows."""
    fire = lost_once(fences)

    async def work(_: State) -> State:
        return {"answer": await use(fire)}

    return await mainspring.start(graph_of(work, fire, **more), "Go")


@pytest.mark.parametrize("moves", [False, True])
async def test_a_graphs_call_that_is_run_again_has_a_higher_fence(
    mainspring: Bench, move: Move, *, moves: bool
) -> None:
    """A person said that the first call did not happen, so this one is number 2, also after a move in between."""
    fences: list[int] = []
    run = await fired(mainspring, fences)
    await run.approve((await run.waiting())[0])
    request = await asked_for(run, kind="outcome")

    if moves:
        await move(run)
    await run.answer(request, "not-happened")

    assert (await run.result()).answer == "fired"
    assert fences == [1, 2]


async def test_a_call_that_no_person_approved_has_a_higher_fence_too(mainspring: Bench, tmp_path: Path) -> None:
    """Where a rule let the first call run, the second one runs by the leave of whoever said that it did not happen."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {id: go, point: tool_call, tool: fire, when: 'true', verdict: allow, reason: Go.}\n")
    fences: list[int] = []
    run = await fired(mainspring, fences, rules=rules)

    await run.answer(await asked_for(run, kind="outcome"), "not-happened")

    assert (await run.result()).answer == "fired"
    assert fences == [1, 2]


async def test_an_answer_just_before_the_move_counts_once(mainspring: Bench, move: Move) -> None:
    """A person's answer that the run could not act on before it moved does not raise the fence twice."""
    fences: list[int] = []
    run = await fired(mainspring, fences)
    await run.approve((await run.waiting())[0])
    request = await asked_for(run, kind="outcome")
    await run.update("pause")
    await run.answer(request, "not-happened")

    await move(run, "pause")
    await run.update("resume")

    assert (await run.result()).answer == "fired"
    assert fences == [1, 2]


# What cannot be carried


async def test_a_run_with_too_much_to_carry_fails_in_words(mainspring: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how much that is and what to do, instead of failing its workflow tasks for ever."""
    monkeypatch.setattr(seal, "CARRIED", 1000)
    monkeypatch.setattr(seal, "ITEM_LIMIT", 1 << 30)  # as where payloads stay in history
    run = await mainspring.start(pilot(), "Go", model=ScriptedModel(call("launch", pad=1), say("never")))
    await run.waiting()

    monkeypatch.setattr(continuing, "EVENTS", 1)
    await run.update("resume")
    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert re.match(r"NotContinued: to continue as new, the run would take \d+ bytes along", str(failed.value.cause))
    assert "Set MAINSPRING_PAYLOADS, or give the agent a smaller context" in str(failed.value.cause)
