"""Which crashes are tried: their names, the choice of them, the sum of what came of them. Pure."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Who = Literal["worker", "server", "both"]
PER_RUN = 3
"""Points of each scenario and mode at which the server dies, and as many at which both do."""


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
    """The whole matrix: each point for the worker, some of each run for the server and for both together."""
    found: list[Crash] = []
    for (scenario, mode), names in points.items():
        chance = random.Random(f"{seed} {scenario} {mode}")
        # A server dies beside a living worker at an activity's edge: a workflow task cannot be held up for long.
        edges = [name for name in names if not name.startswith(("task:", "waiting:"))]
        found += [Crash(scenario, mode, "worker", name) for name in names]
        found += [Crash(scenario, mode, "server", name) for name in _some(edges, PER_RUN, chance)]
        whole = [name for name in names if not name.startswith("waiting:")]
        found += [Crash(scenario, mode, "both", name) for name in _some(whole, PER_RUN, chance)]
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
    rounds = [(group.pop() for _ in range(len(group))) for key, group in groups.items() for _ in range(_weight(key[2]))]
    chosen: list[Crash] = []
    while rounds and len(chosen) < count:
        for each in tuple(rounds):
            crash = next(each, None)
            if crash is None:
                rounds.remove(each)
            elif len(chosen) < count:
                chosen.append(crash)
    return chosen


def only(all_of_them: Iterable[Crash], wanted: str) -> list[Crash]:
    """Those whose name is, begins with or fits what was asked for (`*` stands for anything)."""
    return [each for each in all_of_them if str(each).startswith(wanted) or fnmatchcase(str(each), wanted)]


def _weight(who: str) -> int:
    return 3 if who == "worker" else 1


def _some(names: Sequence[str], count: int, chance: random.Random) -> list[str]:
    return chance.sample(names, min(count, len(names)))
