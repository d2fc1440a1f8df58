"""The application whose workers are killed: an agent or graph a scenario and mode, tools of each effect, a scripted model.

A new scenario is a function that makes its agents, and a line in `SCENARIOS`.
"""

import inspect
import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from mainspring import Agent, Context, Graph, ask, tool, use
from mainspring.core.canonical import Json
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, delay, say
from mainspring.testing.scripted import Step
from tests.chaos.world import World

MODEL = "test:model"
HAS_MODES = "mode" in inspect.signature(Agent).parameters
MODES = ("step", "turn", "fast") if HAS_MODES else ("step",)
THINKS = 0.4
"""Seconds that the slow model takes: several workflow-task heartbeats pass in such a run."""

_world: list[World] = []


def live_in(world: World) -> None:
    """Say where this process writes down what happens."""
    _world[:] = [world]


@tool(effect="read")
async def look(number: int) -> int:
    """Look at a gauge."""
    return 2 * number


@tool(effect="idempotent")
async def send(letter: str, context: Context) -> str:
    """Send a letter; the same key sends it once."""
    _world[0].take_effect("send", context.idempotency_key, os.getpid(), unique=True)
    return f"sent {letter}"


@tool(effect="once")
async def pay(cents: int, context: Context) -> str:
    """Pay; nothing but the engine keeps it from being paid twice."""
    _world[0].take_effect("pay", context.idempotency_key, os.getpid(), unique=False)
    return f"paid {cents}"


EFFECTS = {each.name: each.spec.effect for each in (look, send, pay)}


@dataclass(frozen=True)
class Case:
    """What a scenario comes to in one mode: the definition that is run, and what its models say."""

    what: Agent[Any] | Graph
    script: dict[str, Sequence[Step]]
    given: Json = "Go"


@dataclass(frozen=True)
class Scenario:
    """One kind of run; `events` makes an execution continue as new after so many, where the engine does that."""

    make: Callable[[str], Case]
    modes: tuple[str, ...] = field(default=MODES)
    events: int = 0


def _tell(request: ModelRequest) -> Step:
    """Answer with what the reads gave and how the rest ended, which is the same however the run was disturbed."""
    told = [
        f"{each.tool} {each.text if EFFECTS.get(each.tool, 'read') == 'read' else each.status}"
        for each in request.messages
        if each.role == "tool"
    ]
    return say("; ".join(told))


def _agent(name: str, mode: str, tools: Sequence[Any]) -> Agent[str]:
    chosen: dict[str, Any] = {"mode": mode} if HAS_MODES else {}
    return Agent(f"{name}-{mode}", instructions="Work.", description="Works.", tools=tools, **chosen)


def _desk(mode: str) -> Case:
    agent = _agent("desk", mode, [look, send, pay])
    steps = [call("look", number=1), call("send", letter="a"), call("pay", cents=2), _tell]
    return Case(agent, {agent.name: steps})


def _pairs(mode: str) -> Case:
    agent = _agent("pairs", mode, [look, send, pay])
    reads = calls(call("look", number=1), call("look", number=2))
    mixed = calls(call("look", number=3), call("send", letter="a"), call("pay", cents=2))
    return Case(agent, {agent.name: [reads, mixed, _tell]})


def _boss(mode: str) -> Case:
    clerk = _agent("clerk", mode, [look, pay])
    boss = _agent("boss", mode, [clerk, look])
    script: dict[str, Sequence[Step]] = {
        clerk.name: [call("look", number=1), call("pay", cents=2), _tell],
        boss.name: [call(clerk.name.replace("-", "_"), request="pay"), call("look", number=2), _tell],
    }
    return Case(boss, script)


def _thinker(mode: str) -> Case:
    agent = _agent("thinker", mode, [look])
    steps: list[Step] = [delay(THINKS, call("look", number=number)) for number in range(6)]
    return Case(agent, {agent.name: [*steps, _tell]})


class State(TypedDict, total=False):
    """The state of the graph."""

    input: str
    found: Annotated[list[int], operator.add]
    answer: str


def _split(state: State) -> list[Send]:
    return [Send("look", {"input": str(number)}) for number in range(int(state["input"]))]


async def _look(state: State) -> State:
    return {"found": [await use(look, number=int(state["input"]))]}


def _process(mode: str) -> Case:
    clerk = _agent("teller", mode, [look, pay])

    async def speak(state: State) -> State:
        sent = await use(send, letter="a")
        said = await ask(clerk, "pay")
        return {"answer": f"{sorted(state['found'])} {sent} {said}"}

    graph = StateGraph(State)
    graph.add_node("look", _look)
    graph.add_node("speak", speak)
    graph.add_conditional_edges(START, _split, ["look"])
    graph.add_edge("look", "speak")
    graph.add_edge("speak", END)
    process = Graph(f"process-{mode}", graph, agents=[clerk], tools=[look, send])
    return Case(process, {clerk.name: [call("look", number=1), call("pay", cents=2), _tell]}, "2")


SCENARIOS: dict[str, Scenario] = {
    "desk": Scenario(_desk),
    "pairs": Scenario(_pairs),
    "boss": Scenario(_boss),
    "process": Scenario(_process),
    "thinker": Scenario(_thinker),
}


@cache
def cases() -> dict[tuple[str, str], Case]:
    """Every scenario in each of its modes."""
    return {(name, mode): scenario.make(mode) for name, scenario in SCENARIOS.items() for mode in scenario.modes}


def project(made: dict[tuple[str, str], Case]) -> Project:
    """The application as a worker is given it."""
    script = {agent: steps for case in made.values() for agent, steps in case.script.items()}
    return Project(*(case.what for case in made.values()), models={MODEL: ScriptedModel(script)})
