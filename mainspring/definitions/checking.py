"""What can be wrong with a definition, by its parameters alone."""

import re
from datetime import timedelta
from typing import Any, cast, get_args

from pydantic import BaseModel

from mainspring.core.labels import SECRECY
from mainspring.core.spec import Mode, Shortening
from mainspring.core.tool import check_label
from mainspring.errors import DefinitionError

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_CLOSED_FORMATS = {"date", "date-time", "time", "duration"}
"""Forms of a text by which nobody can say anything but what its author foresaw."""
MODEL = re.compile(r"playbook|[a-z][a-z0-9_-]*:\S+")


def checked_name(name: str, kind: str) -> str:
    """The name.

    Raises:
        DefinitionError: it is no workflow type of ours.
    """
    if not NAME.fullmatch(name):
        raise DefinitionError(f"{kind} {name!r}: a name has a-z, 0-9 and '-', begins with a letter, at most 64.")
    return name


def is_model(result: object) -> bool:
    """Whether a result type is a pydantic model."""
    return isinstance(result, type) and issubclass(result, BaseModel)


def check_numbers(name: str, model: str, max_steps: int, model_timeout: timedelta) -> None:
    """Refuse a number, or a model, that makes no sense.

    Raises:
        DefinitionError: with what would be right.
    """
    if max_steps < 1:
        raise DefinitionError(f"agent {name!r}: max_steps is {max_steps}; an agent needs at least one reply.")
    if model_timeout <= timedelta(0):
        raise DefinitionError(f"agent {name!r}: model_timeout is {model_timeout}; it must be longer than nothing.")
    if model and not MODEL.fullmatch(model):
        raise DefinitionError(f"agent {name!r}: model is {model!r}; it must be 'playbook' or 'provider:name'.")


def check_choices(name: str, mode: str, context: int, shorten: str, label: str, cleared: str) -> None:  # noqa: PLR0917
    """Refuse a word that is none of those there are.

    Raises:
        DefinitionError: with what would be right.
    """
    check_label(f"agent {name!r}", "input", label)
    if cleared and cleared not in SECRECY:
        right = ", ".join(repr(each) for each in SECRECY)
        raise DefinitionError(f"agent {name!r}: cleared is {cleared!r}; it must be one of {right}.")
    for what, value, choices in (("mode", mode, get_args(Mode)), ("shorten", shorten, get_args(Shortening))):
        if value not in choices:
            right = ", ".join(repr(each) for each in choices)
            raise DefinitionError(f"agent {name!r}: {what} is {value!r}; it must be one of {right}.")
    if context < 0:
        raise DefinitionError(f"agent {name!r}: context is {context}; it must be a number of tokens, or 0.")


def checked_returns(name: str, returns: str, has_tools: bool, result: object) -> str:
    """The label of a quarantined reader's answers ("" where none is given).

    Raises:
        DefinitionError: it is no label, or the agent is no quarantined reader.
    """
    if not returns:
        return ""
    check_label(f"agent {name!r}", "returns", returns)
    if has_tools:
        raise DefinitionError(
            f"agent {name!r}: returns is for a quarantined reader, which has no tools. Drop the tools, or returns."
        )
    free = _free_texts(cast("type[BaseModel]", result).model_json_schema()) if is_model(result) else ["the answer"]
    if free:
        raise DefinitionError(
            f"agent {name!r}: returns says how far its answers may be trusted, but {free[0]} may hold any text. "
            "Use a Literal, an Enum, a number, a date or a truth value."
        )
    return returns


def _free_texts(schema: Any, name: str = "its result") -> list[str]:
    """Which parts of a JSON Schema may hold any text, by the names of their fields."""
    schema = cast("dict[str, Any]", schema)
    free = [each for key, part in schema.get("$defs", {}).items() for each in _free_texts(part, repr(key))]
    choices = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
    if choices:
        return [*free, *(each for part in choices for each in _free_texts(part, name))]
    kind = schema.get("type")
    if {"enum", "const", "$ref"} & schema.keys() or kind in ("boolean", "integer", "number", "null"):
        return free
    if kind == "array":
        return [*free, *_free_items(schema, name)]
    if kind == "object":
        return [*free, *_free_fields(schema, name)]
    return free if kind == "string" and schema.get("format") in _CLOSED_FORMATS else [*free, name]


def _free_items(schema: dict[str, Any], name: str) -> list[str]:
    first = schema.get("prefixItems", ())
    rest = schema.get("items", False if schema.get("maxItems") == len(first) else {})
    parts = [*first, rest] if rest is not False else first
    return [each for part in parts for each in _free_texts(part, name)]


def _free_fields(schema: dict[str, Any], name: str) -> list[str]:
    fields = schema.get("properties", {})
    free = [each for key, part in fields.items() for each in _free_texts(part, repr(key))]
    # Where a schema does not say, pydantic drops what is not among the fields.
    other = schema.get("additionalProperties", "properties" not in schema)
    if other is False:
        return free
    if other is True or "propertyNames" not in schema:
        return [*free, name]
    return [*free, *_free_texts(schema["propertyNames"], name), *_free_texts(other, name)]
