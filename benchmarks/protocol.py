"""The side of a stack: a process that does what the runner asks, one JSON line in, one JSON line out.

`{"do": "start", …}` starts the worker, `{"do": "run", …}` does runs and measures them, `{"do": "quit"}` ends the
process, and so does the end of the runner. Further words are methods of the stack. Standard library only.
"""

import asyncio
import json
import os
import resource
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TextIO

from benchmarks.job import Job
from benchmarks.profiling import profiled


@dataclass(frozen=True)
class Place:
    """Where a stack works: the servers of this benchmark, a folder of its own, the jobs it will be given."""

    temporal: str
    postgres: str
    folder: str
    queue: str
    jobs: tuple[Job, ...]


class Stack(ABC):
    """One way to do the job. A method beyond these is a word that the runner may say, and gives a JSON value."""

    @abstractmethod
    async def start(self, place: Place) -> None:
        """Connect, and start the worker."""

    @abstractmethod
    async def run(self, job: Job, key: str) -> None:
        """Do one run to its end; `key` is its own and new."""

    async def replay(self, key: str, times: int, run_id: str | None = None) -> list[float] | None:
        """Seconds that a worker needs to have an ended run in memory, from its history; None: does not apply."""
        del key, times, run_id
        return None

    async def stored(self, key: str) -> int | None:
        """How many bytes the run left in a store that is not Temporal's; None: there is none."""
        del key
        return None

    async def stop(self) -> None:  # noqa: B027 - not every stack has something to let go of
        """Let go of what `start` took."""


async def measured_runs(
    stack: Stack, job: Job, keys: list[str], at_once: int, *, profile: bool = False
) -> dict[str, Any]:
    """Do runs, so many at once, and say how long each took and what processor time this process spent, and where."""
    free = asyncio.Semaphore(at_once)

    async def one(key: str) -> float:
        async with free:
            start = time.perf_counter()
            await stack.run(job, key)
            return time.perf_counter() - start

    before, start = _cpu(), time.perf_counter()
    with profiled() if profile else nullcontext({}) as looks:
        seconds = await asyncio.gather(*(one(key) for key in keys))
    return {"seconds": seconds, "wall": time.perf_counter() - start, "cpu": _cpu() - before, "looks": looks}


def serve(stack: Stack, lines: TextIO, answers: TextIO) -> None:
    """Answer the runner until it says `quit` or is gone."""
    asyncio.run(_serve(stack, lines, answers))
    sys.stderr.flush()
    os._exit(0)  # threads of the SDKs may still call into Python while it winds down, and abort it


async def _serve(stack: Stack, lines: TextIO, answers: TextIO) -> None:
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def listen() -> None:
        for line in lines:
            loop.call_soon_threadsafe(asked.put_nowait, json.loads(line))
        os._exit(1)  # the runner is gone

    threading.Thread(target=listen, daemon=True).start()
    while (request := await asked.get())["do"] != "quit":
        try:
            answer = {"ok": await _do(stack, **request)}
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the runner has to know
            traceback.print_exc()
            answer = {"error": _in_words(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    await stack.stop()


async def _do(stack: Stack, do: str, **given: Any) -> Any:
    if do == "start":
        jobs = tuple(Job(**job) for job in given.pop("jobs"))
        return await stack.start(Place(**given, jobs=jobs))
    if do == "run":
        return await measured_runs(stack, Job(**given.pop("job")), **given)
    return await getattr(stack, do)(**given)


def _in_words(error: BaseException) -> str:
    """An error and what caused it: the SDKs wrap the reason."""
    said = []
    cause: BaseException | None = error
    while cause is not None:
        said.append(f"{type(cause).__name__}: {cause}".splitlines()[0])
        cause = cause.__cause__
    return "; ".join(said)[:300]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
