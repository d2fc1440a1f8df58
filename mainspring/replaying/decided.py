"""What people decided in a recorded run, beside what was proposed to them: the record of their edits. Assembly.

A wait's kind, decision and person are those of the run's trace (`telemetry.projection`); what was proposed stands in
the messages of the models and in requests carried along, and what was typed in the updates that the run took.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast, get_args

from temporalio.converter import DataConverter

from mainspring.contracts.steps import ModelAnswer, ToolWork
from mainspring.core.approvals import Choice, Kind, Request, is_answer
from mainspring.core.canonical import Json
from mainspring.core.messages import Message
from mainspring.replaying.past import Past, asked_about, read_past, steps_of
from mainspring.replaying.sources import Entry
from mainspring.telemetry import attributes as a
from mainspring.telemetry.history import Click, Facts, Wait, read_facts
from mainspring.telemetry.projection import ASKED, choice_of, clicks_on, deciding, project
from mainspring.telemetry.spans import Span

_CHOICE = re.compile(r"answer \d+: choice (?P<number>\d+)")
"""A run-time update, named as `core.approvals.choices` does."""
_WORDS: tuple[Choice, ...] = ("answer", "take over")
"""What is decided with words of a person's own."""


@dataclass(frozen=True)
class Decided:
    """One request, as it was decided. `at` is in seconds since 1970.

    `proposed` are the arguments of a call, or the text of an answer under review; None for what a graph's node gave,
    which no history holds unless it was carried along. `decided` is what came of it: the arguments the call was let go
    with, the text that was given, what was answered; None where it was not let go.
    `by` is who decided, as the trace says it; "" where nobody did in time. `reason` is the policy's, where a person
    chose one, and also the `comment` where they wrote none.
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
    reason: str = ""

    @property
    def changes(self) -> dict[str, tuple[Json, Json]]:
        """The arguments that a person changed, each before and after."""
        if self.choice != "approve" or not isinstance(self.decided, dict) or isinstance(self.proposed, str):
            return {}
        old, new = self.proposed if isinstance(self.proposed, dict) else {}, self.decided
        return {name: (old.get(name), value) for name, value in new.items() if name not in old or old[name] != value}

    @property
    def answer(self) -> Json:
        """What a person answered, or gave in the place of an agent's answer; None where they did not."""
        if self.choice in _WORDS:
            return self.decided
        is_other = self.kind == "review" and not self.changes and self.decided != self.proposed
        return self.decided if is_other else None

    @property
    def edited(self) -> tuple[str, ...]:
        """The names of the arguments that a person changed, or `answer` where they put another in its place."""
        is_other = self.kind != "question" and self.answer is not None
        return ("answer",) if is_other else tuple(self.changes)


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
    asked = _asked(past, facts)
    found: list[Decided] = []
    for wait in facts.waits:
        span = waits.get(wait.request)
        if span is None or span.text(a.DECISION) not in get_args(Choice):
            continue
        proposed = next((each for step, kind, each in asked if (step, kind) == (wait.step, span.text(a.ASKED))), None)
        # Where a deadline decided, what was said before came to nothing.
        clicks = clicks_on(facts.clicks, wait.request) if span.text(a.DECIDED_BY) else []
        found.append(_decided(entry.name, wait, span, proposed, clicks))
    return found


def _decided(run: str, wait: Wait, span: Span, proposed: Json, clicks: list[Click]) -> Decided:
    kind, choice = cast("Kind", span.text(a.ASKED)), cast("Choice", span.text(a.DECISION))
    reason = span.text(a.REASON)
    comments = [str(form["comment"]) for form in map(_form, deciding(clicks)) if form.get("comment")]
    return Decided(
        run=run,
        request=wait.request,
        kind=kind,
        tool=span.text(a.TOOL),
        agent=span.text(a.AGENT),
        choice=choice,
        proposed=proposed,
        decided=_outcome(kind, choice, proposed, clicks),
        comment=". ".join(dict.fromkeys(comments)) or reason,
        by=span.text(a.DECIDED_BY),
        at=(span.end or span.start) / 1e9,
        reason=reason,
    )


def _outcome(kind: Kind, choice: Choice, proposed: Json, clicks: list[Click]) -> Json:
    """What the request came to; of several who said something, the last one's words count."""
    if kind == "outcome":
        return choice
    forms = [_form(each) for each in clicks if choice_of(each) == choice]
    answer = next((form["answer"] for form in reversed(forms) if form.get("answer")), None)
    if choice in _WORDS:
        return answer or _chosen(proposed, clicks)
    if choice != "approve":
        return None
    edits = [cast("dict[str, Json]", form["args"]) for form in forms if isinstance(form.get("args"), dict)]
    changes = {name: value for each in edits for name, value in each.items()}
    if answer or not changes:
        return answer or proposed
    return {**proposed, **changes} if isinstance(proposed, dict) else changes


def _chosen(proposed: Json, clicks: list[Click]) -> Json:
    """The answer that a question listed, of which the update's name has the number."""
    listed = proposed.get("choices") if isinstance(proposed, dict) else None
    named = _CHOICE.fullmatch(clicks[-1].name) if clicks else None
    number = int(named["number"]) if named else 0
    return listed[number - 1] if isinstance(listed, list) and 0 < number <= len(listed) else None


def _form(click: Click) -> dict[str, Json]:
    """What came with an update; a plain text is the answer where that is asked for, or else the comment."""
    return {"answer" if choice_of(click) in _WORDS else "comment": click.said} if click.said else click.form


def _asked(past: Past, facts: Facts) -> list[tuple[str, Kind, Json]]:
    """Everything that people may have been asked: the step that waited, the kind of request, and about what."""
    carried = facts.carried.questions.open if facts.carried else ()
    found: list[tuple[str, Kind, Json]] = [(each.step, each.kind, _about(each)) for each in carried]
    for each in asked_about(past):
        if each.then.verdict not in ASKED:
            continue
        if each.point == "output":
            found.extend(_reviewed(each.activity.result, each.step))
        else:
            found.append((each.step, ASKED[each.then.verdict], cast("Json", each.args)))
    return [*found, *_unknown(past)]


def _about(request: Request) -> Json:
    args = request.args if request.proposed is None else request.proposed
    return args.get("answer") if is_answer(request) else cast("Json", args)


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
