"""The crash matrix: `make chaos`, or `python -m tests.chaos`.

    QUICK=1      a sample, in minutes        SEED=7     another sample (and other points for the server)
    MODES=turn   these modes (a,b)           JOBS=4     so many runs at once
    ONLY=NAME    the crashes of that name: the beginning of one, or with * for anything

Each scenario is run in each mode: once undisturbed, to learn its points, then once for each point.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mainspring.devserver import DevServer
from tests.chaos import app
from tests.chaos.checks import Expected
from tests.chaos.nursery import Nursery
from tests.chaos.plan import Crash, Sums, crashes, named, only, sample
from tests.chaos.play import Ground, Outage, Play, client_of
from tests.chaos.verdict import Report, as_expected, crash_at, judge, rehearse

SEED = int(os.environ.get("SEED") or 1)
JOBS = int(os.environ.get("JOBS") or 6)
QUICK = bool(os.environ.get("QUICK"))
SAMPLE = int(os.environ.get("SAMPLE") or 150)
"""How many crashes `QUICK=1` tries."""
ONLY = os.environ.get("ONLY", "")
MODES = [mode for mode in os.environ.get("MODES", "").split(",") if mode] or list(app.MODES)
TRIES = 3
"""How often a point is gone for that the run did not come by: parallel steps do not always fall alike."""
TOLD = 50
"""After so many crashes a line says how far it is, where there is no terminal."""

T = TypeVar("T")


class Screen:
    """What is told: lines, and on a terminal one that is written anew below them."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    def tell(self, text: str) -> None:
        """Print a line, at once."""
        self._write(f"{text}\n")

    def show(self, text: str, *, also: bool) -> None:
        """Show how far it is: on a terminal always, else only `also`."""
        if self._live:
            self._write(text)
        elif also:
            self.tell(text)

    def _write(self, text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}" if self._live else text)
        sys.stdout.flush()


class Matrix:
    """All crashes of one go, and what came of them."""

    def __init__(self, ground: Ground, screen: Screen) -> None:
        self.sums = Sums()
        self._ground = ground
        self._screen = screen
        self._expected: dict[tuple[str, str], Expected] = {}
        self._points: dict[tuple[str, str], list[str]] = {}
        self._missed: list[Crash] = []
        self._began = time.monotonic()
        self._total = 0
        self._seconds = 0.0

    async def rehearse(self) -> bool:
        """Run every scenario undisturbed; false where that is wrong already."""
        wanted = [key for key in app.cases() if key[1] in MODES and named(*key, ONLY)]
        await each_of(wanted, self._learn)
        if len(self._points) < len(wanted):
            return False
        self._points = {key: self._points[key] for key in wanted}
        for (scenario, mode), points in self._points.items():
            self._screen.tell(f"{scenario} in mode {mode}: {len(points)} points")
        return True

    async def _learn(self, case: tuple[str, str]) -> None:
        scenario, mode = case
        for _ in range(TRIES):
            report, points = await rehearse(self._ground, scenario, mode)
            if report.calm:
                break
        if report.seen and not report.found:
            self._expected[case] = as_expected(report.seen)
            self._points[case] = points
        else:
            self._screen.tell(f"FAULT  {scenario} in mode {mode}, though nothing was disturbed: {_told(report)}")

    def chosen(self) -> list[Crash]:
        """The crashes of this go."""
        found = crashes(self._points, SEED)
        if ONLY:
            return only(found, ONLY)
        return sample(found, SAMPLE, SEED) if QUICK else found

    async def go(self, chosen: Sequence[Crash]) -> None:
        """Try them all, and those again whose run did not come by its point."""
        self._total = len(chosen)
        left = chosen
        for _ in range(TRIES):
            self._missed = []
            await self._try(left)
            left = self._missed
        for crash in left:
            self._screen.tell(f"not reached, its run took another way each time: {crash}")

    async def _try(self, some: Sequence[Crash]) -> None:
        """Let workers die; in between, the server, which grows with every run that it has seen, for several runs."""
        alone = [crash for crash in some if crash.who == "worker"]
        together = [crash for crash in some if crash.who != "worker"]
        random.Random(SEED).shuffle(alone)
        batches = [together[start : start + JOBS] for start in range(0, len(together), JOBS)] or [[]]
        for number, batch in enumerate(batches):
            await each_of(alone[number :: len(batches)], self._alone)
            if batch:
                await self._together(batch)

    async def _alone(self, crash: Crash) -> None:
        self._take(await crash_at(self._ground, crash, self._expected[crash.scenario, crash.mode]))

    async def _together(self, batch: Sequence[Crash]) -> None:
        outage = Outage(self._ground.server, len(batch))
        plays = [
            Play(self._ground, crash, act="wait" if crash.who == "server" else "die", outage=outage) for crash in batch
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(outage.happen([play.world for play in plays]))
            judged = [
                group.create_task(judge(self._ground, play, self._expected[play.crash.scenario, play.crash.mode]))
                for play in plays
            ]
        for each in judged:
            self._take(each.result())

    def _take(self, report: Report) -> None:
        if not report.reached and not report.found:
            self._missed.append(report.crash)
            return
        kinds = {fault.kind for fault in report.found}
        self.sums.points += 1
        self.sums.wrong += "wrong" in kinds
        self.sums.repeated += "repeated" in kinds
        self.sums.lost += "lost" in kinds
        self.sums.asked += report.asked
        self._seconds += report.seconds
        if report.found:
            self._screen.tell(f"FAULT  make chaos SEED={SEED} ONLY='{report.crash}'  {_told(report)}")
        passed = time.monotonic() - self._began
        self._screen.show(
            f"{self.sums.points} of {self._total} after {passed:.0f} s, "
            f"{self._seconds / self.sums.points:.1f} s a run, {JOBS} at once",
            also=self.sums.points % TOLD == 0 or self.sums.points == self._total,
        )


def _told(report: Report) -> str:
    return "; ".join(f"{fault.kind}: {fault.what}" for fault in report.found)


async def each_of(things: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each, so many at a time."""
    free = asyncio.Semaphore(JOBS)

    async def one(thing: T) -> None:
        async with free:
            await do(thing)

    async with asyncio.TaskGroup() as group:
        for thing in things:
            group.create_task(one(thing))


async def main() -> int:
    """Everything; gives the exit code."""
    screen = Screen()
    screen.tell(f"seed {SEED}")
    with tempfile.TemporaryDirectory(prefix="mainspring-chaos-") as place:
        folder = Path(place)
        server = DevServer(folder / "server", port=0, ui_port=0)
        async with Nursery(folder / "nursery.log") as nursery, server:
            matrix = Matrix(Ground(server, await client_of(server), nursery, folder), screen)
            if not await matrix.rehearse():
                return 1
            chosen = matrix.chosen()
            if not chosen:
                screen.tell(f"There is no crash named {ONLY!r}. A name is scenario/mode/victim/point.")
                return 1
            await matrix.go(chosen)
    screen.tell(str(matrix.sums))
    return 0 if matrix.sums.good else 1


if __name__ == "__main__":
    try:
        code = asyncio.run(main())
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    os._exit(code)
