"""Activity side. `call_model`: one reply of a model, judged on the spot, so that the verdicts are recorded with it."""

import asyncio
import time
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import ModelAnswer, ModelCall, RunRef, Timing
from mainspring.core.answers import read_answer
from mainspring.core.canonical import canonical, digest, mended
from mainspring.core.flow import label_of, label_of_thread
from mainspring.core.labels import FROM_USER, read_label
from mainspring.core.ledger import Link, make_item
from mainspring.core.messages import Message, ToolCall
from mainspring.core.rules import Judgement
from mainspring.core.spec import PLAYBOOK, AgentSpec, Spec
from mainspring.core.tool import in_words
from mainspring.core.turn import CallVerdict
from mainspring.core.window import repaired
from mainspring.effects.gate import judge_calls, judge_input
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.ledger import Thread
from mainspring.effects.limiting import limited
from mainspring.effects.seen import judge_output, route_output, seen, takes_over, without
from mainspring.effects.world import World
from mainspring.errors import LedgerError, LimitError, ModelError, UsageError
from mainspring.ports.model import ModelReply, ModelRequest
from mainspring.telemetry.spans import model_span

ANSWER = "answer"
"""What stands for a tool where an answer is under review."""
_LONGEST_WAIT = timedelta(minutes=2)
"""How long a limit may have a run wait for its model; a longer wait is told instead."""
_NO_TIME = Timing(start=0, end=0)
"""Until it is known how long the work took."""


async def call_model(world: World, call: ModelCall) -> ModelAnswer:
    """Send the thread to the agent's model; gives its message with a verdict on each of its calls.

    Raises:
        ApplicationError: ModelError (retried unless the model said it cannot help), NotHeld.
    """
    start = time.time_ns()
    async with heartbeating():
        run, call, spec, thread = await _read(world, call)
        answer = await _made(world, run, call, spec, thread)
    answer = answer.model_copy(update={"timing": Timing(start=start, end=time.time_ns())})
    if answer.item:
        link = Link(before=call.head, appended=(*(entry.digest for entry in call.new), answer.item.digest))
        world.ledger.keep(run, [answer.item], link)
        answer = answer.model_copy(update={"link": link}) if activity.info().is_local else answer
    if activity.info().is_local:
        work = ModelCall(step=call.step, new=tuple(entry for entry in call.new if entry.text)).lean(run.name)
        answer = answer.model_copy(update={"work": work})
    world.exporter.export([model_span(run, call, answer)])
    return answer


async def _made(world: World, run: RunRef, call: ModelCall, spec: Spec, thread: Thread) -> ModelAnswer:
    """What comes of a call, but for how long it took."""
    agent = spec.agent(call.step.agent)
    heard = await _heard(world, run, call, spec, thread)
    if heard.refusal:
        return heard
    instead = "step limit" if call.by_book else await takes_over(world.guards, run, agent, thread)
    thread = await seen(world.guards, run, agent, thread)
    if not instead and not uncleared(agent, thread.messages) and (overflowed := _overflowed(world, agent, thread)):
        return overflowed.model_copy(update={"matched": heard.matched})
    reply, instead = await _replied(world, run, agent, thread, instead)
    answer = await _answered(world, run, call, agent, thread, reply)
    return answer.model_copy(update={"instead": instead, "matched": (*heard.matched, *answer.matched)})


async def _read(world: World, call: ModelCall) -> tuple[RunRef, ModelCall, Spec, Thread]:
    try:
        run = await world.ledger.run(call.run)
        spec = await world.ledger.spec(run)
        thread = await world.ledger.thread(run, call.head, call.new)
        return run, call.full(activity.info().activity_id, run.name), spec, thread
    except LedgerError as error:
        raise not_held(error) from None


def not_held(error: LedgerError) -> ApplicationError:
    """What of the run is not here; an ordinary activity, which comes after a local one, finds more in history."""
    return ApplicationError(str(error), type="NotHeld" if activity.info().is_local else "LedgerError")


async def _heard(world: World, run: RunRef, call: ModelCall, spec: Spec, thread: Thread) -> ModelAnswer:
    """What the rules say of a session's new message; where one refuses it the model is not asked."""
    new = thread.messages[-len(call.new) :] if call.judge and call.new else ()
    said = [message.text for message in new if message.role == "user"]
    matched: tuple[str, ...] = ()
    for text in said:
        judged = await judge_input(world.guards, spec, run, text)
        matched += judged.matched
        if judged.verdict == "deny":
            return ModelAnswer(refusal=judged.reason, rule=judged.rule, matched=matched, timing=_NO_TIME)
    waits = await limited(world, run, spec.agents, "input") if said else None
    refusal, rule = (waits.reason, waits.limit) if waits else ("", "")
    return ModelAnswer(refusal=refusal, rule=rule, matched=matched, timing=_NO_TIME)


def _overflowed(world: World, agent: AgentSpec, thread: Thread) -> ModelAnswer | None:
    """A thread that is too long; the model is not asked."""
    if world.gauge.surely_fits(agent, len(thread.messages), thread.bytes):
        return None
    tokens = world.gauge.tokens(agent, thread.digests, thread.messages)
    return ModelAnswer(overflow=tokens, timing=_NO_TIME) if tokens > world.gauge.limit(agent) else None


async def _replied(world: World, run: RunRef, agent: AgentSpec, thread: Thread, instead: str) -> tuple[ModelReply, str]:
    """A reply, and why the playbook gave it instead of the model ("" where it did not)."""
    has_playbook = bool(agent.playbook) and agent.models[0] != PLAYBOOK
    if not instead and (secrecy := uncleared(agent, thread.messages)):
        if not has_playbook:
            why = (
                f"agent {agent.name!r}: what its model is to read is {secrecy}, and Agent(cleared=…) lets it read "
                f"{read_label(agent.cleared).secrecy} at most. Give the agent a playbook, or another model."
            )
            raise ApplicationError(why, type="ModelError", non_retryable=True)
        instead = "not cleared"
    if not instead:
        try:
            await take_reply(world, run, agent)
            return await ask_model(world, run, agent, thread.messages), ""
        except ApplicationError as error:
            if not has_playbook or not (error.non_retryable or _is_last_attempt()):
                raise
        instead = "failed"
    by_book = agent.model_copy(update={"models": (PLAYBOOK,)})
    return await ask_model(world, run, by_book, thread.messages), instead


async def take_reply(world: World, run: RunRef, agent: AgentSpec) -> None:
    """Take a call of the model from the limits. A short wait is a pause before the next attempt.

    Raises:
        ApplicationError: ModelError, where one has to wait.
    """
    try:
        waits = await limited(world, run, (agent,), "model", model=agent.models[0])
    except LimitError as error:
        raise ApplicationError(str(error), type="ModelError") from None
    if waits:
        delay = timedelta(seconds=waits.seconds)
        too_long = delay > _LONGEST_WAIT
        raise ApplicationError(waits.reason, type="ModelError", non_retryable=too_long, next_retry_delay=delay)


def uncleared(agent: AgentSpec, messages: tuple[Message, ...]) -> str:
    """How secret what the model would read is, where that is more than it is cleared for."""
    if not agent.cleared or agent.models[0] == PLAYBOOK:  # which runs here
        return ""
    label = label_of_thread(agent, messages)
    return label.secrecy if label.is_more_secret_than(read_label(agent.cleared)) else ""


def _is_last_attempt() -> bool:
    info = activity.info()
    tries = info.retry_policy.maximum_attempts if info.retry_policy else 0
    return not info.is_local and 0 < tries <= info.attempt


async def _answered(  # noqa: PLR0917 - each is a part of the answer
    world: World, run: RunRef, call: ModelCall, agent: AgentSpec, thread: Thread, reply: ModelReply
) -> ModelAnswer:
    asked = tuple(
        ToolCall(id=f"call_{call.step.id.replace('.', '_')}_{index}", name=each.name, args=each.args)
        for index, each in enumerate(reply.calls)
    )
    calls, verdicts = await judge_calls(world.guards, run, agent, thread, asked)
    text, redacted = await without(world.guards, run, agent, thread, mended(reply.text))
    text, problem = (text, "") if calls else _answer(world, agent, text)
    judged = Judgement(verdict="allow")
    if not (calls or problem):
        judged = await judge_output(world.guards, run, agent, thread, text)
        problem = judged.reason if judged.verdict == "deny" else ""
    item = make_item(Message(role="assistant", text=text, calls=calls), run.key)
    if too_large := world.too_large(item.text):
        why = f"the reply {too_large}. Ask for less, or limit the model."
        raise ApplicationError(why, type="ModelError", non_retryable=True)
    return ModelAnswer(
        item=item,
        verdicts=tuple(_lean(verdict) for verdict in verdicts),
        problem=problem,
        rule=judged.rule,
        matched=(*redacted, *judged.matched),
        review=await _review(world, run, agent, thread, text, judged),
        model=reply.model,
        provider=reply.provider,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost_microusd=world.price(reply.provider, reply.model, reply.input_tokens, reply.output_tokens),
        why=reply.why,
        timing=_NO_TIME,
    )


async def _review(  # noqa: PLR0917 - whose answer, after what
    world: World, run: RunRef, agent: AgentSpec, thread: Thread, text: str, judged: Judgement
) -> CallVerdict | None:
    if judged.verdict != "ask":
        return None
    made = digest(canonical({"answer": text}), run.key)
    routed = await route_output(world.guards, run, agent, thread, text) if agent.routes else None
    return CallVerdict(
        tool=ANSWER, verdict="ask", args_digest=made, rule=judged.rule, reason=judged.reason, routed=routed
    )


def _lean(verdict: CallVerdict) -> CallVerdict:
    """A verdict without what its call says already; the call of a malformed one says nothing reliable."""
    if verdict.verdict == "malformed":
        return verdict
    return verdict.model_copy(update={"id": "", "tool": "", "args_digest": ""})


async def ask_model(world: World, run: RunRef, agent: AgentSpec, messages: tuple[Message, ...]) -> ModelReply:
    """One reply of the agent's model to this thread.

    Raises:
        ApplicationError: ModelError.
    """
    request = ModelRequest(
        agent=agent.name,
        instructions=agent.instructions,
        messages=_marked(agent, repaired(messages)),
        tools=agent.tools,
        result_schema=agent.result_schema,
        playbook=agent.playbook,
        playbook_source=agent.playbook_source,
        fence=digest("fence", run.key)[:8],
    )
    limit = asyncio.timeout(agent.model_timeout)
    try:
        model = world.open_model(agent.models[0], agent.model_timeout)
        async with limit:
            return await model.reply(request)
    except TimeoutError as error:
        why = f"no answer within {agent.model_timeout:g} s" if limit.expired() else f"TimeoutError: {error}"
        raise ApplicationError(why, type="ModelError") from None
    except UsageError as error:  # a key or package that this worker lacks: trying again does not help
        raise ApplicationError(str(error), type="ModelError", non_retryable=True) from None
    except ModelError as error:
        delay = timedelta(seconds=error.retry_after) if error.retry_after else None
        raise ApplicationError(
            str(error), type="ModelError", non_retryable=not error.retryable, next_retry_delay=delay
        ) from None


def _marked(agent: AgentSpec, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, with their label on those that others wrote."""
    tools = {tool.name for tool in agent.tools if read_label(tool.returns).integrity == "external"}
    user = read_label(agent.input, FROM_USER).integrity == "external"

    def is_theirs(message: Message) -> bool:
        return message.tool in tools if message.role == "tool" else user and message.role == "user"

    return tuple(
        message.model_copy(update={"label": str(label_of(agent, message))})
        if is_theirs(message) and not message.label
        else message
        for message in messages
    )


def _answer(world: World, agent: AgentSpec, text: str) -> tuple[str, str]:
    """A final answer as it is kept (typed ones with their defaults), and why it does not fit ("" when it does)."""
    if agent.result_schema is None:
        empty = "You gave an empty answer and called no tool. Answer, or call a tool."
        return text, "" if text.strip() else empty
    right = f"Answer with one JSON object that fits this schema: {canonical(agent.result_schema)}"
    defined = world.all_agents().get(agent.name)
    try:
        value = read_answer(text)
        if defined is None or defined.result is None:
            return canonical(value), ""
        typed = cast("type[BaseModel]", cast("Any", defined.result)).model_validate(value)
        return typed.model_dump_json(), ""
    except ValidationError as error:
        return text, f"Your answer does not fit: {in_words(error)}. {right}"
    except ValueError as error:
        return text, f"Your answer is not JSON ({error}). {right}"
