"""Activity side. What the rules say of what a user wrote, and of the calls of one message, before it is recorded."""

from pydantic import ValidationError

from mainspring.contracts.steps import RunRef
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.flow import Flow, flow
from mainspring.core.labels import FROM_USER
from mainspring.core.messages import Done, Message, ToolCall
from mainspring.core.rules import CallFacts, InputFacts, Judge, Judgement, stricter
from mainspring.core.spec import AgentSpec, Spec, ToolSpec
from mainspring.core.tool import in_words
from mainspring.core.turn import CallVerdict
from mainspring.effects.ledger import Thread
from mainspring.effects.world import World
from mainspring.errors import did_you_mean


def judge_input(world: World, spec: Spec, user: str, tenant: str, text: str) -> Judgement:
    """What the rules of every agent in reach say of a user's text: the first that denies it counts."""
    for agent in spec.agents:
        judged = world.judge(agent).judge_input(InputFacts(agent=agent.name, user=user, tenant=tenant, text=text))
        if judged.verdict == "deny":
            return judged
    return Judgement(verdict="allow")


def judge_calls(
    world: World, run: RunRef, agent: AgentSpec, thread: Thread, asked: tuple[ToolCall, ...]
) -> tuple[tuple[ToolCall, ...], tuple[CallVerdict, ...]]:
    """The calls with their arguments as parsed, and a verdict on each, in order.

    Each is judged as if the earlier calls of the message were done, and also as if they had come to
    nothing, since they may; the stricter verdict counts.
    """
    judge = world.judge(agent)
    earlier: list[Done] = []
    calls: list[ToolCall] = []
    verdicts: list[CallVerdict] = []
    for each in asked:
        args = _parse(world, agent, each)
        if isinstance(args, str):
            calls.append(each)
            verdicts.append(CallVerdict(id=each.id, tool=each.name, verdict="malformed", reason=args))
            continue
        tool = agent.tool(each.name)
        facts = CallFacts(
            agent=agent.name,
            user=run.user,
            tenant=run.tenant,
            tool=each.name,
            effect=tool.effect if tool else "once",
            args=args,
            results=thread.done,
            flow=flow_of(judge, agent, tool, args, thread.messages),
        )
        assumed = facts.model_copy(update={"results": (*thread.done, *earlier)})
        judged = stricter(judge.judge_call(assumed), judge.judge_call(facts)) if earlier else judge.judge_call(facts)
        calls.append(each.model_copy(update={"args": args}))
        verdicts.append(
            CallVerdict(
                id=each.id,
                tool=each.name,
                verdict=judged.verdict,
                args_digest=digest(canonical(args), run.key),
                rule=judged.rule,
                reason=judged.reason,
                matched=judged.matched,
                label=str(facts.flow.label) if tool and tool.agent and facts.flow.label != FROM_USER else "",
            )
        )
        if judged.verdict != "deny":
            earlier.append(Done(tool=each.name, args=args, value=None, status="ok"))
    return tuple(calls), tuple(verdicts)


def flow_of(
    judge: Judge, agent: AgentSpec, tool: ToolSpec | None, args: dict[str, Json], messages: tuple[Message, ...]
) -> Flow:
    """What the arguments of a call were made of, as far as anybody asks: a rule, or the agent that is the tool."""
    if tool is None:
        return Flow()
    read = {name for name in judge.reads(tool.name) if name.startswith("flow.")}
    if not (read or tool.agent):
        return Flow()
    return flow(agent, tool, args, messages, exact=bool(tool.agent or read - {"flow.untrusted", "flow.uncleared"}))


def _parse(world: World, agent: AgentSpec, call: ToolCall) -> dict[str, Json] | str:
    """The arguments with defaults filled in, or what is wrong with them."""
    spec = agent.tool(call.name)
    if spec is None:
        return f"There is no tool {call.name!r}.{did_you_mean(call.name, (t.name for t in agent.tools))}"
    if spec.agent:
        request = call.args.get("request")
        right = isinstance(request, str) and set(call.args) == {"request"}
        return call.args if right else f"{call.name} takes one argument, request, a text."
    tool = world.tools.get(call.name)
    if tool is None:
        return f"The tool {call.name!r} is not on this worker any more."
    try:
        return tool.parse(call.args)
    except ValidationError as error:
        return f"The arguments of {call.name} do not fit its schema: {in_words(error)}."
