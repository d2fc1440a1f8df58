"""The runner's side of a stack: a process in the stack's environment, asked one thing after the other."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.catalogue import Entry
from benchmarks.environments import HOME, ROOT, python_of
from benchmarks.job import Job
from benchmarks.protocol import Place

STARTS_WITHIN = 60.0
LINE_LIMIT = 64 * 1024 * 1024


class StackError(Exception):
    """The stack said that something failed, died, or did not answer in time."""


class Child:
    """A running stack, made by `Child.begin`. As a context manager it quits in the end, or is killed after an error."""

    def __init__(self, entry: Entry, place: Place, process: asyncio.subprocess.Process, log: Path, born: float) -> None:
        """Wrap a process that was just started."""
        self.entry = entry
        self.queue = place.queue
        self._process = process
        self._log = log
        self._born = born
        self.load_seconds = 0.0
        self.ready_seconds = 0.0
        self.broken = False

    @classmethod
    async def begin(cls, entry: Entry, place: Place) -> Self:
        """Start the process and its worker.

        Raises:
            StackError: it does not come up.
        """
        log = HOME / "logs" / f"{entry.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        launch = [str(python_of(entry.lock)), "-P", str(ROOT / "benchmarks" / "launch.py"), entry.module]
        born = time.perf_counter()
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *launch,
                *entry.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                limit=LINE_LIMIT,
                cwd=place.folder,
                start_new_session=True,  # Ctrl-C reaches the runner alone, which ends its children in order
            )
        child = cls(entry, place, process, log, born)
        try:
            child.load_seconds = float(await child._answer(STARTS_WITHIN))
            await child.ask("start", STARTS_WITHIN, **dataclasses.asdict(place))
        except BaseException:
            await child.kill()
            raise
        child.ready_seconds = child.age
        return child

    @property
    def age(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._born

    @property
    def memory(self) -> int:
        """Bytes it holds in memory now."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def ask(self, do: str, within: float, **given: Any) -> Any:
        """Say one word and wait for the answer.

        Raises:
            StackError: in words, whatever went wrong.
        """
        assert self._process.stdin is not None  # noqa: S101 - opened above
        with contextlib.suppress(ConnectionError):  # it died: the answer tells how
            self._process.stdin.write(json.dumps({"do": do, **given}).encode() + b"\n")
            await self._process.stdin.drain()
        return await self._answer(within)

    async def run(
        self, job: Job, keys: list[str], at_once: int, within: float, *, profile: bool = False
    ) -> dict[str, Any]:
        """Do runs; gives seconds of each, seconds of all, processor time, and where it went if that is asked."""
        given = {"job": dataclasses.asdict(job), "keys": keys, "at_once": at_once, "profile": profile}
        answer: dict[str, Any] = await self.ask("run", within, **given)
        return answer

    async def __aenter__(self) -> Self:
        """It runs already."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it; nobody waits for its work after an error, or when the benchmark is stopped."""
        await (self.kill() if kind or self.broken else self.quit())

    async def quit(self) -> None:
        """End it in order, by force after twenty seconds."""
        assert self._process.stdin is not None  # noqa: S101 - opened above
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._process.stdin.write(b'{"do": "quit"}\n')
            await self._process.stdin.drain()
            await asyncio.wait_for(self._process.wait(), 20)
        await self.kill()

    async def kill(self) -> None:
        """End it and what it started, now."""
        self.broken = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _answer(self, within: float) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - opened above
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within)
        except TimeoutError:
            self.broken = True
            raise StackError(f"no answer within {within:.0f} s") from None
        if not line:
            self.broken = True
            raise StackError(f"the process died: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise StackError(answer["error"])
        return answer["ok"]

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"


def processor_time(pid: int) -> float:
    """Processor seconds of a process and all it started, those that have ended included."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
                # Linux alone tells what ended children spent.
                total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total
