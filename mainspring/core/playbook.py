"""The playbook model's decisions: which row of the table answers a thread, and with what.

Pure: messages in, a `Reply` out. Everything an author can get wrong is found when a `Table` is
made, with file and line. Nothing here knows a business: intents, slots, tools and words come
from the file (`core.playbook_file`) and from the agent's tools.

A row sees these variables, typed, so that CEL finds a wrong name when the file is loaded:
`intent`, `language`, `text` (all the user said), `recalled` (notes from memory), `turn` (replies
given so far); per slot `known.S` (exactly one value was said), `disputed.S` (several), `slots.S`;
per tool `called.T`, then by its newest call `ok.T`, `failed.T`, `denied.T`, `reason.T` (the text of
an error or denial), and the newest good result as `T.field` (`T.value` where it is no object).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from mainspring.core.canonical import Json, Value, canonical
from mainspring.core.cel import CelError, Expression, Kind, kind_of
from mainspring.core.messages import Done, Message, ToolCall, finished_calls
from mainspring.core.playbook_file import Playbook, Row, Text, parse
from mainspring.core.playbook_reading import Reader, Reading
from mainspring.core.playbook_text import Template
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError, PolicyError, did_you_mean

__all__ = ["Playbook", "Reply", "Table", "parse"]

_COMPARED = re.compile(r"\b(intent|language|slots\.\w+)\s*[!=]=\s*[\"'](\w*)[\"']")

Facts = dict[str, Json]
Filling = Expression | dict[str, Template]
"""How one field of an answer is made: by an expression, or by a template per language."""


class Reply(Value):
    """What the playbook says next. `why` names the row, the intent and the filled slots, never a value."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Field:
    """Where a variable's value lies in a tool's result (`path` empty: the result itself)."""

    kind: Kind
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Action:
    """A compiled row: either `call` with `args`, or `fields` (key "" for plain text) around `message`."""

    row: Row
    when: Expression
    args: Mapping[str, Expression]
    fields: Mapping[str, Filling]
    message: dict[str, Template] | None = None
    several: dict[str, Template] | None = None


class Table:
    """A playbook compiled for one agent; it keeps nothing between replies."""

    def __init__(
        self, playbook: Playbook, tools: Sequence[ToolSpec], result_schema: Mapping[str, Json] | None, agent: str
    ) -> None:
        """Compile every pattern, condition, argument and template once.

        Raises:
            PolicyError: with file and line, for anything that could not work at run time.
        """
        self._playbook = playbook
        self._reader = Reader(playbook)
        self._results = {tool.name: _result_fields(tool) for tool in tools}
        compiler = _Compiler(playbook, {t.name: t for t in tools}, result_schema, agent, self._variables())
        self._actions = [compiler.action(index, row) for index, row in enumerate(playbook.rows)]

    def reply(self, messages: Sequence[Message]) -> Reply:
        """The answer of the first row whose condition is true.

        Raises:
            ModelError: a row could not be evaluated; names the row and the cause, no values.
        """
        said = [message.text for message in messages if message.role == "user"]
        reading = self._reader.read(said)
        facts = self._facts(messages, reading)
        for action in self._actions:
            try:
                if _holds(action.when, facts):
                    return _act(action, facts, reading)
            except CelError as error:
                raise ModelError(
                    f"row {action.row.id!r} of the playbook {self._playbook.source!r} could not be evaluated: "
                    f"{_cause(error)}. Correct the row.",
                    retryable=False,
                ) from None
        raise AssertionError("the last row is always true")  # parse() saw to it

    def _variables(self) -> dict[str, Kind]:
        kinds: dict[str, Kind] = {"intent": "string", "language": "string", "text": "string"}
        kinds.update({"recalled": "string", "turn": "int"})
        for name, slot in self._playbook.slots.items():
            kinds.update({f"known.{name}": "bool", f"disputed.{name}": "bool"})
            kinds[f"slots.{name}"] = "string" if slot.type == "string" else "int"
        for name, fields in self._results.items():
            kinds.update({f"{state}.{name}": "bool" for state in ("called", "ok", "failed", "denied")})
            kinds[f"reason.{name}"] = "string"
            kinds.update({variable: field.kind for variable, field in fields.items()})
        return kinds

    def _facts(self, messages: Sequence[Message], reading: Reading) -> Facts:
        first = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
        facts: Facts = {"intent": reading.intent, "language": reading.language, "text": reading.text}
        # Notes before the first reply are recalled memory; later ones ask for a repair.
        facts["recalled"] = "\n".join(m.text for m in messages[:first] if m.role == "note")
        facts["turn"] = sum(message.role == "assistant" for message in messages)
        for name in self._playbook.slots:
            facts |= {f"known.{name}": name in reading.slots, f"disputed.{name}": name in reading.disputed}
        facts |= {f"slots.{name}": value for name, value in reading.slots.items()}
        for name in self._results:
            facts |= {f"{state}.{name}": False for state in ("called", "ok", "failed", "denied")}
            facts[f"reason.{name}"] = ""
        for done in finished_calls(tuple(messages)):
            if done.tool in self._results:
                facts |= self._call_facts(done)
        return facts

    def _call_facts(self, done: Done) -> Facts:
        name, good = done.tool, done.status == "ok"
        facts: Facts = {f"called.{name}": True, f"ok.{name}": good}
        facts |= {f"failed.{name}": done.status == "error", f"denied.{name}": done.status == "denied"}
        reason = done.value if isinstance(done.value, str) else canonical(done.value)
        facts[f"reason.{name}"] = "" if good else reason
        for variable, field in self._results[name].items() if good else ():
            value = done.value
            for key in field.path:
                value = value.get(key) if isinstance(value, dict) else None
            facts[variable] = value
        return facts


class _Compiler:
    """Turns rows into actions; every problem it finds is raised with its line."""

    def __init__(
        self,
        playbook: Playbook,
        tools: Mapping[str, ToolSpec],
        result_schema: Mapping[str, Json] | None,
        agent: str,
        variables: dict[str, Kind],
    ) -> None:
        self._playbook = playbook
        self._tools = tools
        self._schema = cast("dict[str, Any] | None", result_schema)
        self._agent = agent
        self._variables = variables

    def action(self, index: int, row: Row) -> _Action:
        path = f"rows.{index}"
        when = self._expression(f"{path}.when", row.when, ("bool",))
        if row.call:
            return _Action(row, when, self._call(path, row), {})
        if row.answer:
            return _Action(row, when, {}, self._fields(f"{path}.answer", row.answer))
        given = self._playbook.results.ask if row.ask else self._playbook.results.hand_over
        if self._schema is not None and not given:
            problem = f"agent {self._agent!r} has a result type: 'results.{row.action}' must say how it is filled."
            raise self._playbook.problem(path, problem)
        fields = self._fields(f"results.{row.action}", given or "{message}", {"message": "string"})
        if not row.ask:
            return _Action(row, when, {}, fields, self._texts(f"{path}.hand_over", row.hand_over))
        slot = self._playbook.slots[row.ask]
        several = self._texts(f"slots.{row.ask}.several", slot.several or slot.question, {"found": "string"})
        return _Action(row, when, {}, fields, self._texts(f"slots.{row.ask}.question", slot.question), several)

    def _call(self, path: str, row: Row) -> dict[str, Expression]:
        tool = self._tools.get(row.call)
        if tool is None:
            problem = f"agent {self._agent!r} has no tool {row.call!r}.{did_you_mean(row.call, self._tools)}"
            raise self._playbook.problem(f"{path}.call", problem)
        schema = cast("dict[str, Any]", tool.input_schema)
        self._check_names(f"{path}.args", row.args, schema, f"argument of tool {tool.name!r}", f"{path}.call")
        properties: dict[str, Any] = schema.get("properties", {})
        return {
            name: self._expression(f"{path}.args.{name}", text, _wanted(properties[name], schema))
            for name, text in row.args.items()
        }

    def _fields(
        self, path: str, given: str | dict[str, Text], extra: Mapping[str, Kind] | None = None
    ) -> dict[str, Filling]:
        if self._schema is None:
            return {"": self._texts(path, cast("Text", given), extra)}
        if isinstance(given, str):
            problem = f"agent {self._agent!r} has a result type: give each of its fields, not one text."
            raise self._playbook.problem(path, problem)
        self._check_names(path, given, self._schema, f"field of the result of agent {self._agent!r}", path)
        return {name: self._field(f"{path}.{name}", name, text, extra) for name, text in given.items()}

    def _field(self, path: str, name: str, text: Text, extra: Mapping[str, Kind] | None) -> Filling:
        schema = _resolved(self._schema["properties"][name], self._schema) if self._schema else {}
        if kind_of(schema) == "string":
            texts = self._texts(path, text, extra)
            self._check_enum(path, schema, texts)
            return texts
        if not isinstance(text, str):
            raise self._playbook.problem(path, f"field {name!r} is no text: give one CEL expression.")
        return self._expression(path, text, _wanted(schema, schema), extra)

    def _check_names(
        self, path: str, given: Mapping[str, object], schema: dict[str, Any], what: str, whole: str
    ) -> None:
        known: dict[str, Any] = schema.get("properties", {})
        for name in given:
            if name not in known:
                raise self._playbook.problem(f"{path}.{name}", f"{name!r} is no {what}.{did_you_mean(name, known)}")
        missing = [name for name in schema.get("required", []) if name not in given]
        if missing:
            raise self._playbook.problem(whole, f"{missing[0]!r} is missing; it is a required {what}.")

    def _check_enum(self, path: str, schema: dict[str, Any], texts: dict[str, Template]) -> None:
        allowed: list[str] = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
        for template in texts.values():
            if allowed and template.constant is not None and template.constant not in allowed:
                hint = did_you_mean(template.constant, allowed)
                raise self._playbook.problem(path, f"{template.constant!r} is no value of this field.{hint}")

    def _texts(self, path: str, text: Text, extra: Mapping[str, Kind] | None = None) -> dict[str, Template]:
        texts = {"": text} if isinstance(text, str) else text
        languages = set(self._playbook.languages)
        if isinstance(text, dict) and set(text) != languages:
            odd = min(languages ^ set(text))
            raise self._playbook.problem(path, f"give one text for each of 'languages', and no other: {odd!r} is not.")
        try:
            return {
                language: Template(words, {**self._variables, **(extra or {})}) for language, words in texts.items()
            }
        except CelError as error:
            raise self._wrong(path, str(error)) from None

    def _expression(
        self, path: str, text: str, want: Sequence[Kind], extra: Mapping[str, Kind] | None = None
    ) -> Expression:
        for name, value in _COMPARED.findall(text):
            self._check_compared(path, name, value)
        try:
            return Expression(text, {**self._variables, **(extra or {})}, want)
        except CelError as error:
            raise self._wrong(path, str(error)) from None

    def _check_compared(self, path: str, name: str, value: str) -> None:
        """A condition on a value that can never occur is a typing error CEL cannot see."""
        slot = self._playbook.slots.get(name.removeprefix("slots."))
        known = {"intent": {*self._playbook.intents, "other"}, "language": set(self._playbook.languages)}.get(name)
        known = known or (set(slot.choices) if slot else None)
        if known and value not in known:
            raise self._playbook.problem(path, f"{value!r} is no value of '{name}'.{did_you_mean(value, known)}")

    def _wrong(self, path: str, reason: str) -> PolicyError:
        unknown = re.search(r"undeclared reference to '([\w.]+)'", reason)
        hint = did_you_mean(unknown[1], self._variables) if unknown else ""
        return self._playbook.problem(path, f"{path}: {reason}.{hint if 'Did you mean' in hint else ''}")


def _act(action: _Action, facts: Facts, reading: Reading) -> Reply:
    row = action.row
    why = [
        f"row {row.id!r}: {row.action.replace('_', ' ')} {row.call or row.ask}".rstrip(),
        f"intent {reading.intent!r}",
    ]
    why += [f"filled: {', '.join(reading.slots)}"] if reading.slots else []
    why += [f"disputed: {', '.join(reading.disputed)}"] if reading.disputed else []
    if row.call:
        args = {name: expression.evaluate(facts) for name, expression in action.args.items()}
        return Reply(calls=(ToolCall(id="1", name=row.call, args=args),), why=tuple(why))
    message = action.message
    if row.ask in reading.disputed and action.several:
        facts = facts | {"found": ", ".join(str(value) for value in reading.disputed[row.ask])}
        message = action.several
    if message is not None:
        facts = facts | {"message": _fill(message, facts)}
    result = {name: _fill(filling, facts) for name, filling in action.fields.items()}
    return Reply(text=str(result[""]) if "" in result else canonical(result), why=tuple(why))


def _fill(filling: Filling, facts: Facts) -> Json:
    if isinstance(filling, Expression):
        return filling.evaluate(facts)
    return filling[str(facts["language"]) if "" not in filling else ""].fill(facts)


def _holds(when: Expression, facts: Facts) -> bool:
    value = when.evaluate(facts)
    if not isinstance(value, bool):
        raise CelError("the condition gave neither true nor false")
    return value


def _cause(error: CelError) -> str:
    """The kind of failure alone: what CEL writes after it can quote the conversation."""
    return str(error).partition(":")[2].partition(":")[0].strip() or str(error)


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow a `$ref` into `$defs`."""
    reference = schema.get("$ref")
    return root.get("$defs", {}).get(str(reference).rpartition("/")[2], {}) if reference else schema


def _wanted(schema: dict[str, Any], root: dict[str, Any]) -> tuple[Kind, ...]:
    kind = kind_of(_resolved(schema, root))
    return () if kind == "any" else ("int", "double") if kind == "double" else (kind,)


def _result_fields(tool: ToolSpec) -> dict[str, _Field]:
    """The variables a tool's result gives; nested objects one level deep."""
    root = cast("dict[str, Any]", tool.result_schema or {})
    options = [option for option in root.get("anyOf", []) if option.get("type") != "null"]
    top = _resolved(options[0] if len(options) == 1 else root, root)
    if "properties" not in top:
        return {f"{tool.name}.value": _Field(kind_of(root), ())}
    fields: dict[str, _Field] = {}
    for name, given in top["properties"].items():
        schema = _resolved(given, root)
        fields[f"{tool.name}.{name}"] = _Field(kind_of(schema), (name,))
        nested: dict[str, Any] = schema.get("properties", {})
        for inner, sub in nested.items():
            fields[f"{tool.name}.{name}.{inner}"] = _Field(kind_of(_resolved(sub, root)), (name, inner))
    return fields
