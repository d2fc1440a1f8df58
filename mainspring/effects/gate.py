"""Activity side. What the rules say of what a user wrote, and of the calls of one message, before it is recorded."""

from typing import cast

from pydantic import ValidationError

from mainspring.contracts.steps import RunRef
from mainspring.core.approvals import Permit, Routed
from mainspring.core.canonical import Json, canonical, digest, mended, mended_value, why_not_kept
from mainspring.core.facts import OF_FLOW, Facts
from mainspring.core.flow import Flow, flow
from mainspring.core.labels import FROM_USER
from mainspring.core.messages import Done, Message, ToolCall
from mainspring.core.rules import Judge, Judgement, stricter
from mainspring.core.spec import AgentSpec, Spec, ToolSpec
from mainspring.core.tool import Tool, in_words
from mainspring.core.turn import CallVerdict, Verdict
from mainspring.effects.guards import Guards
from mainspring.effects.judging import ask_redactions, ask_route, ask_rules, known, redact
from mainspring.effects.ledger import Thread
from mainspring.errors import did_you_mean

_NAMED = {"flow.untrusted", "flow.uncleared", "risk"}
"""Facts for which it is enough to know what a tool does not accept."""


async def judge_input(guards: Guards, spec: Spec, run: RunRef, text: str, at: float = 0.0) -> Judgement:
    """What the rules of every agent in reach say of a user's text: the first that denies it counts.

    `matched` names the rules of all of them, and those by which something is taken out of it.
    """
    first = Judgement(verdict="allow")
    matched: list[str] = []
    for agent in spec.agents:
        facts = known(run, agent, at).model_copy(update={"text": text})
        matched += [rule.id for rule in await ask_redactions(guards, agent, "input", facts)]
        judged = await ask_rules(guards, agent, "input", facts)
        matched += judged.matched
        if judged.verdict == "deny" and first.verdict != "deny":
            first = judged
    return first.model_copy(update={"matched": tuple(dict.fromkeys(matched))})


async def judge_calls(  # noqa: PLR0917 - whose calls, after what, and when
    guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread, asked: tuple[ToolCall, ...], at: float = 0.0
) -> tuple[tuple[ToolCall, ...], tuple[CallVerdict, ...]]:
    """The calls with their arguments as parsed (and redacted, where a rule says so), and a verdict on each, in order.

    Each is judged as if the earlier calls of the message were done, and also as if they had come to
    nothing, since they may; the stricter verdict counts.
    """
    base = known(run, agent, at).model_copy(update={"results": thread.done})
    earlier: list[Done] = []
    calls: list[ToolCall] = []
    verdicts: list[CallVerdict] = []
    for each in map(_written, asked):
        args = _parse(guards, agent, each)
        redacted: tuple[str, ...] = ()
        if not isinstance(args, str) and guards.judge(agent).says("redact", "tool_call", each.name):
            facts = _about(guards, base, agent, thread, each.name, args)
            rules = await ask_redactions(guards, agent, "tool_call", facts, thread.messages)
            redacted = tuple(rule.id for rule in rules)
            changed = await redact(guards, run, args, rules)
            args = _parse(guards, agent, each.model_copy(update={"args": changed}))
        if isinstance(args, str):
            # What no rule could redact is not recorded either.
            dropped = why_not_kept(each.args) or guards.judge(agent).says("redact", "tool_call", each.name)
            calls.append(each.model_copy(update={"args": {}}) if dropped else each)
            verdicts.append(CallVerdict(id=each.id, tool=each.name, verdict="malformed", reason=args))
            continue
        tool = agent.tool(each.name)
        facts = _about(guards, base, agent, thread, each.name, args)
        judged = await _judged(guards, agent, facts, thread, earlier)
        calls.append(each.model_copy(update={"args": args}))
        verdict = verdict_on(tool, judged)
        is_asked = verdict in ("ask", "question")
        verdicts.append(
            CallVerdict(
                id=each.id,
                tool=each.name,
                verdict=verdict,
                args_digest=digest(canonical(args), run.key),
                rule=judged.rule,
                reason=judged.reason,
                matched=(*redacted, *judged.matched),
                label=str(facts.flow.label) if tool and tool.agent and facts.flow.label != FROM_USER else "",
                routed=await _routed(guards, agent, facts, thread, earlier) if is_asked else None,
            )
        )
        if judged.verdict != "deny":
            earlier.append(Done(tool=each.name, args=args, value=None, status="ok"))
    return tuple(calls), tuple(verdicts)


def verdict_on(tool: ToolSpec | None, judged: Judgement) -> Verdict:
    """What becomes of a call: a question to a person goes to that person, whatever else the rules say than no."""
    if judged.verdict == "deny":
        return "deny"
    if tool and tool.asks:
        return "question"
    return "ask" if judged.verdict == "ask" else "allow"


async def _judged(guards: Guards, agent: AgentSpec, facts: Facts, thread: Thread, earlier: list[Done]) -> Judgement:
    judged = await ask_rules(guards, agent, "tool_call", facts, thread.messages)
    if not earlier:
        return judged
    return stricter(await ask_rules(guards, agent, "tool_call", _after(facts, earlier), thread.messages), judged)


async def _routed(guards: Guards, agent: AgentSpec, facts: Facts, thread: Thread, earlier: list[Done]) -> Routed | None:
    """The route of a call, likewise: of two, the one that stands first in the file, since the most demanding do."""
    either = [await ask_route(guards, agent, "tool_call", facts, thread.messages)]
    if earlier:
        either.append(await ask_route(guards, agent, "tool_call", _after(facts, earlier), thread.messages))
    order = [route.id for route in agent.routes]
    return min((each for each in either if each), key=lambda each: order.index(each.route), default=None)


def _after(facts: Facts, earlier: list[Done]) -> Facts:
    return facts.model_copy(update={"results": (*facts.results, *earlier)})


async def judged_permitted(  # noqa: PLR0917 - a call with leave, and what it is judged by
    guards: Guards, permit: Permit, agent: AgentSpec, facts: Facts, thread: Thread, judged: Judgement
) -> Judgement:
    """What counts of a judgement where there is leave: a `deny`, and that others decide on what a person changed."""
    if judged.verdict == "deny":
        return judged
    if permit.args is not None and permit.route is not None:
        routed = await ask_route(guards, agent, "tool_call", facts, thread.messages)
        if routed and routed.route != permit.route:
            why = f"A person changed it, and what they made of it goes the route {routed.route!r}."
            return judged.model_copy(update={"verdict": "ask", "reason": f"{judged.reason} {why}".strip()})
    return Judgement(verdict="allow")


def _about(  # noqa: PLR0917 - each is a part of what is known
    guards: Guards, base: Facts, agent: AgentSpec, thread: Thread, name: str, args: dict[str, Json]
) -> Facts:
    tool = agent.tool(name)
    made_of = flow_of(guards.judge(agent), agent, tool, args, thread.messages)
    effect = tool.effect if tool else "once"
    return base.model_copy(update={"tool": name, "effect": effect, "args": args, "flow": made_of})


def flow_of(
    judge: Judge, agent: AgentSpec, tool: ToolSpec | None, args: dict[str, Json], messages: tuple[Message, ...]
) -> Flow:
    """What the arguments of a call were made of, as far as a rule, a route or the agent that is the tool asks."""
    if tool is None:
        return Flow()
    named = judge.reads("tool_call", tool.name) | judge.route_reads("tool_call", tool.name)
    read = OF_FLOW if judge.checks("tool_call", tool.name) else OF_FLOW & named
    if not (read or tool.agent):
        return Flow()
    return flow(agent, tool, args, messages, exact=bool(tool.agent or read - _NAMED))


def _written(call: ToolCall) -> ToolCall:
    """The call as it can be written down, so that what is judged is what is kept."""
    args = call.args if why_not_kept(call.args) else mended_value(call.args)
    return call.model_copy(update={"name": mended(call.name), "args": args})


def _parse(guards: Guards, agent: AgentSpec, call: ToolCall) -> dict[str, Json] | str:
    """The arguments with defaults filled in, or what is wrong with them."""
    args = _parsed(guards, agent, call)
    wrong = why_not_kept(args)  # a default or a text such as "nan" may become what was not there before
    return f"The arguments of {call.name} are {wrong}." if wrong else args


def _parsed(guards: Guards, agent: AgentSpec, call: ToolCall) -> dict[str, Json] | str:
    spec = agent.tool(call.name)
    if wrong := why_not_kept(call.args):
        return f"The arguments of {call.name} are {wrong}."
    if spec is None:
        return f"There is no tool {call.name!r}.{did_you_mean(call.name, (t.name for t in agent.tools))}"
    if spec.agent:
        args = cast("Json", call.args)  # a text, where a worker lacks a recogniser that a rule needs
        right = isinstance(args, dict) and set(args) == {"request"} and isinstance(args["request"], str)
        return call.args if right else f"{call.name} takes one argument, request, a text."
    tool = guards.tools.get(call.name)
    return _fitted(tool, call) if tool else f"The tool {call.name!r} is not on this worker any more."


def _fitted(tool: Tool, call: ToolCall) -> dict[str, Json] | str:
    try:
        return tool.parse(call.args)
    except ValidationError as error:
        return f"The arguments of {call.name} do not fit its schema: {in_words(error)}."
    except Exception as error:  # noqa: BLE001 - a check of the tool's own types; its text may quote an argument
        return f"The arguments of {call.name} do not fit its schema: {type(error).__name__}."
