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
from collections.abc import Coroutine, Sequence
from pathlib import Path

from mainspring.devserver import DevServer
from tests.chaos import app
from tests.chaos.checks import Expected
from tests.chaos.nursery import Nursery
from tests.chaos.plan import Crash, Sums, crashes, only, sample
from tests.chaos.play import Ground, Outage, Play, Report, client_of, crash_at, judge, rehearse

SEED = int(os.environ.get("SEED") or 1)
JOBS = int(os.environ.get("JOBS") or 8)
QUICK = bool(os.environ.get("QUICK"))
SAMPLE = int(os.environ.get("SAMPLE") or 120)
ONLY = os.environ.get("ONLY", "")
MODES = [mode for mode in os.environ.get("MODES", "").split(",") if mode] or list(app.MODES)
TRIES = 2
"""How often a point is gone for that the run did not come by: parallel steps do not always fall alike."""


def tell(text: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Matrix:
    """All crashes of one go, and what came of them."""

    def __init__(self, ground: Ground) -> None:
        self.sums = Sums()
        self._ground = ground
        self._expected: dict[tuple[str, str], Expected] = {}
        self._points: dict[tuple[str, str], list[str]] = {}
        self._missed: list[Crash] = []
        self._began = time.monotonic()
        self._total = 0
        self._seconds = 0.0

    async def rehearse(self) -> None:
        """Run every scenario undisturbed."""
        wanted = [key for key in app.cases() if key[1] in MODES and ONLY.startswith(_begin(key, ONLY))]
        async with asyncio.TaskGroup() as group, _Turns(group) as turns:
            for key in wanted:
                await turns.take(self._learn(*key))
        self._points = {key: self._points[key] for key in wanted}
        for (scenario, mode), points in self._points.items():
            tell(f"{scenario} in mode {mode}: {len(points)} points")

    async def _learn(self, scenario: str, mode: str) -> None:
        expected, points, found = await rehearse(self._ground, scenario, mode)
        if found:
            told = "; ".join(each.what for each in found)
            raise RuntimeError(f"{scenario} in mode {mode} is wrong though nothing was disturbed: {told}")
        self._expected[scenario, mode] = expected
        self._points[scenario, mode] = [point for point, _ in points]

    def chosen(self) -> list[Crash]:
        """The crashes of this go."""
        found = crashes(self._points, SEED)
        if ONLY:
            # What is named may be a point of the server that another seed chose.
            named = [Crash(*ONLY.split("/", 3))] if ONLY.count("/") >= 3 and "*" not in ONLY else []  # type: ignore[arg-type]
            return only(found, ONLY) or named
        return sample(found, SAMPLE, SEED) if QUICK else found

    async def go(self, chosen: Sequence[Crash]) -> None:
        """Try them all."""
        self._total = len(chosen)
        alone = [crash for crash in chosen if crash.who == "worker"]
        random.Random(SEED).shuffle(alone)
        for _ in range(TRIES):
            self._missed = []
            async with asyncio.TaskGroup() as group, _Turns(group) as turns:
                for crash in alone:
                    await turns.take(self._alone(crash))
            alone = self._missed
        together = [crash for crash in chosen if crash.who != "worker"]
        for _ in range(TRIES):
            self._missed = []
            for start in range(0, len(together), JOBS):
                await self._together(together[start : start + JOBS])
            together = self._missed
        for crash in (*alone, *together):
            tell(f"not reached, its run took another way: {crash}")

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
            tell(f"FAULT at {report.crash} (seed {SEED})")
            for fault in report.found:
                tell(f"  {fault.kind}: {fault.what}")
            tell(f"  again: make chaos ONLY='{report.crash}'")
        if self.sums.points % 25 == 0 or self.sums.points == self._total:
            passed = time.monotonic() - self._began
            mean = self._seconds / self.sums.points
            tell(f"{self.sums.points} of {self._total} after {passed:.0f} s, {mean:.1f} s a run, {JOBS} at once")


class _Turns:
    """So many at a time."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._free = asyncio.Semaphore(JOBS)

    async def __aenter__(self) -> "_Turns":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def take(self, work: Coroutine[None, None, None]) -> None:
        await self._free.acquire()
        self._group.create_task(work).add_done_callback(lambda _: self._free.release())


def _begin(key: tuple[str, str], wanted: str) -> str:
    """As much of a run's name as can be compared with what is wanted: up to a star or its own end."""
    name = f"{key[0]}/{key[1]}/"
    return name[: len(wanted.partition("*")[0])]


async def main() -> int:
    """Everything; gives the exit code."""
    with tempfile.TemporaryDirectory(prefix="mainspring-chaos-") as place:
        folder = Path(place)
        server = DevServer(folder / "server", port=0, ui_port=0)
        async with Nursery(folder / "nursery.log") as nursery, server:
            matrix = Matrix(Ground(server, await client_of(server), nursery, folder))
            await matrix.rehearse()
            chosen = matrix.chosen()
            if not chosen:
                tell(f"There is no crash named {ONLY!r}. A name is scenario/mode/victim/point.")
                return 1
            await matrix.go(chosen)
    tell(str(matrix.sums))
    return 0 if matrix.sums.good else 1


if __name__ == "__main__":
    try:
        code = asyncio.run(main())
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    os._exit(code)
