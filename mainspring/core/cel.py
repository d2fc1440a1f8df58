"""CEL expressions, checked when loaded and failing closed when evaluated.

The language is Google's Common Expression Language (https://cel.dev), through `cel-expr-python`.
Its `bool(value)` is always true and its errors are truthy values, so nothing outside this module
touches them: `evaluate` gives a plain Python value or raises `CelError`.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, cast

from cel_expr_python import cel

from mainspring.core.canonical import Json, is_too_deep

Kind = Literal["bool", "int", "double", "string", "list", "map", "any"]

_TYPES: dict[str, Any] = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "list": cel.Type.List(cel.Type.DYN),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "any": cel.Type.DYN,
}
_FRAME = re.compile(
    r"^INVALID_ARGUMENT: |ERROR: <input>:|\s*\[INVALID_ARGUMENT\]$| expecting \{.*\}| \(in container ''\)"
)
# C++ strings end at NUL, so 'a\0b' would equal 'a'; half a surrogate pair is refused altogether.
_UNREADABLE = re.compile("[\0\ud800-\udfff]")
_AROUND_DOT = re.compile(r"\s*\.\s*")
_INT64 = 2**63
_DOUBLE = 2**1023
_JSON_KINDS: dict[str, Kind] = {
    "boolean": "bool",
    "integer": "int",
    "number": "double",
    "string": "string",
    "array": "list",
    "object": "map",
}


class CelError(Exception):
    """An expression that does not compile, or that gave no usable value."""


class Expression:
    """One compiled expression; `reads` are the variables it may read. Evaluating costs some 10 µs, compiling a lot."""

    def __init__(self, text: str, variables: Mapping[str, Kind], want: Sequence[Kind] = ()) -> None:
        """Compile `text` over `variables` (dotted names allowed); `want` limits the result's kind.

        Raises:
            CelError: with line, column and what is wrong.
        """
        self.text = text
        # Only what a text can name is made at all: some facts cost more than the rest.
        plain = _AROUND_DOT.sub(".", text)
        self.reads = {name for name in variables if name in plain and _is_named(name, plain)}
        _refuse_has(text, self.reads)
        self._env = _environment(tuple(variables.items()))
        self._declared = variables.keys()
        try:
            self._program: Any = self._env.compile(text)
        except RuntimeError as error:
            raise CelError(_FRAME.sub("", str(error).splitlines()[0]) + _caret(str(error))) from None
        kind = self._program.return_type().name()
        if want and kind not in {_TYPES[w].name() for w in want} | {"DYN"}:
            raise CelError(f"gives {kind}, but must give {' or '.join(want)}")

    def evaluate(self, facts: Mapping[str, Json]) -> Json:
        """The plain value over `facts`.

        Raises:
            CelError: where CEL gives an error value (missing key, type clash, 1/0 …) or gives up.
        """
        if not isinstance(facts, Plain):
            facts = plain_facts({name: value for name, value in facts.items() if name in self.reads})
        try:
            value: Any = self._program.eval(activation=facts.given_to(self._env, self._declared))
        except RuntimeError as error:
            raise CelError(str(error)) from None
        if value.type().name() == "ERROR":
            raise CelError(str(value.plain_value()))
        return cast("Json", value.plain_value())

    def holds(self, facts: Mapping[str, Json]) -> bool:
        """Whether the expression is exactly true.

        Raises:
            CelError: where it gives an error or anything but a boolean.
        """
        value = self.evaluate(facts)
        if not isinstance(value, bool):
            raise CelError(f"gave {value!r}, but a condition must give true or false")
        return value


def _is_named(name: str, text: str) -> bool:
    """Whether a text has the name as a whole, and not as a field of something; a text in quotes may well have it."""
    return re.search(rf"(?<![\w])(?<![\w)\]]\.){re.escape(name)}(?!\w)", text) is not None


class Plain(dict[str, Json]):
    """Facts that expressions can be given as they are.

    A fact is converted when an expression first reads it, and then no more for all others over the same variables.
    """

    def __init__(self, facts: Iterable[tuple[str, Json]]) -> None:
        super().__init__(facts)
        self._given: dict[int, Any] = {}

    def given_to(self, env: Any, declared: Collection[str]) -> Any:
        """The facts as expressions of an environment take them."""
        if id(env) not in self._given:
            self._given[id(env)] = env.Activation(data={name: self[name] for name in self if name in declared})
        return self._given[id(env)]


def plain_facts(facts: Mapping[str, Json]) -> Plain:
    """The facts with nothing in them that CEL would misread; made once for all expressions over them.

    What is nested too deeply is left out, so an expression that reads it fails.
    """
    return Plain((name, _plain(value)) for name, value in facts.items() if not is_too_deep(value))


@lru_cache(maxsize=64)
def _environment(variables: tuple[tuple[str, Kind], ...]) -> Any:
    """One for all expressions over the same variables: making it costs ten times a compilation."""
    return cel.NewEnv(variables={name: _TYPES[kind] for name, kind in variables})


def kind_of(schema: Mapping[str, Any]) -> Kind:
    """The CEL kind of a JSON Schema type (`any` where it is a choice or unknown)."""
    name = schema.get("type")
    return _JSON_KINDS.get(name, "any") if isinstance(name, str) else "any"


def fields_of(schema: Mapping[str, Any], prefix: str) -> dict[str, Kind]:
    """Dotted variables for the properties of an object schema: `{"args.amount_cents": "int"}`."""
    properties: dict[str, Any] = schema.get("properties", {})
    return {f"{prefix}.{name}": kind_of(sub) for name, sub in properties.items()}


def _plain(value: Json) -> Json:
    """The value with nothing in it that CEL would misread, cut short or crash on."""
    if isinstance(value, str):
        return _readable(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_readable(key): _plain(item) for key, item in value.items()}
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return float(value) if abs(value) < _DOUBLE else math.copysign(math.inf, 1 if value > 0 else -1)
    return value


def _readable(text: str) -> str:
    if "\0" not in text:
        try:
            text.encode()  # tells quicker than the pattern that there is no half a pair
        except UnicodeEncodeError:
            pass
        else:
            return text
    return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _refuse_has(text: str, names: Iterable[str]) -> None:
    # CEL compiles has(args.x) of a declared variable to its value, not to whether it is there.
    for name in names:
        if "." in name and re.search(rf"\bhas\(\s*{re.escape(name)}\s*\)", text):
            raise CelError(f"has({name}) says nothing: {name!r} is always there. Compare it instead")


def _caret(error: str) -> str:
    lines = [line.removeprefix(" | ") for line in error.splitlines()[1:3]]
    return f" (near {lines[0].strip()!r})" if lines else ""
