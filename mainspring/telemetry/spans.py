"""Spans, as plain values made from what the activities were given and gave back. Neither side; pure.

`finished(run, work, result)` is what a worker exports when an activity ends. The projection calls the same function on
the same payloads, so both give the same span. No span holds content, arguments, a user, or a reason in free words.
"""

import re
from typing import Literal

from mainspring.contracts.run import Totals
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    Closing,
    Compaction,
    CompactWork,
    ModelAnswer,
    ModelCall,
    RunRef,
    Step,
    Stretch,
    ToolOutcome,
    ToolWork,
)
from mainspring.core.canonical import Value
from mainspring.core.messages import Message
from mainspring.core.turn import CallVerdict
from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids

Attributes = dict[str, str | int | bool | tuple[str, ...]]
Work = AdmitRequest | ModelCall | ToolWork | CompactWork
Result = Admission | ModelAnswer | ToolOutcome | Compaction


class SpanEvent(Value):
    """Something that happened at one moment of a span; `at` is nanoseconds since 1970."""

    name: str
    at: int
    attributes: Attributes


class Span(Value):
    """One span. Ids are hex, times nanoseconds since 1970; `end` is None while it goes on.

    `parent` is "" at the top of a trace; `error` is the kind of error ("" when all went well).
    """

    trace: str
    id: str
    parent: str
    name: str
    kind: Literal["internal", "client"] = "internal"
    start: int
    end: int | None
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    error: str = ""

    def text(self, key: str) -> str:
        """An attribute as text, "" where the span has none of that name."""
        return str(self.attributes.get(key, ""))

    def number(self, key: str) -> int:
        """An attribute as a number, 0 where the span has none of that name."""
        return int(self.text(key) or 0)


def finished(run: RunRef, work: Work, result: Result) -> tuple[Span, ...]:
    """The spans of an activity that ended well: one, or none for a call that a person is asked about first.

    A call asked about runs again under the same step id, and that run gives the span.
    """
    if isinstance(work, AdmitRequest) and isinstance(result, Admission):
        return (admit_span(work, result),)
    if isinstance(work, ModelCall) and isinstance(result, ModelAnswer):
        return (model_span(run, work, result),)
    if isinstance(work, ToolWork) and isinstance(result, ToolOutcome) and not result.ask:
        return (tool_span(run, work, result),)
    if isinstance(work, CompactWork) and isinstance(result, Compaction):
        return (compact_span(run, work, result),)
    return ()


def make_span(
    run: RunRef,
    step: str,
    name: str,
    *,
    start: int,
    end: int | None,
    own: Attributes,
    under: str = "",
    kind: Literal["internal", "client"] = "internal",
    events: tuple[SpanEvent, ...] = (),
    error: str = "",
) -> Span:
    """A span of this run. `under` is the parent's step, where it is not the one a level up; empty text is left out."""
    shared: Attributes = {a.RUN: run.first, a.STEP: step, a.TENANT: run.tenant, a.SESSION: run.session}
    everything: Attributes = {**own, **shared, a.ERROR_TYPE: error}
    root = step == ids.RUN
    return Span(
        trace=ids.trace_id(run.first, run.traceparent),
        id=ids.span_id(run.first, step),
        parent=ids.caller(run.traceparent) if root else ids.span_id(run.first, under or ids.parent_step(step)),
        name=name,
        kind=kind,
        start=start,
        end=end,
        attributes={key: value for key, value in everything.items() if value not in ("", ())},
        events=events,
        error=error,
    )


def run_of(request: AdmitRequest) -> RunRef:
    """What spans need to know of a run that is not let in yet."""
    return RunRef.of(request.input, name=request.name, first=request.first)


def admit_span(request: AdmitRequest, admission: Admission) -> Span:
    """The admission: how many notes memory gave, and the rule that refused the run, if one did."""
    own: Attributes = {
        a.NOTES: admission.notes,
        a.VERDICT: "deny" if admission.refusal else "allow",
        a.RULE: admission.rule,
        a.MATCHED: admission.matched,
    }
    timing = admission.timing
    return make_span(run_of(request), ids.ADMIT, "admit", start=timing.start, end=timing.end, own=own)


def model_span(run: RunRef, call: ModelCall, answer: ModelAnswer) -> Span:
    """One reply of a model, with the verdict on each call it asked for as an event; or why it was not asked."""
    own: Attributes = {
        **model_attributes(call.step),
        a.PROVIDER: answer.provider,
        a.MODEL: answer.model,
        a.INPUT_TOKENS: answer.input_tokens,
        a.OUTPUT_TOKENS: answer.output_tokens,
        a.WHY: answer.why,
        a.VERDICT: "deny" if answer.refusal or (answer.rule and answer.problem) else "",
        a.RULE: answer.rule,
        a.MATCHED: answer.matched,
        a.INSTEAD: answer.instead,
    }
    if answer.cost_microusd is not None:
        own[a.COST] = answer.cost_microusd
    if answer.problem:
        own[a.UNUSABLE] = True
    if answer.overflow:
        own[a.OVERFLOW] = answer.overflow
    return make_span(
        run,
        call.step.id,
        f"chat {answer.model}".rstrip(),
        start=answer.timing.start,
        end=answer.timing.end,
        own=own,
        kind="client",
        events=tuple(_verdict(tool, verdict, answer.timing.end) for tool, verdict in judged(answer)),
    )


def judged(answer: ModelAnswer) -> list[tuple[str, CallVerdict]]:
    """The verdict on each call of a reply, with the tool, which a verdict leaves to its call to name."""
    if all(verdict.tool for verdict in answer.verdicts):
        return [(verdict.tool, verdict) for verdict in answer.verdicts]
    calls = Message.model_validate_json(answer.item.text).calls if answer.item else ()
    return [(verdict.tool or call.name, verdict) for call, verdict in zip(calls, answer.verdicts, strict=False)]


def compact_span(run: RunRef, work: CompactWork, made: Compaction) -> Span:
    """A thread made shorter; a model's name and tokens, where it was summarised."""
    own: Attributes = {
        a.AGENT: work.step.agent,
        a.NODE: work.step.node,
        a.LEFT_OUT: made.left,
        a.BEFORE: made.before,
        a.AFTER: made.after,
        a.PROVIDER: made.provider,
        a.MODEL: made.model,
    }
    if made.model:
        own |= {a.INPUT_TOKENS: made.input_tokens, a.OUTPUT_TOKENS: made.output_tokens}
        if made.cost_microusd is not None:
            own[a.COST] = made.cost_microusd
    return make_span(run, work.step.id, "compact", start=made.timing.start, end=made.timing.end, own=own)


def tool_span(run: RunRef, work: ToolWork, outcome: ToolOutcome) -> Span:
    """One tool call that ran, or was denied at the door. A tool's own error is the span's error."""
    own: Attributes = {
        **tool_attributes(work),
        a.STATUS: outcome.status,
        a.RULE: outcome.rule,
        a.MATCHED: outcome.matched,
    }
    return make_span(
        run,
        work.step.id,
        f"execute_tool {work.tool}",
        start=outcome.timing.start,
        end=outcome.timing.end,
        own=own,
        error="ToolError" if outcome.status == "error" else "",
    )


def root_span(closing: Closing) -> Span:
    """The run itself, once it has ended."""
    agent = closing.kind == "agent"
    operation = "invoke_agent" if agent else "invoke_workflow"
    own: Attributes = {
        a.OPERATION: operation,
        (a.AGENT if agent else a.WORKFLOW): closing.run.name,
        a.WORKFLOW_ID: closing.workflow_id,
        a.OUTCOME: closing.outcome,
        **totals_attributes(closing.totals),
    }
    return make_span(
        closing.run,
        ids.RUN,
        f"{operation} {closing.run.name}",
        start=closing.began,
        end=closing.ended,
        own=own,
        error=(closing.error or closing.outcome) if closing.outcome == "failed" else "",
    )


def stretch_span(run: RunRef, stretch: Stretch) -> Span:
    """A graph node, or an agent used as a tool or asked by a node, that has ended."""
    agent = stretch.agent
    name = f"invoke_agent {agent}" if agent else f"node {stretch.node}"
    own: Attributes = {
        a.OPERATION: "invoke_agent" if agent else "",
        a.AGENT: agent,
        a.NODE: "" if agent else stretch.node,
    }
    return make_span(run, stretch.step, name, start=stretch.timing.start, end=stretch.timing.end, own=own)


def model_attributes(step: Step) -> Attributes:
    """What is known of a model call before it answers."""
    return {a.OPERATION: "chat", a.AGENT: step.agent, a.NODE: step.node}


def tool_attributes(work: ToolWork) -> Attributes:
    """What is known of a tool call before it ends."""
    permit = work.permit
    return {
        a.OPERATION: "execute_tool",
        a.TOOL: work.tool,
        a.AGENT: work.step.agent,
        a.NODE: work.step.node,
        a.PERMIT: permit.source if permit else "",
        a.REQUEST: permit.request if permit else "",
    }


def totals_attributes(totals: Totals) -> Attributes:
    """What a run used, for its root span."""
    counted = totals.model_dump(include={"model_calls", "tool_calls", "input_tokens", "output_tokens", "cost_microusd"})
    return {a.TOTAL + name: value for name, value in counted.items() if value is not None}


def _verdict(called: str, verdict: CallVerdict, at: int) -> SpanEvent:
    # A model may "call" any text as a tool: what does not look like a name is not shown.
    tool = called if re.fullmatch(r"[\w-]{1,64}", called) else "?"
    own: Attributes = {
        a.VERDICT_TOOL: tool,
        a.VERDICT: verdict.verdict,
        a.RULE: verdict.rule,
        a.MATCHED: verdict.matched,
    }
    return SpanEvent(name=a.VERDICT, at=at, attributes={key: value for key, value in own.items() if value})
