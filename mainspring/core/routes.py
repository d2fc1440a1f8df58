"""Routes of requests: who may decide, how many must, and what happens while nobody does. Pure.

A route is an entry of a rule file's section `approvals` (`core.route_file`). A *name* in `who` is a person, a group of
that section, or a role that an identity provider vouches for.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from mainspring.core.canonical import Value


def person_name(name: str) -> str:
    """A name as it is compared: of persons, who have an `@` in theirs, in lower case."""
    return name.casefold() if "@" in name else name


RoutePoint = Literal["tool_call", "output", "outcome"]
"""What a route is for: a call (or a question an agent asks), an answer or a node's result, a call's outcome."""
Then = Literal["deny", "approve", "playbook", "hand over"]
"""What happens at the deadline."""


class Hours(Value):
    """Working hours: days of the week (1 is Monday), minutes since midnight, and a zone of the IANA database."""

    days: tuple[int, ...]
    start: int
    end: int
    zone: str


class Route(Value):
    """One way a request goes. Times are in seconds, 0 for never; with `hours`, only these count.

    `who` may decide (empty: anybody), `need` of them must agree, or one of each name in `each`. `verified` refuses who
    is only claimed to be somebody, and `own` lets the run's own user decide. After `escalate`, the names in `to` may
    decide too. `hand_to` are those who may decide in the deadline's place, once, where `then` hands over.
    `notify` names channels of the settings.
    """

    id: str
    point: RoutePoint = "tool_call"
    tool: str = ""
    when: str = "true"
    who: tuple[str, ...] = ()
    need: int = 1
    each: tuple[str, ...] = ()
    verified: bool = False
    own: bool = False
    hours: Hours | None = None
    remind: float = 0.0
    escalate: float = 0.0
    to: tuple[str, ...] = ()
    deadline: float = 0.0
    then: Then = "deny"
    hand_to: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()
    source: str = ""
    at: tuple[int, int] = (0, 0)
    when_at: tuple[int, int] = (0, 0)
    is_literal: bool = False

    @property
    def votes(self) -> int:
        """How many people have to agree."""
        return len(self.each) or self.need

    @property
    def asks_who(self) -> bool:
        """Whether it has to be known who decides."""
        return bool(self.who or self.each or self.verified or self.votes > 1)

    def whom(self, names: Sequence[str]) -> str:
        """Of these names, who must agree, in words: `one of each of finance, risk (verified)`; "" where anybody may."""
        if not self.asks_who:
            return ""
        listed = ", ".join(self.each or names) or "anybody who is known"
        of = "one of each of" if self.each else f"{self.need} of" if self.need > 1 else "one of"
        instead = ", ".join(each for each in names if each not in self.each) if self.each else ""
        return f"{of} {listed}{f', or {instead} instead' if instead else ''}{' (verified)' if self.verified else ''}"


class Delegation(Value):
    """One person decides for another, up to and with a day (`2026-12-31`)."""

    giver: str
    taker: str
    until: str


class People(Value):
    """Who belongs to which group, and who decides for whom."""

    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    delegations: tuple[Delegation, ...] = ()
    at: dict[str, tuple[int, int]] = Field(default_factory=dict[str, tuple[int, int]])
    """Where each group stands in its file, as line and column."""

    def groups_of(self, person: str) -> tuple[str, ...]:
        """The groups that a person is in."""
        return tuple(group for group, people in self.groups.items() if person in people)

    def decides_for(self, person: str, day: str) -> tuple[str, ...]:
        """Those for whom a person decides on a day (`2026-11-26`)."""
        return tuple(each.giver for each in self.delegations if each.taker == person and day <= each.until)

    def names_of(self, person: str, roles: Sequence[str], day: str) -> tuple[str, ...]:
        """Everything a route may name somebody by on a day: their name, roles and groups, and those they decide for.

        Only persons have an `@`, so that nobody is called like a group; nor is a role, since who left the list of a
        group may keep a role of that name.
        """
        persons = [person, *self.decides_for(person, day)]
        groups = [group for each in persons for group in self.groups_of(each)]
        own = (each for each in persons if "@" in each)
        return tuple(
            dict.fromkeys((*own, *(role for role in roles if "@" not in role and role not in self.groups), *groups))
        )


def first_of(routes: Sequence[Route], point: RoutePoint, tool: str = "") -> Route | None:
    """The first route for what is not judged: an outcome, or what a graph's node gave."""
    fitting = (each for each in routes if each.point == point and each.tool in ("", tool))
    return next((each for each in fitting if each.when == "true" and each.hours is None), None)
