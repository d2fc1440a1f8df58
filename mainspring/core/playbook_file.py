"""The playbook as its author writes it: the YAML format, and its checks that need no tools.

Pure: text in, a frozen `Playbook` out. What a playbook answers is decided in `core.playbook`.
Patterns are RE2 (`google-re2`), whose matching takes time linear in the text: what a stranger
writes in a ticket cannot make a pattern of ours run for ever, as it can with `re`.

    languages:  {de: [PATTERN …], en: [PATTERN …]}    first match wins, else the last one listed
    intents:    {refund: [PATTERN …]}                 first match wins, else 'other'
    slots:      {order: {patterns: [PATTERN with one group], type: integer, question: TEXT, several: TEXT},
                 reason: {choices: {damaged: [PATTERN …]}, question: TEXT}}
    results:    {ask: {FIELD: TEXT}, hand_over: {FIELD: TEXT}}   only for an agent with a result type
    rows:       [{id: NAME, when: CEL, ask: SLOT | call: TOOL, args: {NAME: CEL} | answer: … | hand_over: TEXT}]

A TEXT is one template or one per language; `{expression}` in it is CEL, `{cents|money}` an amount.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, cast

import re2 as _untyped  # pyright: ignore[reportMissingTypeStubs]
from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from mainspring.core.canonical import Value
from mainspring.core.marked_yaml import Part, Problems, read
from mainspring.errors import PolicyError, did_you_mean

_MAPPING = "this must be a mapping, each key with a colon and its value"
_LIST, _TEXT = "this must be a list", "this must be a text"
_SHAPES = {"tuple_type": _LIST, "string_type": _TEXT, "dict_type": _MAPPING, "model_type": _MAPPING}
_AMOUNT = re.compile(r"(\d{1,3}(?:[.,' ]\d{3}){1,3}|\d{1,12})(?:[.,](\d{1,2}))?")
_RE2: Any = _untyped
_OPTIONS = _RE2.Options()
_OPTIONS.log_errors = False  # they are raised, and need not be printed by C++ as well

Path = tuple[str | int, ...]
"""Where something stands in the file: `("rows", 2, "when")`."""

Text = str | dict[str, str]
"""One template, or one per language."""

Results = dict[Literal["ask", "hand_over"], dict[str, Text]]
"""How the words of a question or hand-over fill a result: a text with `{message}` per field."""


def _compiled(pattern: object) -> Any:
    if not isinstance(pattern, str):
        raise ValueError("a pattern is a text")  # noqa: TRY004 - pydantic reports values only
    try:
        return _RE2.compile(pattern, _OPTIONS)
    except _RE2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"the pattern {pattern!r} is not RE2: {reason}") from None


def _with_one_group(pattern: object) -> Any:
    compiled = _compiled(pattern)
    if compiled.groups != 1:
        raise ValueError("a slot's pattern needs exactly one group ( ) around the value; others are written (?: )")
    return compiled


Patterns = dict[str, tuple[Annotated[Any, BeforeValidator(_compiled)], ...]]
"""Regular expressions by the name they stand for, in the order they are tried."""


class _Written(Value):
    """A part of the file: a key that nobody knows is a mistake of the author."""

    model_config = ConfigDict(extra="forbid")


class Slot(_Written):
    """A value to find in what the user says: by `patterns` with one group, or one of `choices`.

    `question` asks for it; `several` (with `{found}`) asks which of several different values is meant.
    """

    patterns: tuple[Annotated[Any, BeforeValidator(_with_one_group)], ...] = ()
    choices: Patterns = Field(default_factory=Patterns)
    type: Literal["string", "integer", "money"] = "string"
    question: Text = ""
    several: Text = ""

    @model_validator(mode="after")
    def _one_way_to_read(self) -> Self:
        if bool(self.patterns) == bool(self.choices) or (self.choices and self.type != "string"):
            raise ValueError("a slot needs either 'patterns' or 'choices', and a 'type' only with 'patterns'")
        return self

    def values(self, words: str) -> list[str | int]:
        """The different values in one message, in the order found; of `choices` only the first."""
        if choice := first_match(self.choices, words):
            return [choice]
        matches = (self._typed((match[1] or "").strip()) for p in self.patterns for match in p.finditer(words))
        return list(dict.fromkeys(value for value in matches if value not in ("", None)))

    def _typed(self, match: str) -> str | int | None:
        """The value of a match; nothing where it is not one of the type, which counts as not found."""
        if self.type == "string":
            return match
        if self.type == "integer":
            return int(match) if re.fullmatch(r"[0-9]{1,18}", match) else None
        amount = _AMOUNT.fullmatch(match)
        if not amount:
            return None
        whole, cents = re.sub(r"\D", "", amount[1]), (amount[2] or "").ljust(2, "0")
        return int(whole + cents)


class Row(_Written):
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
        if sum(map(bool, (self.ask, self.call, self.answer, self.hand_over))) != 1:
            raise ValueError("a row needs exactly one of 'ask', 'call', 'answer', 'hand_over'")
        if self.args and not self.call:
            raise ValueError("'args' belongs to 'call'")
        return self

    @property
    def action(self) -> str:
        """What the row does, in words."""
        if self.call or self.ask:
            return f"call {self.call}" if self.call else f"ask {self.ask}"
        return "answer" if self.answer else "hand over"


class Playbook(_Written):
    """A parsed playbook, which knows where in its file each part stands."""

    languages: Patterns = Field(default_factory=Patterns)
    intents: Patterns = Field(default_factory=Patterns)
    slots: dict[str, Slot] = Field(default_factory=dict[str, Slot])
    results: Results = Field(default_factory=Results)
    rows: tuple[Row, ...] = Field(min_length=1)
    _place: tuple[str, Part] = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Keep the file's name and page, which `parse` gives."""
        self._place = context

    @property
    def source(self) -> str:
        """The file as its author named it."""
        return self._place[0]

    def problem(self, path: Path, text: str) -> PolicyError:
        """The error to raise about the part at `path`."""
        part = self._place[1].at(path)
        return PolicyError(self.source, part.line, text, part.column)


def first_match(patterns: Patterns, words: str) -> str:
    """The first name one of whose patterns occurs in the words, else nothing."""
    return next((name for name, some in patterns.items() if any(p.search(words) for p in some)), "")


def parse(text: str, source: str) -> Playbook:
    """Read a playbook file.

    Raises:
        PolicyError: at the first wrong line; further mistakes follow in the same message.
    """
    problems = Problems(source)
    page = read(text, problems)
    if not isinstance(page.value, dict):
        raise PolicyError(source, 1, "a playbook is a mapping with at least 'rows'.")
    playbook: Playbook | None = None
    try:
        playbook = Playbook.model_validate(page.plain(), context=(source, page))
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            problems.wrong(page.at(found["loc"]), _in_words(found["loc"], found["type"], found["msg"]))
    for path, problem in _wrong_rows(playbook) if playbook else ():
        problems.wrong(page.at(path), problem)
    problems.close()
    return cast("Playbook", playbook)  # without one, something was wrong


def _in_words(path: Path, kind: str, message: str) -> str:
    *above, name = [str(step) for step in path] or [""]
    place = ".".join(above) or "the playbook"
    if kind == "extra_forbidden":
        model = {"slots": Slot, "rows": Row}.get(place.partition(".")[0], Playbook)
        return f"unknown key {name!r} in {place}.{did_you_mean(name, model.model_fields)}"
    if kind == "missing":
        return f"{place} has no {name!r}."
    return f"{'.'.join([*above, name])}: {_SHAPES.get(kind) or message.removeprefix('Value error, ')}."


def _wrong_rows(playbook: Playbook) -> Iterator[tuple[Path, str]]:
    """Ids are unique, asked slots have a question, and the last row always answers."""
    ids = [row.id for row in playbook.rows]
    for index, row in enumerate(playbook.rows):
        slot = playbook.slots.get(row.ask)
        if row.id in ids[:index]:
            yield ("rows", index, "id"), f"a second row is called {row.id!r}; each needs its own name."
        if row.ask and not slot:
            hint = did_you_mean(row.ask, playbook.slots)
            yield ("rows", index, "ask"), f"row {row.id!r} asks for an unknown slot {row.ask!r}.{hint}"
        if slot and not slot.question:
            yield ("slots", row.ask), f"slot {row.ask!r} has no 'question', but {row.id!r} asks it."
    last = playbook.rows[-1]
    if last.when.strip() != "true" or last.call:
        problem = f"the last row {last.id!r} must have 'when: true' and answer, ask or hand over"
        yield ("rows", len(ids) - 1), f"{problem}: a playbook always has an answer."
