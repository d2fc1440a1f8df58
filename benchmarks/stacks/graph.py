"""The job as a LangGraph graph: two nodes in a loop. Both LangGraph stacks run it."""

import operator
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from benchmarks.job import INSTRUCTIONS, TASK, Job, page, reply_text, think


class State(TypedDict):
    """The conversation, and what the job is."""

    messages: Annotated[list[dict[str, str]], operator.add]
    turns: int
    latency: float


async def call_model(state: State) -> dict[str, Any]:
    """One reply."""
    await think(state["latency"])
    said = sum(message["role"] == "assistant" for message in state["messages"])
    asks = str(said) if said < state["turns"] else ""
    return {"messages": [{"role": "assistant", "text": reply_text(said), "page": asks}]}


async def read_page(state: State) -> dict[str, Any]:
    """One page."""
    return {"messages": [{"role": "tool", "text": page(int(state["messages"][-1]["page"]))}]}


async def after_model(state: State) -> str:
    """The tool where one is asked for."""
    return "read_page" if state["messages"][-1]["page"] else END


def build(metadata: dict[str, Any] | None = None) -> StateGraph[Any, Any, Any, Any]:
    """The graph, its nodes with this metadata."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    graph.add_node("call_model", call_model, metadata=metadata)
    graph.add_node("read_page", read_page, metadata=metadata)
    graph.add_edge(START, "call_model")
    graph.add_conditional_edges("call_model", after_model, ["read_page", END])
    graph.add_edge("read_page", "call_model")
    return graph


def begin(job: Job) -> State:
    """The state that a run starts with."""
    messages = [{"role": "system", "text": INSTRUCTIONS}, {"role": "user", "text": TASK}]
    return {"messages": messages, "turns": job.turns, "latency": job.latency}


def limit(job: Job) -> dict[str, Any]:
    """LangGraph's own bound on steps, out of the way."""
    return {"recursion_limit": job.steps + 10}
