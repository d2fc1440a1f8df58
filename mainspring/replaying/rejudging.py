"""What the rules of today say of what recorded runs did. Assembly: reads histories, asks rules, changes nothing.

What was decided then is read from the history (`past.py`); it is decided again by the rules of the folder's agents, on
the thread as it was, and at the time it was.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from mainspring.contracts.steps import Admission, ModelAnswer, ModelCall, ToolOutcome, ToolWork
from mainspring.core.canonical import Json
from mainspring.core.facts import Facts
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec
from mainspring.effects.gate import flow_of, judge_calls, judge_input, judged_permitted, verdict_on
from mainspring.effects.guards import Guards
from mainspring.effects.judging import ask_redactions, ask_rules, known, redactor
from mainspring.effects.ledger import Thread
from mainspring.effects.seen import judge_output, seen, takes_over
from mainspring.replaying.past import GONE, TOOK_OVER, Judged, Past, Said, asked_about, said, without_playbook
from mainspring.serve import Project
from mainspring.telemetry.history import Activity


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

    def reach(self, name: str, tenant: str) -> tuple[AgentSpec, ...]:
        """What a run of this name would be let in with; nothing where the folder does not have it."""
        started = self.project.graphs.get(name) or self.project.agents.get(name)
        own = self.agent(name, tenant)
        reached = {each.name: each.spec(self.model, tenant) for each in started.reach()} if started else {}
        return tuple(({name: own} | reached).values()) if own else ()


async def rejudge(past: Past, today: Today) -> AsyncIterator[Judged]:
    """Everything that rules were asked about in a run, oldest first, with what those of today say.

    Raises:
        LedgerError: the history does not hold what a rule is to be asked about.
    """
    asker = _Asker(past, today)
    by_activity: dict[int, list[Judged]] = {id(each): [] for each in past.activities}
    for judged in asked_about(past):
        by_activity[id(judged.activity)].append(judged)
    for activity in past.activities:
        async for judged in asker.ask(activity, by_activity[id(activity)]):
            yield judged


@dataclass(frozen=True)
class _Asker:
    """Asks the rules of today about one run."""

    past: Past
    today: Today

    async def ask(self, activity: Activity, judged: Sequence[Judged]) -> AsyncIterator[Judged]:
        """What was asked about in an activity, with what is said now, and what is only said now."""
        at = activity.result.timing.end / 1e9 if activity.result else 0.0
        if isinstance(activity.result, Admission):
            reach = self.today.reach(self.past.run.name, self.past.run.tenant)
            for each in [await self._input(each, [self.past.given or ""], at) for each in judged]:
                now = each.now and replace(each.now, matched=without_playbook(each.now.matched, reach))
                yield replace(each, now=now)
            return
        work = activity.work
        if not (isinstance(work, ModelCall | ToolWork) and activity.result):
            return
        agent = self.today.agent(work.step.agent, self.past.run.tenant)
        if agent is None:
            for each in judged:
                yield each if each.left_out else replace(each, left_out=GONE)
        elif isinstance(activity.result, ModelAnswer):
            async for each in self._of_reply(activity, activity.result, agent, judged, at):
                yield each
        elif isinstance(work, ToolWork) and isinstance(activity.result, ToolOutcome):
            async for each in self._of_call(activity, activity.result, agent, judged, at):
                yield each

    async def _input(self, judged: Judged, texts: Sequence[str], at: float) -> Judged:
        """What the rules of every agent in reach say of a user's words."""
        reach = self.today.reach(self.past.run.name, self.past.run.tenant)
        if judged.left_out or not reach:
            return replace(judged, left_out=judged.left_out or GONE)
        spec, matched = self.past.spec.model_copy(update={"agents": reach}), tuple[str, ...]()
        for text in texts:
            now = await judge_input(self.today.guards, spec, self.past.run, text, at)
            matched = tuple(dict.fromkeys((*matched, *now.matched)))
            if now.verdict == "deny":
                return replace(judged, now=replace(said(now), matched=matched))
        return replace(judged, now=Said("allow", matched=matched))

    async def _of_reply(
        self, activity: Activity, answer: ModelAnswer, agent: AgentSpec, judged: Sequence[Judged], at: float
    ) -> AsyncIterator[Judged]:
        guards, run, thread = self.today.guards, self.past.run, self.past.thread(activity)
        if words := self.past.users_words(activity):
            async for each in self._words(activity, words, agent, thread, judged, at):
                yield each
        if answer.item is None:
            return
        thread = await seen(guards, run, agent, thread)
        message = Message.model_validate_json(answer.item.text)
        calls = [each for each in judged if each.point == "tool_call"]
        verdicts = (await judge_calls(guards, run, agent, thread, message.calls, at))[1] if calls else ()
        for each, verdict in zip(calls, verdicts, strict=False):
            facts = self._facts(agent, each.tool, each.args, thread, at)
            if redacted := await self._redacted(each, agent, thread, facts, each.args):
                yield redacted
            yield replace(each, now=said(verdict))
        for each in [each for each in judged if each.point == "output"]:
            facts = known(run, agent, at).model_copy(update={"text": message.text, "results": thread.done})
            if redacted := await self._redacted(each, agent, thread, facts, message.text):
                yield redacted
            yield replace(each, now=said(await judge_output(guards, run, agent, thread, message.text, at)))

    async def _words(  # noqa: PLR0917 - what a user said, to whom, when, and what was said of it
        self,
        activity: Activity,
        words: Sequence[str],
        agent: AgentSpec,
        thread: Thread,
        judged: Sequence[Judged],
        at: float,
    ) -> AsyncIterator[Judged]:
        """What is said of a user's words when an agent reads them."""
        about = Judged(activity.id, agent.name, "input", "", {}, Said("allow"), activity, now=Said("allow"))
        asked = next((each for each in judged if each.point == "input"), about)
        if self.past.given is None and agent.name == self.past.run.name:
            asked = await self._input(asked, words, at)
        over = await takes_over(self.today.guards, self.past.run, agent, thread, at)
        if over and not asked.left_out and not (asked.now and asked.now.verdict == "deny"):
            matched = asked.now.matched if asked.now else ()
            asked = replace(asked, now=Said("playbook", over.removeprefix(TOOK_OVER), matched=matched))
        elif asked.now is None and not asked.left_out:
            asked = replace(asked, now=Said("allow"))
        if asked is not about:
            yield asked
        for text in words:
            facts = known(self.past.run, agent, at).model_copy(update={"text": text})
            if redacted := await self._redacted(about, agent, Thread(), facts, text):
                yield redacted

    async def _of_call(
        self, activity: Activity, outcome: ToolOutcome, agent: AgentSpec, judged: Sequence[Judged], at: float
    ) -> AsyncIterator[Judged]:
        """What is said of a call at the door, where no reply of a model was asked about, and of its result."""
        guards, work = self.today.guards, activity.work
        permit = work.permit if isinstance(work, ToolWork) else None
        call = self.past.call(activity)
        if call is None or agent.tool(call.name) is None:
            for each in judged:
                yield replace(each, left_out=each.left_out or "its tool is not in this folder")
            return
        thread = await seen(guards, self.past.run, agent, self.past.thread(activity))
        edited = permit.args if permit else None
        facts = self._facts(agent, call.name, call.args if edited is None else edited, thread, at)
        for each in judged:
            if each.left_out:
                yield each
            elif each.point == "tool_call":
                now = await ask_rules(guards, agent, "tool_call", facts, thread.messages)
                if permit:
                    now = await judged_permitted(guards, permit, agent, facts, thread, now)
                verdict = now.verdict if permit else verdict_on(agent.tool(call.name), now)
                yield replace(each, now=replace(said(now), verdict=verdict))
            elif outcome.item and (guards.judge(agent).rules("tool_result", call.name) or each.then.rules):
                value = Message.model_validate_json(outcome.item.text).value
                facts = facts.model_copy(update={"result": value})
                if redacted := await self._redacted(each, agent, thread, facts, value):
                    yield redacted
                yield replace(each, now=said(await ask_rules(guards, agent, "tool_result", facts, thread.messages)))

    def _facts(self, agent: AgentSpec, name: str, args: dict[str, Json], thread: Thread, at: float) -> Facts:
        tool = agent.tool(name)
        made_of = flow_of(self.today.guards.judge(agent), agent, tool, args, thread.messages)
        about = {"tool": name, "effect": tool.effect if tool else "once", "args": args, "flow": made_of}
        return known(self.past.run, agent, at).model_copy(update={**about, "results": thread.done})

    async def _redacted(
        self, judged: Judged, agent: AgentSpec, thread: Thread, facts: Facts, value: Json
    ) -> Judged | None:
        """What rules take out of a value, where they do. Of those of then only what the history still holds is told."""
        guards, change = self.today.guards, redactor(self.today.guards, self.past.run)

        async def by(agent: AgentSpec) -> Said:
            rules = await ask_redactions(guards, agent, judged.point, facts, thread.messages)
            ids = tuple(rule.id for rule in rules if change.redacted(value, [rule]) != value)
            return Said("redact", ids[0], matched=ids) if ids else Said("allow")

        then, now = await by(self.past.spec.agent(agent.name)), await by(agent)
        return replace(judged, then=then, now=now) if then.rule or now.rule else None
