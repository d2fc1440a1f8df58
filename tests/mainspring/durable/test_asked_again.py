"""Who may decide is asked again where a call is not what it was: changed, beside others, or to run once more."""

import time
import uuid
from datetime import timedelta
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from mainspring import Agent, Context, Graph, tool, use
from mainspring.approving import open_keys
from mainspring.contracts import names
from mainspring.core.approvals import Request
from mainspring.effects import judging
from mainspring.telemetry.chain import project_run
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.paying import PAID, paid, pay
from tests.mainspring.durable.reading import until

ADA, BO, CY = "ada@example.com", "bo@example.com", "cy@example.com"
RULES = """
approvals:
  groups: {finance: [ada@example.com, bo@example.com], risk: [cy@example.com]}
  routes:
    - {id: large, when: %s, need: [finance, risk]%s}
    - {id: medium, when: args.cents > 100, who: [finance]}
rules:
  - {id: pay, point: tool_call, when: "true", verdict: ask, reason: Somebody looks at payments.}
"""


class Answered(TypedDict, total=False):
    """What the graph of this file gives."""

    answer: str


@tool("once", returns="trusted", accepts="external")
def wire(cents: int, context: Context) -> str:
    """Pay, so that nobody knows whether it was paid."""
    PAID.append(f"{context.run} {cents}")
    raise OSError("the bank hung up")


@pytest.fixture
def start(mainspring: Bench, rules: Any) -> Any:
    """Starts a run that pays these amounts, in one message; `when` and `more` are of the route `large`."""

    async def started(
        *cents: int, when: str = "args.cents > 1000", more: str = "", tool: Any = pay, given: Any = "Pay."
    ) -> TestRun:
        agent = Agent("desk", instructions="Pay.", tools=[tool], rules=rules(RULES % (when, more)))
        model = ScriptedModel(calls(*(call(tool.name, cents=each) for each in cents)), say("Done."))
        return await mainspring.start(agent, given, model=model)

    return started


async def opened(run: TestRun, number: str) -> Request:
    """A request, once it waits."""

    async def find() -> Request | None:
        return next((each for each in await run.waiting() if each.id == number), None)

    found = await until(find)
    assert found
    return found


@pytest.mark.parametrize("cents", [500, 50], ids=["another route", "no route"])
async def test_what_a_person_made_of_it_goes_its_own_route(mainspring: Bench, start: Any, cents: int) -> None:
    """Who may let 500 go does not let 9,000 go by changing it; nor does the Web UI, where nobody was asked for."""
    run = await start(cents)
    (request,) = await run.waiting()
    person = await run.by(ADA) if cents > 100 else run

    assert "changed (cents:" in await person.approve(request, args={"cents": 9000})
    again = await opened(run, "2")
    assert (again.args, again.route and again.route.id, again.proposed) == ({"cents": 9000}, "large", None)
    assert again.reason == (
        "Somebody looks at payments. A person changed it, and what they made of it goes the route 'large'."
    )
    assert "1 of 2" in await (await run.by(ADA)).approve(again)
    assert paid(run) == []
    await (await run.by(CY)).approve(again)
    await run.result()
    assert paid(run) == ["9000"]

    trace = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    waits = [span for span in trace.spans if span.name.startswith("wait")]
    assert len(waits) == 2, [span.name for span in trace.spans]


async def test_what_was_changed_again_is_asked_about_again(start: Any) -> None:
    """Until it goes a route by which those who let it go may; a smaller amount needs nobody anew."""
    run = await start(500)
    (request,) = await run.waiting()
    await (await run.by(ADA)).approve(request, args={"cents": 9000})
    again = await opened(run, "2")
    await (await run.by(BO)).approve(again, args={"cents": 400})
    edited = await opened(run, "2")
    await (await run.by(CY)).approve(edited)
    last = await opened(run, "3")
    assert (last.args, last.route and last.route.id) == ({"cents": 400}, "medium")
    await (await run.by(BO)).approve(last, args={"cents": 40})
    await run.result()
    assert paid(run) == ["40"]


async def test_what_a_person_made_of_a_graphs_call(mainspring: Bench, rules: Any) -> None:
    """Likewise, and shown as they made it."""

    async def work(state: Answered) -> Answered:
        return {"answer": await use(pay, cents=500)}

    built = StateGraph(Answered)
    built.add_node("work", work)
    built.add_edge(START, "work")
    built.add_edge("work", END)
    graph = Graph("office", built, tools=[pay], rules=rules(RULES % ("args.cents > 1000", "")))
    run = await mainspring.start(graph, "Pay.")
    (request,) = await run.waiting()

    await (await run.by(ADA)).approve(request, args={"cents": 9000})
    again = await opened(run, "2")
    assert (again.args, again.route and again.route.id) == ({"cents": 9000}, "large")
    await (await run.by(ADA)).approve(again)
    assert paid(run) == []
    await (await run.by(CY)).approve(again)
    await run.result()
    assert paid(run) == ["9000"]


async def test_calls_beside_one_another_count_together(start: Any) -> None:
    """A sum that one message splits up goes the route of the sum, from the call on that goes beyond it."""
    run = await start(900, 900, 900, when="total.cents > 1000, tool: pay")

    assert [each.route.id for each in await run.waiting(3)] == ["medium", "large", "large"]


@pytest.mark.parametrize("person", ["eve@example.com", BO, ""])
async def test_whoever_let_a_call_go_lets_it_go_again(start: Any, person: str) -> None:
    """How it ended is for those to say who may let it run again: not for who asked, for one of them, or anybody."""
    run = await start(5000, tool=wire, given={"input": "Pay.", "user": "eve@example.com"})
    (request,) = await run.waiting()
    for each in (ADA, CY):
        await (await run.by(each)).approve(request)
    again = await opened(run, "2")
    assert (again.kind, again.route and again.route.each) == ("outcome", ("finance", "risk"))
    assert again.deadline - again.asked == 86_400

    name = "answer 2: it did not happen, run it"
    if person == BO:
        assert "1 of 2" in await (await run.by(BO)).update(name)
    else:
        by = await run.by(person) if person else run
        assert "may not" in await by.refusal_of(name) or "asked for this" in await by.refusal_of(name)
        assert "1 of 2" in await (await run.by(ADA)).update(name)
    assert paid(run) == ["5000"]
    await (await run.by(CY)).update(name)
    if person == BO:  # who is late, as the other of finance
        await (await run.by(ADA)).refusal_of(name)
    assert (await opened(run, "3")).kind == "outcome"
    assert paid(run) == ["5000", "5000"]


async def test_who_agrees_to_what_was_changed_has_seen_it(start: Any) -> None:
    """Who read the arguments of before, and clicks now, agrees to nothing."""
    run = await start(5000)
    (request,) = await run.waiting()
    await (await run.by(ADA)).approve(request, args={"cents": 9000})
    (edited,) = await run.waiting()
    risk = await run.by(CY)

    for name, form in (("approve 1: pay", None), (names.APPROVE, {"request": "1"})):
        said = await risk.refusal_of(name, form)
        assert said.startswith("Request 1 was changed by whoever agreed to it: cents: 5000 → 9000. Whoever agrees to")
        assert edited.binding in said
    assert paid(run) == []
    assert "Recorded." in await risk.update(names.APPROVE, {"request": "1", "binding": edited.binding})
    await run.result()
    assert paid(run) == ["9000"]


async def test_as_many_take_it_over_as_had_to_agree(start: Any) -> None:
    """Where one of each had to, two of those have to whom it is handed over."""
    run = await start(5000, more=", deadline: 2h, then: {hand over: [hanna@example.com, hugo@example.com]}")
    await run.waiting()
    await run.skip(timedelta(hours=2, minutes=1))

    assert "1 of 2" in await (await run.by("hanna@example.com")).update(names.APPROVE, {"request": "1"})
    assert paid(run) == []
    await (await run.by("hugo@example.com")).update(names.APPROVE, {"request": "1"})
    await run.result()
    assert paid(run) == ["5000"]


async def test_a_request_that_opens_late_has_its_time(
    mainspring: Bench, rules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is approved that nobody could have been asked: where no worker took the reply in, or clocks differ."""
    monkeypatch.setattr(judging, "time", type("Clock", (), {"time": staticmethod(lambda: time.time() - 3 * 3600)}))
    text = RULES.replace("who: [finance]", "who: [finance], deadline: 2h, then: approve") % ("args.cents > 1000", "")
    agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(text))
    run = await mainspring.start(agent, "Pay.", model=ScriptedModel(call("pay", cents=500), say("Done.")))

    (request,) = await run.waiting()
    assert round(request.deadline - request.asked) == 2 * 3600
    assert paid(run) == []


async def test_a_token_of_before_a_reset_decides_nothing_after_it(mainspring: Bench, rules: Any) -> None:
    """It stands in the history that the reset goes back in, for everybody to read."""
    keys = open_keys(mainspring.settings())
    text = RULES.replace("who: [finance]", "who: [finance], verified: true") % ("args.cents > 1000", "")
    agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(text))
    run = await mainspring.start(agent, "Pay.", model=ScriptedModel(call("pay", cents=500), say("Done.")))
    (request,) = await run.waiting()
    token = keys.sign(ADA, binding=request.binding, now=time.time(), seconds=300.0)
    await run.update(names.APPROVE, {"request": "1", "token": token})
    await run.result()

    after = await reset(mainspring, run)
    (open_again,) = await until(lambda: after.query(names.WAITING, result_type=list[Request]))
    assert open_again.binding != request.binding
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await after.execute_update(names.APPROVE, {"request": "1", "token": token})
    assert "another request" in str(caught.value.cause)
    assert paid(run) == ["500"]


async def reset(bench: Bench, run: TestRun) -> WorkflowHandle[Any, Any]:
    """The run that a reset to before its first decision makes, without what was decided."""
    events, client = (await run.history()).events, bench.client
    decided = next(e.event_id for e in events if e.HasField("workflow_execution_update_accepted_event_attributes"))
    tasks = [e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes")]
    made = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=run.handle.id, run_id=str(run.handle.first_execution_run_id)
            ),
            reason="A test goes back.",
            workflow_task_finish_event_id=max(each for each in tasks if each < decided),
            request_id=str(uuid.uuid4()),
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE],
        )
    )
    return client.get_workflow_handle(run.handle.id, run_id=made.run_id)
