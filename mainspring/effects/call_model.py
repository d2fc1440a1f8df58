"""Activity side. `call_model`: one reply of a model, judged on the spot, so that the verdicts are recorded with it."""

import asyncio
import time
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import ModelAnswer, ModelCall, Timing
from mainspring.core.answers import read_answer
from mainspring.core.canonical import canonical
from mainspring.core.ledger import Link, make_item
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import AgentSpec
from mainspring.core.tool import in_words
from mainspring.effects.gate import judge_calls
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import World
from mainspring.errors import ModelError, UsageError
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
        held = await world.ledger.thread(call.run, call.head, call.new)
        thread = tuple(message for _, message in held)
        reply = await _reply(world, agent, thread)
    asked = tuple(
        ToolCall(id=f"call_{call.step.id.replace('.', '_')}_{index}", name=each.name, args=each.args)
        for index, each in enumerate(reply.calls)
    )
    calls, verdicts = judge_calls(world, call, agent, thread, asked)
    text, problem = (reply.text, "") if calls else _answer(world, agent, reply.text)
    item = make_item(Message(role="assistant", text=text, calls=calls), call.run.key)
    if too_large := world.too_large(item.text):
        why = f"the reply {too_large}. Ask for less, or lower the model's limit."
        raise ApplicationError(why, type="ModelError", non_retryable=True)
    link = Link(before=call.head, appended=(*(entry.digest for entry in call.new), item.digest))
    answer = ModelAnswer(
        item=item,
        link=link,
        verdicts=verdicts,
        problem=problem,
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
