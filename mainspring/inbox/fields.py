"""A call's arguments as fields of a form: how each is shown, and what a person made of it. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from mainspring.core.approvals import Request
from mainspring.core.canonical import Json, canonical, read_json
from mainspring.durable.fitting import misfit

Shape = Literal["text", "long text", "whole number", "number", "choice", "JSON"]
ARG = "arg."
"""Before the name of an argument, where a form has a field for it."""
_LONG = 60
"""Characters from which a text has several lines."""
_WHOLE = re.compile(r"[+-]?\d{1,300}")
_BOOLEANS = {"true": True, "false": False}


class Field(NamedTuple):
    """One argument: its name, how it is typed, its value as text, what may be chosen, and its author's words."""

    name: str
    shape: Shape
    value: str
    options: tuple[str, ...] = ()
    about: str = ""

    @property
    def key(self) -> str:
        """What the form calls it."""
        return ARG + self.name


class Change(NamedTuple):
    """One argument before and after, as texts."""

    name: str
    old: str
    new: str


class Edit(NamedTuple):
    """What was made of the arguments: those that differ, and by name what is wrong ("" is all of them together)."""

    args: dict[str, Json]
    wrong: dict[str, str]


def fields_of(request: Request) -> list[Field]:
    """The fields of a request whose arguments may be changed; none where they may not."""
    known = cast("dict[str, Any]", request.input_schema.get("properties") or {})
    return [_field(name, cast("dict[str, Any]", known[name]), request.args) for name in known]


def edited(request: Request, typed: Mapping[str, str]) -> Edit:
    """What a person typed into the fields, against the schema; a field that was not sent is as it was."""
    args: dict[str, Json] = {}
    wrong: dict[str, str] = {}
    for field in fields_of(request):
        text = typed.get(field.key)
        if text is None or same(text, field.value):
            continue
        try:
            args[field.name] = _read(field, text.replace("\r\n", "\n"))
        except ValueError as error:
            wrong[field.name] = str(error)
    args = {name: value for name, value in args.items() if name not in request.args or value != request.args[name]}
    if args and not wrong and (problem := misfit({**request.args, **args}, request.input_schema)):
        name = problem.partition(":")[0].partition(".")[0]
        wrong[name if name in args else ""] = problem
    return Edit(args, wrong)


def changes(request: Request, args: Mapping[str, Json]) -> list[Change]:
    """What differs, argument by argument."""
    return [Change(name, shown(request.args.get(name)), shown(value)) for name, value in args.items()]


def shown(value: Json) -> str:
    """A value as a person reads it: a text as it is, all else as JSON; nothing where it is not there."""
    return value if isinstance(value, str) else "" if value is None else canonical(value)


def same(typed: str, before: str) -> bool:
    """Whether a text came back as it was shown; browsers send every line's end as CRLF."""
    return typed.replace("\r\n", "\n") == before.replace("\r\n", "\n")


def _field(name: str, schema: dict[str, Any], args: Mapping[str, Json]) -> Field:
    value = args.get(name)
    about = str(schema.get("description") or "")
    options = _options(schema)
    if options:
        return Field(
            name, "choice", shown(_spelled(value)), tuple(dict.fromkeys((shown(_spelled(value)), *options))), about
        )
    kind = schema.get("type")
    if kind == "string" and (name not in args or isinstance(value, str)) and _is_plain(shown(value)):
        text = shown(value)
        return Field(name, "long text" if "\n" in text or len(text) > _LONG else "text", text, about=about)
    if kind == "integer":
        return Field(name, "whole number", shown(value), about=about)
    if kind == "number":
        return Field(name, "number", shown(value), about=about)
    return Field(name, "JSON", _json(value) if name in args else "", about=about)


def _options(schema: dict[str, Any]) -> tuple[str, ...]:
    if schema.get("type") == "boolean":
        return tuple(_BOOLEANS)
    enum = cast("list[Any]", schema.get("enum") or [])
    return tuple(enum) if enum and all(isinstance(each, str) for each in enum) else ()


def _spelled(value: Json) -> Json:
    return str(value).lower() if isinstance(value, bool) else value


def _json(value: Json) -> str:
    """As JSON, in which what cannot be seen is spelled out."""
    text = canonical(value)
    return text if _is_plain(text) else json.dumps(value, sort_keys=True)


def _is_plain(text: str) -> bool:
    """Whether a field of a form gives a text back as it was put in."""
    return all(each.isprintable() or each in "\n\t" for each in text)


def _read(field: Field, text: str) -> Json:
    """The value that a text stands for.

    Raises:
        ValueError: it stands for none, in words.
    """
    if field.shape in ("text", "long text"):
        return text
    text = text.strip()
    if field.shape == "choice":
        if text not in field.options:
            raise ValueError(f"{text!r} is not one of {', '.join(map(repr, field.options))}.")
        return _BOOLEANS[text] if field.options[-2:] == tuple(_BOOLEANS) else text
    if field.shape == "whole number":
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{text!r} is no whole number, such as 4000.")
        return int(text)
    try:
        value = read_json(text)
    except ValueError as error:
        such = "no number, such as 40.5" if field.shape == "number" else f"not JSON: {error}"
        raise ValueError(f"{text!r} is {such}.") from None
    if field.shape == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{text!r} is no number, such as 40.5.")
    return value
