"""A recorded run as rules saw it: its thread at each step, and what they said. Assembly: reads histories, asks nothing.

Each verdict is in history once. What a rule took out of a text stands nowhere, nor does a result that was withheld.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from temporalio.converter import DataConverter

from mainspring.contracts.steps import Admission, AdmitRequest, ModelAnswer, ModelCall, RunRef, ToolOutcome, ToolWork
from mainspring.core.canonical import Json
from mainspring.core.ledger import Head, Link, advance, unroll
from mainspring.core.messages import Message, ToolCall
from mainspring.core.policy import Point
from mainspring.core.rule_file import assemble
from mainspring.core.rules import FAILED, SHADOW, Judgement
from mainspring.core.spec import AgentSpec, Spec
from mainspring.core.turn import CallVerdict
from mainspring.effects.ledger import Thread
from mainspring.effects.recorded import Page
from mainspring.errors import LedgerError
from mainspring.replaying.sources import Entry
from mainspring.telemetry.history import Activity, read_facts

GONE = "their agents are not in this folder"
"""Why some of it is not asked about again: the folder has changed, or is another."""
TOOK_OVER = "rule "
"""Before the rule by which the playbook answered, where a reply says why it did."""


@dataclass(frozen=True)
class Said:
    """A verdict, the rule (or limit) that gave it, its reason, and every rule that matched."""

    verdict: str
    rule: str = ""
    reason: str = ""
    matched: tuple[str, ...] = ()

    @property
    def rules(self) -> frozenset[str]:
        """The ids of the rules that matched, those that only look on too."""
        return frozenset(plain(each) for each in (*self.matched, self.rule) if each)


def plain(name: str) -> str:
    """The id of a rule that matched, however it did."""
    return name.removeprefix(SHADOW).removeprefix(FAILED)


@dataclass(frozen=True)
class Judged:
    """One thing that rules were asked about: what was said of it then, and what is said now.

    `now` is None where that cannot be known, and `left_out` says why. `activity` holds what it was asked about.
    """

    step: str
    agent: str
    point: Point
    tool: str
    args: dict[str, Json]
    then: Said
    activity: Activity
    now: Said | None = None
    left_out: str = ""


@dataclass
class Past:
    """What a history holds of a run, and every item and link in it. `given` is None where a session was started."""

    run: RunRef
    spec: Spec
    activities: list[Activity]
    given: str | None
    texts: dict[str, str] = field(default_factory=dict[str, str])
    links: dict[str, Link] = field(default_factory=dict[str, Link])

    def thread(self, activity: Activity) -> Thread:
        """The thread that a step was given.

        Raises:
            LedgerError: the history does not hold all of it.
        """
        work, result = activity.work, activity.result
        if isinstance(result, ModelAnswer) and result.link:  # what a local activity was given is not recorded
            return self._thread(result.link.before, result.link.appended[:-1])
        if isinstance(work, ToolWork) and not work.call.message and (asked := self._asked_in.get(work.step.id)):
            return self._behind(asked[0])
        if isinstance(work, ModelCall | ToolWork):
            return self._thread(work.head, [entry.digest for entry in work.new])
        raise LedgerError(f"step {activity.id!r} has no thread.")

    def users_words(self, activity: Activity) -> list[str]:
        """What a user said since the reply before; more than one message where several came at once."""
        messages = [Message.model_validate_json(self.texts[each]) for each in self._new(activity) if each in self.texts]
        return [message.text for message in messages if message.role == "user"]

    def call(self, activity: Activity) -> ToolCall | None:
        """The call that a tool was run for."""
        work = activity.work
        if not isinstance(work, ToolWork):
            return None
        if asked := self._asked_in.get(work.step.id):
            return asked[1]
        # A node's own call, one a message, or one of an execution before. What a local activity was given is not kept.
        text = self.texts.get(work.call.message) or next((each.text for each in work.new if each.text), "")
        return Message.model_validate_json(text).calls[work.call.index] if text else None

    @cached_property
    def of_input(self) -> frozenset[str]:
        """The ids of the run's rules at `input`."""
        rules = (rule for agent in self.spec.agents for rule in assemble(agent.rule_texts).rules)
        return frozenset(rule.id for rule in rules if rule.point == "input")

    @cached_property
    def _asked_in(self) -> dict[str, tuple[Activity, ToolCall]]:
        """By the step of each call that a model asked for: the reply, and the call."""
        found: dict[str, tuple[Activity, ToolCall]] = {}
        for each in self.activities:
            if isinstance(each.work, ModelCall) and isinstance(each.result, ModelAnswer) and each.result.item:
                message = Message.model_validate_json(each.result.item.text)
                steps = steps_of(each.work.step.id, len(message.calls))
                found |= {step: (each, call) for step, call in zip(steps, message.calls, strict=True)}
        return found

    def _new(self, activity: Activity) -> Sequence[str]:
        work, result = activity.work, activity.result
        if isinstance(result, ModelAnswer) and result.link:
            return result.link.appended[:-1]
        return [entry.digest for entry in work.new] if isinstance(work, ModelCall) else ()

    def _thread(self, head: Head, new: Iterable[str]) -> Thread:
        digests = (*unroll(head, self.links.get), *new)
        missing = [each for each in digests if each not in self.texts]
        if missing:
            raise LedgerError(f"item {missing[0]} is not in the history.")
        return Thread().extended((each, self.texts[each]) for each in digests)

    def _behind(self, reply: Activity) -> Thread:
        """The thread with a reply; what its other calls gave is not in it yet (core.turn)."""
        item = reply.result.item if isinstance(reply.result, ModelAnswer) else None
        return self.thread(reply).extended([(item.digest, item.text)] if item else [])


def steps_of(reply: str, count: int) -> list[str]:
    """The steps of a reply's calls: they follow that of the reply (core.turn)."""
    above, _, number = reply.rpartition(".")
    return [f"{above}.{place}" if above else str(place) for place in range(int(number) + 1, int(number) + 1 + count)]


async def read_past(entry: Entry, converter: DataConverter) -> Past | None:
    """Read a history. None for a run that was never let in, of which no rule was asked.

    Raises:
        LedgerError: it cannot be read, or is no run of Mainspring.
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
    elif any(isinstance(each.work, AdmitRequest) for each in facts.activities):
        return None
    else:
        raise LedgerError("it is no run of Mainspring, or one that no worker has taken up yet.")
    if run.spec not in texts:
        raise LedgerError("it does not hold the run's definition; its beginning is missing.")
    spec = Spec.model_validate_json(texts[run.spec])
    return Past(run, spec, facts.activities, facts.given.input, texts, links)


def asked_about(past: Past) -> list[Judged]:
    """Everything that rules were asked about in a run, oldest first, with what they said."""
    limits = {limit.id for agent in past.spec.agents for limit in assemble(agent.rule_texts).limits}
    found: list[Judged] = []
    for each in past.activities:
        for judged in _recorded(past, each):
            by_limit = judged.then.rule in limits and judged.then.rule not in judged.then.matched
            found.append(_left_out(judged, "a limit refused it then") if by_limit else judged)
    return found


def _recorded(past: Past, each: Activity) -> Iterator[Judged]:
    if isinstance(each.result, Admission):
        if past.given is not None:  # the messages of a session are asked about as they come
            said = each.result
            matched = without_playbook(said.matched, past.spec.agents)
            then = Said("deny" if said.refusal else "allow", said.rule, said.refusal, matched)
            yield Judged("admit", past.run.name, "input", "", {}, then, each)
    elif isinstance(each.work, ModelCall) and isinstance(each.result, ModelAnswer):
        yield from _of_reply(past, each, each.work, each.result)
    elif isinstance(each.work, ToolWork) and isinstance(each.result, ToolOutcome):
        yield from _of_call(past, each, each.work, each.result)


def without_playbook(matched: Iterable[str], agents: Iterable[AgentSpec]) -> tuple[str, ...]:
    """Rules that matched a run's input, but for those that are asked again where an agent reads it, and act there."""
    rules = (rule for agent in agents for rule in assemble(agent.rule_texts).rules)
    act_later = {rule.id for rule in rules if rule.verdict == "playbook"}
    return tuple(name for name in matched if plain(name) not in act_later)


def _of_reply(past: Past, each: Activity, work: ModelCall, answer: ModelAnswer) -> Iterator[Judged]:
    step, agent = work.step.id, work.step.agent
    is_asked = past.given is None and agent == past.run.name and past.users_words(each)
    if answer.refusal:
        yield Judged(step, agent, "input", "", {}, Said("deny", answer.rule, answer.refusal, answer.matched), each)
    elif (rule := _took_over(answer)) or is_asked:
        matched = tuple(name for name in answer.matched if plain(name) in past.of_input)
        yield Judged(step, agent, "input", "", {}, Said("playbook" if rule else "allow", rule, matched=matched), each)
    if not answer.item:
        return
    message = Message.model_validate_json(answer.item.text)
    steps = steps_of(step, len(message.calls))
    for at, call, verdict in zip(steps, message.calls, answer.verdicts, strict=False):
        yield Judged(at, agent, "tool_call", call.name, call.args, said(verdict), each)
    if not message.calls and (answer.rule or not answer.problem):  # rules are not asked of one that is no answer
        verdict = "deny" if answer.problem else "ask" if answer.review else "allow"
        matched = tuple(name for name in answer.matched if plain(name) not in past.of_input)
        yield Judged(step, agent, "output", "", {}, Said(verdict, answer.rule, answer.problem, matched), each)


def _of_call(past: Past, each: Activity, work: ToolWork, outcome: ToolOutcome) -> Iterator[Judged]:
    call, edited = past.call(each), work.permit.args if work.permit else None
    args = edited if edited is not None else call.args if call else {}
    about = Judged(work.step.id, work.step.agent, "tool_call", work.tool, args, Said("allow"), each)
    if outcome.ask:
        yield replace(about, then=said(outcome.ask))
    elif outcome.status == "denied":
        yield replace(about, then=Said("deny", outcome.rule, _text(outcome)))
    elif work.permit is None:  # a node's own call, of which rules were asked here and nowhere before
        yield about
    message = Message.model_validate_json(outcome.item.text) if outcome.item else None
    withheld = message is not None and message.ran and bool(outcome.rule)
    if outcome.status == "ok" or withheld:
        reason = _text(outcome).partition("withheld: ")[2] if withheld else ""
        then = Said("deny" if withheld else "allow", outcome.rule, reason, outcome.matched)
        result = replace(about, point="tool_result", then=then)
        yield _left_out(result, "it was withheld then") if withheld else result


def _took_over(answer: ModelAnswer) -> str:
    """The rule by which the playbook answered in place of the model."""
    return answer.instead.removeprefix(TOOK_OVER) if answer.instead.startswith(TOOK_OVER) else ""


def _text(outcome: ToolOutcome) -> str:
    """Why a call was refused, or its result withheld."""
    return Message.model_validate_json(outcome.item.text).text if outcome.item else ""


def _left_out(judged: Judged, why: str) -> Judged:
    return replace(judged, left_out=why)


def said(judged: Judgement | CallVerdict) -> Said:
    """A verdict, whoever gave it."""
    return Said(judged.verdict, judged.rule, judged.reason, judged.matched)
