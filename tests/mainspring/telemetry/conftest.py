"""A history written by hand, event by event, as the engine's workflow side causes it."""

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter

from mainspring.contracts.carried import Carried, Questions
from mainspring.contracts.run import RunInput, Totals
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    CallRef,
    Closing,
    ModelAnswer,
    ModelCall,
    RunRef,
    Step,
    Stretch,
    Timing,
    ToolOutcome,
    ToolWork,
)
from mainspring.core.approvals import Permit, Request
from mainspring.core.ledger import Head, Item, Link
from mainspring.core.spec import AgentSpec, Spec, ToolSpec
from mainspring.core.turn import CallVerdict
from mainspring.telemetry.projection import project
from mainspring.telemetry.trace import Trace

FIRST = "0199c1de-run"
SECOND = 1_000_000_000
SECRET = "Ada Lovelace, 12 Elm Street"
"""Stands wherever content may stand, and so may be in no span."""


class Script:
    """Writes a history; each call is one event (or the pair an activity makes), one second after the one before."""

    def __init__(
        self, name: str = "refund-agent", kind: str = "agent", carried: dict[str, Any] | None = None, **given: str
    ) -> None:
        self.events: list[HistoryEvent] = []
        self.kind = kind
        self.given = RunInput.model_validate({"input": SECRET, "user": "ada", **given})
        self.ref = RunRef(name=name, first=FIRST, key="k", spec="s", user="ada")
        self.ref = self.ref.model_copy(update={k: v for k, v in given.items() if k in RunRef.model_fields})
        started = self.event("workflow_execution_started", first_execution_run_id=FIRST, workflow_id="wf-1")
        started.workflow_type.name = name
        started.input.payloads.extend(self.encode(self.carried(carried) if carried else self.given))

    @property
    def now(self) -> int:
        """When the newest event happened."""
        return len(self.events) * SECOND

    def encode(self, *values: Any) -> list[Payload]:
        """Payloads as the engine's converter makes them."""
        return list(pydantic_data_converter.payload_converter.to_payloads(values))

    def carried(self, asked: dict[str, Any]) -> Carried:
        """What the execution before left: the spec, and one open request for a refund, asked half a second in."""
        request = Request.model_validate(
            {"agent": self.ref.name, "tool": "issue_refund", "args": {}, "args_digest": "a", "reason": SECRET}
            | {"asked": 0.5, "deadline": 3600.5}
            | asked
        )
        questions = Questions(asked=1, open=(request,))
        return Carried(carried=1, run=self.ref, given=self.given, spec=self.spec(), questions=questions)

    def event(self, kind: str, **values: Any) -> Any:
        """Add an event; gives its attributes."""
        event = HistoryEvent(event_id=len(self.events) + 1)
        self.events.append(event)
        event.event_time.FromNanoseconds(self.now)
        attributes = getattr(event, f"{kind}_event_attributes")
        attributes.SetInParent()
        for key, value in values.items():
            setattr(attributes, key, value)
        return attributes

    def schedule(self, kind: str, step: str, work: Any) -> int:
        """Schedule an activity; gives the event's id."""
        scheduled = self.event("activity_task_scheduled", activity_id=step)
        scheduled.activity_type.name = kind
        scheduled.input.payloads.extend(self.encode(work))
        return len(self.events)

    def complete(self, scheduled: int, result: Any) -> Any:
        """End an activity well."""
        self.event("activity_task_completed", scheduled_event_id=scheduled).result.payloads.extend(self.encode(result))
        return result

    def fail(self, scheduled: int, kind: str) -> None:
        """End an activity with a failure of this type, whose message is not for spans."""
        failure = self.event("activity_task_failed", scheduled_event_id=scheduled).failure
        failure.message = SECRET
        failure.application_failure_info.type = kind

    def timing(self) -> Timing:
        """From half a second ago to a tenth before the next event."""
        return Timing(start=self.now + SECOND // 2, end=self.now + SECOND - SECOND // 10)

    def spec(self) -> Item:
        """A spec that has one `read` and one `once` tool."""
        tools = tuple(
            ToolSpec(name=name, description="", input_schema={}, effect=effect)
            for name, effect in (("find_order", "read"), ("issue_refund", "once"))
        )
        agent = AgentSpec(name=self.ref.name, instructions=SECRET, models=("playbook",), tools=tools)
        spec = Spec.model_validate({"name": self.ref.name, "kind": self.kind, "agents": (agent,), "turn": 1})
        return Item(digest="d", text=spec.model_dump_json())

    def admit(self, **values: Any) -> tuple[AdmitRequest, Admission]:
        """The admission."""
        request = AdmitRequest(name=self.ref.name, first=FIRST, input=self.given)
        scheduled = self.schedule("admit", "admit", request)
        return request, self.complete(scheduled, Admission(key="k", spec=self.spec(), timing=self.timing(), **values))

    def model_call(self, step: str, agent: str = "refund-agent", node: str = "") -> ModelCall:
        """Ask a model."""
        return ModelCall(run=self.ref, step=Step(id=step, agent=agent, node=node), head=Head(thread=""), new=())

    def model_answer(self, *verdicts: CallVerdict, **values: Any) -> ModelAnswer:
        """What a model answered."""
        item, link = Item(digest="d", text=SECRET), Link(before=Head(thread=""), appended=("d",))
        known = {"model": "playbook", "provider": "mainspring", "why": ("row 'ask'",), "input_tokens": 3, **values}
        return ModelAnswer(item=item, link=link, verdicts=verdicts, timing=self.timing(), **known)

    def say(self, step: str, *verdicts: CallVerdict, agent: str = "refund-agent", node: str = "", **values: Any) -> Any:
        """A model call that ends well; gives what was asked and answered."""
        call = self.model_call(step, agent, node)
        scheduled = self.schedule("call_model", step, call)
        return call, self.complete(scheduled, self.model_answer(*verdicts, **values))

    def tool_work(self, step: str, tool: str, request: str = "", node: str = "") -> ToolWork:
        """A tool call, under a person's permit where a request is named."""
        source = "person" if request else "rule"
        permit = Permit(step=step, tool=tool, args_digest="a", policy="p", source=source, request=request)
        where = Step(id=step, agent="refund-agent", node=node)
        call = CallRef(message="m", index=0)
        return ToolWork(run=self.ref, step=where, tool=tool, head=Head(thread=""), call=call, permit=permit)

    def use(self, step: str, tool: str, request: str = "", node: str = "", **values: Any) -> Any:
        """A tool call that ends well; gives what was asked and answered."""
        work = self.tool_work(step, tool, request, node)
        scheduled = self.schedule("call_tool", step, work)
        outcome = ToolOutcome.model_validate({"item": Item(digest="d", text=SECRET), "timing": self.timing(), **values})
        return work, self.complete(scheduled, outcome)

    def wait(self, request: str, tool: str, step: str = "2") -> int:
        """The timer of a request; gives the event's id."""
        self.event("timer_started", timer_id=request).start_to_fire_timeout.FromSeconds(3600)
        summary = f"waiting for a person: {tool} (request {request}, step {step})"
        self.events[-1].user_metadata.summary.CopyFrom(self.encode(summary)[0])
        return len(self.events)

    def click(self, timer: int, name: str, form: Any = None, identity: str = "") -> int:
        """An update that decides a request; gives when."""
        request = self.event("workflow_execution_update_accepted").accepted_request
        request.meta.identity = identity
        request.input.name = name
        request.input.args.payloads.extend(self.encode(form))
        at = self.now
        self.event("timer_canceled", started_event_id=timer)
        return at

    def close(self, outcome: str = "completed", error: str = "", nodes: tuple[Stretch, ...] = ()) -> None:
        """The run's last activity."""
        totals = Totals(model_calls=1)
        values = {"run": self.ref, "outcome": outcome, "error": error, "nodes": nodes, "totals": totals}
        self.schedule("close", "close", Closing.model_validate(values))

    async def trace(self, converter: DataConverter = pydantic_data_converter) -> Trace:
        """What the projection makes of the history up to now."""
        return await project(self.events, converter)


def verdict(tool: str, said: str, rule: str = "") -> CallVerdict:
    """What the rules say of a call; the reason and the id are not for spans."""
    return CallVerdict.model_validate({"id": SECRET, "tool": tool, "verdict": said, "rule": rule, "reason": SECRET})


@pytest.fixture
def script() -> type[Script]:
    """The class that writes a history."""
    return Script


@pytest.fixture
def said() -> Any:
    """Makes a verdict: tool, verdict, rule."""
    return verdict


@pytest.fixture
async def refunded() -> Script:
    """A refund that a person approved through the CLI."""
    script = Script(session="s-1", tenant="acme")
    script.admit(notes=2)
    script.say("1", verdict("find_order", "allow", "reads"))
    script.use("2", "find_order")
    script.say("3", verdict("issue_refund", "ask", "over-50"))
    timer = script.wait("1", "issue_refund", "4")
    script.click(timer, "approve", {"request": "1", "comment": SECRET}, "temporal-cli:dana@desk")
    script.use("4", "issue_refund", "1")
    script.say("5")
    script.close()
    script.event("workflow_execution_completed")
    return script
