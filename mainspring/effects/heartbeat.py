"""Activity side. Heartbeats in the background, so that a lost worker and a cancellation are noticed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from temporalio import activity


@asynccontextmanager
async def heartbeating(details: Callable[[], Sequence[object]] = tuple) -> AsyncGenerator[None]:
    """Beat three times per heartbeat time-out while the block runs; `details` gives what the next attempt is told."""
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    beat = asyncio.create_task(_beat(timeout.total_seconds() / 3, details))
    try:
        yield
    finally:
        beat.cancel()


async def _beat(every: float, details: Callable[[], Sequence[object]]) -> None:
    while True:
        activity.heartbeat(*details())
        await asyncio.sleep(every)
