"""Activity side. Asks the rules at a point: gathers the facts that they read, and runs the functions that they name.

A function that raises, takes too long or says neither true nor false has failed, and then its rule denies.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from mainspring.contracts.steps import RunRef
from mainspring.core.approvals import Routed
from mainspring.core.canonical import Json, digest, scalars
from mainspring.core.deciding import routed
from mainspring.core.facts import Facts
from mainspring.core.grounding import citations, ungrounded_arguments, ungrounded_numbers, what_was_read
from mainspring.core.messages import RECALLED, Message
from mainspring.core.policy import Point, Rule
from mainspring.core.rules import Checked, Judge, Judgement
from mainspring.core.spec import AgentSpec
from mainspring.effects.guards import Guards
from mainspring.effects.redaction import Redactor
from mainspring.effects.threads import beside, in_thread

CHECK_SECONDS = 1.0
"""How long a function that a rule names may take."""
_SLOW = frozenset({"found", "recalled", "ungrounded", "citations"})
"""Facts that take time to work out."""


def known(run: RunRef, agent: AgentSpec, at: float = 0.0) -> Facts:
    """What is known at every point. `at` is when that is, if not now (seconds since 1970)."""
    return Facts(
        agent=agent.name,
        model=agent.models[0] if agent.models else "",
        prompt=digest(agent.instructions)[:12],
        user=run.user,
        tenant=run.tenant,
        roles=run.roles,
        session=run.session,
        channel=run.channel,
        locale=run.locale,
        now=at or time.time(),
    )


def redactor(guards: Guards, run: RunRef) -> Redactor:
    """What redacts in a run."""
    return Redactor(guards.recogniser, guards.token_key, run.first)


async def redact(guards: Guards, run: RunRef, value: Json, rules: tuple[Rule, ...]) -> Json:
    """A value without what these rules take out of it."""
    return await beside(_size(value), redactor(guards, run).redacted, value, rules) if rules else value


async def ask_rules(  # noqa: PLR0917 - by whom, where, about what
    guards: Guards,
    agent: AgentSpec,
    point: Point,
    facts: Facts,
    messages: tuple[Message, ...] = (),
    written: Json = None,
) -> Judgement:
    """The verdict on what these facts tell, `messages` being what the model had read.

    `written` is what recognisers look into, where that is not what the facts hold.
    """
    judge = guards.judge(agent)
    facts = await _gathered(guards, agent, _read(judge, point, facts), point, facts, messages, written)
    return judge.judge(point, facts, await _checked(guards, judge, point, facts))


async def ask_redactions(
    guards: Guards, agent: AgentSpec, point: Point, facts: Facts, messages: tuple[Message, ...] = ()
) -> tuple[Rule, ...]:
    """The rules by which something of what these facts tell is redacted."""
    judge = guards.judge(agent)
    if not judge.says("redact", point, facts.tool):
        return ()
    facts = await _gathered(guards, agent, _read(judge, point, facts), point, facts, messages)
    return judge.redactions(point, facts, await _checked(guards, judge, point, facts))


async def ask_route(
    guards: Guards, agent: AgentSpec, point: Point, facts: Facts, messages: tuple[Message, ...] = ()
) -> Routed | None:
    """The route that a request about what these facts tell goes, from now on."""
    if not agent.routes:
        return None
    judge = guards.judge(agent)
    facts = await _gathered(guards, agent, judge.route_reads(point, facts.tool), point, facts, messages)
    route = judge.route(point, facts)
    return routed(route, facts.now) if route else None


def _read(judge: Judge, point: Point, facts: Facts) -> frozenset[str]:
    """The facts that rules read; a function that one names may read all of them."""
    return _SLOW if judge.checks(point, facts.tool) else judge.reads(point, facts.tool)


async def _gathered(  # noqa: PLR0917 - whose rules, where, and what they are asked about
    guards: Guards,
    agent: AgentSpec,
    reads: frozenset[str],
    point: Point,
    facts: Facts,
    messages: tuple[Message, ...],
    written: Json = None,
) -> Facts:
    """The facts with those that take time to work out, as far as they are read."""
    more: dict[str, Any] = {}
    if "found" in reads:
        about = written or _about(point, facts)
        more["found"] = await beside(_size(about), Redactor(guards.recogniser, b"", "").kinds, about)
    if "recalled" in reads:
        more["recalled"] = next((m.text for m in messages[:1] if m.text.startswith(RECALLED)), "")
    if "ungrounded" in reads and point in ("tool_call", "output"):
        read = what_was_read(agent.instructions, messages)
        args = point == "tool_call"
        more["ungrounded"] = ungrounded_arguments(facts.args, read) if args else ungrounded_numbers(facts.text, read)
    if "citations" in reads and point == "output":
        more["citations"] = citations(facts.text, messages)
    return facts.model_copy(update=more) if more else facts


def _about(point: Point, facts: Facts) -> Json:
    return {"tool_call": facts.args, "tool_result": facts.result}.get(point, facts.text)


def _size(value: Json) -> int:
    return sum(len(each) for each in scalars(value) if isinstance(each, str))


async def _checked(guards: Guards, judge: Judge, point: Point, facts: Facts) -> Checked:
    names = judge.checks(point, facts.tool)
    return {name: await _ran(guards.checks[name], facts) for name in sorted(names & guards.checks.keys())}


async def _ran(check: Callable[[Facts], Any], facts: Facts) -> bool | str:
    """What a function says, or why it does not."""
    work = check(facts) if inspect.iscoroutinefunction(check) else in_thread(check, facts)
    try:
        said: Any = await asyncio.wait_for(work, CHECK_SECONDS)
    except TimeoutError:
        return f"it did not answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the rule then denies; its text may quote an argument
        return f"it raised {type(error).__name__}"
    return said if isinstance(said, bool) else f"it gave {type(said).__name__}, neither True nor False"
