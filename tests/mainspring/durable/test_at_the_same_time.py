"""What comes while it is looked into who decides: nobody counts twice, or for what they have not seen."""

import asyncio
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from temporalio.client import WorkflowUpdateFailedError

from mainspring import Agent, Context, Graph, tool
from mainspring.contracts import names
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun

ADA, BO, CY = "ada@example.com", "bo@example.com", "cy@example.com"
RULES = """
approvals:
  groups:
    finance: [ada@example.com, bo@example.com, cy@example.com]
  routes:
    - {id: two, tool: pay, who: [finance], need: 2, deadline: 4h, then: {hand over: [heads]}}
    - {id: known, point: outcome, deadline: 9h}
rules:
  - {id: pay, point: tool_call, tool: pay, when: "true", verdict: ask, reason: Somebody looks.}
"""


class State(TypedDict, total=False):
    """The state of a graph."""

    answer: str
    other: str


@tool("once", returns="trusted", accepts="external")
def pay(cents: int, context: Context) -> str:
    """Pay; 13 ends in a way that nobody knows, the first time."""
    if cents == 13 and context.fence == 1:
        raise RuntimeError("connection lost")
    return f"paid {cents}"


@pytest.fixture
def start(mainspring: Bench, rules: Any) -> Any:
    """Starts a run that wants to pay."""

    async def started(cents: int = 500) -> TestRun:
        agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(RULES))
        run = await mainspring.start(agent, "Pay.", model=ScriptedModel(call("pay", cents=cents), say("Done.")))
        await run.waiting()
        return run

    return started


async def both(*sent: Any) -> list[str]:
    """What comes of updates that are sent at once: a sentence each."""
    ended = await asyncio.gather(*sent, return_exceptions=True)
    return sorted(str(each.cause) if isinstance(each, WorkflowUpdateFailedError) else str(each) for each in ended)


async def test_one_person_twice(start: Any) -> None:
    """Two approvals of one person at once are one."""
    run = await start()
    ada = await run.by(ADA)
    said = await both(*(ada.update(names.APPROVE, {"request": "1"}) for _ in range(2)))

    assert said == [
        f"NotAccepted: {ADA!r} has said 'approve' to request 1 already.",
        "Request 1 (pay): recorded, 1 of 2 who must agree.",
    ]
    assert len((await run.waiting())[0].votes) == 1


async def test_an_edit_and_an_approval(start: Any) -> None:
    """Nobody agrees to an amount that came while they were looked up."""
    run = await start()
    ada, bo = await run.by(ADA), await run.by(BO)
    await both(
        bo.update(names.APPROVE, {"request": "1", "args": {"cents": 99999}}),
        ada.update(names.APPROVE, {"request": "1"}),
    )

    (request,) = await run.waiting()
    for vote in request.votes:
        assert (vote.identity.person, request.args["cents"]) in ((BO, 99999), (ADA, 500))


async def test_what_has_changed_since_it_was_seen(start: Any) -> None:
    """Who says what they saw is refused where it is something else by now."""
    run = await start()
    seen = (await run.waiting())[0].binding
    await (await run.by(BO)).update(names.APPROVE, {"request": "1", "args": {"cents": 7}, "binding": seen})

    assert await (await run.by(ADA)).refusal_of(names.APPROVE, {"request": "1", "binding": seen}) == (
        "Request 1 was changed meanwhile. Look at it again, then decide."
    )


async def test_a_deadline_is_not_brought_forward(start: Any) -> None:
    """Else one of those who decide could have it handed over, and so do without the others."""
    run = await start()

    assert await (await run.by(ADA)).refusal_of(names.RESCHEDULE, {"request": "1", "deadline": "1s"}) == (
        "'deadline' can only be moved to a later time: a route says what comes then."
    )


async def test_an_unknown_outcome_goes_its_own_way(start: Any) -> None:
    """By the route for outcomes, with a deadline of its own."""
    run = await start(13)
    (first,) = await run.waiting()
    await (await run.by(ADA)).approve(first)
    await (await run.by(BO)).approve(first)
    (unknown,) = await run.waiting()

    assert (unknown.kind, unknown.route and unknown.route.id) == ("outcome", "known")
    assert unknown.deadline - unknown.asked == 9 * 3600
    await run.answer(unknown, "happened")
    await run.result()


async def test_a_node_that_gives_an_answer(mainspring: Bench) -> None:
    """It is reviewed as a node's result, and what is changed of it counts."""

    def write(_state: State) -> State:
        return {"answer": "one", "other": "two"}

    graph = StateGraph(State)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    run = await mainspring.start(Graph("writing", graph, review=["write"]), "x", model=ScriptedModel(say("Done.")))
    (request,) = await run.waiting()

    assert await run.refusal_of(names.APPROVE, {"request": "1", "answer": "changed"}) == (
        "This is what a graph's node gave. Change it with 'args', or deny it."
    )
    await run.approve(request, args={"answer": "changed"})
    assert (await run.result()).answer == "changed"
