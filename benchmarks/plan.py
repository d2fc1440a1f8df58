"""What is measured: which jobs, how often, how long one may take. Pure."""

from dataclasses import dataclass

from benchmarks.catalogue import Entry
from benchmarks.figures import MANY
from benchmarks.job import Job
from benchmarks.targets import FAST, SLOW, TURN

TURNS = (4, 50, 200)
FIRST = Job(4)
"""The first run of a fresh process."""
BETWEEN = (10, 150)
"""Further lengths, to see whether a turn costs the same early and late."""
LONG = (1000, 5000)
LONGEST = 1200.0
NOT_TWICE = 20.0
"""A case that took longer (seconds) is measured in the first round only."""


@dataclass(frozen=True)
class Case:
    """Some runs of one job."""

    job: Job
    runs: int = 1
    at_once: int = 1
    replays: int = 0

    @property
    def within(self) -> float:
        """When a stack that has not ended it counts as hanging, in seconds."""
        return min(LONGEST, 60 + 1.5 * self.job.turns * self.runs / self.at_once)

    def __str__(self) -> str:
        """Reads well in the progress line."""
        slow = f", model {self.job.latency * 1000:.0f} ms" if self.job.latency else ""
        many = f", {self.runs} runs, {self.at_once} at once" if self.at_once > 1 else ""
        return f"T = {self.job.turns:,}{slow}{many}"


def one(turns: int) -> Case:
    """Runs of one job, one after the other: more of them where they are short."""
    runs = 5 if turns <= 10 else 2 if turns <= 50 else 1  # noqa: PLR2004
    return Case(Job(turns), runs, replays=0 if turns < 50 else 3)  # noqa: PLR2004


def rounds(turns: tuple[int, ...]) -> tuple[Case, ...]:
    """The cases of each round, short ones first: where a stack dies, it has shown what it can."""
    short = [length for length in turns if length <= 50]  # noqa: PLR2004
    cases = [one(length) for length in short]
    if short and min(short) <= 10:  # noqa: PLR2004
        cases.append(Case(Job(min(short)), 2 * MANY, MANY))
    if short and max(short) > 10:  # noqa: PLR2004
        cases.append(Case(Job(max(short), SLOW)))
    return (*cases, *(one(length) for length in turns if length > 50))  # noqa: PLR2004


def once(entry: Entry) -> tuple[Case, ...]:
    """What a full benchmark measures beside, one time."""
    between = tuple(Case(Job(length)) for length in BETWEEN) if entry.name in {TURN, FAST} else ()
    return (*between, *(Case(Job(length), replays=1) for length in LONG)) if entry.name == FAST else between


def jobs(cases: tuple[Case, ...]) -> tuple[Job, ...]:
    """Each job once."""
    return tuple(dict.fromkeys((FIRST, *(case.job for case in cases))))
