"""What a decision is made on: what was said and done before the request, read out of the run's history."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from mainspring.contracts.run import RunInput, Totals
from mainspring.contracts.steps import Compaction, ModelAnswer, ModelCall, ToolOutcome
from mainspring.core.approvals import Request
from mainspring.core.canonical import Json, canonical
from mainspring.core.messages import Message
from mainspring.core.policy import Rule
from mainspring.core.rule_file import assemble
from mainspring.errors import LedgerError
from mainspring.replaying import Entry, Past, read_past
from mainspring.telemetry.history import Activity, Facts, read_facts

_EXECUTIONS = 5
"""How many executions of a run are read, newest first, until the one that asked is found."""
_WHO = {"user": "What it was asked", "note": "Note of the engine"}


@dataclass(frozen=True)
class Shown:
    """One message of the thread: who speaks, what they say, and for a tool what it was called with."""

    who: str
    said: str
    role: str
    status: str = ""
    args: str = ""


@dataclass(frozen=True)
class Evidence:
    """What led to a request. `missing` says why some of it is not here ("" when all is)."""

    given: RunInput
    thread: tuple[Shown, ...] = ()
    rule: Rule | None = None
    totals: Totals = field(default_factory=Totals)
    began: float = 0.0
    missing: str = ""


async def read_evidence(client: Client, run: str, request: Request) -> Evidence | None:
    """Read it, or None where the server does not keep the run's history (any more)."""
    run_id: str | None = None
    first: tuple[Facts, Past | None] | None = None
    for _ in range(_EXECUTIONS):
        history = await read_history(client, run, run_id)
        if history is None:
            break
        facts, past = await _read(client, history)
        first = first or (facts, past)
        if past and (thread := _thread(past, request)) is not None:
            return _evidence(first, request, thread)
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        if not run_id:
            break
    return _evidence(first, request, None) if first else None


async def read_history(client: Client, run: str, run_id: str | None) -> WorkflowHistory | None:
    """The history of a run's execution (the newest where none is named); None where the server has none.

    Raises:
        RPCError: the server does not give it for another reason.
    """
    try:
        return await client.get_workflow_handle(run, run_id=run_id).fetch_history()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None
        raise


async def _read(client: Client, history: WorkflowHistory) -> tuple[Facts, Past | None]:
    facts = await read_facts(history.events, client.data_converter)
    try:
        return facts, await read_past(Entry(history.workflow_id, history), client.data_converter)
    except LedgerError:
        return facts, None


def _evidence(newest: tuple[Facts, Past | None], request: Request, thread: tuple[Shown, ...] | None) -> Evidence:
    facts, past = newest
    return Evidence(
        given=facts.given,
        thread=thread or (),
        rule=_rule(past, request),
        totals=_totals(facts),
        began=(facts.carried.began if facts.carried else facts.started) / 1e9,
        missing="" if thread is not None else "What the agent said and was told before is not in the run's history.",
    )


def _rule(past: Past | None, request: Request) -> Rule | None:
    agents = [each for each in past.spec.agents if each.name == request.agent] if past else []
    rules = (rule for agent in agents for rule in assemble(agent.rule_texts).rules)
    return next((rule for rule in rules if rule.id == request.rule), None)


def _thread(past: Past, request: Request) -> tuple[Shown, ...] | None:
    """What was said before the request, oldest first, without the reply that asks; None where it stands elsewhere."""
    reply = _asking(past, request)
    if reply:
        try:
            return _shown(past.thread(reply).messages, request.agent, past.given)
        except LedgerError:
            return None
    if past.spec.kind == "graph" and "." not in request.step:  # a node's own call, which no model asked for
        outcomes = (each.result for each in past.activities if isinstance(each.result, ToolOutcome))
        return tuple(_result(Message.model_validate_json(each.item.text), "") for each in outcomes if each.item)
    return None


def _asking(past: Past, request: Request) -> Activity | None:
    """The newest reply of the agent before the step that waits: the calls of a reply follow it by number."""
    before = [
        each
        for each in past.activities
        if isinstance(each.work, ModelCall)
        and isinstance(each.result, ModelAnswer)
        and _is_before(each.id, request.step)
    ]
    return max(before, key=lambda each: _number(each.id), default=None)


def _is_before(step: str, other: str) -> bool:
    return step.rpartition(".")[0] == other.rpartition(".")[0] and _number(step) < _number(other)


def _number(step: str) -> int:
    last = step.rpartition(".")[2]
    return int(last) if last.isdigit() else 0


def _shown(messages: Sequence[Message], agent: str, given: str | None) -> tuple[Shown, ...]:
    args: dict[str, str] = {}
    shown: list[Shown] = []
    for message in messages:
        args |= {call.id: canonical(call.args) for call in message.calls}
        if message.role == "tool":
            shown.append(_result(message, args.get(message.call, "")))
        elif message.text and not (message.role == "user" and message.text == given):  # the page has that at its top
            shown.append(
                Shown(agent if message.role == "assistant" else _WHO[message.role], message.text, message.role)
            )
    return tuple(shown)


def _result(message: Message, args: str) -> Shown:
    changed = canonical(message.args) if message.args is not None else args
    return Shown(message.tool, pretty(message.value), "tool", message.status, changed)


def pretty(value: Json) -> str:
    """A value over several lines; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _totals(facts: Facts) -> Totals:
    """What the run has used up to now: before this execution, and in it."""
    before = facts.carried.totals if facts.carried else Totals()
    replies = [each.result for each in facts.activities if isinstance(each.result, ModelAnswer | Compaction)]
    costs = [before.cost_microusd, *(each.cost_microusd for each in replies)]
    return Totals(
        model_calls=before.model_calls + sum(isinstance(each, ModelAnswer) for each in replies),
        tool_calls=before.tool_calls + sum(isinstance(each.result, ToolOutcome) for each in facts.activities),
        input_tokens=before.input_tokens + sum(each.input_tokens for each in replies),
        output_tokens=before.output_tokens + sum(each.output_tokens for each in replies),
        cost_microusd=None if None in costs else sum(cost or 0 for cost in costs),
    )
