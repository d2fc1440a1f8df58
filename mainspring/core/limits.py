"""Limits: how often something may happen in a time, for whom; and the words for somebody who has to wait.

Pure: a `Limit` comes from a rule file (`core.limit_file`), and at a point of a run it becomes a `Claim`. Who has taken
how much is counted elsewhere (`ports.limiter`); what that says comes back here and becomes a sentence.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from mainspring.core.canonical import Value, canonical, digest

LimitPoint = Literal["input", "tool_call", "model"]
Per = Literal["agent", "user", "tenant", "tool", "model"]

_LARGER = ((60, "minute"), (60, "hour"), (24, "day"))


class Limit(Value):
    """One limit as written. `tool` is empty where it holds for every tool; `every` is in seconds.

    `per` says what is counted apart; where it is empty all count together. `at` is where the limit starts, as line and
    column from 1, and `source` its file.
    """

    id: str
    point: LimitPoint
    tool: str = ""
    per: tuple[Per, ...] = ()
    at_most: int
    every: int
    reason: str
    source: str = ""
    at: tuple[int, int] = (0, 0)


class Allowance(Value):
    """What is counted under `key`: at most `at_most` are taken in any `every` seconds. The key tells nobody's name."""

    key: str
    at_most: int
    every: int


class LimitFacts(Value):
    """What limits know of the moment they are asked; what is not known is empty."""

    agent: str = ""
    user: str = ""
    tenant: str = ""
    tool: str = ""
    model: str = ""


class Claim(Value):
    """A limit that holds now, and what has to be taken for it."""

    limit: Limit
    allowance: Allowance


class Exceeded(Value):
    """The limit that says no for longest, in how many seconds it has room, and the sentence for whoever waits."""

    limit: str
    seconds: float
    reason: str


def claims(limits: Iterable[Limit], point: LimitPoint, facts: LimitFacts) -> tuple[Claim, ...]:
    """The limits that hold at a point, in their order, each with what has to be taken.

    A limit does not hold where what it counts by is not known: one per user lets a run without a user pass.
    Limits of several agents count together where they agree in all but `at_most` and `reason`; the smallest holds.
    """
    holding = (each for each in limits if each.point == point and each.tool in ("", facts.tool))
    found: dict[str, Claim] = {}
    for limit in holding:
        counted = {name: getattr(facts, name) for name in limit.per}
        if all(counted.values()):
            allowance = Allowance(key=_key(limit, counted), at_most=limit.at_most, every=limit.every)
            known = found.get(allowance.key)
            if known is None or limit.at_most < known.limit.at_most:
                found[allowance.key] = Claim(limit=limit, allowance=allowance)
    return tuple(found.values())


def exceeded(made: Iterable[Claim], waits: Mapping[str, float]) -> Exceeded | None:
    """What to say where some claims have to wait, by the seconds that each key has to; nothing where none has."""
    waiting = [(waits[claim.allowance.key], claim.limit) for claim in made if claim.allowance.key in waits]
    if not waiting:
        return None
    seconds, limit = max(waiting, key=lambda each: each[0])
    said = limit.reason if limit.reason.endswith((".", "!", "?")) else f"{limit.reason}."
    return Exceeded(limit=limit.id, seconds=seconds, reason=f"{said} Try again in {spoken(seconds)}.")


def spoken(seconds: float) -> str:
    """A length of time as people say it, rounded up: "45 seconds", "90 minutes", "3 hours"."""
    amount, unit = max(1, math.ceil(seconds)), "second"
    for size, larger in _LARGER:
        if amount < 2 * size and amount % size:
            break
        amount, unit = math.ceil(amount / size), larger
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def _key(limit: Limit, counted: Mapping[str, str]) -> str:
    """Changing `at_most` goes on counting; changing what is counted, or the window, begins anew."""
    return f"{limit.id}/{digest(canonical([limit.point, limit.tool, limit.every, counted]))}"
