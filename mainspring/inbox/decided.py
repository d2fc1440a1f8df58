"""What people decided: read out of the histories of runs, with the functions that make their traces."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from mainspring.contracts import names
from mainspring.contracts.steps import ModelAnswer, ModelCall
from mainspring.core.canonical import Json
from mainspring.core.messages import Message
from mainspring.errors import LedgerError
from mainspring.inbox.evidence import read_history
from mainspring.inbox.fields import Change, shown
from mainspring.inbox.waiting import fetch_page, page_name, read_page
from mainspring.replaying import Entry, read_past
from mainspring.replaying.past import steps_of
from mainspring.telemetry import attributes as a
from mainspring.telemetry.history import Facts, read_facts
from mainspring.telemetry.projection import BUTTON, project
from mainspring.telemetry.spans import Span

AT_ONCE = 4
"""How many histories are read at the same time."""
_PAGE = 15
"""Runs of one page: each costs a reading of its whole history."""


@dataclass(frozen=True)
class Decided:
    """A request that is decided. `by` says who, and how that is known; `reason` may be a person's words."""

    run: str
    run_id: str
    number: str
    tool: str
    agent: str
    kind: str
    choice: str
    by: str
    at: float
    reason: str = ""
    answer: str = ""
    changes: tuple[Change, ...] = ()


class Page(NamedTuple):
    """Decisions, the newest first, of so many runs; `next` is where the next page begins ("" for nowhere)."""

    decided: tuple[Decided, ...]
    runs: int
    next: str


async def list_decided(client: Client, token: str, run: str = "") -> Page:
    """A page of decisions: those of the newest runs, or of one run alone.

    Raises:
        SetupError: the server does not list runs.
    """
    query = f"WorkflowId = '{run}'" if run else ""
    if "'" in run or "\\" in run:  # no run of ours; and nobody writes queries of their own here
        return Page((), 0, "")
    runs = client.list_workflows(query, page_size=_PAGE, next_page_token=read_page(token))
    page = await fetch_page(runs, "its runs")
    room = asyncio.Semaphore(AT_ONCE)

    async def read(each: WorkflowExecution) -> list[Decided]:
        async with room:
            return await read_decided(client, each.id, each.run_id)

    found = [each for some in await asyncio.gather(*map(read, page)) for each in some]
    return Page(tuple(sorted(found, key=lambda each: -each.at)), len(page), page_name(runs.next_page_token))


async def find_decided(client: Client, run: str, number: str) -> Decided | None:
    """How a request of a run's newest execution was decided; None where its history does not tell."""
    return next((each for each in await read_decided(client, run) if each.number == number), None)


async def read_decided(client: Client, run: str, run_id: str | None = None) -> list[Decided]:
    """What was decided in one execution; nothing where it is no run of Mainspring, or its history is gone."""
    try:
        history = await read_history(client, run, run_id)
    except RPCError:
        return []
    if history is None:
        return []
    converter = client.data_converter
    try:
        past = await read_past(Entry(run, history), converter)
        spans = (await project(history.events, converter)).spans
    except (LedgerError, ValueError):  # another's workflow
        return []
    facts = await read_facts(history.events, converter)
    asked = _asked(facts)
    decisions = [each for each in spans if past and a.DECISION in each.attributes and a.REQUEST in each.attributes]
    return [_decided(run, history.run_id, each, facts, asked) for each in decisions]


def _decided(run: str, run_id: str, span: Span, facts: Facts, asked: Mapping[str, Mapping[str, Json]]) -> Decided:
    number = span.text(a.REQUEST)
    form = _form(facts, number)
    step = next((each.step for each in facts.waits if each.request == number), "")
    args, answer = form.get("args"), form.get("answer")
    before = asked.get(step, {})
    return Decided(
        run=run,
        run_id=run_id,
        number=number,
        tool=span.text(a.TOOL),
        agent=span.text(a.AGENT),
        kind=span.text(a.ASKED),
        choice=span.text(a.DECISION),
        by=span.text(a.DECIDED_BY),
        at=(span.end or span.start) / 1e9,
        reason=". ".join(each for each in (span.text(a.REASON), str(form.get("comment") or "")) if each),
        answer=shown(answer),
        changes=tuple(
            Change(name, shown(before.get(name)), shown(value))
            for name, value in (args.items() if isinstance(args, dict) else ())
            if value != before.get(name)
        ),
    )


def _form(facts: Facts, number: str) -> Mapping[str, Json]:
    """The form of the update that decided: of several that were let in, the last."""
    for click in reversed(facts.clicks):
        button = BUTTON.fullmatch(click.name)
        if button and button["request"] == number:
            return click.form
        if not button and str(click.form.get("request", "")) == number and click.name != names.RESCHEDULE:
            return click.form
    return {}


def _asked(facts: Facts) -> dict[str, dict[str, Json]]:
    """What calls would have run with, by step: as models asked for them, and as an execution before carried them."""
    found: dict[str, dict[str, Json]] = {}
    for request in facts.carried.questions.open if facts.carried else ():
        found[request.step] = request.args
    for each in facts.activities:
        if isinstance(each.work, ModelCall) and isinstance(each.result, ModelAnswer) and each.result.item:
            message = Message.model_validate_json(each.result.item.text)
            steps = steps_of(each.work.step.id, len(message.calls))
            found |= {step: call.args for step, call in zip(steps, message.calls, strict=True)}
    return found
