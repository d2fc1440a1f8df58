import re
from collections.abc import AsyncIterator

import pytest
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.contrib.pydantic import pydantic_data_converter

from mainspring.contracts.steps import Stretch, Timing
from mainspring.core.approvals import Request, choices
from mainspring.telemetry import attributes as a
from mainspring.telemetry.history import Click
from mainspring.telemetry.projection import BUTTON, choice_of, deciding, project
from mainspring.telemetry.spans import admit_span, model_span, tool_span
from mainspring.telemetry.trace import closing_spans, orphans


def named(trace, name):
    """The only span of that name."""
    (span,) = [span for span in trace.spans if span.name == name]
    return span


def parents(trace):
    """Each span's name with its parent's."""
    names = {span.id: span.name for span in trace.spans}
    return [(span.name, names.get(span.parent, "")) for span in trace.spans]


async def test_an_approved_refund_in_full(refunded):
    """A finished run is one trace without orphans: root, admission, calls and the wait, in the order they began."""
    trace = await refunded.trace()

    assert parents(trace) == [
        ("invoke_agent refund-agent", ""),
        ("admit", "invoke_agent refund-agent"),
        ("chat playbook", "invoke_agent refund-agent"),
        ("execute_tool find_order", "invoke_agent refund-agent"),
        ("chat playbook", "invoke_agent refund-agent"),
        ("wait for a person: issue_refund", "invoke_agent refund-agent"),
        ("execute_tool issue_refund", "invoke_agent refund-agent"),
        ("chat playbook", "invoke_agent refund-agent"),
    ]
    assert len({span.trace for span in trace.spans}) == 1
    assert len({span.id for span in trace.spans}) == len(trace.spans)
    assert orphans(trace) == ()


async def test_live_and_rebuilt_spans_are_the_same(script, said):
    """What a worker exports when an activity ends equals, field by field, what the history gives later."""
    run = script(session="s-1", tenant="acme", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    live = [
        admit_span(*run.admit(notes=2)),
        model_span(run.ref, *run.say("1", said("issue_refund", "ask", "over-50"))),
        tool_span(run.ref, *run.use("2", "issue_refund", "1")),
    ]
    run.close()

    trace = await run.trace()

    assert [span for span in trace.spans if span.id in trace.live] == live
    assert {span.id for span in closing_spans(trace)}.isdisjoint(span.id for span in live)
    assert trace.root is not None
    assert (trace.root.trace, trace.root.parent) == ("a" * 32, "b" * 16)


async def test_what_closes_a_run_is_seen_the_same_ever_after(refunded):
    """The spans exported by `close` equal those rebuilt when the run is long over."""
    whole = refunded.events
    refunded.events = whole[:-1]
    at_close = closing_spans(await refunded.trace())
    refunded.events = whole

    assert at_close == closing_spans(await refunded.trace())
    assert [span.name for span in at_close] == ["invoke_agent refund-agent", "wait for a person: issue_refund"]


def moving(script, said):
    """An execution that a person is asked in, and that closes to go on in another; and the timer of the request."""
    run = script()
    run.admit()
    run.say("1", said("issue_refund", "ask", "over-50"))
    timer = run.wait("1", "issue_refund", "2")
    run.close("continued")
    return run, timer


async def test_who_decides_while_a_run_moves_on_is_told(script, said):
    """A decision between the close of an execution and its end is in the trace: the next one does not know of whom."""
    run, timer = moving(script, said)
    decided = run.click(timer, "approve", {"request": "1"}, "temporal-cli:dana@desk")
    run.event("workflow_execution_continued_as_new")

    trace = await run.trace()
    wait = named(trace, "wait for a person: issue_refund")

    assert wait.end == decided
    assert wait.text(a.DECISION) == "approve"
    assert wait.text(a.DECIDED_BY) == "claimed: temporal-cli:dana@desk"
    assert trace.root.end is None


async def test_a_run_that_ends_instead_of_moving_on_has_an_end(script, said):
    """An execution that closed to go on in another, and then ended after all, closes again; that counts."""
    run, timer = moving(script, said)
    run.click(timer, "deny", {"request": "1"})
    run.close()
    ended = run.now
    run.event("workflow_execution_completed")

    root = (await run.trace()).root

    assert (root.end, root.text(a.OUTCOME)) == (ended, "completed")


async def test_what_is_decided_as_the_next_execution_begins_has_a_wait(script):
    """A request of the execution before, decided at once in this one and so without a timer, is a wait with its end."""
    run = script(carried={"id": "1", "kind": "approval", "step": "2", "rule": "over-50"})
    decided = run.click(0, "approve", {"request": "1"}, "temporal-cli:dana@desk")
    run.use("2", "issue_refund", "1")

    wait = named(await run.trace(), "wait for a person: issue_refund")

    assert (wait.start, wait.end) == (500_000_000, decided)
    assert (wait.text(a.RULE), wait.text(a.DECIDED_BY)) == ("over-50", "claimed: temporal-cli:dana@desk")


async def test_no_span_holds_content(refunded):
    """Nothing a customer, model, tool, rule or approver said is in a span, nor whom the run is about."""
    assert any(b"Elm Street" in event.SerializeToString() for event in refunded.events)

    text = (await refunded.trace()).model_dump_json()

    assert "Elm Street" not in text
    assert not re.search(r"\bada\b", text)


async def test_a_wait_tells_who_decided_what(refunded):
    """A wait has the request, the rule, the decision and who claims to have taken it."""
    wait = named(await refunded.trace(), "wait for a person: issue_refund")

    expected = {a.REQUEST: "1", a.RULE: "over-50", a.DECISION: "approve", a.ASKED: "approval"}
    assert expected.items() <= wait.attributes.items()
    assert wait.text(a.DECIDED_BY) == "claimed: temporal-cli:dana@desk"


async def test_a_waiting_run_says_what_it_waits_for(script, said):
    """While a run waits, the wait and the run have no end, and the deadline is known."""
    run = script()
    run.admit()
    run.say("1", said("issue_refund", "ask", "over-50"))
    run.wait("1", "issue_refund")

    trace = await run.trace()

    (wait,) = trace.waiting
    assert (wait.text(a.REQUEST), wait.number(a.DEADLINE)) == ("1", run.now // 10**9 + 3600)
    assert trace.root is not None
    assert trace.root.end is None
    assert closing_spans(trace) == ()


@pytest.mark.parametrize(
    ("click", "decision"),
    [
        (("approve 1: issue_refund", None), ("approve", "")),
        (("deny 1: outside the policy", {"comment": "Ada again"}), ("deny", "outside the policy")),
        (("deny", {"request": 1, "comment": "Ada again"}), ("deny", "")),
    ],
)
async def test_a_click_in_the_web_ui_is_unverified(script, said, click, decision):
    """A decision without an identity came from the Web UI; only the policy's own reasons are shown."""
    run = script()
    run.say("1", said("issue_refund", "ask"))
    at = run.click(run.wait("1", "issue_refund"), *click)

    wait = named(await run.trace(), "wait for a person: issue_refund")

    assert (wait.text(a.DECISION), wait.text(a.REASON)) == decision
    assert wait.end == at
    assert wait.text(a.DECIDED_BY) == "unverified: Web UI"


async def test_a_deadline_that_passed(script, said):
    """A request that nobody decided in time ends as expired, with nobody behind it."""
    run = script()
    run.say("1", said("issue_refund", "ask"))
    run.event("timer_fired", started_event_id=run.wait("1", "issue_refund"))

    wait = named(await run.trace(), "wait for a person: issue_refund")

    assert (wait.text(a.DECISION), wait.text(a.DECIDED_BY), wait.end) == ("expired", "", run.now)


async def test_two_requests_keep_apart(script, said):
    """Two calls of one message that wait at once belong each to its own rule."""
    run = script()
    run.say("1", said("issue_refund", "ask", "over-50"), said("issue_refund", "ask", "old-order"))
    run.wait("1", "issue_refund")
    run.click(run.wait("2", "issue_refund", "3"), "deny 2: no reason given")

    waits = [span for span in (await run.trace()).spans if a.ASKED in span.attributes]

    assert [(s.text(a.REQUEST), s.text(a.RULE), s.text(a.DECISION)) for s in waits] == [
        ("1", "over-50", ""),
        ("2", "old-order", "deny"),
    ]


async def test_the_timer_tells_which_call_waits(script, said):
    """Of two calls of one tool, the step that the timer names is the one a person is asked about."""
    run = script()
    run.say("1", said("issue_refund", "ask", "over-50"), said("issue_refund", "ask", "old-order"))
    run.click(run.wait("1", "issue_refund", "3"), "approve 1: issue_refund")

    assert named(await run.trace(), "wait for a person: issue_refund").text(a.RULE) == "old-order"


async def test_a_read_that_failed_asks_nobody(script, said):
    """A call that may be repeated and failed is not taken for the call that a person is asked about."""
    run = script()
    run.admit()
    run.fail(run.schedule("call_tool", "2", run.tool_work("2", "find_order")), "ToolFailed")
    run.say("3", said("find_order", "ask", "too-often"))
    run.wait("1", "find_order", "4")

    (wait,) = (await run.trace()).waiting

    assert (wait.text(a.ASKED), wait.text(a.RULE)) == ("approval", "too-often")


async def test_a_refund_nobody_knows_the_outcome_of(script):
    """A `once` call whose worker was lost shows as failed, with the question that a person is asked."""
    run = script()
    run.admit()
    scheduled = run.schedule("call_tool", "2", run.tool_work("2", "issue_refund"))
    failed = run.event("activity_task_timed_out", scheduled_event_id=scheduled).failure
    failed.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
    run.wait("1", "issue_refund")

    trace = await run.trace()

    assert named(trace, "execute_tool issue_refund").error == "WorkerLost"
    assert trace.waiting[0].text(a.ASKED) == "outcome"


async def test_a_repeated_call_counts_once(script):
    """A call run again after a person said that it did not happen is one span: the later one."""
    run = script()
    run.admit()
    run.fail(run.schedule("call_tool", "2", run.tool_work("2", "issue_refund")), "ToolFailed")
    run.click(run.wait("1", "issue_refund"), "answer", {"request": "1", "outcome": "not-happened"})
    work, outcome = run.use("2", "issue_refund", "1")

    trace = await run.trace()

    assert named(trace, "execute_tool issue_refund") == tool_span(run.ref, work, outcome)
    assert named(trace, "wait for a person: issue_refund").text(a.DECISION) == "not happened"


async def test_a_call_asked_about_at_the_door(script, said):
    """A graph's own call that waits shows the wait alone, below its node, until it has run."""
    run = script("refund-desk", "graph")
    run.use("2.1", "issue_refund", node="refund", ask=said("issue_refund", "ask", "over-50"))
    run.wait("1", "issue_refund", "2.1")

    trace = await run.trace()

    assert ("wait for a person: issue_refund", "node refund") in parents(trace)
    assert trace.waiting[0].text(a.RULE) == "over-50"
    assert not any(span.text(a.OPERATION) == "execute_tool" for span in trace.spans)


async def test_a_graph_with_an_agent_in_an_agent(script, said):
    """Nodes stand below the run, agents below their node, an agent used as a tool below the agent that used it."""
    run = script("refund-desk", "graph")
    run.admit()
    run.say("2.1.1", said("policy-expert", "allow"), node="refund")
    run.say("2.1.2.1", agent="policy-expert", node="refund")
    run.say("2.1.3", node="refund")
    nodes = tuple(
        Stretch(step=step, node=node, timing=Timing(start=start, end=start + 1))
        for step, node, start in (("1", "classify", 3 * 10**9), ("2", "refund", 4 * 10**9))
    )
    run.close(nodes=nodes)

    trace = await run.trace()

    assert parents(trace) == [
        ("invoke_workflow refund-desk", ""),
        ("admit", "invoke_workflow refund-desk"),
        ("node classify", "invoke_workflow refund-desk"),
        ("node refund", "invoke_workflow refund-desk"),
        ("invoke_agent refund-agent", "node refund"),
        ("chat playbook", "invoke_agent refund-agent"),
        ("invoke_agent policy-expert", "invoke_agent refund-agent"),
        ("chat playbook", "invoke_agent policy-expert"),
        ("chat playbook", "invoke_agent refund-agent"),
    ]


async def test_a_graph_that_still_runs_has_its_nodes_already(script):
    """Before a graph ends, its nodes are known from their steps, and go on as long as a step does."""
    run = script("refund-desk", "graph")
    run.admit()
    run.say("2.1.1", node="refund")
    run.schedule("call_model", "2.1.2", run.model_call("2.1.2", node="refund"))

    trace = await run.trace()

    assert orphans(trace) == ()
    assert named(trace, "node refund").end is None
    assert named(trace, "chat").end is None


@pytest.mark.parametrize(
    ("event", "outcome"),
    [("terminated", "terminated"), ("timed_out", "timed out"), ("canceled", "cancelled")],
)
async def test_a_run_ended_from_outside(script, said, event, outcome):
    """A run that could not close itself still has a whole trace, in which nothing goes on."""
    run = script()
    run.admit()
    run.say("1", said("issue_refund", "ask"))
    run.wait("1", "issue_refund")
    run.schedule("call_model", "3", run.model_call("3"))
    run.event(f"workflow_execution_{event}")

    trace = await run.trace()

    assert trace.root is not None
    assert trace.root.text(a.OUTCOME) == outcome
    assert all(span.end is not None for span in trace.spans)
    assert named(trace, "chat").error == "Cancelled"


async def test_a_failed_run_names_the_kind_of_failure(script):
    """A failed step and the run it failed carry the types of their failures, not the messages."""
    run = script()
    run.admit()
    run.fail(run.schedule("call_model", "1", run.model_call("1")), "ModelError")
    run.close("failed", "ModelFailed")

    trace = await run.trace()

    assert trace.root is not None
    assert (trace.root.error, named(trace, "chat").error) == ("ModelFailed", "ModelError")


async def test_a_run_that_was_never_let_in(script):
    """Bad input fails before the admission; the trace is the root alone, with the failure's type."""
    run = script()
    run.events[0].workflow_execution_started_event_attributes.input.payloads[0].data = b"7"
    run.event("workflow_execution_failed").failure.application_failure_info.type = "BadInput"

    (root,) = (await run.trace()).spans

    assert (root.error, root.end) == ("BadInput", run.now)


@pytest.mark.parametrize("forged", [b'{"carried":1}', b'{"carried":1,"run":7}', b'{"carried":1,"run":{"first":"x"}}'])
async def test_an_input_that_looks_like_a_run_under_way(script, forged):
    """What a client wrote to look like a run that continued as new is bad input in the trace too."""
    run = script()
    run.events[0].workflow_execution_started_event_attributes.input.payloads[0].data = forged
    run.event("workflow_execution_failed").failure.application_failure_info.type = "BadInput"

    (root,) = (await run.trace()).spans

    assert root.error == "BadInput"


async def test_a_history_may_come_as_a_stream(refunded):
    """Events fetched page by page give the same trace as a list of them."""

    async def stream() -> AsyncIterator[HistoryEvent]:
        for event in refunded.events:
            yield event

    assert await project(stream(), pydantic_data_converter) == await refunded.trace()


@pytest.mark.parametrize("kind", ["approval", "review", "question", "outcome"])
def test_every_button_is_read(kind):
    """Each run-time update's name gives back the request's number, and for an answer the choice it stands for."""
    values = dict.fromkeys(("step", "agent", "args_digest", "rule", "reason"), "")
    request = Request(
        id="12", kind=kind, tool="issue_refund", args={}, asked=0, deadline=0, can_take_over=True, **values
    )

    for name, (choice, _) in choices(request).items():
        button = BUTTON.fullmatch(name)
        assert button is not None
        assert button["request"] == "12"
        assert choice_of(Click(name, {}, "", 0)) == choice


def test_who_decided_is_who_agreed_on_what_came_of_it():
    """An edit is agreed on anew, and who denies does so alone, whatever others had said."""
    first, edit, second = (Click("approve 1: pay", form, "", 0) for form in ({}, {"args": {"cents": 5}}, {}))
    denial = Click("deny 1: no reason given", {}, "", 0)

    assert deciding([]) == []
    assert deciding([first, second]) == [first, second]
    assert deciding([first, edit, second]) == [edit, second]
    assert deciding([first, denial]) == [denial]
