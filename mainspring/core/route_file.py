"""The section `approvals` of a rule file, read into routes, groups and delegations; mistakes are noted with lines.

Pure: parts in, values out. Whoever reads the file closes the `Problems`.

    approvals:
      deadline: 24h
      deny_reasons: [not enough evidence]
      groups:
        finance: [ada@example.com, bo@example.com]
      delegations:
        - {from: ada@example.com, to: cy@example.com, until: 2026-12-31}
      routes:                       the first that holds counts
        - id: large-refunds
          tool: issue_refund        without it, every tool
          when: args.amount_cents > 100000
          who: [finance, risk]      without it, anybody
          need: [finance, risk]     one of each; or a number of people
          verified: true
          hours: mon-fri 09:00-17:00 Europe/Berlin
          remind: 1h
          escalate: {after: 4h, to: [managers]}
          deadline: 24h
          then: deny                or approve, playbook, {hand over: [managers]}
          notify: [finance-mail]
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import get_args

from mainspring.core.hours import read_hours
from mainspring.core.marked_yaml import Part, Problems
from mainspring.core.policy import DAY
from mainspring.core.routes import Delegation, Hours, People, Route, RoutePoint, Then, person_name
from mainspring.core.yaml_parts import (
    check_apart,
    check_id,
    fields_of,
    items_of,
    one_of,
    one_or_more,
    seconds_of,
    text_of,
)

_SECTION = ("deadline", "deny_reasons", "groups", "delegations", "routes")
_KEYS = (
    *("id", "point", "tool", "when", "who", "need", "verified", "own", "hours", "remind", "escalate", "deadline"),
    *("then", "notify"),
)
_DELEGATION = ("from", "to", "until")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SUCH_AS = "'30m', '2h' or '3d'"
_LONGEST_NAME = 100
_LONGEST_BUTTON = 60
"""Characters: a reason to deny becomes part of an update's name, which the UI cuts."""
_NUMBER = re.compile("[1-9][0-9]?")


@dataclass
class Approvals:
    """What the section says; `deadline` is None where it says nothing of it."""

    deadline: float | None = None
    deny_reasons: tuple[str, ...] = ()
    people: People = field(default_factory=People)
    routes: tuple[Route, ...] = ()


def parse_approvals(problems: Problems, part: Part | None) -> Approvals:
    """Read the section; what is wrong with it is noted in `problems`."""
    fields = fields_of(problems, part, "'approvals'", _SECTION)
    deadline = _seconds(problems, fields["deadline"], "'deadline'") or DAY if "deadline" in fields else None
    reasons = items_of(problems, fields.get("deny_reasons"), "'deny_reasons'")
    routes = [
        route
        for each in items_of(problems, fields.get("routes"), "'routes'")
        if (route := _route(problems, each, deadline or DAY))
    ]
    check_apart(problems, "route", [(route.id, route.at) for route in routes])
    delegations = items_of(problems, fields.get("delegations"), "'delegations'")
    groups = _groups(problems, fields.get("groups"))
    return Approvals(
        deadline=deadline,
        deny_reasons=tuple(dict.fromkeys(_deny_reason(problems, each) for each in reasons)),
        people=People(
            groups=groups,
            delegations=tuple(filter(None, (_delegation(problems, each, groups) for each in delegations))),
            at=_places(fields.get("groups")),
        ),
        routes=tuple(routes),
    )


def _groups(problems: Problems, part: Part | None) -> dict[str, tuple[str, ...]]:
    if part is None:
        return {}
    if not isinstance(part.value, dict):
        problems.wrong(part, "'groups' must hold a list of people for each group: its name, a colon and the list.")
        return {}
    groups: dict[str, tuple[str, ...]] = {}
    for name, people in part.value.items():
        if not name.strip():
            problems.wrong(people, "a group lacks its name.")
        if "@" in name:
            problems.wrong(
                people, f"group {name!r}: a name with an '@' is a person's. Groups are listed in public places."
            )
        _check_name(problems, people, name)
        groups[name] = _names(problems, people, f"group {name!r}")
        for each in groups[name]:
            if each in part.value:
                problems.wrong(people, f"group {name!r}: {each!r} is a group itself. Name its people.")
    return groups


def _places(part: Part | None) -> dict[str, tuple[int, int]]:
    groups = part.value if part and isinstance(part.value, dict) else {}
    return {name: (people.line, people.column) for name, people in groups.items()}


def _delegation(problems: Problems, part: Part, groups: Iterable[str]) -> Delegation | None:
    fields = fields_of(problems, part, "a delegation", _DELEGATION)
    if len(fields) < len(_DELEGATION):
        if isinstance(part.value, dict):
            problems.wrong(part, "a delegation needs 'from', 'to' and 'until', the last day on which it holds.")
        return None
    giver, taker, until = (text_of(problems, fields[key], f"{key!r} of a delegation") for key in _DELEGATION)
    if until and not _is_day(until):
        problems.wrong(fields["until"], f"until is {until!r}, but must be a day such as 2026-12-31.")
    for key, name in (("from", giver), ("to", taker)):
        if name in groups:
            problems.wrong(fields[key], f"{name!r} is a group, but one person decides for another.")
    if giver and giver == taker:
        problems.wrong(fields["to"], f"{giver!r} cannot stand in for themselves; name another person.")
    return Delegation(giver=person_name(giver), taker=person_name(taker), until=until)


def _is_day(words: str) -> bool:
    try:
        return bool(_DAY.fullmatch(words) and date.fromisoformat(words))
    except ValueError:  # such as the 30th of February
        return False


def _route(problems: Problems, part: Part, deadline: float) -> Route | None:
    given = part.value.get("id") if isinstance(part.value, dict) else None
    label = f"route {given.value!r}" if given and isinstance(given.value, str) and given.value else "a route"
    fields = fields_of(problems, part, label, _KEYS)
    if not isinstance(part.value, dict):
        return None
    if "id" not in fields:
        problems.wrong(part, f"{label} lacks 'id'.")
        return None
    texts = {
        key: text_of(problems, fields[key], f"{key!r} of {label}") for key in ("id", "tool", "when") if key in fields
    }
    check_id(problems, fields["id"], label, texts["id"])
    condition = fields.get("when") or part
    route = Route.model_validate(
        {
            **texts,
            **_who(problems, fields, label),
            **_moments(problems, fields, label, deadline),
            "source": problems.source,
            "at": (part.line, part.column),
            "when_at": (condition.line, condition.column),
            "is_literal": condition.is_literal,
        }
    )
    _check_fit(problems, fields, label, route)
    return route


def _who(problems: Problems, fields: dict[str, Part], label: str) -> dict[str, object]:
    """Who may decide, and how many must."""
    found: dict[str, object] = {
        key: _names(problems, fields[key], f"{key!r} of {label}") for key in ("who", "notify") if key in fields
    }
    if "point" in fields and (point := one_of(problems, fields["point"], f"{label}: point", get_args(RoutePoint))):
        found["point"] = point
    for key in ("verified", "own"):
        if key in fields:
            found[key] = one_of(problems, fields[key], f"{label}: {key}", ("true", "false")) == "true"
    if "need" in fields:
        need = fields["need"]
        if isinstance(need.value, list):
            found["each"] = _names(problems, need, f"'need' of {label}")
            found["need"] = len(found["each"])  # of those whom it is handed over to
            for name, count in Counter(each.value for each in need.value if isinstance(each.value, str)).items():
                if count > 1:
                    right = f"Write who: [{name}] and need: {count}."
                    problems.wrong(need, f"{label}: 'need' names {name!r} {count} times. {right}")
        elif isinstance(need.value, str) and _NUMBER.fullmatch(need.value):
            found["need"] = int(need.value)
        else:
            right = "a number of people from 1 to 99, or a list of groups such as [finance, risk]"
            problems.wrong(need, f"{label}: need must be {right}.")
    return found


def _moments(problems: Problems, fields: dict[str, Part], label: str, deadline: float) -> dict[str, object]:
    """What happens while nobody decides, and when."""
    found: dict[str, object] = {"deadline": deadline}
    for key in ("remind", "deadline"):
        if key in fields:
            found[key] = _seconds(problems, fields[key], f"{label}: {key}")
    if "escalate" in fields:
        parts = fields_of(problems, fields["escalate"], f"'escalate' of {label}", ("after", "to"))
        if {"after", "to"} <= parts.keys():
            found["escalate"] = _seconds(problems, parts["after"], f"{label}: escalate after")
            found["to"] = _names(problems, parts["to"], f"'to' of {label}")
        elif isinstance(fields["escalate"].value, dict):
            problems.wrong(fields["escalate"], f"{label}: 'escalate' needs 'after' and 'to'.")
    if "then" in fields:
        found |= _then(problems, fields["then"], label)
    if "hours" in fields:
        words = text_of(problems, fields["hours"], f"'hours' of {label}")
        found["hours"] = _hours(problems, fields["hours"], label, words) if words else None
    return found


def _then(problems: Problems, part: Part, label: str) -> dict[str, object]:
    if isinstance(part.value, dict):
        to = fields_of(problems, part, f"'then' of {label}", ("hand over",)).get("hand over")
        if not part.value:
            problems.wrong(part, f"{label}: 'then' is empty. Write then: {{hand over: [managers]}}.")
        return {"then": "hand over", "hand_to": _names(problems, to, f"'hand over' of {label}")} if to else {}
    words = [each for each in get_args(Then) if each != "hand over"]
    if part.value == "hand over":
        problems.wrong(part, f"{label}: to whom? Write then: {{hand over: [managers]}}.")
        return {}
    chosen = one_of(problems, part, f"{label}: then", words)
    return {"then": chosen} if chosen else {}


def _hours(problems: Problems, part: Part, label: str, words: str) -> Hours | None:
    try:
        return read_hours(words)
    except ValueError as error:
        problems.wrong(part, f"{label}: hours are {words!r}, but {error}.")
        return None


def _check_fit(problems: Problems, fields: dict[str, Part], label: str, route: Route) -> None:
    """Note what does not go together."""
    wrong = [*_unknown_there(route, fields), *_out_of_order(route), *_too_few(route)]
    if route.then == "approve" and (route.verified or route.votes > 1):
        what = "somebody whose identity is verified" if route.verified else f"{route.votes} people"
        wrong.append(("then", f"it needs {what}, and at the deadline nobody is there, so it cannot 'approve' then."))
    if route.each and route.who:
        wrong.append(("who", "'need' names who may decide already: one of each. Drop 'who'."))
    if route.to and not _names_people(fields):
        why = "everybody may decide already. Say in 'who' or 'need' who may before it is escalated."
        wrong.append(("escalate", why))
    for key, why in wrong:
        problems.wrong(fields.get(key) or fields["id"], f"{label}: {why}")


def _names_people(fields: dict[str, Part]) -> bool:
    """Whether it says who may decide; also where it says so wrongly, which is noted elsewhere."""
    need = fields.get("need")
    return "who" in fields or (need is not None and not _NUMBER.fullmatch(str(need.value)))


def _unknown_there(route: Route, fields: dict[str, Part]) -> Iterable[tuple[str, str]]:
    """What is not known at the point that a route is for."""
    if route.point == "output" and route.tool:
        yield "tool", "an answer has no tool. Drop 'tool', or use 'tool_call'."
    if route.point != "outcome":
        return
    for key in ("when", "hours"):
        if key in fields:
            yield key, f"at 'outcome' there is no {key!r}: nothing is judged there."
    if route.then in ("approve", "playbook"):
        yield "then", f"what happened is not known by the deadline, so it cannot be {route.then!r}."


def _out_of_order(route: Route) -> Iterable[tuple[str, str]]:
    """Moments that would never come."""
    for key, seconds in (("remind", route.remind), ("escalate", route.escalate)):
        if route.deadline and seconds >= route.deadline:  # one that is wrong is noted elsewhere
            yield key, f"{key!r} is not before the deadline, so it would never come."
    if route.escalate and route.escalate <= route.remind < route.deadline:
        yield "remind", "'remind' is not before 'escalate', so it would never come."


def _too_few(route: Route) -> Iterable[tuple[str, str]]:
    """More people wanted than are named. How many a group or a role has is not known here."""
    named = () if route.each else (*route.who, *route.to)
    for key, people in (("who", named), ("then", route.hand_to)):
        if people and all("@" in each for each in people) and len(set(people)) < route.need:
            yield key, f"{route.need} people must agree, but {key!r} names {len(set(people))}."


def _names(problems: Problems, part: Part, what: str) -> tuple[str, ...]:
    if isinstance(part.value, dict):
        problems.wrong(part, f"{what} must be a list of names, such as [finance, ada@example.com].")
        return ()
    names: list[str] = []
    for each in one_or_more(problems, part):
        names.append(text_of(problems, each, f"a name in {what}"))
        _check_name(problems, each, names[-1])
    if isinstance(part.value, list) and not names:
        problems.wrong(part, f"{what} names nobody.")
    return tuple(dict.fromkeys(map(person_name, filter(None, names))))


def _check_name(problems: Problems, part: Part, name: str) -> None:
    """Runs are found by these names, and servers differ in what a query may hold."""
    if not name.isprintable() or '"' in name or "\\" in name:
        problems.wrong(part, f"the name {name!r} must be on one line, without double quotes and backslashes.")
    elif len(name) > _LONGEST_NAME:
        problems.wrong(part, f"the name {name[:20]!r}… has {len(name)} characters, and at most {_LONGEST_NAME} fit.")


def _seconds(problems: Problems, part: Part, what: str) -> float:
    return seconds_of(problems, part, what.strip("'"), text_of(problems, part, what), such_as=_SUCH_AS)


def _deny_reason(problems: Problems, part: Part) -> str:
    words = text_of(problems, part, "a reason to deny")
    if len(words) > _LONGEST_BUTTON or not words.isprintable():
        problems.wrong(part, f"a reason to deny becomes a button: one line of at most {_LONGEST_BUTTON} characters.")
    return words
