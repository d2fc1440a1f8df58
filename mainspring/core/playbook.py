"""The playbook model's decisions: which row of the table answers a thread, and with what.

Pure: messages in, a `Reply` out. Everything an author can get wrong is found when a `Table` is
made, with file and line. Nothing here knows a business: intents, slots, tools and words come
from the file (`core.playbook_file`) and from the agent's tools.

A row sees these variables, typed, so that CEL finds a wrong name when the file is loaded:
`intent`, `language`, `text` (all the user said), `recalled` (notes from memory), `turn` (replies
given so far); per slot `known.S` (exactly one value was said), `disputed.S` (several), `slots.S`,
`found.S` (all values, as a text); per tool `called.T`, then by its newest call `ok.T`, `failed.T`,
`denied.T`, `reason.T` (the text of an error or denial), and the newest good result as `T.field`
(`T.value` where it is no object). A slot's `several` has `found`, its own values; `results` have
`message`, the words of the row that acts.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mainspring.core.canonical import Json, Value, canonical
from mainspring.core.cel import CelError, Expression, Kind, kind_of
from mainspring.core.messages import Done, Message, ToolCall, finished_calls
from mainspring.core.playbook_file import Path, Playbook, Row, Text, first_match, parse
from mainspring.core.playbook_text import Template
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError, PolicyError, did_you_mean

__all__ = ["Playbook", "Reply", "Table", "parse"]

_KINDS: dict[type, Kind] = {bool: "bool", int: "int", str: "string"}
_COMPARED = re.compile(r"\b(intent|language|slots\.\w+)\s*[!=]=\s*[\"'](\w*)[\"']")

Facts = dict[str, Json]


class Reply(Value):
    """What the playbook says next. `why` names the row, the intent and the filled slots, never a value."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Compiled:
    """A row: `makes` are the arguments of its call or the fields of its answer (key "" for plain text).

    `message` holds the words of a question or hand-over, `several` those for a slot in dispute.
    """

    row: Row
    when: Expression
    makes: Mapping[str, Expression | Template]
    message: Template | None = None
    several: Template | None = None


class Table:
    """A playbook compiled for one agent; it keeps nothing between replies."""

    def __init__(
        self, playbook: Playbook, tools: Sequence[ToolSpec], result_schema: Mapping[str, Json] | None, agent: str
    ) -> None:
        """Compile every condition, argument and template once.

        Raises:
            PolicyError: with file and line, for anything that could not work at run time.
        """
        self._playbook = playbook
        self._tools = {tool.name: tool for tool in tools}
        self._schema = cast("dict[str, Any] | None", result_schema)
        self._agent = agent
        self._variables = self._typed()
        self._rows = [self._compile(("rows", index), row) for index, row in enumerate(playbook.rows)]

    def reply(self, messages: Sequence[Message]) -> Reply:
        """The answer of the first row whose condition is true.

        Raises:
            ModelError: a row could not be evaluated; names the row and the cause, no values.
        """
        facts = self._facts(messages)
        for compiled in self._rows:
            try:
                if compiled.when.holds(facts):
                    return self._act(compiled, facts)
            except CelError as error:
                # The kind of failure alone: what CEL writes after it can quote the conversation.
                cause = str(error).partition(":")[2].partition(":")[0].strip() or str(error)
                where = f"row {compiled.row.id!r} of the playbook {self._playbook.source!r}"
                problem = f"{where} could not be evaluated: {cause}. Correct the row."
                raise ModelError(problem, retryable=False) from None
        raise AssertionError("the last row is always true")  # parse() saw to it

    def _act(self, compiled: _Compiled, facts: Facts) -> Reply:
        row, message = compiled.row, compiled.message
        why = [f"row {row.id!r}: {row.action}", f"intent {facts['intent']!r}"]
        for label, state in (("filled", "known"), ("disputed", "disputed")):
            slots = [name for name in self._playbook.slots if facts[f"{state}.{name}"]]
            why += [f"{label}: {', '.join(slots)}"] if slots else []
        if row.ask and facts[f"disputed.{row.ask}"]:
            facts["found"], message = facts[f"found.{row.ask}"], compiled.several
        if message:
            facts["message"] = message.evaluate(facts)
        made: Facts = {name: filling.evaluate(facts) for name, filling in compiled.makes.items()}
        if row.call:
            return Reply(calls=(ToolCall(id="1", name=row.call, args=made),), why=tuple(why))
        return Reply(text=str(made[""]) if "" in made else canonical(made), why=tuple(why))

    def _facts(self, messages: Sequence[Message]) -> Facts:
        """All that a row sees; what acting on it adds is empty yet."""
        said = [message.text for message in messages if message.role == "user"]
        first = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
        playbook, text = self._playbook, "\n".join(said)
        facts: Facts = {
            "text": text,
            "intent": first_match(playbook.intents, text) or "other",
            "language": first_match(playbook.languages, text) or next(reversed(playbook.languages), ""),
            # Notes before the first reply are recalled memory; later ones ask for a repair.
            "recalled": "\n".join(message.text for message in messages[:first] if message.role == "note"),
            "turn": sum(message.role == "assistant" for message in messages),
            "message": "",
            "found": "",
        }
        for name, slot in playbook.slots.items():
            # The newest message that names a value counts: it may answer a question about an earlier one.
            values = next((found for words in reversed(said) if (found := slot.values(words))), list[str | int]())
            facts |= {f"known.{name}": len(values) == 1, f"disputed.{name}": len(values) > 1}
            facts[f"found.{name}"] = ", ".join(map(str, values))
            facts |= {f"slots.{name}": value for value in values if len(values) == 1}
        done = finished_calls(tuple(messages))
        for name in self._tools:
            facts |= _call_facts(name, [call for call in done if call.tool == name])
        return facts

    def _typed(self) -> dict[str, Kind]:
        """The kinds of the facts; those of slots and results are not there before they are known."""
        kinds: dict[str, Kind] = {name: _KINDS[type(value)] for name, value in self._facts([]).items()}
        for name, slot in self._playbook.slots.items():
            kinds[f"slots.{name}"] = "string" if slot.type == "string" else "int"
        for tool in self._tools.values():
            result = cast("dict[str, Any]", tool.result_schema or {})
            fields = _properties(result) or {"value": result}
            kinds |= {f"{tool.name}.{field}": kind_of(schema) for field, schema in fields.items()}
        return kinds

    def _compile(self, path: Path, row: Row) -> _Compiled:
        when = self._expression((*path, "when"), row.when, "bool")
        if row.call:
            tool = self._tools.get(row.call)
            if tool is None:
                problem = f"agent {self._agent!r} has no tool {row.call!r}.{did_you_mean(row.call, self._tools)}"
                raise self._playbook.problem((*path, "call"), problem)
            what = f"argument of tool {tool.name!r}"
            return _Compiled(row, when, self._filled((*path, "args"), row.args, tool.input_schema, what, texts=False))
        if row.answer:
            return _Compiled(row, when, self._result((*path, "answer"), row.answer))
        action = "ask" if row.ask else "hand_over"
        makes = self._result(("results", action), self._playbook.results.get(action, "{message}"))
        if row.hand_over:
            return _Compiled(row, when, makes, self._template((*path, action), row.hand_over))
        slot, place = self._playbook.slots[row.ask], ("slots", row.ask)
        question = self._template((*place, "question"), slot.question)
        several = self._template((*place, "several"), slot.several or slot.question)
        return _Compiled(row, when, makes, question, several)

    def _result(self, path: Path, given: str | Mapping[str, Text]) -> dict[str, Expression | Template]:
        if self._schema is None:
            return {"": self._template(path, cast("Text", given))}
        if isinstance(given, str):
            problem = f"'{_dotted(path)}' must say how the result of agent {self._agent!r} is filled"
            raise self._playbook.problem(path, f"{problem}: give each of its fields, not one text.")
        return self._filled(path, given, self._schema, f"field of the result of agent {self._agent!r}", texts=True)

    def _filled(
        self, path: Path, given: Mapping[str, Text], schema: dict[str, Any], what: str, *, texts: bool
    ) -> dict[str, Expression | Template]:
        """Compile arguments or fields; with `texts` those that are strings are templates, else all is CEL."""
        known = _properties(schema)
        for name in [*given, *schema.get("required", [])]:
            if name not in known:
                problem = f"{name!r} is no {what}.{did_you_mean(name, known)}"
                raise self._playbook.problem((*path, name), problem)
            if name not in given:
                raise self._playbook.problem(path, f"{name!r} is missing; it is a required {what}.")
        return {name: self._filling((*path, name), text, known[name], texts=texts) for name, text in given.items()}

    def _filling(self, path: Path, text: Text, schema: dict[str, Any], *, texts: bool) -> Expression | Template:
        if texts and kind_of(schema) == "string":
            allowed = [schema["const"]] if "const" in schema else schema.get("enum", [])
            for words in [text] if isinstance(text, str) else text.values():
                if "{" not in words:
                    self._check_value(path, words, allowed, "this field")
            return self._template(path, text)
        if not isinstance(text, str):
            raise self._playbook.problem(path, f"field {path[-1]!r} is no text: give one CEL expression.")
        return self._expression(path, text, kind_of(schema))

    def _template(self, path: Path, text: Text) -> Template:
        if isinstance(text, dict) and (odd := set(text) ^ set(self._playbook.languages)):
            problem = f"give one text for each of 'languages', and no other: {min(odd)!r} is not."
            raise self._playbook.problem(path, problem)
        try:
            return Template(text, self._variables)
        except CelError as error:
            raise self._not_cel(path, error) from None

    def _expression(self, path: Path, text: str, kind: Kind) -> Expression:
        for name, value in _COMPARED.findall(text):
            # A condition on a value that can never occur is a typing error CEL cannot see.
            slot = self._playbook.slots.get(name.removeprefix("slots."))
            values = {"intent": [*self._playbook.intents, "other"], "language": list(self._playbook.languages)}
            self._check_value(path, value, values.get(name) or (list(slot.choices) if slot else []), repr(name))
        wanted: dict[Kind, Sequence[Kind]] = {"any": (), "double": ("int", "double")}
        try:
            return Expression(text, self._variables, wanted.get(kind, (kind,)))
        except CelError as error:
            raise self._not_cel(path, error) from None

    def _check_value(self, path: Path, value: str, allowed: Collection[str], what: str) -> None:
        if allowed and value not in allowed:
            raise self._playbook.problem(path, f"{value!r} is no value of {what}.{did_you_mean(value, allowed)}")

    def _not_cel(self, path: Path, error: CelError) -> PolicyError:
        unknown = re.search(r"undeclared reference to '([\w.]+)'", str(error))
        hint = did_you_mean(unknown[1], self._variables) if unknown else ""
        return self._playbook.problem(path, f"{_dotted(path)}: {error}.{hint if 'Did you mean' in hint else ''}")


def _call_facts(tool: str, calls: Sequence[Done]) -> dict[str, Json]:
    """How the newest of a tool's calls ended, and the newest good result."""
    status, value = (calls[-1].status, calls[-1].value) if calls else ("", "")
    facts: dict[str, Json] = {f"called.{tool}": bool(calls), f"ok.{tool}": status == "ok"}
    facts |= {f"failed.{tool}": status == "error", f"denied.{tool}": status == "denied"}
    reason = value if isinstance(value, str) else canonical(value)
    facts[f"reason.{tool}"] = reason if status in ("error", "denied") else ""
    for good in [call.value for call in calls if call.status == "ok"][-1:]:
        fields = good if isinstance(good, dict) else {}
        facts |= {f"{tool}.value": good} | {f"{tool}.{name}": field for name, field in fields.items()}
    return facts


def _properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The schema of each field or argument, references followed."""
    definitions = schema.get("$defs", {})

    def resolved(given: dict[str, Any]) -> dict[str, Any]:
        return definitions.get(given["$ref"].rpartition("/")[2], {}) if "$ref" in given else given

    return {name: resolved(sub) for name, sub in resolved(schema).get("properties", {}).items()}


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
