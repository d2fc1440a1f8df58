"""The runs whose histories are recorded here: one per feature that workflow code has.

Graphs are replayed code, so the ones of these histories live in this file and do not change.
"""

import contextlib
import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Graph, NotDone, ask, tool, use
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun


@tool(effect="read")
def look_up(number: int) -> dict[str, int]:
    """Look up a number."""
    return {"number": number, "double": 2 * number}


@tool(effect="once")
def pay(amount_cents: int) -> str:
    """Pay; an odd amount ends in a way nobody knows, 4 says that nothing happened."""
    if amount_cents == 4:
        raise NotDone("the bank is closed")
    if amount_cents % 2:
        raise RuntimeError("connection lost")
    return "paid"


class Report(BaseModel):
    """A typed answer."""

    total: int


clerk: Agent[str] = Agent("clerk", instructions="Work.", description="Pays.", tools=[look_up, pay])
boss: Agent[str] = Agent("boss", instructions="Lead.", tools=[clerk])
reporter: Agent[Report] = Agent("reporter", instructions="Report.", result=Report)


class State(TypedDict, total=False):
    """The state of the graphs below."""

    input: str
    found: Annotated[list[int], operator.add]
    answer: str


def _split(state: State) -> list[Send]:
    return [Send("work", {"input": str(n)}) for n in range(int(state["input"]))]


async def _work(state: State) -> State:
    found = await use(look_up, number=int(state["input"]))
    return {"found": [found["double"]]}


async def _speak(state: State) -> State:
    paid = await use(pay, amount_cents=200)
    return {"answer": await ask(clerk, f"{state['found']} {paid}")}


_graph = StateGraph(State)
_graph.add_node("work", _work)
_graph.add_node("speak", _speak)
_graph.add_conditional_edges(START, _split, ["work"])
_graph.add_edge("work", "speak")
_graph.add_edge("speak", END)
process = Graph("process", _graph, agents=[clerk], tools=[look_up, pay])


async def _approved(bench: Bench) -> TestRun:
    script = ScriptedModel(calls(call("look_up", number=1), call("pay", amount_cents=2)), say("Paid."))
    run = await bench.start(clerk, {"input": "pay", "user": "ada"}, model=script)
    await run.approve((await run.waiting())[0], "fine")
    return run


async def _denied_by_button(bench: Bench) -> TestRun:
    run = await bench.start(clerk, "pay", model=ScriptedModel(call("pay", amount_cents=2), say("Not paid.")))
    await run.waiting()
    await run.update("deny 1: no reason given")
    return run


async def _expired(bench: Bench) -> TestRun:
    run = await bench.start(clerk, "pay", model=ScriptedModel(call("pay", amount_cents=2), say("Nobody came.")))
    await run.waiting()
    await run.skip(timedelta(hours=25))
    return run


async def _two_waiting(bench: Bench) -> TestRun:
    asked = calls(call("pay", amount_cents=2), call("pay", amount_cents=6))
    run = await bench.start(clerk, "pay", model=ScriptedModel(asked, say("One of two.")))
    first, second = await run.waiting(2)
    await run.approve(second)
    await run.deny(first, "not this one")
    return run


async def _outcome_unknown(bench: Bench) -> TestRun:
    asked = calls(call("pay", amount_cents=1), call("pay", amount_cents=3))
    run = await bench.start(clerk, "pay", model=ScriptedModel(asked, say("Sorted out.")))
    for request in await run.waiting(2):
        await run.approve(request)
    unknown = {r.kind: r for r in await _until(run, "outcome", 2)}
    await run.answer(unknown["outcome"], "not-happened")
    for request in await _until(run, "outcome", 2):
        await run.answer(request, "happened")
    return run


async def _until(run: TestRun, kind: str, count: int) -> list[Any]:
    """The open requests, once this many of a kind are among them."""
    while True:
        found = [r for r in await run.waiting(count) if r.kind == kind]
        if len(found) == count:
            return found


async def _not_done(bench: Bench) -> TestRun:
    run = await bench.start(clerk, "pay", model=ScriptedModel(call("pay", amount_cents=4), say("Closed.")))
    await run.approve((await run.waiting())[0])
    return run


async def _malformed(bench: Bench) -> TestRun:
    return await bench.start(clerk, "x", model=ScriptedModel(call("look_up"), call("look_up", number=2), say("Two.")))


async def _repaired(bench: Bench) -> TestRun:
    return await bench.start(reporter, "x", model=ScriptedModel(say("four"), say({"total": 4})))


async def _failed(bench: Bench) -> TestRun:
    return await bench.start(clerk, "x", model=ScriptedModel(*[call("look_up")] * 3))


async def _cancelled(bench: Bench) -> TestRun:
    run = await bench.start(clerk, "pay", model=ScriptedModel(call("pay", amount_cents=2), say("never")))
    await run.waiting()
    await run.handle.cancel()
    return run


async def _agent_as_tool(bench: Bench) -> TestRun:
    model = ScriptedModel(
        {"boss": [call("clerk", request="pay 2"), say("Done.")], "clerk": [call("pay", amount_cents=2), say("Paid.")]}
    )
    run = await bench.start(boss, "pay", model=model)
    await run.approve((await run.waiting())[0])
    return run


async def _graph_run(bench: Bench) -> TestRun:
    run = await bench.start(process, "3", model=ScriptedModel({"clerk": [say("All looked up.")]}))
    await run.approve((await run.waiting())[0])
    return run


SCENARIOS: dict[str, Callable[[Bench], Awaitable[TestRun]]] = {
    "approved": _approved,
    "denied-by-button": _denied_by_button,
    "expired": _expired,
    "two-waiting": _two_waiting,
    "outcome-unknown": _outcome_unknown,
    "not-done": _not_done,
    "malformed": _malformed,
    "repaired": _repaired,
    "failed": _failed,
    "cancelled": _cancelled,
    "agent-as-tool": _agent_as_tool,
    "graph": _graph_run,
}
"""By name of the file that holds the history."""


async def recorded(bench: Bench) -> AsyncIterator[tuple[str, str]]:
    """Play every scenario to its end; gives its name and its history as JSON."""
    for name, play in SCENARIOS.items():
        run = await play(bench)
        with contextlib.suppress(WorkflowFailureError):  # some scenarios are about failing
            await run.result()
        yield name, (await run.history()).to_json()
