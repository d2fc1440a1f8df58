"""Activity side. `admit`: resolves a name to the definition the run will carry, and recalls memory."""

import secrets
import time

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from mainspring.contracts import names
from mainspring.contracts.steps import Admission, AdmitRequest, RunRef, Timing
from mainspring.core.labels import FROM_USER, join, read_label
from mainspring.core.ledger import Item, make_item
from mainspring.core.messages import RECALLED, Message
from mainspring.core.rules import Judgement
from mainspring.core.spec import AgentSpec, Spec
from mainspring.core.turn import CURRENT
from mainspring.effects.gate import judge_input
from mainspring.effects.indexing import usable
from mainspring.effects.limiting import limited
from mainspring.effects.world import World
from mainspring.errors import did_you_mean
from mainspring.telemetry.spans import admit_span

_SPEC_LIMIT = 128 * 1024
_INDEXED_FOR = 60.0
"""Seconds for which the server's answer about search attributes holds."""


async def admit(world: World, asked: AdmitRequest) -> Admission:
    """Let a run in, or say why not.

    Raises:
        ApplicationError: UnknownName (retried by the workflow: a deploy may be under way), SpecTooLarge.
    """
    start = time.time_ns()
    spec = _resolve(world, asked.name, asked.input.tenant)
    key = secrets.token_hex(16)
    item = make_item(spec, key)
    if len(item.text) > _SPEC_LIMIT:
        largest = max(spec.agents, key=lambda a: len(a.model_dump_json()))
        raise ApplicationError(
            f"the definition of {asked.name!r} has {len(item.text)} bytes, at most {_SPEC_LIMIT} fit. "
            f"The largest part is agent {largest.name!r}: shorten its instructions, rules or playbook.",
            type="SpecTooLarge",
            non_retryable=True,
        )
    run = RunRef.of(asked.input, name=asked.name, first=asked.first, key=key, spec=item.digest)
    judged = await _judge(world, spec, run, asked.input.input)
    refusal, rule = (judged.reason, judged.rule) if judged.verdict == "deny" else ("", "")
    if not refusal and (waits := await limited(world, run, spec.agents, "input")):
        refusal, rule = waits.reason, waits.limit
    recalled, notes = await _recall(world, asked, key)
    indexed = await _indexed(world)
    admission = Admission(
        key=key,
        spec=item,
        recalled=recalled,
        notes=notes,
        refusal=refusal,
        rule=rule,
        matched=judged.matched,
        indexed=names.WAITS_FOR in indexed,
        listed=indexed.issuperset(names.SEARCH_ATTRIBUTES),
        inbox=world.inbox,
        timing=Timing(start=start, end=time.time_ns()),
    )
    world.ledger.keep(run, _items(admission))
    world.exporter.export([admit_span(asked, admission)])
    return admission


def _resolve(world: World, name: str, tenant: str) -> Spec:
    agents: tuple[AgentSpec, ...]
    if graph := world.graphs.get(name):
        reached = {a.name: a.spec(world.default_model, tenant) for a in graph.reach()}
        agents = (graph.spec(tenant), *reached.values())
        return Spec(name=name, kind="graph", agents=agents, turn=CURRENT)
    if agent := world.agents.get(name):
        agents = tuple({a.name: a.spec(world.default_model, tenant) for a in agent.reach()}.values())
        return Spec(name=name, kind="agent", agents=agents, turn=CURRENT)
    known = [*world.agents, *world.graphs]
    raise ApplicationError(
        f"no agent or graph is named {name!r}.{did_you_mean(name, known)} "
        f"The worker serves: {', '.join(sorted(known)) or 'nothing'}.",
        type="UnknownName",
    )


def _items(admission: Admission) -> list[Item]:
    return [admission.spec, admission.recalled] if admission.recalled else [admission.spec]


async def _judge(world: World, spec: Spec, run: RunRef, text: str | None) -> Judgement:
    if text is None:  # a session, whose messages are judged as they come
        return Judgement(verdict="allow")
    return await judge_input(world.guards, spec, run, text)


async def _recall(world: World, asked: AdmitRequest, key: str) -> tuple[Item | None, int]:
    if not asked.input.user:
        return None, 0
    notes = await world.memory.recall(asked.input.tenant, asked.input.user)
    if not notes:
        return None, 0
    lines = "\n".join(f"- {note.at[:10]}: {note.text}" for note in notes)
    label = join((FROM_USER, *(read_label(note.label) for note in notes)))
    message = Message(role="note", text=f"{RECALLED}\n{lines}", label=str(label))
    return make_item(message, key), len(notes)


async def _indexed(world: World) -> frozenset[str]:
    """Which of our search attributes may be set on this server; one that will not say counts as having none."""
    client = activity.client()
    now = time.monotonic()
    known, asked = world.indexed.get(client.namespace, (frozenset[str](), -_INDEXED_FOR))
    if now - asked < _INDEXED_FOR:
        return known
    try:
        known = await usable(client)
    except RPCError:
        return frozenset()
    world.indexed[client.namespace] = (known, now)
    return known
