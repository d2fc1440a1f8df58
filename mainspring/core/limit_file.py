"""The section `limits` of a rule file, read into `Limit`s or noted as mistakes with their lines.

Pure: parts in, values out. Whoever reads the file closes the `Problems`.

    limits:
      - id: refunds-a-day
        point: tool_call          or input, or model
        tool: issue_refund        without it, every tool
        per: [user]               without it, all together
        at_most: 5
        every: 24h
        reason: At most five refunds a day for one customer.
"""

import re
from collections.abc import Collection, Iterable
from typing import get_args

from mainspring.core.limits import Limit, LimitPoint, Per
from mainspring.core.marked_yaml import Part, Problems
from mainspring.core.yaml_parts import check_apart, check_id, fields_of, items_of, listed, one_of, seconds_of, text_of
from mainspring.errors import did_you_mean

_KEYS = ("id", "point", "tool", "per", "at_most", "every", "reason")
_OPTIONAL = ("tool", "per")
_AMOUNT = re.compile(r"[1-9][0-9]{0,5}")
_ONLY_AT: dict[str, LimitPoint] = {"tool": "tool_call", "model": "model"}
"""What is known at one point alone."""


def parse_limits(problems: Problems, part: Part | None) -> list[Limit]:
    """The limits of the section; what is wrong with it is noted in `problems`."""
    found = [limit for each in items_of(problems, part, "'limits'") if (limit := _limit(problems, each))]
    check_apart(problems, "limit", [(limit.id, limit.at) for limit in found])
    return found


def check_tools(problems: Problems, limits: Iterable[Limit], tools: Collection[str], agent: str) -> None:
    """Note every limit that names a tool which the agent does not have."""
    for limit in limits:
        if limit.tool and limit.tool not in tools:
            suggestion = did_you_mean(limit.tool, tools)
            problems.wrong(limit.at, f"limit {limit.id!r}: agent {agent!r} has no tool {limit.tool!r}.{suggestion}")


def _limit(problems: Problems, part: Part) -> Limit | None:
    given = part.value.get("id") if isinstance(part.value, dict) else None
    label = f"limit {given.value!r}" if given and isinstance(given.value, str) and given.value else "a limit"
    fields = fields_of(problems, part, label, _KEYS)
    if not isinstance(part.value, dict):
        return None
    if missing := [key for key in _KEYS if key not in fields and key not in _OPTIONAL]:
        problems.wrong(part, f"{label} lacks {listed(missing)}.")
        return None
    point = one_of(problems, fields["point"], f"{label}: point", get_args(LimitPoint))
    values = {
        "id": _id(problems, fields["id"], label),
        "point": point,
        "tool": text_of(problems, fields["tool"], f"'tool' of {label}") if "tool" in fields else "",
        "per": _per(problems, fields["per"], label, point) if "per" in fields else (),
        "at_most": _at_most(problems, fields["at_most"], label),
        "every": _every(problems, fields["every"], label),
        "reason": text_of(problems, fields["reason"], f"'reason' of {label}"),
    }
    if "tool" in fields and point not in ("", "tool_call"):
        problems.wrong(fields["tool"], f"{label}: no tool is called at {point!r}. Drop 'tool', or use 'tool_call'.")
    right = all(values[key] for key in _KEYS if key not in _OPTIONAL)
    return (
        Limit.model_validate({**values, "source": problems.source, "at": (part.line, part.column)}) if right else None
    )


def _per(problems: Problems, part: Part, label: str, point: str) -> tuple[str, ...]:
    """The names of what is counted apart, in one order, whatever the order in the file."""
    known = get_args(Per)
    if not isinstance(part.value, list):
        without = " Without 'per' all count together." if part.value == "" else ""
        problems.wrong(part, f"{label}: 'per' must be a list, such as [user].{without}")
        return ()
    names: list[str] = []
    for each in part.value:
        name = one_of(problems, each, f"{label}: per", known)
        only = _ONLY_AT.get(name, point)
        if point and only != point:
            problems.wrong(each, f"{label}: no {name} is known at {point!r}. Drop it from 'per', or use {only!r}.")
        if name and name in names:
            problems.wrong(each, f"{label}: {name!r} stands in 'per' twice.")
        names.append(name)
    return tuple(name for name in known if name in names)


def _id(problems: Problems, part: Part, label: str) -> str:
    words = text_of(problems, part, f"'id' of {label}")
    check_id(problems, part, label, words)
    return words


def _at_most(problems: Problems, part: Part, label: str) -> int:
    words = text_of(problems, part, f"'at_most' of {label}")
    if words and not _AMOUNT.fullmatch(words):
        never = " For never, write a rule that denies." if words == "0" else ""
        problems.wrong(part, f"{label}: at_most is {words!r}, but must be a number from 1 to 999999.{never}")
        return 0
    return int(words or 0)


def _every(problems: Problems, part: Part, label: str) -> int:
    words = text_of(problems, part, f"'every' of {label}")
    return seconds_of(problems, part, f"{label}: every", words, such_as="'30s', '1h' or '7d'")
