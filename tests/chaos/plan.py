"""Which crashes are tried: their names, the choice of them, the sum of what came of them. Pure."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, cast, get_args

Who = Literal["worker", "server", "both"]
VICTIMS: tuple[Who, ...] = get_args(Who)
PER_RUN = 3
"""Points of each scenario and mode at which the server dies, and as many at which both do."""
EVENTS_PER_RUN = 6
"""Events of each scenario and mode right after which, or a few milliseconds later, the worker is killed."""


@dataclass(frozen=True)
class Crash:
    """Somebody dies at a point of a scenario's run in a mode."""

    scenario: str
    mode: str
    who: Who
    point: str

    def __str__(self) -> str:
        """The name by which `ONLY=` finds it again."""
        return f"{self.scenario}/{self.mode}/{self.who}/{self.point}"


@dataclass
class Sums:
    """What the last line says."""

    points: int = 0
    wrong: int = 0
    repeated: int = 0
    asked: int = 0
    lost: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.wrong == self.repeated == self.lost == 0

    def __str__(self) -> str:
        """The last line."""
        return (
            f"crash points: {self.points}, wrong: {self.wrong}, repeated once-effects: {self.repeated}, "
            f"unknown outcomes asked: {self.asked}, lost: {self.lost}"
        )


def crashes(points: Mapping[tuple[str, str], Sequence[str]], seed: int) -> list[Crash]:
    """The whole matrix: each point of the worker, some events and some points of the server or both for each run."""
    found: list[Crash] = []
    for (scenario, mode), names in points.items():
        chance = random.Random(f"{seed} {scenario} {mode}")
        within = [name for name in names if not name.startswith(("waiting:", "event:"))]
        # A server dies beside a living worker at an activity's edge: a workflow task cannot be held up for long.
        edges = [name for name in within if not name.startswith("task:")]
        events = [name for name in names if name.startswith("event:")]
        found += [Crash(scenario, mode, "worker", name) for name in names if name not in events]
        found += [Crash(scenario, mode, "worker", name) for name in _some(events, EVENTS_PER_RUN, chance)]
        found += [Crash(scenario, mode, "server", name) for name in _some(edges, PER_RUN, chance)]
        found += [Crash(scenario, mode, "both", name) for name in _some(within, PER_RUN, chance)]
    return found


def sample(all_of_them: Sequence[Crash], count: int, seed: int) -> list[Crash]:
    """So many of them, with every scenario, mode and victim among them in turn."""
    chance = random.Random(seed)
    groups: dict[tuple[str, str, str], list[Crash]] = {}
    for crash in all_of_them:
        groups.setdefault((crash.scenario, crash.mode, crash.who), []).append(crash)
    for group in groups.values():
        chance.shuffle(group)
    # Three of the worker to one of each other: the rest of a group comes when the others are used up.
    turns = [group for key, group in groups.items() for _ in range(_weight(key[2]))]
    chosen: list[Crash] = []
    while any(turns) and len(chosen) < count:
        chosen += [group.pop() for group in turns if group]
    return chosen[:count]


def only(all_of_them: Iterable[Crash], wanted: str) -> list[Crash]:
    """Those whose name begins with or fits what was asked for (`*` stands for anything).

    A full name may be one that another seed would choose: then it is taken as it stands.
    """
    found = [each for each in all_of_them if str(each).startswith(wanted) or fnmatchcase(str(each), wanted)]
    exact = [each for each in found if str(each) == wanted]
    scenario, mode, who, point = (wanted.split("/") + [""] * 4)[:4]
    if point and not found and who in VICTIMS:
        return [Crash(scenario, mode, cast("Who", who), point)]
    return exact or found


def named(scenario: str, mode: str, wanted: str) -> bool:
    """Whether crashes of a run may have the name that was asked for: compared up to a star or the end of either."""
    run, begin = f"{scenario}/{mode}/", wanted.partition("*")[0]
    return run.startswith(begin) or begin.startswith(run)


def _weight(who: str) -> int:
    return 3 if who == "worker" else 1


def _some(names: Sequence[str], count: int, chance: random.Random) -> list[str]:
    return chance.sample(names, min(count, len(names)))
