"""Graphs: nodes run in the workflow, sync or async, side by side, with agents and tools as steps."""

import operator
import time
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send
from temporalio.client import WorkflowFailureError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from mainspring import Agent, Graph, ToolError, ask, tool, use
from mainspring.durable.run import AnyRun
from mainspring.serve import data_converter
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench


@tool(effect="read", returns="trusted")
def double(number: int) -> int:
    """Double a number."""
    if number > 100:
        raise ToolError("too large to double")
    return 2 * number


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


speaker: Agent[str] = Agent("speaker", instructions="Speak.", tools=[launch])


class State(TypedDict, total=False):
    """What the graphs of this file pass on."""

    input: str
    numbers: Annotated[list[int], operator.add]
    answer: str


def graph_of(name: str, nodes: dict[str, Any], *edges: tuple[str, str]) -> Graph:
    """A graph of plain nodes and edges, with everything of this file within reach."""
    built = StateGraph(State)
    for node, function in nodes.items():
        built.add_node(node, function)
    for start, end in edges:
        built.add_edge(start, end)
    return Graph(name, built, agents=[speaker], tools=[double, launch])


async def test_sync_and_async_nodes_and_a_router(mainspring: Bench) -> None:
    """Sync nodes and routers work, although a workflow refuses LangGraph's thread pool."""
    built = StateGraph(State)
    built.add_node("parse", lambda state: {"numbers": [int(state["input"])]})
    built.add_node("say", lambda state: {"answer": str(state["numbers"])})

    async def grow(state: State) -> State:
        return {"numbers": [await use(double, number=state["numbers"][-1])]}

    built.add_node("grow", grow)
    built.add_edge(START, "parse")
    built.add_edge("parse", "grow")
    built.add_conditional_edges("grow", lambda state: "grow" if state["numbers"][-1] < 20 else "say", ["grow", "say"])
    built.add_edge("say", END)
    run = await mainspring.start(Graph("doubler", built, tools=[double]), "3")

    result = await run.result()

    assert result.answer == "[3, 6, 12, 24]"
    assert result.result == {"numbers": [3, 6, 12, 24]}


async def test_fan_out_with_send_and_goto_replays(mainspring: Bench) -> None:
    """Branches made with `Send` run side by side, and the history replays."""

    async def work(state: Any) -> State:
        return {"numbers": [await use(double, number=state["input"])]}

    def split(state: State) -> Any:
        return Command(goto=[Send("work", {"input": n}) for n in range(6)])

    built = StateGraph(State)
    built.add_node("split", split, destinations=("work",))
    built.add_node("work", work)
    built.add_edge(START, "split")
    built.add_edge("work", END)
    graph = Graph("fan-out", built, tools=[double])
    run = await mainspring.start(graph, "go")

    result = await run.result()
    history = await run.history()

    assert result.result == {"numbers": [0, 2, 4, 6, 8, 10]}
    await Replayer(
        workflows=[AnyRun], data_converter=data_converter(), workflow_runner=UnsandboxedWorkflowRunner()
    ).replay_workflow(history)


async def test_an_agent_in_a_node_asks_through_the_run(mainspring: Bench) -> None:
    """An approval inside an agent of a graph waits at the run, and the graph goes on after it."""

    async def speak(state: State) -> State:
        return {"answer": await ask(speaker, state["input"])}

    graph = graph_of("speaking", {"speak": speak}, (START, "speak"), ("speak", END))
    run = await mainspring.start(graph, "hi", model=ScriptedModel(call("launch", pad=1), say("gone")))

    (request,) = await run.waiting()
    await run.approve(request)

    assert (request.agent, request.step) == ("speaker", "1.1.2")
    assert (await run.result()).answer == "gone"


async def test_a_node_uses_a_once_tool_through_the_gate(mainspring: Bench) -> None:
    """A tool that a node uses itself obeys the same rules: without one, `once` asks a person."""

    async def fire(state: State) -> State:
        return {"answer": await use(launch, pad=7)}

    run = await mainspring.start(graph_of("firing", {"fire": fire}, (START, "fire"), ("fire", END)), "go")

    (request,) = await run.waiting()
    await run.approve(request)

    assert request.args == {"pad": 7}
    assert (await run.result()).answer == "launched from 7"


async def test_a_denied_tool_is_an_error_the_node_can_catch(mainspring: Bench) -> None:
    """A denial reaches the node as `ToolError` with the reason."""

    async def fire(state: State) -> State:
        try:
            return {"answer": await use(launch, pad=7)}
        except ToolError as error:
            return {"answer": f"no: {error}"}

    run = await mainspring.start(graph_of("refused", {"fire": fire}, (START, "fire"), ("fire", END)), "go")

    (request,) = await run.waiting()
    await run.deny(request, "bad weather")

    assert (await run.result()).answer == "no: launch was not allowed: bad weather"


async def test_a_bug_in_a_node_fails_the_run_in_words(mainspring: Bench) -> None:
    """A plain exception ends the run with graph, node and cause instead of failing tasks for ever."""

    def broken(state: State) -> State:
        return {"answer": str(state["nothing"])}  # type: ignore[typeddict-item]

    run = await mainspring.start(graph_of("broken", {"bad": broken}, (START, "bad"), ("bad", END)), "go")

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert str(failed.value.cause) == "GraphFailed: graph 'broken', node 'bad': KeyError: 'nothing'"


async def test_a_machine_without_time_is_no_deadlock(mainspring: Bench) -> None:
    """A task that takes longer than the SDK waits by itself is not interrupted: it might never be let go of."""

    def dawdle(state: State) -> State:
        time.sleep(2.5)
        return {"answer": "in time"}

    run = await mainspring.start(graph_of("slow", {"dawdle": dawdle}, (START, "dawdle"), ("dawdle", END)), "go")

    assert (await run.result()).answer == "in time"
    history = await run.history()
    assert not any(event.HasField("workflow_task_failed_event_attributes") for event in history.events)


async def test_a_stopped_worker_says_nothing_of_waiting_graphs(
    mainspring: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker that stops while a graph waits lets go of it without stack traces; the run goes on elsewhere."""

    async def fire(state: State) -> State:
        return {"answer": await use(launch, pad=7)}

    run = await mainspring.start(graph_of("left", {"fire": fire}, (START, "fire"), ("fire", END)), "go")
    await run.waiting()
    await mainspring.close()

    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("mistake", ["no-dict", "unknown-node", "endless"])
async def test_a_mistake_in_a_graph_fails_the_run(mainspring: Bench, mistake: str) -> None:
    """What LangGraph refuses ends the run in a sentence, without a value of the state in it."""

    def node(state: State) -> Any:
        return "secret of ada" if mistake == "no-dict" else {"numbers": [1]}

    def route(state: State) -> str:
        return "nowhere" if mistake == "unknown-node" else "node"

    built = StateGraph(State)
    built.add_node("node", node)
    built.add_edge(START, "node")
    built.add_conditional_edges("node", route)
    run = await mainspring.start(Graph(f"wrong-{mistake}", built), "go")

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert f"graph 'wrong-{mistake}'" in str(failed.value.cause)
    assert "ada" not in str(failed.value.cause)
