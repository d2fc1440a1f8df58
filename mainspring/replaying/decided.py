"""What people decided in a recorded run, beside what was proposed to them: the record of their edits. Assembly.

A wait's kind, decision and person are those of the run's trace (`telemetry.projection`); what was proposed stands in
the messages of the models and in requests carried along, and what was typed in the updates that were let in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from mainspring.contracts.steps import ModelAnswer, ToolWork
from mainspring.core.approvals import Choice, Kind, Request
from mainspring.core.canonical import Json
from mainspring.core.messages import Message
from mainspring.replaying.past import Past, asked_about, read_past, steps_of
from mainspring.replaying.sources import Entry
from mainspring.telemetry import attributes as a
from mainspring.telemetry.history import Click, Facts, read_facts
from mainspring.telemetry.projection import project
from mainspring.telemetry.spans import Span

_BUTTON = re.compile(r"(?:approve|deny|answer|take over) (?P<request>\d+)\b")
_CHOICE = re.compile(r"answer \d+: choice (?P<number>\d+)")
"""Run-time updates, named as `core.approvals.choices` does."""
_KINDS: dict[str, Kind] = {"ask": "approval", "question": "question"}
"""What kind of request comes of a verdict on a call."""


@dataclass(frozen=True)
class Decided:
    """One request, as it was decided. `at` is in seconds since 1970.

    `proposed` are the arguments of a call, or the text of an answer under review; None for what a graph's node gave,
    which no history holds. `decided` is what came of it: the
    arguments the call was let go with, the text that was given, what was answered; None where it was not let go.
    `by` is who decided, as the trace says it; "" where nobody did in time.
    """

    run: str
    request: str
    kind: Kind
    tool: str
    agent: str
    choice: Choice
    proposed: Json
    decided: Json
    comment: str
    by: str
    at: float

    @property
    def edited(self) -> tuple[str, ...]:
        """The names of the arguments that a person changed, or `answer` where they put another in its place."""
        if self.decided is None or self.kind not in ("approval", "review") or self.decided == self.proposed:
            return ()
        if not isinstance(self.decided, dict) or not isinstance(self.proposed, dict):
            return ("answer",)
        before = self.proposed
        return tuple(name for name, value in self.decided.items() if name not in before or before[name] != value)


async def read_decisions(entry: Entry, converter: DataConverter) -> list[Decided]:
    """The requests that were decided in the execution with this history, in the order they were asked in.

    Raises:
        LedgerError: it cannot be read, or is no run of Mainspring.
    """
    past = await read_past(entry, converter)
    if past is None or entry.history is None:
        return []
    events = entry.history.events
    facts = await read_facts(events, converter)
    trace = await project(events, converter)
    waits = {span.text(a.REQUEST): span for span in trace.spans if a.ASKED in span.attributes}
    clicks = await _let_in(facts, events, converter)
    asked = _asked(past, facts)
    found: list[Decided] = []
    for wait in facts.waits:
        span = waits.get(wait.request)
        if span is None or span.text(a.DECISION) not in get_args(Choice):
            continue
        kind = cast("Kind", span.text(a.ASKED))
        proposed = next((each for step, its, each in asked if (step, its) == (wait.step, kind)), None)
        said = [each for each in clicks if _request(each) == wait.request]
        found.append(_decided(entry.name, wait.request, span, proposed, said))
    return found


def _decided(run: str, request: str, span: Span, proposed: Json, said: list[Click]) -> Decided:
    kind, choice = cast("Kind", span.text(a.ASKED)), cast("Choice", span.text(a.DECISION))
    comments = [str(each.form["comment"]) for each in said if each.form.get("comment")]
    return Decided(
        run=run,
        request=request,
        kind=kind,
        tool=span.text(a.TOOL),
        agent=span.text(a.AGENT),
        choice=choice,
        proposed=proposed,
        decided=_outcome(kind, choice, proposed, said),
        comment=". ".join(dict.fromkeys(comments)) or span.text(a.REASON),
        by="" if choice == "expired" else span.text(a.DECIDED_BY),
        at=(span.end or span.start) / 1e9,
    )


def _outcome(kind: Kind, choice: Choice, proposed: Json, said: list[Click]) -> Json:
    """What the request came to; of several who said something, the last one's words count."""
    answer = next((each.form["answer"] for each in reversed(said) if each.form.get("answer")), None)
    if kind == "outcome":
        return choice
    if choice in ("answer", "take over"):
        return answer or _chosen(proposed, said)
    if choice != "approve":
        return None
    if kind == "review":
        return answer or proposed
    changes = [cast("dict[str, Json]", each.form["args"]) for each in said if isinstance(each.form.get("args"), dict)]
    if not isinstance(proposed, dict):
        return changes[-1] if changes else proposed
    return {**proposed, **{name: value for each in changes for name, value in each.items()}}


def _chosen(proposed: Json, said: list[Click]) -> Json:
    """The answer that a question listed, of which the update's name has the number."""
    listed = proposed.get("choices") if isinstance(proposed, dict) else None
    names = (_CHOICE.fullmatch(each.name) for each in reversed(said))
    number = next((int(each["number"]) for each in names if each), 0)
    return listed[number - 1] if isinstance(listed, list) and 0 < number <= len(listed) else None


async def _let_in(facts: Facts, events: Sequence[HistoryEvent], converter: DataConverter) -> list[Click]:
    """The updates that were accepted, but for those that failed afterwards: of these, nothing counts."""
    failed: set[int] = set()
    accepted: dict[int, Json] = {}
    for event in events:
        if event.HasField("workflow_execution_update_accepted_event_attributes"):
            given = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.args.payloads
            accepted[event.event_id] = next(iter(await converter.decode(given)), None)
        elif event.HasField("workflow_execution_update_completed_event_attributes"):
            done = event.workflow_execution_update_completed_event_attributes
            failed |= {done.accepted_event_id} if done.outcome.HasField("failure") else set()
    clicks = zip(facts.clicks, accepted.items(), strict=False)
    return [_with_words(click, given) for click, (event, given) in clicks if event not in failed]


def _with_words(click: Click, given: Json) -> Click:
    """An update whose data was a text and no form: the answer, or else the comment."""
    if not isinstance(given, str) or not given:
        return click
    return replace(click, form={"answer" if click.name.startswith(("answer", "take over")) else "comment": given})


def _request(click: Click) -> str:
    button = _BUTTON.match(click.name)
    return button["request"] if button else str(click.form.get("request", ""))


def _asked(past: Past, facts: Facts) -> list[tuple[str, Kind, Json]]:
    """Everything that people may have been asked: the step that waited, the kind of request, and about what."""
    carried = facts.carried.questions.open if facts.carried else ()
    found: list[tuple[str, Kind, Json]] = [(each.step, each.kind, _about(each)) for each in carried]
    for each in asked_about(past):
        if each.then.verdict not in _KINDS:
            continue
        if each.point == "output":
            found.extend(_reviewed(each.activity.result, each.step))
        else:
            found.append((each.step, _KINDS[each.then.verdict], cast("Json", each.args)))
    return [*found, *_unknown(past)]


def _about(request: Request) -> Json:
    return request.args.get("answer") if request.kind == "review" else cast("Json", request.args)


def _reviewed(result: Any, step: str) -> Iterator[tuple[str, Kind, Json]]:
    """An answer under review: it waits in the step after that of the model."""
    if isinstance(result, ModelAnswer) and result.item:
        yield steps_of(step, 1)[0], "review", Message.model_validate_json(result.item.text).text


def _unknown(past: Past) -> Iterator[tuple[str, Kind, Json]]:
    """Calls that ended in an error, of which a person may have been asked whether they happened."""
    for each in past.activities:
        if isinstance(each.work, ToolWork) and each.error and (call := past.call(each)):
            edited = each.work.permit.args if each.work.permit else None
            yield each.work.step.id, "outcome", cast("Json", edited or call.args)
