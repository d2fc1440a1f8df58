"""Rules as values: what a rule file says, whatever the file looks like. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

from pydantic import Field

from mainspring.core.canonical import Json, Value
from mainspring.core.limits import Limit
from mainspring.core.routes import People, Route
from mainspring.errors import PolicyError

Point = Literal["input", "tool_call", "tool_result", "output"]
Verdict = Literal["allow", "deny", "ask", "redact", "playbook"]
Role = Literal["", "base", "included", "overlay"]
"""What a rule file is: an agent's own, the rules that every agent has, a part of another, or a tenant's."""
Severity = Literal["low", "medium", "high", "critical"]
Way = Literal["remove", "mask", "hash", "token"]
"""How a find is replaced: by its kind's name, stars, a digest, or a token that is opened for the run's tools."""

VERDICTS_AT: dict[Point, tuple[Verdict, ...]] = {
    "input": ("allow", "deny", "redact", "playbook"),
    "tool_call": ("allow", "deny", "ask", "redact"),
    "tool_result": ("allow", "deny", "redact"),
    "output": ("allow", "deny", "ask", "redact"),
}
OURS = "base."
"""How the ids of the rules that every agent has begin."""

DAY = 86_400.0
"""Seconds."""


class Trial(Value):
    """A line of a rule's table of tests: facts by name, and whether the rule is to match them."""

    given: dict[str, Json]
    matches: bool
    line: int
    column: int


class Rule(Value):
    """One rule as written. `tool` is empty where it holds for every tool.

    The condition is `when` (CEL) or `check` (the name of a Python function). `redact` are kinds of finds (none: all).
    A `shadow` rule is recorded where it matches, and changes nothing. `at` is where the rule starts, `when_at` where
    its condition does, as line and column from 1; `source` is its file.
    """

    id: str
    title: str = ""
    point: Point
    tool: str = ""
    when: str = ""
    check: str = ""
    verdict: Verdict
    redact: tuple[str, ...] = ()
    way: Way = "remove"
    reason: str
    severity: Severity = "medium"
    owner: str = ""
    shadow: bool = False
    tests: tuple[Trial, ...] = ()
    source: str = ""
    role: Role = ""
    at: tuple[int, int] = (0, 0)
    when_at: tuple[int, int] = (0, 0)
    is_literal: bool = False


class FileRef(Value):
    """A further file that a rule file names, and where it does so (line and column from 1)."""

    path: str
    at: tuple[int, int] = (0, 0)


class Policy(Value):
    """A rule file. `deadline` is in seconds: an approval nobody gave by then is denied.

    `deny_reasons` are short, public words a person may deny with, `routes` are who may decide requests, and `people`
    who that is. `include` are files whose rules are part of this one; `tenants` gives further ones by tenant.
    """

    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    deadline: float | None = None
    deny_reasons: tuple[str, ...] = ()
    people: People = People()
    routes: tuple[Route, ...] = ()
    include: tuple[FileRef, ...] = ()
    tenants: dict[str, FileRef] = Field(default_factory=dict[str, FileRef])
    source: str = ""


EMPTY = Policy()
Named = TypeVar("Named", Rule, Limit, Route)


def joined(policies: Sequence[Policy]) -> Policy:
    """The rules, limits, routes and people of all; everything else is the last one's that says anything of it.

    The last one's routes come first.

    Raises:
        PolicyError: two rules, limits or routes have one id, or two groups one name.
    """
    rules: dict[str, Rule] = {}
    limits: dict[str, Limit] = {}
    routes: dict[str, Route] = {}
    for policy in policies:
        _gather("rule", rules, policy.rules)
        _gather("limit", limits, policy.limits)
    for policy in reversed(policies):
        _gather("route", routes, policy.routes)
    together = {
        "rules": tuple(rules.values()),
        "limits": tuple(limits.values()),
        "routes": tuple(routes.values()),
        "people": People(
            groups=_groups(policies), delegations=tuple(each for p in policies for each in p.people.delegations)
        ),
        "deadline": next((p.deadline for p in reversed(policies) if p.deadline), None),
        "deny_reasons": next((p.deny_reasons for p in reversed(policies) if p.deny_reasons), ()),
    }
    return policies[-1].model_copy(update=together) if policies else EMPTY


def _groups(policies: Sequence[Policy]) -> dict[str, tuple[str, ...]]:
    """The groups of all; two files may both have one, of the same people."""
    found: dict[str, tuple[Policy, tuple[str, ...]]] = {}
    for policy in policies:
        for group, people in policy.people.groups.items():
            other, others = found.setdefault(group, (policy, people))
            if set(others) != set(people):
                line, column = policy.people.at.get(group, (0, 0))
                place = f"{other.source}:{other.people.at.get(group, (0, 0))[0]}"
                raise PolicyError(policy.source, line, f"group {group!r} has other people in {place}.", column)
    return {group: people for group, (_, people) in found.items()}


def _gather(what: str, found: dict[str, Named], more: Iterable[Named]) -> None:
    for each in more:
        if other := found.get(each.id):
            problem = f"{what} {each.id!r} has the id of a {what} in {other.source}:{other.at[0]}."
            raise PolicyError(each.source, each.at[0], problem, each.at[1])
        found[each.id] = each
