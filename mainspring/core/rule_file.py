"""A rule file: its text, read into a `Policy`, or refused with the line of every mistake.

Pure: text in, values out. What a rule's condition means over the tools of an agent is checked in
`core.rules`, which also says how rules are judged.
"""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from mainspring.core.canonical import Value, digest
from mainspring.core.marked_yaml import Part, Problems, read
from mainspring.errors import PolicyError, did_you_mean

Point = Literal["tool_call", "input"]
Verdict = Literal["allow", "deny", "ask"]

_DAY = 86_400.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": _DAY}
_DEADLINE = re.compile(r"([1-9]\d{0,3})([smhd])")
_RULE_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_KEYS = ("id", "point", "tool", "when", "verdict", "reason")
_LONGEST_BUTTON = 60
"""Characters: a reason to deny becomes part of an update's name, which the UI cuts."""


class Rule(Value):
    """One rule as written. `tool` is empty where it holds for every tool.

    `line` is where the rule starts and `when_line` where its condition does, both from 1.
    """

    id: str
    point: Point
    tool: str = ""
    when: str
    verdict: Verdict
    reason: str
    line: int
    when_line: int


class Policy(Value):
    """A rule file. `deadline` is in seconds: an approval nobody gave by then is denied.

    `deny_reasons` are short, public words a person may deny with. `digest` is of the file's text.
    """

    rules: tuple[Rule, ...] = ()
    deadline: float = _DAY
    deny_reasons: tuple[str, ...] = ()
    source: str = ""
    digest: str = digest("")


EMPTY = Policy()


def joined(base: Policy, own: Policy) -> Policy:
    """The rules of both; all else is the own file's."""
    return own.model_copy(update={"rules": (*base.rules, *own.rules)})


def parse(text: str, source: str) -> Policy:
    """Read a rule file; `source` is its name in messages.

    Raises:
        PolicyError: at the first wrong line; further mistakes follow in the same message.
    """
    problems = Problems(source)
    page = read(text, problems)
    if not page.line:
        raise PolicyError(source, 0, "the file is empty. Write 'rules:' and the first rule.")
    sections = _fields(problems, page, "a rule file", ("approvals", "rules"))
    approvals = _fields(problems, sections.get("approvals"), "'approvals'", ("deadline", "deny_reasons"))
    rules = [_rule(problems, part) for part in _items(problems, sections.get("rules"), "'rules'")]
    first_lines: dict[str, int] = {}
    for rule in filter(None, rules):
        if rule.id in first_lines:
            problems.wrong(rule.line, f"rule {rule.id!r} has the id of the rule in line {first_lines[rule.id]}.")
        first_lines.setdefault(rule.id, rule.line)
    deadline = _deadline(problems, approvals["deadline"]) if "deadline" in approvals else _DAY
    reasons = _items(problems, approvals.get("deny_reasons"), "'deny_reasons'")
    deny_reasons = [_deny_reason(problems, part) for part in reasons]
    problems.close()
    return Policy(
        rules=tuple(filter(None, rules)),
        deadline=deadline,
        deny_reasons=tuple(dict.fromkeys(deny_reasons)),
        source=source,
        digest=digest(text),
    )


def _fields(problems: Problems, part: Part | None, what: str, known: Sequence[str]) -> dict[str, Part]:
    """The known fields of a mapping; nothing for a part that is absent or wrong."""
    if part is None:
        return {}
    if not isinstance(part.value, dict):
        problems.wrong(part, f"{what} must hold {_listed(known)}, each with a colon and its value.")
        return {}
    for name, field in part.value.items():
        if name not in known:
            problems.wrong(field, f"{what} has no key {name!r}.{did_you_mean(name, known)}")
    return {name: field for name, field in part.value.items() if name in known}


def _items(problems: Problems, part: Part | None, what: str) -> list[Part]:
    """The items of a list; nothing for a part that is absent or wrong."""
    if part is None:
        return []
    if not isinstance(part.value, list):
        problems.wrong(part, f"{what} must be a list, each item with a dash.")
        return []
    return part.value


def _text(problems: Problems, part: Part, what: str) -> str:
    words = part.value.strip() if isinstance(part.value, str) else ""
    if not words:
        problems.wrong(part, f"{what} must be a text.")
    return words


def _rule(problems: Problems, part: Part) -> Rule | None:
    given = part.value.get("id") if isinstance(part.value, dict) else None
    label = f"rule {given.value!r}" if given and isinstance(given.value, str) else "a rule"
    fields = _fields(problems, part, label, _KEYS)
    if not isinstance(part.value, dict):
        return None
    texts = {key: _text(problems, field, f"{key!r} of {label}") for key, field in fields.items()}
    if missing := [key for key in _KEYS if key not in fields and key != "tool"]:
        problems.wrong(part, f"{label} lacks {_listed(missing)}.")
        return None
    point = _choice(problems, fields["point"], f"{label}: point", get_args(Point))
    verdict = _choice(problems, fields["verdict"], f"{label}: verdict", get_args(Verdict))
    if texts["id"] and not _RULE_ID.fullmatch(texts["id"]):
        problems.wrong(fields["id"], f"{label}: an id is made of a-z, 0-9, '-', '_' and '.', at most 64 of them.")
    if point == "input" and verdict == "ask":
        problems.wrong(
            fields["verdict"], f"{label}: nobody can be asked at 'input'. Use 'deny', or ask at 'tool_call'."
        )
    if point == "input" and "tool" in fields:
        problems.wrong(fields["tool"], f"{label}: no tool is called at 'input'. Drop 'tool', or use 'tool_call'.")
    if not (point and verdict):
        return None
    texts |= {"point": point, "verdict": verdict}
    return Rule.model_validate({**texts, "line": part.line, "when_line": fields["when"].line})


def _choice(problems: Problems, part: Part, label: str, allowed: Sequence[str]) -> str:
    word = part.value.strip() if isinstance(part.value, str) else ""
    if word in allowed:
        return word
    if word:
        problems.wrong(part, f"{label} is {word!r}, but must be {_listed(allowed, 'or')}.")
    return ""


def _deadline(problems: Problems, part: Part) -> float:
    words = _text(problems, part, "'deadline'")
    found = _DEADLINE.fullmatch(words)
    if words and not found:
        problems.wrong(part, f"deadline is {words!r}, but must be a number and a unit, such as '30m', '2h' or '3d'.")
    return int(found[1]) * _UNITS[found[2]] if found else _DAY


def _deny_reason(problems: Problems, part: Part) -> str:
    words = _text(problems, part, "a reason to deny")
    if len(words) > _LONGEST_BUTTON or not words.isprintable():
        problems.wrong(part, f"a reason to deny becomes a button: one line of at most {_LONGEST_BUTTON} characters.")
    return words


def _listed(names: Sequence[str], word: str = "and") -> str:
    *others, last = [repr(name) for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last
