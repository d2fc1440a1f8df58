"""A rule file: its text, read into a `Policy`, or refused with the line of every mistake.

Pure: text in, values out. What a rule's condition means over the tools of an agent is checked in
`core.rules`, which also says how rules are judged.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, cast, get_args

import yaml

from mainspring.core.canonical import Value, digest
from mainspring.errors import PolicyError, did_you_mean

Point = Literal["tool_call", "input"]
Verdict = Literal["allow", "deny", "ask"]

_DAY = 86_400.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": _DAY}
_DEADLINE = re.compile(r"([1-9]\d{0,3})([smhd])")
_RULE_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_YAML_TAG = "tag:yaml.org,2002:"
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


def parse(text: str, source: str) -> Policy:
    """Read a rule file; `source` is its name in messages.

    Raises:
        PolicyError: at the first wrong line; further mistakes follow in the same message.
    """
    page = Page(source)
    sections = page.mapping(_compose(text, source), "a rule file", ("approvals", "rules"))
    approvals = page.mapping(sections.get("approvals"), "'approvals'", ("deadline", "deny_reasons"))
    rules = [_rule(page, node) for node in page.sequence(sections.get("rules"), "'rules'")]
    first_lines: dict[str, int] = {}
    for rule in filter(None, rules):
        if rule.id in first_lines:
            page.wrong(rule.line, f"rule {rule.id!r} has the id of the rule in line {first_lines[rule.id]}.")
        first_lines.setdefault(rule.id, rule.line)
    deadline = _deadline(page, approvals["deadline"]) if "deadline" in approvals else _DAY
    deny_reasons = [_deny_reason(page, n) for n in page.sequence(approvals.get("deny_reasons"), "'deny_reasons'")]
    page.close()
    return Policy(
        rules=tuple(filter(None, rules)),
        deadline=deadline,
        deny_reasons=tuple(dict.fromkeys(deny_reasons)),
        source=source,
        digest=digest(text),
    )


class Page:
    """A rule file being checked: gathers what is wrong, to refuse it all at once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[tuple[int, str]] = []

    def wrong(self, place: yaml.Node | int, problem: str) -> None:
        """Note a problem at a node or a line."""
        self._problems.append((place if isinstance(place, int) else _line(place), problem))

    def close(self) -> None:
        """Raise `PolicyError` for the first problem by line, the others below it."""
        if not self._problems:
            return
        (line, problem), *others = sorted(self._problems, key=lambda found: found[0])
        more = "".join(f"\n{PolicyError(self._source, *other)}" for other in others)
        raise PolicyError(self._source, line, problem + more)

    def mapping(self, node: yaml.Node | None, what: str, known: Sequence[str]) -> dict[str, yaml.Node]:
        """The fields of a mapping by name; nothing for a node that is absent or wrong."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} must hold {_listed(known)}, each with a colon and its value.")
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in _pairs(node):
            name = str(key.value)
            if name not in known:
                self.wrong(key, f"{what} has no key {name!r}.{did_you_mean(name, known)}")
            elif name in fields:
                self.wrong(key, f"{what} has {name!r} twice; only one can count.")
            else:
                fields[name] = value
        return fields

    def sequence(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        """The items of a list; nothing for a node that is absent or wrong."""
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} must be a list, each item with a dash.")
            return []
        return cast("list[yaml.Node]", node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        """The words of a scalar as written, whatever YAML would make of them."""
        words = str(node.value).strip() if isinstance(node, yaml.ScalarNode) else ""
        if not str(node.tag).startswith(_YAML_TAG):
            self.wrong(node, f"{what} starts with '!', which YAML reads as a tag. Put it in quotes.")
        elif not words:
            self.wrong(node, f"{what} must be a text.")
        return words


def _rule(page: Page, node: yaml.Node) -> Rule | None:
    keys = ("id", "point", "tool", "when", "verdict", "reason")
    if not isinstance(node, yaml.MappingNode):
        page.mapping(node, "a rule", keys)
        return None
    label = next((f"rule {value.value!r}" for key, value in _pairs(node) if key.value == "id"), "a rule")
    fields = page.mapping(node, label, keys)
    texts = {key: page.text(value, f"{key!r} of {label}") for key, value in fields.items()}
    if missing := [key for key in keys if key not in fields and key != "tool"]:
        page.wrong(node, f"{label} lacks {_listed(missing)}.")
        return None
    point = _choice(page, fields["point"], label, "point", get_args(Point))
    verdict = _choice(page, fields["verdict"], label, "verdict", get_args(Verdict))
    if texts["id"] and not _RULE_ID.fullmatch(texts["id"]):
        page.wrong(fields["id"], f"{label}: an id is made of a-z, 0-9, '-', '_' and '.', at most 64 of them.")
    if point == "input" and verdict == "ask":
        page.wrong(fields["verdict"], f"{label}: nobody can be asked at 'input'. Use 'deny', or ask at 'tool_call'.")
    if point == "input" and "tool" in fields:
        page.wrong(fields["tool"], f"{label}: no tool is called at 'input'. Drop 'tool', or use 'tool_call'.")
    if not (point and verdict):
        return None
    when = fields["when"]
    when_line = _line(when) + (1 if isinstance(when, yaml.ScalarNode) and when.style in ("|", ">") else 0)
    texts |= {"point": point, "verdict": verdict}
    return Rule.model_validate({**texts, "line": _line(node), "when_line": when_line})


def _choice(page: Page, node: yaml.Node, label: str, key: str, allowed: Sequence[str]) -> str:
    word = str(node.value).strip()
    if word in allowed:
        return word
    if isinstance(node, yaml.ScalarNode) and word:
        page.wrong(node, f"{label}: {key} is {word!r}, but must be {_listed(allowed, 'or')}.")
    return ""


def _deadline(page: Page, node: yaml.Node) -> float:
    words = page.text(node, "'deadline'")
    found = _DEADLINE.fullmatch(words)
    if words and not found:
        page.wrong(node, f"deadline is {words!r}, but must be a number and a unit, such as '30m', '2h' or '3d'.")
    return int(found[1]) * _UNITS[found[2]] if found else _DAY


def _deny_reason(page: Page, node: yaml.Node) -> str:
    words = page.text(node, "a reason to deny")
    if len(words) > _LONGEST_BUTTON or not words.isprintable():
        page.wrong(node, f"a reason to deny becomes a button: one line of at most {_LONGEST_BUTTON} characters.")
    return words


def _compose(text: str, source: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not YAML: {error.problem or error.context}."
        raise PolicyError(source, mark.line + 1 if mark else 0, problem) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise PolicyError(source, line, f"this is not YAML: {error.reason}.") from None
    except RecursionError:
        raise PolicyError(source, 0, "this is nested too deeply to be a rule file.") from None
    if node is None:
        raise PolicyError(source, 0, "the file is empty. Write 'rules:' and the first rule.")
    return node


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    yield from cast("list[tuple[yaml.Node, yaml.Node]]", node.value)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _listed(names: Sequence[str], word: str = "and") -> str:
    *others, last = [repr(name) for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last
