"""The playbook as its author writes it: the YAML format, and its checks that need no tools.

Pure: text in, a frozen `Playbook` out. What a playbook does with a conversation is decided in
`core.playbook`; what it reads from the user's words in `core.playbook_reading`.

    languages:  {de: [PATTERN …], en: [PATTERN …]}    first match wins, else the last one listed
    intents:    {refund: [PATTERN …]}                 first match wins, else 'other'
    slots:      {order: {patterns: [PATTERN with one group], type: integer, question: TEXT, several: TEXT},
                 reason: {choices: {damaged: [PATTERN …]}, question: TEXT}}
    results:    {ask: {FIELD: TEXT}, hand_over: {FIELD: TEXT}}   only for an agent with a result type
    rows:       [{id: NAME, when: CEL, ask: SLOT | call: TOOL, args: {NAME: CEL} | answer: … | hand_over: TEXT}]

A TEXT is one template or one per language; `{expression}` in it is CEL, `{cents|money}` an amount.
"""

from typing import Any, Literal, Self, cast

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from mainspring.core.canonical import Value
from mainspring.errors import PolicyError, did_you_mean

Text = str | dict[str, str]
"""One template, or one per language."""

Patterns = dict[str, tuple[str, ...]]
"""Regular expressions (RE2 syntax) by the name they stand for, in the order they are tried."""

Action = Literal["ask", "call", "answer", "hand_over"]


class Slot(Value):
    """A value to find in what the user says: by `patterns` with one group, or one of `choices`.

    `question` asks for it; `several` (with `{found}`) asks which of several different values is meant.
    """

    patterns: tuple[str, ...] = ()
    choices: Patterns = Field(default_factory=Patterns)
    type: Literal["string", "integer", "money"] = "string"
    question: Text = ""
    several: Text = ""

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Self:
        if bool(self.patterns) == bool(self.choices):
            raise ValueError("a slot needs either 'patterns' or 'choices'")
        if self.choices and self.type != "string":
            raise ValueError("a slot with 'choices' is a string: leave 'type' out")
        return self


class Row(Value):
    """One line of the decision table: the first whose `when` is true acts."""

    id: str
    when: str
    ask: str = ""
    call: str = ""
    args: dict[str, str] = Field(default_factory=dict[str, str])
    answer: str | dict[str, Text] = ""
    hand_over: Text = ""

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        actions = [name for name in ("ask", "call", "answer", "hand_over") if getattr(self, name)]
        if len(actions) != 1:
            raise ValueError("a row needs exactly one of 'ask', 'call', 'answer', 'hand_over'")
        if self.args and not self.call:
            raise ValueError("'args' belongs to 'call'")
        return self

    @property
    def action(self) -> Action:
        """What the row does."""
        return "ask" if self.ask else "call" if self.call else "answer" if self.answer else "hand_over"


class Results(Value):
    """How a question and a hand-over look as a result: a template with `{message}` per field."""

    ask: dict[str, Text] = Field(default_factory=dict[str, Text])
    hand_over: dict[str, Text] = Field(default_factory=dict[str, Text])


class Playbook(Value):
    """A parsed playbook. `lines` gives the line of each part by its path (`rows.2.when`)."""

    source: str
    lines: dict[str, int]
    languages: Patterns = Field(default_factory=Patterns)
    intents: Patterns = Field(default_factory=Patterns)
    slots: dict[str, Slot] = Field(default_factory=dict[str, Slot])
    results: Results = Results()
    rows: tuple[Row, ...] = Field(min_length=1)

    def problem(self, path: str, text: str) -> PolicyError:
        """The error to raise about the part at `path`."""
        return PolicyError(self.source, _line(self.lines, path), text)


_KEYS: dict[str, type[BaseModel]] = {"slots": Slot, "rows": Row, "results": Results}


def parse(text: str, source: str) -> Playbook:
    """Read a playbook file.

    Raises:
        PolicyError: with the line of the first problem.
    """
    lines: dict[str, int] = {}
    try:
        data = _plain(yaml.SafeLoader(text).get_single_node(), "", lines, source)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise PolicyError(source, line, f"this is not YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise PolicyError(source, 0, f"this is not YAML: {error}.") from None
    except RecursionError:
        raise PolicyError(source, 0, "this is not YAML one can read: an anchor (&) contains itself.") from None
    if not isinstance(data, dict):
        raise PolicyError(source, 1, "a playbook is a mapping with at least 'rows'.")
    for key in ("source", "lines"):
        if key in data:
            raise PolicyError(source, lines[key], f"unknown key {key!r}.")
    try:
        playbook = Playbook.model_validate({**cast("dict[str, Any]", data), "source": source, "lines": lines})
    except ValidationError as error:
        raise _first(error, lines, source) from None
    _check_rows(playbook)
    return playbook


def _plain(node: yaml.Node | None, path: str, lines: dict[str, int], source: str) -> object:
    """Mappings, lists and texts (every scalar of a playbook is a text), noting the line of each."""
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, object] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = str(key.value)
            if name in mapping:
                raise PolicyError(source, key.start_mark.line + 1, f"{name!r} is written twice.")
            below = f"{path}.{name}".lstrip(".")
            lines[below] = key.start_mark.line + 1
            mapping[name] = _plain(value, below, lines, source)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        for index, item in enumerate(items):
            lines[f"{path}.{index}"] = item.start_mark.line + 1
        return [_plain(item, f"{path}.{index}", lines, source) for index, item in enumerate(items)]
    if node and not node.tag.startswith("tag:yaml.org,2002:"):
        problem = f"{path} starts with '!', which YAML reads as a tag. Put it in quotes."
        raise PolicyError(source, node.start_mark.line + 1, problem)
    return str(node.value) if node else None


def _first(error: ValidationError, lines: dict[str, int], source: str) -> PolicyError:
    """The problem that stands first in the file, in words."""
    problems: list[tuple[int, bool, str]] = []
    for found in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in found["loc"]]
        name = place[-1] if place else ""
        if found["type"] == "extra_forbidden":
            model = _KEYS.get(place[0], Playbook) if len(place) > 1 else Playbook
            known = [key for key in model.model_fields if key not in ("source", "lines")]
            text = f"unknown key {name!r}.{did_you_mean(name, known)}"
        elif found["type"] == "missing":
            text = f"{'.'.join(place[:-1]) or 'the playbook'} has no {name!r}."
        else:
            text = f"{'.'.join(place)}: {found['msg'].removeprefix('Value error, ')}."
        # Of two in one line the misspelt key explains the missing one.
        problems.append((_line(lines, ".".join(place)), found["type"] != "extra_forbidden", text))
    line, _, text = min(problems)
    return PolicyError(source, line, text)


def _line(lines: dict[str, int], path: str) -> int:
    """The line of the deepest known part of `path` (0 where none is known)."""
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines.get(path, 0)


def _check_rows(playbook: Playbook) -> None:
    """Ids are unique, asked slots have a question, and the last row always answers."""
    seen: set[str] = set()
    for index, row in enumerate(playbook.rows):
        if row.id in seen:
            raise playbook.problem(f"rows.{index}.id", f"a second row is called {row.id!r}; each needs its own name.")
        seen.add(row.id)
        if row.ask and row.ask not in playbook.slots:
            hint = did_you_mean(row.ask, playbook.slots)
            raise playbook.problem(f"rows.{index}.ask", f"row {row.id!r} asks for an unknown slot {row.ask!r}.{hint}")
        if row.ask and not playbook.slots[row.ask].question:
            raise playbook.problem(f"slots.{row.ask}", f"slot {row.ask!r} has no 'question', but {row.id!r} asks it.")
    last = playbook.rows[-1]
    if last.when.strip() != "true" or last.call:
        raise playbook.problem(
            f"rows.{len(playbook.rows) - 1}",
            f"the last row {last.id!r} must have 'when: true' and answer, ask or hand over: "
            "a playbook always has an answer.",
        )
