"""Activity side. `seal`: gathers every text that the next execution of a run needs; it needs no older history then."""

import time

from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import Chunk, RunRef, Sealed, SealWork, Timing, Window
from mainspring.core.ledger import Head, Item, advance, make_item
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec
from mainspring.effects.compact import shorten
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import ITEM_LIMIT, World
from mainspring.errors import LedgerError

CHUNK = 1024 * 1024
"""Bytes of one chunk, as it is written; a payload may have 2 MB."""
CARRIED = 1536 * 1024
"""Bytes of all that is carried where payloads stay in history: a server takes 2 MB, and messages may still come in."""
INLINE = 160 * 1024
"""Bytes of all threads there: the history has them three times, so longer threads are made shorter."""


async def seal(world: World, work: SealWork) -> Sealed:
    """The texts of these threads, in chunks.

    Raises:
        ApplicationError: LedgerError; ModelError, where a thread has to be summarised.
    """
    start = time.time_ns()
    sealed = Sealed()
    async with heartbeating():
        try:
            run = await world.ledger.run(None)
            spec = await world.ledger.spec(run)
            held = [(each, await world.ledger.items(run, each.head, each.behind)) for each in work.windows]
        except LedgerError as error:
            raise ApplicationError(str(error), type="LedgerError") from None
        size = sum(_written(items) for _, items in held)
        inline = world.item_limit <= ITEM_LIMIT
        room = INLINE // max(1, len(held)) if inline and size > INLINE else 0
        for window, items in held:
            sealed = await _with(world, run, sealed, spec.agent(window.agent), window, items, room)
    size = work.beside + sum(_written(list(chunk.items)) for chunk in sealed.chunks)
    if inline and size > CARRIED:
        raise ApplicationError(
            f"to continue as new, the run would take {size} bytes along, {work.beside} of them beside its messages. At "
            f"most {CARRIED} fit where large payloads stay in history. Set MAINSPRING_PAYLOADS, or give the agent a "
            "smaller context.",
            type="WindowTooLarge",
            non_retryable=True,
        )
    return sealed.model_copy(update={"timing": Timing(start=start, end=time.time_ns())})


async def _with(  # noqa: PLR0917 - each is a part of the window
    world: World, run: RunRef, sealed: Sealed, agent: AgentSpec, window: Window, items: list[Item], room: int
) -> Sealed:
    """What is sealed, and this thread too; one with more bytes than there is room for (0: for any) is made shorter."""
    count = len(items) - len(window.behind)
    chain, loose = items[:count], items[count:]
    if room and _written(chain) > room:
        messages = tuple(Message.model_validate_json(item.text) for item in chain)
        shorter = await shorten(world, run, agent, messages, [_written([item]) for item in chain], room)
        cut, said = shorter.cut, shorter.summary
        chain = [*chain[: cut.start], make_item(shorter.note, run.key), *chain[cut.end :]]
        head = advance(Head(thread=window.head.thread), (item.digest for item in chain))
        sealed = sealed.model_copy(update={"heads": (*sealed.heads, head), "left": sealed.left + cut.left})
        if said:
            cost = world.price(said.provider, said.model, said.input_tokens, said.output_tokens)
            known = cost is not None and sealed.cost_microusd is not None
            update = {
                "model_calls": sealed.model_calls + 1,
                "input_tokens": sealed.input_tokens + said.input_tokens,
                "output_tokens": sealed.output_tokens + said.output_tokens,
                "cost_microusd": (sealed.cost_microusd or 0) + (cost or 0) if known else None,
            }
            sealed = sealed.model_copy(update=update)
    chunks = (*sealed.chunks, *_chunks(window.head.thread, chain, loose=False), *_chunks("", loose, loose=True))
    return sealed.model_copy(update={"chunks": chunks})


def _written(items: list[Item]) -> int:
    """Bytes of items in a payload: the quotes in their texts are escaped there."""
    return sum(len(item.model_dump_json().encode()) for item in items)


def _chunks(thread: str, items: list[Item], *, loose: bool) -> list[Chunk]:
    chunks: list[list[Item]] = [[]]
    room = CHUNK
    for item in items:
        size = _written([item])
        if size > room and chunks[-1]:
            chunks.append([])
            room = CHUNK
        room -= size
        chunks[-1].append(item)
    return [Chunk(thread=thread, items=tuple(each), loose=loose) for each in chunks if each]
