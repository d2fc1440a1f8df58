"""Requests go the routes of the rule file: in real runs, with people who say who they are, and with skipped time."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring import Agent
from mainspring.contracts import names
from mainspring.telemetry import attributes as a
from mainspring.telemetry.chain import project_run
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.guarded import Listening
from tests.mainspring.durable.paying import paid, pay

ADA, BO, CY, DEE = "ada@example.com", "bo@example.com", "cy@example.com", "dee@example.com"
RULES = """
approvals:
  groups:
    finance: [ada@example.com, bo@example.com]
    risk: [cy@example.com]
  delegations:
    - {from: cy@example.com, to: dee@example.com, until: 2099-12-31}
    - {from: cy@example.com, to: eve@example.com, until: 2020-12-31}
  routes:
    - id: large
      tool: pay
      when: args.cents > 1000
      need: [finance, risk]
      remind: 1h
      escalate: {after: 4h, to: [managers]}
    - {id: medium, tool: pay, when: args.cents > 100, who: [finance]%s}
rules:
  - {id: pay, point: tool_call, tool: pay, when: "true", verdict: ask, reason: Somebody looks at payments.}
"""


@pytest.fixture
def start(mainspring: Bench, rules: Any) -> Any:
    """Starts a run that pays these amounts, in one message; `medium` is added to that route."""

    async def started(*cents: int, medium: str = "", given: Any = "Pay.", then: Any = None, **more: Any) -> TestRun:
        agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(RULES % medium), **more)
        model = ScriptedModel(calls(*(call("pay", cents=each) for each in cents)), then or say("Done."))
        return await mainspring.start(agent, given, model=model)

    return started


async def refused(run: TestRun, person: str, request: str = "1", **form: Any) -> str:
    """The sentence with which somebody's approval is refused."""
    return await (await run.by(person)).refusal_of(names.APPROVE, {"request": request, **form})


async def test_what_no_route_is_for_anybody_may_decide(start: Any) -> None:
    """As before there were routes: also from the Web UI, which says nothing of who clicks."""
    run = await start(50)
    (request,) = await run.waiting()

    assert request.route is None
    await run.approve(request)
    await run.result()
    assert paid(run) == ["50"]


async def test_a_group_decides(start: Any) -> None:
    """Who is not in it is refused by name, and so is somebody of whom nothing is known."""
    run = await start(500)
    (request,) = await run.waiting()

    assert await refused(run, CY) == f"{CY!r} may not decide request 1. It is for finance."
    assert await refused(run, "finance") == "'finance' may not decide request 1. It is for finance."
    assert await (await run.by(ADA)).approve(request) == "Request 1 (pay): approve. Recorded."
    await run.result()
    assert paid(run) == ["500"]


async def test_one_of_each_group(start: Any) -> None:
    """Two of the same group are not enough, nor is one person twice; a delegate counts as whom they stand for."""
    run = await start(5000)
    await run.waiting()

    assert await (await run.by(ADA)).update(names.APPROVE, {"request": "1"}) == (
        "Request 1 (pay): recorded, 1 of 2 who must agree. Still needed: risk."
    )
    assert await refused(run, ADA) == f"{ADA!r} has said 'approve' to request 1 already."
    assert "Still needed: risk." in await (await run.by(BO)).update(names.APPROVE, {"request": "1"})
    assert await refused(run, "eve@example.com") == (
        "'eve@example.com' may not decide request 1. It is for finance or risk."
    )
    assert paid(run) == []
    assert await (await run.by(DEE)).update(names.APPROVE, {"request": "1"}) == "Request 1 (pay): approve. Recorded."
    await run.result()
    assert paid(run) == ["5000"]


async def test_one_is_enough_to_deny(start: Any) -> None:
    """Whoever else agreed."""
    heard = Listening(say("Not done."))
    run = await start(5000, then=heard)
    (request,) = await run.waiting()
    await (await run.by(ADA)).approve(request)

    await (await run.by(CY)).deny(request, "Too much.")
    await run.result()
    assert "Too much." in heard.heard
    assert paid(run) == []


async def test_who_agrees_to_something_else_begins_anew(start: Any) -> None:
    """Whoever agreed before agreed to other arguments, and is asked again."""
    run = await start(5000)
    (request,) = await run.waiting()
    await (await run.by(ADA)).approve(request)

    assert "1 of 2" in await (await run.by(CY)).approve(request, args={"cents": 4000})
    (edited,) = await run.waiting()
    assert (edited.args, edited.proposed) == ({"cents": 4000}, {"cents": 5000})
    assert edited.binding != request.binding
    await (await run.by(BO)).approve(edited)
    await run.result()
    assert paid(run) == ["4000"]


async def test_who_asked_does_not_decide(start: Any) -> None:
    """Neither directly nor through an agent that works for them; who decides for them does not either."""
    run = await start(500, given={"input": "Pay.", "user": ADA})
    (request,) = await run.waiting()

    assert await refused(run, ADA) == f"{ADA!r} asked for this, so somebody else has to decide."
    await (await run.by(BO)).approve(request)
    await run.result()


async def test_who_must_be_verified_is_told_how(start: Any) -> None:
    """A name that a client tells is not enough, and a token that is none is refused by name."""
    run = await start(500, medium=", verified: true")
    await run.waiting()

    said = await refused(run, ADA)
    assert said.startswith(
        f"Request 1 needs somebody whose identity is verified; you are claimed: test:{ADA}. "
        f"Decide with: mainspring approve {run.handle.id} 1 --key FILE"
    )
    assert paid(run) == []


async def test_it_is_reminded_then_escalated_then_denied(start: Any) -> None:
    """Each in its time; whom it is escalated to may decide then, and not before."""
    run = await start(5000)
    await run.waiting()
    assert (
        await refused(run, "max@example.com")
        == "'max@example.com' may not decide request 1. It is for finance or risk."
    )

    stages = [(await run.waiting())[0].stage]
    for hours in (1.1, 3):
        await run.skip(timedelta(hours=hours))
        stages.append((await run.waiting())[0].stage)
    assert stages == ["asked", "reminded", "escalated"]
    assert "It is for finance, risk or managers." in await refused(run, "max@example.com")
    await run.skip(timedelta(hours=24))
    await run.result()
    assert paid(run) == []


@pytest.mark.parametrize(
    ("then", "comes"),
    [
        (", then: approve", ["500"]),
        (", then: deny", []),
        (", then: {hand over: [risk]}", []),
    ],
)
async def test_what_the_deadline_brings(start: Any, then: str, comes: list[str]) -> None:
    """What the route says; handed over, it waits once more, for others."""
    run = await start(500, medium=then + ", deadline: 2h")
    await run.waiting()
    await run.skip(timedelta(hours=2, minutes=1))
    if "hand over" in then:
        (request,) = await run.waiting()
        assert request.stage == "handed over"
        assert await refused(run, ADA) == f"{ADA!r} may not decide request 1. It is for risk."
        await run.skip(timedelta(hours=2, minutes=1))
    await run.result()

    assert paid(run) == comes


async def test_its_moments_can_be_moved(start: Any) -> None:
    """By whoever may decide; a deadline that is moved does not come when it was to."""
    run = await start(500, medium=", deadline: 2h")
    (request,) = await run.waiting()
    finance = await run.by(ADA)

    assert await (await run.by(CY)).refusal_of(names.RESCHEDULE, {"request": "1", "deadline": "9h"}) == (
        f"{CY!r} may not decide request 1. It is for finance."
    )
    assert "deadline 2" in await finance.update(names.RESCHEDULE, {"request": "1", "deadline": "5h"})
    await run.skip(timedelta(hours=3))
    (still,) = await run.waiting()
    assert still.deadline > request.deadline
    for form, why in (
        ({"deadline": "soon"}, "'deadline' is 'soon', but must be such as '30m', '2h' or '3d'."),
        ({"until": "2h"}, "Unknown field 'until'; there are 'deadline', 'remind', 'escalate'."),
        ({"remind": "9h"}, "To remind or escalate comes before the deadline."),
        ({}, 'reschedule needs a time, such as {"request": "1", "deadline": "2h"}.'),
    ):
        assert await finance.refusal_of(names.RESCHEDULE, {"request": "1", **form}) == why
    await run.skip(timedelta(hours=3))
    await run.result()
    assert paid(run) == []


async def test_it_is_carried_along(start: Any, move: Move) -> None:
    """Into the next execution, with who has agreed, and how far it has come."""
    run = await start(5000)
    (request,) = await run.waiting()
    await (await run.by(ADA)).approve(request)
    await run.skip(timedelta(hours=1, minutes=1))
    await move(run)

    (still,) = await run.waiting()
    assert (still.stage, [vote.identity.person for vote in still.votes]) == ("reminded", [ADA])
    assert await refused(run, ADA) == f"{ADA!r} has said 'approve' to request 1 already."
    await (await run.by(CY)).approve(still)
    await run.result()
    assert paid(run) == ["5000"]


async def test_a_run_that_is_cancelled_withdraws_it(start: Any) -> None:
    """Nobody can decide it any more, and nothing is paid."""
    run = await start(5000)
    await run.waiting()
    await run.handle.cancel()

    with pytest.raises(WorkflowFailureError):
        await run.handle.result()
    assert paid(run) == []


async def test_the_calls_of_a_message_go_each_its_own_way(start: Any) -> None:
    """In whatever order they are decided; a request that is not there yet is refused by name."""
    run = await start(500, 50, 5000)
    waiting = await run.waiting(3)
    ada, cy = await run.by(ADA), await run.by(CY)

    assert [request.route.id if request.route else "" for request in waiting] == ["medium", "", "large"]
    assert await ada.refusal_of(names.APPROVE, {"request": "4"}) == (
        "There is no request 4. Waiting: request 1 (pay), request 2 (pay), request 3 (pay)."
    )
    await cy.approve(waiting[2])
    await run.deny(waiting[1])
    await ada.approve(waiting[2])
    await ada.approve(waiting[0])
    await run.result()
    assert sorted(paid(run)) == ["500", "5000"]


async def test_a_late_click_reads_who_decided(start: Any) -> None:
    """By name, where that is known."""
    run = await start(500, 50)
    first, second = await run.waiting(2)
    await (await run.by(BO)).deny(first)

    assert await refused(run, ADA) == f"Request 1 (pay) was denied by {BO}. Nothing was changed by this click."
    await run.approve(second)
    await run.result()


async def test_the_trace_says_who_decided(mainspring: Bench, start: Any) -> None:
    """Everybody who agreed, how it is known who they are, and the route; not who was refused, nor who only moved it."""
    run = await start(5000)
    (request,) = await run.waiting()
    await refused(run, "max@example.com")
    ada = await run.by(ADA)
    await ada.approve(request)
    await ada.refusal_of(names.APPROVE, {"request": "1"})
    await (await run.by(BO)).update(names.RESCHEDULE, {"request": "1", "deadline": "30h"})
    going = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    assert [a.DECISION in span.attributes for span in going.waiting] == [False]

    await (await run.by(CY)).approve(request)
    await run.result()
    trace = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    (wait,) = (span for span in trace.spans if a.ASKED in span.attributes)
    assert {key: wait.text(key) for key in (a.DECISION, a.DECIDED_BY, a.ROUTE)} == {
        a.DECISION: "approve",
        a.DECIDED_BY: f"claimed: test:{ADA}; claimed: test:{CY}",
        a.ROUTE: "large",
    }
