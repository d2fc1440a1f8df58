"""Activity side. `seal`: gathers every text that the next execution of a run needs; it needs no older history then."""

from temporalio.exceptions import ApplicationError

from mainspring.contracts.steps import Chunk, Sealed, SealWork
from mainspring.core.ledger import Item
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import ITEM_LIMIT, World
from mainspring.errors import LedgerError

CHUNK = 1024 * 1024
"""Bytes of one chunk, as it is written; a payload may have 2 MB."""
CARRIED = 1536 * 1024
"""Bytes of all that is carried where payloads stay in history: a server takes 2 MB, and messages may still come in."""


async def seal(world: World, work: SealWork) -> Sealed:
    """The texts of these threads, in chunks.

    Raises:
        ApplicationError: LedgerError; WindowTooLarge, where payloads stay in history and these do not fit.
    """
    async with heartbeating():
        try:
            run = await world.ledger.run(None)
            items = {head.thread: await world.ledger.items(run, head) for head in work.heads}
        except LedgerError as error:
            raise ApplicationError(str(error), type="LedgerError") from None
    size = work.beside + sum(_written(item) for each in items.values() for item in each)
    if size > CARRIED and world.item_limit <= ITEM_LIMIT:
        raise ApplicationError(
            f"to continue as new, the run would take {size} bytes along, {work.beside} of them beside its messages. At "
            f"most {CARRIED} fit where large payloads stay in history. Set MAINSPRING_PAYLOADS, or give the agent a "
            "smaller context.",
            type="WindowTooLarge",
            non_retryable=True,
        )
    return Sealed(chunks=tuple(chunk for thread, each in items.items() for chunk in _chunks(thread, each)))


def _chunks(thread: str, items: list[Item]) -> list[Chunk]:
    chunks: list[list[Item]] = [[]]
    room = CHUNK
    for item in items:
        size = _written(item)
        if size > room and chunks[-1]:
            chunks.append([])
            room = CHUNK
        room -= size
        chunks[-1].append(item)
    return [Chunk(thread=thread, items=tuple(each)) for each in chunks]


def _written(item: Item) -> int:
    """Bytes of an item in a payload: the quotes in its text are escaped there."""
    return len(item.model_dump_json().encode())
