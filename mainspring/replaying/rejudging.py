"""What the rules of today say of what recorded runs did. Assembly: reads histories, asks rules, changes nothing.

Each verdict is in history once, so what was decided then is read there; it is decided again by the rules of the
folder's agents, on the thread as it was, and at the time it was.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from temporalio.converter import DataConverter

from mainspring.contracts.steps import Admission, AdmitRequest, ModelAnswer, ModelCall, RunRef
from mainspring.core.canonical import Json
from mainspring.core.ledger import Link, advance, unroll
from mainspring.core.messages import Message
from mainspring.core.policy import Point
from mainspring.core.rules import FAILED, SHADOW, Judgement
from mainspring.core.spec import AgentSpec, Spec
from mainspring.core.turn import CallVerdict
from mainspring.effects.gate import judge_calls, judge_input
from mainspring.effects.guards import Guards
from mainspring.effects.ledger import Thread
from mainspring.effects.recorded import Page
from mainspring.effects.seen import judge_output, seen
from mainspring.errors import LedgerError
from mainspring.replaying.sources import Entry
from mainspring.serve import Project
from mainspring.telemetry.history import Activity, read_facts


@dataclass(frozen=True)
class Said:
    """A verdict, the rule that gave it, its reason, and every rule that matched."""

    verdict: str
    rule: str = ""
    reason: str = ""
    matched: tuple[str, ...] = ()

    @property
    def rules(self) -> frozenset[str]:
        """The ids of the rules that matched, those that only look on too."""
        return frozenset(each.removeprefix(SHADOW).removeprefix(FAILED) for each in (*self.matched, self.rule) if each)


@dataclass(frozen=True)
class Judged:
    """One thing that rules were asked about: what was said of it then, and what is said now (None: not asked again)."""

    step: str
    agent: str
    point: Point
    tool: str
    args: dict[str, Json]
    then: Said
    now: Said | None = None


@dataclass
class Past:
    """What a history holds of a run, and every item and link in it."""

    run: RunRef
    spec: Spec
    activities: list[Activity]
    given: str
    texts: dict[str, str] = field(default_factory=dict[str, str])
    links: dict[str, Link] = field(default_factory=dict[str, Link])

    def thread(self, call: ModelCall) -> Thread:
        """The thread that a model was given.

        Raises:
            LedgerError: the history does not hold all of it.
        """
        digests = (*unroll(call.head, self.links.get), *(entry.digest for entry in call.new))
        missing = [each for each in digests if each not in self.texts]
        if missing:
            raise LedgerError(f"item {missing[0]} is not in the history.")
        return Thread().extended((each, self.texts[each]) for each in digests)


async def read_past(entry: Entry, converter: DataConverter) -> Past:
    """Read a history.

    Raises:
        LedgerError: it cannot be read, or does not hold a run that was let in.
    """
    history = entry.history
    if history is None:
        raise LedgerError(entry.problem)
    facts = await read_facts(history.events, converter)
    page, replies = Page(decode=converter.decode), dict[int, str]()
    for event in reversed(history.events):
        await page.read(event, replies)
    texts = {item.digest: item.text for item in page.items}
    links = {advance(link.before, link.appended).head: link for link in page.links}
    admission = next((a.result for a in facts.activities if isinstance(a.result, Admission)), None)
    if facts.carried:
        run = facts.carried.run
    elif admission:
        run = RunRef.of(facts.given, name=facts.name, first=facts.first, key=admission.key, spec=admission.spec.digest)
    else:
        raise LedgerError("the run was not let in, so no rule was asked.")
    spec = Spec.model_validate_json(texts[run.spec])
    return Past(run, spec, facts.activities, facts.given.input or "", texts, links)


@dataclass(frozen=True)
class Today:
    """The rules to judge by: those of a project, whose agents that name no model have `model`."""

    project: Project
    guards: Guards
    model: str

    def agent(self, name: str, tenant: str) -> AgentSpec | None:
        """An agent or graph as the folder has it now."""
        if graph := self.project.graphs.get(name):
            return graph.spec(tenant)
        agent = self.project.agents.get(name)
        return agent.spec(self.model, tenant) if agent else None


async def rejudge(past: Past, today: Today) -> AsyncIterator[Judged]:
    """Everything that rules were asked about in a run, oldest first, with what those of today say."""
    for each in past.activities:
        if isinstance(each.work, AdmitRequest) and isinstance(each.result, Admission):
            yield await _input(past, each.result, today)
        elif isinstance(each.work, ModelCall) and isinstance(each.result, ModelAnswer) and each.result.item:
            async for judged in _reply(past, each.work, each.result, today):
                yield judged


def asked_calls(past: Past) -> list[Judged]:
    """Every call of a tool that a model asked for, with what was said of it then, by the ids of its steps."""
    found: list[Judged] = []
    for each in past.activities:
        if isinstance(each.work, ModelCall) and isinstance(each.result, ModelAnswer) and each.result.item:
            found += _calls(each.work, each.result)
    return found


def _calls(work: ModelCall, answer: ModelAnswer) -> list[Judged]:
    message = Message.model_validate_json(answer.item.text) if answer.item else Message(role="assistant")
    above, _, number = work.step.id.rpartition(".")
    judged: list[Judged] = []
    # The steps of a reply's calls follow that of the reply (core.turn).
    for place, (call, verdict) in enumerate(zip(message.calls, answer.verdicts, strict=False), int(number) + 1):
        step = f"{above}.{place}" if above else str(place)
        judged.append(Judged(step, work.step.agent, "tool_call", call.name, call.args, _said(verdict)))
    return judged


async def _input(past: Past, admission: Admission, today: Today) -> Judged:
    then = Said("deny" if admission.refusal else "allow", admission.rule, admission.refusal)
    agents = tuple(filter(None, (today.agent(spec.name, past.run.tenant) for spec in past.spec.agents)))
    spec = past.spec.model_copy(update={"agents": agents})
    now = await judge_input(today.guards, spec, past.run, past.given, admission.timing.start / 1e9)
    return Judged("admit", past.run.name, "input", "", {}, then, _said(now))


async def _reply(past: Past, work: ModelCall, answer: ModelAnswer, today: Today) -> AsyncIterator[Judged]:
    at = answer.timing.start / 1e9
    agent = today.agent(work.step.agent, past.run.tenant)
    message = Message.model_validate_json(answer.item.text) if answer.item else Message(role="assistant")
    thread = past.thread(work)
    thread = await seen(today.guards, past.run, agent, thread) if agent else thread
    if not message.calls:
        then = Said("deny" if answer.rule and answer.problem else "allow", answer.rule, answer.problem, answer.matched)
        judged = await judge_output(today.guards, past.run, agent, thread, message.text, at) if agent else None
        yield Judged(work.step.id, work.step.agent, "output", "", {}, then, _said(judged) if judged else None)
        return
    verdicts = (await judge_calls(today.guards, past.run, agent, thread, message.calls, at))[1] if agent else ()
    for each, verdict in zip_longest(_calls(work, answer), verdicts):
        yield replace(each, now=_said(verdict) if verdict else None)


def _said(judged: Judgement | CallVerdict) -> Said:
    return Said(judged.verdict, judged.rule, judged.reason, judged.matched)
