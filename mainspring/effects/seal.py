"""Activity side. `seal`: gathers every text that the next execution of a run needs; it needs no older history then."""

from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import Chunk, Sealed, SealWork
from mainspring.core.ledger import Head, Item
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import ITEM_LIMIT, World
from mainspring.errors import LedgerError

CHUNK = 1024 * 1024
"""Bytes of one chunk; a payload may have 2 MB."""
INLINE = 1024 * 1024
"""Bytes of all chunks where payloads stay in history."""


async def seal(world: World, work: SealWork) -> Sealed:
    """The texts of these threads, and of what is in no thread yet, in chunks.

    Raises:
        ApplicationError: LedgerError; WindowTooLarge, where payloads stay in history and these do not fit.
    """
    async with heartbeating():
        try:
            run = await world.ledger.run(None)
            items: dict[str | None, list[Item]] = {
                head.thread: await world.ledger.items(run, head) for head in work.heads
            }
            if work.unread:
                items[None] = await world.ledger.items(run, Head(), work.unread)
        except LedgerError as error:
            raise ApplicationError(str(error), type="LedgerError") from None
    size = sum(len(item.text) for each in items.values() for item in each)
    if size > INLINE and world.item_limit <= ITEM_LIMIT:
        raise ApplicationError(
            f"the run's messages have {size} bytes, and at most {INLINE} can be carried over where large payloads stay "
            "in history. Set MAINSPRING_PAYLOADS, or give the agent a smaller context.",
            type="WindowTooLarge",
            non_retryable=True,
        )
    return Sealed(chunks=tuple(chunk for thread, each in items.items() for chunk in _chunks(thread, each)))


def _chunks(thread: str | None, items: list[Item]) -> list[Chunk]:
    chunks: list[list[Item]] = [[]]
    room = CHUNK
    for item in items:
        room -= len(item.text)
        if room < 0 and chunks[-1]:
            chunks.append([])
            room = CHUNK - len(item.text)
        chunks[-1].append(item)
    return [Chunk(thread=thread, items=tuple(each)) for each in chunks]
