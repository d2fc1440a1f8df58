"""Runs that wait for an approval: what they cost the worker, and how long it takes to wake one."""

import asyncio
import sys
import time

from benchmarks.catalogue import BY_NAME
from benchmarks.child import Child, StackError
from benchmarks.results import Sleep
from benchmarks.runner import Runner

WOKEN = 10
WARM_UP = 20
"""Runs that sleep and are woken before anything is measured: they load what every run needs, which is nobody's own."""
AT_ONCE = 25
PATIENCE = 120.0
SETTLES = 3.0


async def measure(runner: Runner, stack: str, runs: int) -> Sleep:
    """Put runs to sleep, look at the worker, wake some; then the same with a worker that has none of them in memory.

    Raises:
        StackError: the runs do not come to wait.
    """
    entry = BY_NAME[stack]
    keys = runner.keys(entry, runs)
    async with await runner.begin(entry, ()) as child:
        fresh = await resting(child)
    async with await runner.begin(entry, ()) as child:
        await warm_up(child, runner.keys(entry, WARM_UP))
        empty = await resting(child)
        start = time.perf_counter()
        await put_to_sleep(child, keys)
        started = time.perf_counter() - start
        cached = await resting(child)
        warm = [float(await child.ask("wake", PATIENCE, key=key)) for key in keys[-WOKEN:]]
        bound = int(await child.ask("cache_size", PATIENCE))
    # A new worker under the old one's queue: the runs are on the server, none is in its memory.
    async with await runner.begin(entry, (), queue=child.queue) as child:
        beside = await resting(child)
        cold = [float(await child.ask("wake", PATIENCE, key=key)) for key in keys[:WOKEN]]
    return Sleep(runs, min(runs, bound), empty, cached, fresh, beside, tuple(warm), tuple(cold), started)


async def resting(child: Child) -> int:
    """What a worker holds once it has nothing to do."""
    await asyncio.sleep(SETTLES)
    return child.memory


async def warm_up(child: Child, keys: list[str]) -> None:
    """Put runs to sleep and wake all of them."""
    await put_to_sleep(child, keys)
    for key in keys:
        await child.ask("wake", PATIENCE, key=key)


async def put_to_sleep(child: Child, keys: list[str]) -> None:
    """Start runs, and return when all of them wait.

    Raises:
        StackError: they do not come to wait.
    """
    prefix, waiting = keys[0].rpartition("-")[0] + "-", 0
    for place in range(0, len(keys), AT_ONCE):
        batch = keys[place : place + AT_ONCE]
        waiting = int(await child.ask("put_to_sleep", PATIENCE, keys=batch, prefix=prefix))
        _show(waiting, len(keys))
    end = time.monotonic() + PATIENCE
    while waiting < len(keys):
        if time.monotonic() > end:
            raise StackError(f"{waiting:,} of {len(keys):,} runs wait for an approval, and no more come")
        await asyncio.sleep(0.5)
        seen = int(await child.ask("put_to_sleep", PATIENCE, keys=[], prefix=prefix))
        end = time.monotonic() + PATIENCE if seen > waiting else end
        waiting = seen
        _show(waiting, len(keys))


def _show(waiting: int, of: int) -> None:
    """On a terminal a line that counts up, elsewhere one line in the end."""
    live = sys.stdout.isatty()
    if live or waiting == of:
        start, end = ("\r", "\n" if waiting == of else "") if live else ("", "\n")
        print(f"{start}{waiting:,} of {of:,} runs wait for an approval", end=end, flush=True)
