"""Traces of real runs: what workers exported, and what the history gives, are the same."""

from datetime import timedelta
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Graph, ask, tool, use
from mainspring.contracts import names
from mainspring.telemetry import attributes as a
from mainspring.telemetry.projection import project
from mainspring.telemetry.trace import Trace, orphans
from mainspring.telemetry.trace_file import read_trace
from mainspring.testing import ScriptedModel, call, calls, fail, say
from mainspring.testing.bench import Bench, TestRun


@tool(effect="read", returns="trusted")
def tide(place: str) -> str:
    """Tell the tide at a place."""
    return f"high water at {place}"


@tool(effect="once", returns="trusted")
def sail(ship: str) -> str:
    """Send a ship out."""
    if ship == "wreck":
        raise OSError("the Flying Dutchman was seen")
    return f"{ship} has left"


pilot = Agent("harbour-pilot", instructions="Know the tides.", tools=[tide], description="Knows tides.")
master = Agent("harbour-master", instructions="Run the harbour.", tools=[tide, sail, pilot])
SCRIPT = ScriptedModel(
    {
        "harbour-master": [
            calls(
                call("harbour_pilot", request="Tide at Brest?"), call("sail", ship="Argo"), call("tide", place="Cork")
            ),
            say("The Argo is out."),
        ],
        "harbour-pilot": [call("tide", place="Brest"), say("High water.")],
    }
)


class Sailing(TypedDict, total=False):
    """The state of the graph under test."""

    input: str
    answer: str


async def prepare(state: Sailing) -> Sailing:
    """Ask the agent."""
    return {"answer": await ask(master, state["input"])}


async def leave(state: Sailing) -> Sailing:
    """Call a tool without an agent."""
    return {"answer": await use(sail, ship="Argo")}


def sailing() -> Graph:
    """A graph with an agent in one node and a tool call in the other."""
    graph = StateGraph(Sailing)
    graph.add_node("prepare", prepare)
    graph.add_node("leave", leave)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "leave")
    graph.add_edge("leave", END)
    return Graph("sailing", graph, agents=[master], tools=[sail])


async def traced(run: TestRun, bench: Bench) -> Trace:
    """The trace that the run's history gives now."""
    return await project(run.handle.fetch_history_events(), bench.client.data_converter)


def outline(trace: Trace) -> set[tuple[str, str]]:
    """Each span's step and name."""
    return {(span.text(a.STEP), span.name) for span in trace.spans}


async def test_exported_and_rebuilt_traces_are_equal(mainspring: Bench) -> None:
    """What the worker wrote while an agent ran equals, field by field, what its history gives afterwards."""
    run = await mainspring.start(master, {"input": "Send the Argo", "session": "s-1"}, model=SCRIPT)
    (request,) = await run.waiting()
    await run.update("approve 1: sail")
    await run.result()

    trace = await traced(run, mainspring)
    await mainspring.close()
    file = mainspring.folder / "traces.jsonl"

    assert request.tool == "sail"
    assert read_trace(file, run.handle.id).spans == trace.spans
    assert len(file.read_text().splitlines()) == len(trace.spans)
    assert orphans(trace) == ()
    assert outline(trace) == {
        ("run", "invoke_agent harbour-master"),
        ("admit", "admit"),
        ("1", "chat scripted"),
        ("2", "invoke_agent harbour-pilot"),
        ("2.1", "chat scripted"),
        ("2.2", "execute_tool tide"),
        ("2.3", "chat scripted"),
        ("wait/1", "wait for a person: sail"),
        ("3", "execute_tool sail"),
        ("4", "execute_tool tide"),
        ("5", "chat scripted"),
    }


async def test_a_graph_is_one_trace(mainspring: Bench) -> None:
    """Nodes, agents in nodes and calls of nodes stand in one tree, whichever part waited for a person."""
    run = await mainspring.start(sailing(), "Send the Argo", model=SCRIPT)
    for number in ("1", "2"):
        await run.waiting()
        await run.handle.execute_update(names.APPROVE, {"request": number})
    await run.result()

    trace = await traced(run, mainspring)
    await mainspring.close()

    assert read_trace(mainspring.folder / "traces.jsonl", run.handle.id).spans == trace.spans
    assert orphans(trace) == ()
    expected = {
        ("run", "invoke_workflow sailing"),
        ("1", "node prepare"),
        ("1.1", "invoke_agent harbour-master"),
        ("1.1.2", "invoke_agent harbour-pilot"),
        ("2", "node leave"),
        ("2.1", "execute_tool sail"),
    }
    assert expected <= outline(trace)
    waits = [(s.text(a.REQUEST), s.text(a.DECISION)) for s in trace.spans if a.ASKED in s.attributes]
    assert waits == [("1", "approve"), ("2", "approve")]


async def test_a_run_can_be_traced_while_it_waits(mainspring: Bench) -> None:
    """A waiting run's trace has the open request; a denial closes it with who said so."""
    run = await mainspring.start(master, "Send the Argo", model=ScriptedModel(call("sail", ship="Argo"), say("No.")))
    (request,) = await run.waiting()
    (wait,) = (await traced(run, mainspring)).waiting

    await run.deny(request, "storm, says Ada")
    await run.result()
    after = await traced(run, mainspring)

    assert (wait.text(a.REQUEST), wait.text(a.TOOL), wait.end) == (request.id, "sail", None)
    assert abs(wait.number(a.DEADLINE) - request.deadline) < 60  # the timer is set a moment after the question
    (decided,) = [span for span in after.spans if span.id == wait.id]
    assert decided.text(a.DECISION) == "deny"
    assert decided.text(a.DECIDED_BY) == f"claimed: {mainspring.client.identity}"
    assert "Ada" not in after.model_dump_json()


async def test_an_unknown_outcome_shows_the_failed_call_and_the_question(mainspring: Bench) -> None:
    """A `once` call that broke is a failed span without its message, and the wait asks for the outcome."""
    model = ScriptedModel(call("sail", ship="wreck"), say("Gone."))
    run = await mainspring.start(master, "Send the wreck", model=model)
    (request,) = await run.waiting()
    await run.approve(request)
    (request,) = await run.waiting()
    await run.answer(request, "happened")
    await run.result()

    trace = await traced(run, mainspring)
    await mainspring.close()

    steps = {span.text(a.STEP): span for span in trace.spans}
    assert steps["2"].error == "ToolFailed"
    assert (steps["wait/2"].text(a.ASKED), steps["wait/2"].text(a.DECISION)) == ("outcome", "happened")
    assert "Dutchman" not in trace.model_dump_json()
    assert read_trace(mainspring.folder / "traces.jsonl", run.handle.id).spans == trace.spans


async def test_a_deadline_that_passes_is_in_the_trace(mainspring: Bench) -> None:
    """When nobody decides, the wait ends as expired at its deadline."""
    model = ScriptedModel(call("sail", ship="Argo"), say("Nobody was there."))
    run = await mainspring.start(master, "Send the Argo", model=model)
    await run.waiting()
    await run.skip(timedelta(hours=25))
    await run.result()

    (wait,) = [span for span in (await traced(run, mainspring)).spans if a.ASKED in span.attributes]

    assert (wait.text(a.DECISION), wait.text(a.DECIDED_BY)) == ("expired", "")


async def test_a_failed_and_a_cancelled_run_are_closed_too(mainspring: Bench) -> None:
    """Runs that fail or are cancelled export their whole trace, with the kind of failure."""
    broken = await mainspring.start(master, "Hi", model=ScriptedModel(fail("no", retryable=False, times=9), say("")))
    waiting = await mainspring.start(master, "Go", model=ScriptedModel(call("sail", ship="Argo")))
    await waiting.waiting()
    await waiting.handle.cancel()
    for run in (broken, waiting):
        try:
            await run.handle.result()
        except WorkflowFailureError:
            continue
    traces = [(run.handle.id, await traced(run, mainspring)) for run in (broken, waiting)]
    await mainspring.close()

    roots = [trace.root for _, trace in traces]
    assert [(root.text(a.OUTCOME), root.error) for root in roots if root] == [
        ("failed", "ModelFailed"),
        ("cancelled", ""),
    ]
    for run_id, trace in traces:
        assert read_trace(mainspring.folder / "traces.jsonl", run_id).spans == trace.spans
        assert orphans(trace) == ()
