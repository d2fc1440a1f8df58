"""Activity side. `compact`: makes a thread shorter, so that it fits the model's context window.

The shorter thread is a chain of its own that begins with a new link; the messages that are left out stay in
history. How: the oldest goes, or the agent's model summarises it first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import Compaction, CompactWork, RunRef, Timing
from mainspring.core.flow import label_of_thread
from mainspring.core.ledger import Head, Link, make_item
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, Effect
from mainspring.core.window import Cut, choose, note, transcript
from mainspring.effects.call_model import ask_model, take_reply, uncleared
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.ledger import Thread
from mainspring.effects.seen import seen_messages, without
from mainspring.effects.world import World
from mainspring.errors import LedgerError
from mainspring.ports.model import ModelReply
from mainspring.telemetry.spans import compact_span

TARGET = 0.5
"""The part of what the model may be given that the thread has afterwards, so that this is not due every turn."""
_SUMMARISE = (
    "Summarise the conversation below for a colleague who takes it over: what is asked, what was found and done "
    "(with numbers and names), what was decided, what is still open. Say nothing that is not in it."
)


async def compact(world: World, work: CompactWork) -> Compaction:
    """Choose what is left out, and put a note in its place.

    Raises:
        ApplicationError: ModelError (summarising; retried), LedgerError.
    """
    start = time.time_ns()
    async with heartbeating():
        try:
            run = await world.ledger.run(None)
            work = work.full(activity.info().activity_id, run.name)
            agent = (await world.ledger.spec(run)).agent(work.step.agent)
            thread = await world.ledger.thread(run, work.head, work.new)
        except LedgerError as error:
            raise ApplicationError(str(error), type="LedgerError") from None
        made = await _compacted(world, run, work, agent, thread)
    made = made.model_copy(update={"timing": Timing(start=start, end=time.time_ns())})
    world.ledger.keep(run, [made.item], made.link)
    world.exporter.export([compact_span(run, work, made)])
    return made


@dataclass(frozen=True)
class Shortened:
    """A thread made shorter: what is left out, the note in its place, the reply that summed it up (if one did)."""

    cut: Cut
    note: Message
    summary: ModelReply | None


async def shorten(  # noqa: PLR0917 - whose thread, and what fits
    world: World, run: RunRef, agent: AgentSpec, messages: tuple[Message, ...], sizes: Sequence[int], room: int
) -> Shortened:
    """Choose what is left out so that the rest, whose messages have these sizes, fits the room.

    Raises:
        ApplicationError: ModelError (summarising; retried). A model that is not cleared for them does not sum them up.
    """
    cut = choose(messages, sizes, room)
    left_out = await seen_messages(world.guards, run, agent, messages[cut.start : cut.end])
    summarises = agent.shorten == "summarise" and left_out and not uncleared(agent, left_out)
    reply = await _summary(world, run, agent, left_out) if summarises else None
    effects: dict[str, Effect] = {tool.name: tool.effect for tool in agent.tools}
    label = label_of_thread(agent, left_out)
    return Shortened(cut, note(left_out, effects, label, reply.text if reply else ""), reply)


async def _compacted(world: World, run: RunRef, work: CompactWork, agent: AgentSpec, thread: Thread) -> Compaction:
    sizes = world.gauge.each(agent, thread.digests, thread.messages)
    fixed = world.gauge.fixed(agent)
    room = int(world.gauge.limit(agent) * TARGET) - fixed
    shorter = await shorten(world, run, agent, thread.messages, sizes, room)
    cut, reply, item = shorter.cut, shorter.summary, make_item(shorter.note, run.key)
    digests = (*thread.digests[: cut.start], item.digest, *thread.digests[cut.end :])
    before = fixed + sum(sizes)
    after = before - sum(sizes[cut.start : cut.end]) + sum(world.gauge.each(agent, (item.digest,), (shorter.note,)))
    used = reply or ModelReply(model="", provider="")
    return Compaction(
        item=item,
        link=Link(before=Head(thread=work.head.thread), appended=digests),
        left=cut.left,
        before=before,
        after=after,
        model=used.model,
        provider=used.provider,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_microusd=world.price(used.provider, used.model, used.input_tokens, used.output_tokens) if reply else 0,
        timing=Timing(start=0, end=0),
    )


async def _summary(world: World, run: RunRef, agent: AgentSpec, messages: tuple[Message, ...]) -> ModelReply:
    """A summary by the agent's own model, which is given what is left out as text, in halves where it is too long."""
    asked = agent.model_copy(update={"instructions": _SUMMARISE, "tools": (), "result_schema": None, "playbook": ""})
    text = transcript(messages)
    room = world.gauge.limit(agent) - world.gauge.fixed(asked)
    count = world.gauge.counter(agent.models[0])
    while count(text) > room and len(messages) > 1:
        messages = messages[len(messages) // 2 :]
        text = transcript(messages)
    said = Message(role="user", text=text, label=str(label_of_thread(agent, messages)))
    await take_reply(world, run, agent)
    reply = await ask_model(world, run, asked, (said,))
    text, _ = await without(world.guards, run, agent, Thread(messages=messages), reply.text)
    return reply.model_copy(update={"text": text})
