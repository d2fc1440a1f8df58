"""The application whose workers are killed: agents or a graph a scenario and mode, and a scripted model.

A new scenario is a function that makes its agents, and a line in `SCENARIOS`. No agent has rules, so `pay` asks first.
"""

import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from mainspring import Agent, Context, Graph, ask, tool, use
from mainspring.core.canonical import Json
from mainspring.core.messages import finished_calls
from mainspring.core.spec import Mode
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, delay, say
from mainspring.testing.scripted import Call, Calls, Step
from tests.chaos.world import World

MODEL = "test:model"
MODES: tuple[Mode, ...] = ("step", "turn", "fast")
THINKS = 0.4
"""Seconds that the slow model takes: several workflow-task heartbeats pass in such a run."""

CONTEXT = 900
"""Tokens that the model of `compact` may be given."""

_world: list[World] = []


def live_in(world: World) -> None:
    """Say where this process writes down what happens."""
    _world[:] = [world]


@tool(effect="read", returns="trusted")
async def look(number: int) -> int:
    """Look at a gauge."""
    return 2 * number


@tool(effect="read", returns="trusted")
async def study(number: int) -> str:
    """Read a gauge's log, which is long."""
    return f"{2 * number}" + " and so on" * 50


@tool(effect="idempotent", returns="trusted")
async def send(letter: str, context: Context) -> str:
    """Send a letter; the same key sends it once."""
    _world[0].take_effect("send", context.idempotency_key, os.getpid(), unique=True)
    return f"sent {letter}"


@tool(effect="once", returns="trusted")
async def pay(cents: int, context: Context) -> str:
    """Pay; nothing but the engine keeps it from being paid twice.

    It says so in as many words as stand there where a person had to tell: a thread is as long then.
    """
    _world[0].take_effect("pay", context.idempotency_key, os.getpid(), unique=False)
    return f"paid {cents} cents, and the receipt for it lies in the very first drawer"


EFFECTS = {each.name: each.spec.effect for each in (look, study, send, pay)}


@dataclass(frozen=True)
class Case:
    """What a scenario comes to in one mode: the definition that is run, what its models say, what a session is sent."""

    what: Agent[Any] | Graph
    script: dict[str, Sequence[Step]]
    given: Json = "Go"
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One kind of run; `events` makes an execution continue as new after so many, `plain` starts it as any client may.

    Else its workflow tasks may take less time from the start, which costs fewer seconds a crash. `shows` is the
    activity that the scenario is there for, if it is there for one.
    """

    make: Callable[[Mode], Case]
    modes: tuple[Mode, ...] = MODES
    events: int = 0
    plain: bool = False
    shows: str = ""


def _tell(request: ModelRequest) -> Step:
    """Answer with what the reads gave and how the rest ended, which is the same however the run was disturbed."""
    done = finished_calls(request.messages)
    return say("; ".join(f"{each.tool} {each.value if _reads(each.tool) else each.status}" for each in done))


def _reads(tool: str) -> bool:
    return EFFECTS.get(tool, "read") == "read"


def _follow(*asked: Call | Calls) -> list[Step]:
    """A script that goes by the calls that have ended: their messages may have been left out of the thread since."""
    sizes = [len(each.calls) if isinstance(each, Calls) else 1 for each in asked]
    at = dict(zip(accumulate(sizes, initial=0), asked, strict=False))

    def decide(request: ModelRequest) -> Step:
        if not request.tools:
            return say("They looked at gauges.")
        return at.get(len(finished_calls(request.messages))) or _tell(request)

    return [decide] * 50


def _agent(name: str, mode: Mode, tools: Sequence[Any], *, context: int = 0) -> Agent[str]:
    return Agent(
        f"{name}-{mode}",
        instructions="Work.",
        description="Works.",
        tools=tools,
        mode=mode,
        context=context,
        shorten="summarise",
    )


def _desk(mode: Mode) -> Case:
    """A tool of each effect, one after the other; the one with effect `once` after an approval."""
    agent = _agent("desk", mode, [look, send, pay])
    return Case(agent, {agent.name: _follow(call("look", number=1), call("send", letter="a"), call("pay", cents=2))})


def _pairs(mode: Mode) -> Case:
    """Calls side by side: all of them reads, then one of each effect."""
    agent = _agent("pairs", mode, [look, send, pay])
    reads = calls(call("look", number=1), call("look", number=2))
    mixed = calls(call("look", number=3), call("send", letter="a"), call("pay", cents=2))
    return Case(agent, {agent.name: _follow(reads, mixed)})


def _boss(mode: Mode) -> Case:
    """An agent as another's tool."""
    clerk = _agent("clerk", mode, [look, pay])
    boss = _agent("boss", mode, [clerk, look])
    script = {
        clerk.name: _follow(call("look", number=1), call("pay", cents=2)),
        boss.name: _follow(call(clerk.name.replace("-", "_"), request="pay"), call("look", number=2)),
    }
    return Case(boss, script)


def _thinker(mode: Mode) -> Case:
    """A slow model: in `fast`, several calls are recorded only with the heartbeat of their workflow task."""
    agent = _agent("thinker", mode, [look])
    steps: list[Step] = [delay(THINKS, call("look", number=number)) for number in range(6)]
    return Case(agent, {agent.name: [*steps, _tell]})


def _long(mode: Mode) -> Case:
    """A history that grows too long, with an agent as tool and approvals under way as it continues as new."""
    clerk = _agent("long-clerk", mode, [look, send, pay])
    boss = _agent("long", mode, [clerk, look, pay])
    ask_clerk = call(clerk.name.replace("-", "_"), request="pay")
    pays = calls(call("pay", cents=2), call("pay", cents=3), call("look", number=2))
    script = {
        clerk.name: _follow(call("look", number=1), call("send", letter="a"), call("pay", cents=1)),
        boss.name: _follow(call("look", number=3), ask_clerk, pays, call("look", number=4)),
    }
    return Case(boss, script)


def _compact(mode: Mode) -> Case:
    """A thread that outgrows its model's context, so that it is summarised, with calls of each effect in it."""
    agent = _agent("compact", mode, [study, send, pay], context=CONTEXT)
    logs = [call("study", number=number) for number in range(5)]
    return Case(agent, {agent.name: _follow(call("send", letter="a"), *logs[:3], call("pay", cents=2), *logs[3:])})


def _chat(mode: Mode) -> Case:
    """A session: each message asks for one call, and the last answer tells of all of them."""
    agent = _agent("chat", mode, [look, send, pay])
    asked = {"look": call("look", number=1), "send": call("send", letter="a"), "pay": call("pay", cents=2)}

    def decide(request: ModelRequest) -> Step:
        letters = [message.text for message in request.messages if message.role == "user"]
        ended = len(finished_calls(request.messages))
        return asked[letters[ended]] if ended < len(letters) else _tell(request)

    return Case(agent, {agent.name: [decide] * 50}, {}, ("look", "send", "pay", "look"))


def _plain(mode: Mode) -> Case:
    """A run that was started as any client does, without a short workflow task: a `fast` one moves itself over."""
    agent = _agent("plain", mode, [look, send])
    return Case(agent, {agent.name: _follow(call("look", number=1), call("send", letter="a"))})


def _routed(mode: Mode) -> Case:
    """Requests that go a route, so that it is looked into who decides each."""
    agent = Agent(f"routed-{mode}", instructions="Work.", tools=[look, pay], mode=mode, rules="routed.yaml")
    both = calls(call("pay", cents=1), call("pay", cents=2))
    return Case(agent, {agent.name: _follow(call("look", number=1), both)})


class State(TypedDict, total=False):
    """The state of the graph."""

    input: str
    found: Annotated[list[int], operator.add]
    answer: str


def _split(state: State) -> list[Send]:
    return [Send("look", {"input": str(number)}) for number in range(int(state["input"]))]


async def _look(state: State) -> State:
    return {"found": [await use(look, number=int(state["input"]))]}


def _process(mode: Mode) -> Case:
    """A graph: nodes side by side that call a tool, then one that calls another and asks an agent."""
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
    return Case(process, {clerk.name: _follow(call("look", number=1), call("pay", cents=2))}, "2")


SCENARIOS: dict[str, Scenario] = {
    "desk": Scenario(_desk),
    "pairs": Scenario(_pairs),
    "boss": Scenario(_boss),
    "process": Scenario(_process),
    "thinker": Scenario(_thinker, modes=("fast",)),
    "long": Scenario(_long, events=30, shows="seal"),
    "compact": Scenario(_compact, shows="compact"),
    "chat": Scenario(_chat, events=30, shows="seal"),
    "plain": Scenario(_plain, modes=("fast",), plain=True),
    "routed": Scenario(_routed, modes=("turn",), shows="identify"),
}


@cache
def cases() -> dict[tuple[str, Mode], Case]:
    """Every scenario in each of its modes."""
    return {(name, mode): scenario.make(mode) for name, scenario in SCENARIOS.items() for mode in scenario.modes}


def project(made: dict[tuple[str, Mode], Case]) -> Project:
    """The application as a worker is given it."""
    script = {agent: steps for case in made.values() for agent, steps in case.script.items()}
    return Project(*(case.what for case in made.values()), models={MODEL: ScriptedModel(script)})
