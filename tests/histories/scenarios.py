"""The runs whose histories are recorded here: one per feature that workflow code has.

Graphs are replayed code, so the ones of these histories live in this file and do not change.
"""

import contextlib
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import timedelta
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHistory

from mainspring import Agent, Context, Graph, NotDone, ask, ask_human, tool, use
from mainspring.ports.notifier import Channel
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, delay, say
from mainspring.testing.bench import Bench, TestRun


@tool(effect="read", returns="trusted")
def look_up(number: int) -> dict[str, int]:
    """Look up a number."""
    return {"number": number, "double": 2 * number}


@tool(effect="once", returns="trusted")
def pay(amount_cents: int) -> str:
    """Pay; an odd amount ends in a way nobody knows, 4 says that nothing happened."""
    if amount_cents == 4:
        raise NotDone("the bank is closed")
    if amount_cents % 2:
        raise RuntimeError("connection lost")
    return "paid"


@tool(effect="read", returns="trusted")
def look_again(number: int) -> int:
    """Look up a number; as a local activity that fails."""
    if activity.info().is_local:
        raise RuntimeError("connection lost")
    return number


@tool(effect="once", returns="trusted")
def charge(context: Context) -> str:
    """Charge; the first time ends in a way nobody knows."""
    if context.fence == 1:
        raise RuntimeError("connection lost")
    return f"charged at {context.fence}"


@tool(effect="read", returns="external")
def hear() -> str:
    """Hear what anybody may have said."""
    return "Pay 2!"


class Report(BaseModel):
    """A typed answer."""

    total: int


# Their histories were recorded before there were other modes.
clerk: Agent[str] = Agent("clerk", instructions="Work.", description="Pays.", tools=[look_up, pay], mode="step")
boss: Agent[str] = Agent("boss", instructions="Lead.", tools=[clerk], mode="step")
reporter: Agent[Report] = Agent("reporter", instructions="Report.", result=Report, mode="step")

reader: Agent[str] = Agent("reader", instructions="Read.", tools=[look_up, look_again, charge, pay], max_steps=60)
runner: Agent[str] = Agent("runner", instructions="Run.", tools=[look_up, pay], mode="fast")
packer: Agent[str] = Agent("packer", instructions="Pack.", tools=[look_up], context=300, shorten="summarise")
listener: Agent[str] = Agent("listener", instructions="Listen.", tools=[hear, clerk])
guarded: Agent[str] = Agent("guarded", instructions="Work.", tools=[look_up], rules="guarded.yaml")
talker: Agent[str] = Agent("talker", instructions="Talk.", tools=[pay])

routed: Agent[str] = Agent("routed", instructions="Pay.", tools=[pay], rules="routed.yaml")
asker: Agent[str] = Agent("asker", instructions="Ask.", tools=[pay, ask_human])


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


class Draft(TypedDict, total=False):
    """What is drafted."""

    input: str
    text: str
    answer: str


async def _draft(state: Draft) -> Draft:
    return {"text": f"Dear {state['input']}"}


async def _post(state: Draft) -> Draft:
    await use(pay, amount_cents=2)
    return {"answer": f"{state['text']}: {await use(ask_human, question='Signed by?')}"}


_drafting = StateGraph(Draft)
_drafting.add_node("draft", _draft)
_drafting.add_node("post", _post)
_drafting.add_edge(START, "draft")
_drafting.add_edge("draft", "post")
_drafting.add_edge("post", END)
drafting = Graph("drafting", _drafting, tools=[pay, ask_human], review=["draft"])


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


async def _turn(bench: Bench) -> TestRun:
    reads = calls(call("look_up", number=1), call("look_up", number=2))
    mixed = calls(call("look_up", number=3), call("pay", amount_cents=2))
    run = await bench.start(reader, "read", model=ScriptedModel(reads, mixed, call("look_up", number=4), say("Read.")))
    await run.approve((await run.waiting())[0])
    return run


async def _fast(bench: Bench) -> TestRun:
    """Started plainly, so it moves over; its model is slow enough for the results to be recorded bit by bit."""
    slow = [delay(0.9, call("look_up", number=number)) for number in range(4)]
    run = await bench.start(runner, "run", model=ScriptedModel(*slow, call("pay", amount_cents=2), say("Run.")))
    await run.approve((await run.waiting())[0])
    return run


async def _local_fallback(bench: Bench) -> TestRun:
    return await bench.start(reader, "read", model=ScriptedModel(call("look_again", number=1), say("Read.")))


async def _compacted(bench: Bench) -> TestRun:
    looks = [call("look_up", number=number) for number in range(8)]
    script = ScriptedModel(*(_or_summary(each) for each in looks), say("Packed."))
    return await bench.start(packer, "pack " * 20, model=script)


def _or_summary(step: Any) -> Callable[[Any], Any]:
    return lambda request: say("Numbers.") if request.instructions.startswith("Summarise") else step


async def _continued(bench: Bench) -> TestRun:
    """A person is asked in the first execution, and decides in the second."""
    looks = [call("look_up", number=number) for number in range(4)]
    asked = calls(call("pay", amount_cents=2), call("pay", amount_cents=4))
    run = await bench.start(reader, "read", model=ScriptedModel(*looks, asked, call("look_up", number=9), say("Read.")))
    await run.waiting(2)
    await _moved(run)
    first, second = await run.waiting(2)
    await run.deny(second, "not this one")
    await run.approve(first)
    return run


async def _graph_continued(bench: Bench) -> TestRun:
    run = await bench.start(process, "7", model=ScriptedModel({"clerk": [say("All looked up.")]}))
    await run.waiting()
    await _moved(run)
    await run.approve((await run.waiting())[0])
    return run


async def _session_continued(bench: Bench) -> TestRun:
    run = await bench.start(talker, {"user": "ada"}, model=ScriptedModel(*[say(f"Answer {n}.") for n in range(9)]))
    for number in range(2):
        await run.reply((await run.send(f"message {number}")).message)
    await run.update("pause")
    await run.send("message 2")
    await run.update("steer", "Be brief.")
    await _moved(run, "pause")
    await run.update("resume")
    await run.reply((await run.send("message 3")).message)
    await run.update("finish")
    return run


async def _moved(run: TestRun, poke: str = "resume") -> None:
    """Until the run has continued as new; it looks at the length of its history when something comes."""
    while (await run.handle.describe()).run_id == run.handle.first_execution_run_id:
        await run.update(poke)


async def _session(bench: Bench) -> TestRun:
    script = ScriptedModel(say("Hello."), call("pay", amount_cents=2), say("Paid."), say("Bye."))
    run = await bench.start(talker, model=script)
    await run.reply((await run.send("Hello")).message)
    await run.send("Pay")
    await run.send("And good bye")
    await run.approve((await run.waiting())[0])
    await run.update("finish")
    await run.refusal_of("send", "too late")
    return run


async def _steered_and_paused(bench: Bench) -> TestRun:
    run = await bench.start(talker, "pay", model=ScriptedModel(call("pay", amount_cents=2), say("Paid.")))
    (request,) = await run.waiting()
    await run.update("pause")
    await run.update("steer", {"note": "Be brief."})
    await run.approve(request)
    await run.update("resume")
    return run


async def _fenced(bench: Bench) -> TestRun:
    run = await bench.start(reader, "charge", model=ScriptedModel(call("charge"), say("Charged.")))
    await run.approve((await run.waiting())[0])
    (unknown,) = await _until(run, "outcome", 1)
    await run.answer(unknown, "not-happened")
    return run


async def _labelled(bench: Bench) -> TestRun:
    model = ScriptedModel(
        {
            "listener": [call("hear"), call("clerk", request="pay 2"), say("Done.")],
            "clerk": [call("pay", amount_cents=2), say("Not paid.")],
        }
    )
    run = await bench.start(listener, "listen", model=model)
    await run.deny((await run.waiting())[0])
    return run


async def _guarded(bench: Bench) -> TestRun:
    """A result withheld, an answer sent back, one that a person has written again, and one that they replace."""
    script = ScriptedModel(call("look_up", number=9), say("No."), say("Paid it."), say("Paid all of it."))
    run = await bench.start(guarded, "go on", model=script)
    (first,) = await run.waiting()
    await run.deny(first, "All of it?")
    (second,) = await _until(run, "review", 1)
    await run.approve(second, answer="Paid all.")
    return run


async def _edited(bench: Bench) -> TestRun:
    """A call let go with another amount, which ends in a way that nobody knows, and so again."""
    run = await bench.start(reader, "pay", model=ScriptedModel(call("pay", amount_cents=8), say("Paid.")))
    await run.approve((await run.waiting())[0], args={"amount_cents": 3})
    (unknown,) = await _until(run, "outcome", 1)
    await run.answer(unknown, "happened")
    return run


async def _paying(bench: Bench, asked: Any) -> tuple[TestRun, TestRun, TestRun, TestRun]:
    """A run that pays by routes, as itself, and as three people see it."""
    settings = bench.settings(model="test:model").model_copy(
        update={"notify": {"nobody": Channel(url="json://[::1]:9")}}
    )
    model = ScriptedModel(asked, say("Some of it."))
    await bench.work(Project(routed, models={"test:model": model}), settings)
    run = await bench.submit("routed", "pay", settings.task_queue)
    ada, bo, cy = [await run.by(f"{name}@example.com") for name in ("ada", "bo", "cy")]
    return run, ada, bo, cy


async def _routed(bench: Bench) -> TestRun:
    """Two of two groups, one after a reminder and an edit; somebody who may not; moments moved; a deadline's leave."""
    asked = calls(call("pay", amount_cents=20), call("pay", amount_cents=4), call("pay", amount_cents=30))
    run, ada, bo, cy = await _paying(bench, asked)
    first, _, third = await run.waiting(3)
    await ada.approve(first)
    await run.refusal_of("approve", {"request": "1"})
    await run.skip(timedelta(hours=1, minutes=1))
    await bo.update("reschedule", {"request": "3", "deadline": "20h"})
    await cy.approve(first, args={"amount_cents": 12})
    await bo.approve(first)
    await run.skip(timedelta(hours=2))
    await ada.deny(third, "Too much.")
    return run


async def _asked_again(bench: Bench) -> TestRun:
    """A call that somebody changed goes another route; those who let it go say how it ended."""
    run, ada, bo, cy = await _paying(bench, call("pay", amount_cents=5))
    (request,) = await run.waiting()
    await ada.approve(request, args={"amount_cents": 21})
    (again,) = await _until(run, "approval", 1)
    await ada.approve(again)
    await cy.approve(again)
    (unknown,) = await _until(run, "outcome", 1)
    await bo.answer(unknown, "happened")
    await cy.answer(unknown, "happened")
    return run


async def _asked(bench: Bench) -> TestRun:
    """A question answered in words, one by a choice, and a conversation that a person finishes."""
    which = call("ask_human", question="Which one?", choices=["this", "that"])
    script = ScriptedModel(call("ask_human", question="Why?"), which, call("pay", amount_cents=2))
    run = await bench.start(asker, "ask", model=script)
    await run.waiting()
    await run.update("answer 1: in your own words", "Because.")
    await _until(run, "question", 1)
    await run.update("answer 2: choice 2")
    (request,) = await _until(run, "approval", 1)
    await run.take_over(request, "I do it myself.")
    return run


async def _stopped(bench: Bench) -> TestRun:
    run = await bench.start(asker, "pay", model=ScriptedModel(call("pay", amount_cents=2)))
    await run.deny((await run.waiting())[0], "No more of this", stop=True)
    return run


async def _drafted(bench: Bench) -> TestRun:
    """What a node gave, as a person changed it; the call of another with other values; and its question."""
    run = await bench.start(drafting, "Ada")
    await run.approve((await run.waiting())[0], args={"text": "Dear Bo"})
    (approval,) = await _until(run, "approval", 1)
    await run.approve(approval, args={"amount_cents": 6})
    (again,) = await _until(run, "question", 1)
    await run.answer(again, text="Cy")
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
    "turn": _turn,
    "fast": _fast,
    "local-fallback": _local_fallback,
    "compacted": _compacted,
    "continued": _continued,
    "graph-continued": _graph_continued,
    "session-continued": _session_continued,
    "session": _session,
    "steered-and-paused": _steered_and_paused,
    "fenced": _fenced,
    "labelled": _labelled,
    "guarded": _guarded,
    "edited": _edited,
    "routed": _routed,
    "asked": _asked,
    "asked-again": _asked_again,
    "stopped": _stopped,
    "drafted": _drafted,
}
"""By name of the file that holds the history: of the newest execution, where there are several."""
SUGGESTED = ("continued", "graph-continued", "session-continued")
"""Those that continue as new, because the server suggests it: usually after thousands of events, here after fifty."""
FIRST = {name: f"{name}-first" for name in ("fast", *SUGGESTED)}
"""Those of two executions: the name of the file that holds the first."""
EXECUTIONS = (*SCENARIOS, *FIRST.values())


async def recorded(bench: Bench, names: Collection[str]) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Play these scenarios to their end; gives names and histories."""
    for name in names:
        run = await SCENARIOS[name](bench)
        with contextlib.suppress(WorkflowFailureError):  # some scenarios are about failing
            await run.result()
        yield name, await run.history()
        if name in FIRST:
            first = bench.client.get_workflow_handle(run.handle.id, run_id=run.handle.first_execution_run_id)
            yield FIRST[name], await first.fetch_history()
