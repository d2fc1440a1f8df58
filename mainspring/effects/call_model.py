"""Activity side. `call_model`: one reply of a model, judged on the spot, so that the verdicts are recorded with it."""

import asyncio
import time
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import ModelAnswer, ModelCall, Timing
from mainspring.core.answers import read_answer
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.ledger import Link, make_item
from mainspring.core.messages import Done, Message, ToolCall, finished_calls
from mainspring.core.rules import CallFacts
from mainspring.core.spec import AgentSpec
from mainspring.core.turn import CallVerdict
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import World
from mainspring.errors import ModelError, UsageError, did_you_mean
from mainspring.ports.model import ModelReply, ModelRequest
from mainspring.telemetry.spans import model_span


async def call_model(world: World, call: ModelCall) -> ModelAnswer:
    """Send the thread to the agent's model; gives its message with a verdict on each of its calls.

    Raises:
        ApplicationError: ModelError (retried unless the model said it cannot help), LedgerError.
    """
    start = time.time_ns()
    async with heartbeating():
        spec = await world.ledger.spec(call.run)
        agent = spec.agent(call.step.agent)
        thread = await world.ledger.thread(call.run, call.head, call.new)
        reply = await _reply(world, agent, thread)
    calls = tuple(
        ToolCall(id=f"call_{call.step.id.replace('.', '_')}_{index}", name=each.name, args=each.args)
        for index, each in enumerate(reply.calls)
    )
    parsed = [_parse(world, agent, each) for each in calls]
    message = Message(role="assistant", text=reply.text, calls=calls)
    item = make_item(message, call.run.key)
    link = Link(before=call.head, appended=(*(entry.digest for entry in call.new), item.digest))
    answer = ModelAnswer(
        item=item,
        link=link,
        verdicts=_verdicts(world, call, agent, thread, list(zip(calls, parsed, strict=True))),
        problem="" if calls else _problem(world, agent, reply.text),
        model=reply.model,
        provider=reply.provider,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost_microusd=world.price(reply.provider, reply.model, reply.input_tokens, reply.output_tokens),
        why=reply.why,
        timing=Timing(start=start, end=time.time_ns()),
    )
    world.ledger.keep(call.run, [item], link)
    world.exporter.export([model_span(call, answer)])
    return answer


async def _reply(world: World, agent: AgentSpec, thread: tuple[Message, ...]) -> ModelReply:
    request = ModelRequest(
        agent=agent.name,
        instructions=agent.instructions,
        messages=thread,
        tools=agent.tools,
        result_schema=agent.result_schema,
        playbook=agent.playbook,
        playbook_source=agent.playbook_source,
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
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
        return f"The arguments of {call.name} do not fit its schema: {wrong}."


def _verdicts(
    world: World,
    call: ModelCall,
    agent: AgentSpec,
    thread: tuple[Message, ...],
    asked: list[tuple[ToolCall, dict[str, Json] | str]],
) -> tuple[CallVerdict, ...]:
    """Judge in order, each call as if the earlier ones of the message were done."""
    judge = world.judge(call.run, agent)
    results = list(finished_calls(thread))
    verdicts: list[CallVerdict] = []
    for each, args in asked:
        if isinstance(args, str):
            verdicts.append(CallVerdict(id=each.id, tool=each.name, verdict="malformed", reason=args))
            continue
        spec = agent.tool(each.name)
        judged = judge.judge_call(
            CallFacts(
                agent=agent.name,
                user=call.run.user,
                tenant=call.run.tenant,
                tool=each.name,
                effect=spec.effect if spec else "once",
                args=args,
                results=tuple(results),
            )
        )
        verdicts.append(
            CallVerdict(
                id=each.id,
                tool=each.name,
                verdict=judged.verdict,
                args_digest=digest(canonical(args), call.run.key),
                rule=judged.rule,
                reason=judged.reason,
                matched=judged.matched,
            )
        )
        results.append(Done(tool=each.name, args=args, value=None, status="ok"))
    return tuple(verdicts)


def _problem(world: World, agent: AgentSpec, text: str) -> str:
    """Why a final answer does not fit the agent's result type ("" when it does)."""
    if agent.result_schema is None:
        return "" if text.strip() else "You gave an empty answer and called no tool. Answer, or call a tool."
    right = f"Answer with one JSON object that fits this schema: {canonical(agent.result_schema)}"
    defined = world.all_agents().get(agent.name)
    try:
        value = read_answer(text)
        if defined is not None and defined.result is not None:
            cast("type[BaseModel]", cast("Any", defined.result)).model_validate(value)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors())
        return f"Your answer does not fit: {wrong}. {right}"
    except ValueError as error:
        return f"Your answer is not JSON ({error}). {right}"
    return ""
