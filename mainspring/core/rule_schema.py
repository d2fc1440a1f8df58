"""The form of a rule file as JSON Schema (draft 2020-12), for editors that complete and check YAML. Pure.

What the schema cannot say (whether a condition is CEL, what a tool's arguments are) is checked when the file is read.
"""

from collections.abc import Iterable
from typing import Any, get_args

from mainspring.core.limits import LimitPoint, Per
from mainspring.core.policy import VERDICTS_AT, Point, Severity, Verdict, Way
from mainspring.core.route_schema import approvals_schema
from mainspring.core.schema_parts import DURATION, TEXT, TEXTS, described

_FACTS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}

RULE: dict[str, tuple[dict[str, Any], str]] = {
    "id": (
        {"type": "string", "pattern": "^(?!base\\.)[a-z0-9][a-z0-9_.-]{0,63}$"},
        "its name: a-z, 0-9, '-', '_', '.'; it stands on the card, in the trace and in errors",
    ),
    "title": (TEXT, "what it is about, in a few words"),
    "point": ({"enum": list(get_args(Point))}, "where it is asked"),
    "tool": (TEXT, "the tool it is about; every tool without it"),
    "when": ({"type": ["string", "boolean"]}, "a CEL expression over the facts of the point that gives true or false"),
    "check": (TEXT, "instead of 'when': the name of a Python function that the agent has in 'checks'"),
    "verdict": ({"enum": list(get_args(Verdict))}, "what follows where it matches"),
    "redact": ({"anyOf": [TEXT, TEXTS]}, "with the verdict 'redact': the kinds to take out; all without it"),
    "with": ({"enum": list(get_args(Way))}, "with the verdict 'redact': what stands there instead"),
    "reason": (TEXT, "what the approver and the model read"),
    "severity": ({"enum": list(get_args(Severity))}, "how grave a match is; 'medium' without it"),
    "owner": (TEXT, "who answers for it"),
    "shadow": ({"type": "boolean"}, "true: a match is recorded, and changes nothing"),
    "tests": (
        {"type": "object", "properties": {"match": _FACTS, "miss": _FACTS}, "additionalProperties": False},
        "facts that it is to 'match' and to 'miss'; run by `mainspring guards test`",
    ),
}
"""Every key of a rule: its form, and what it is in words."""

LIMIT: dict[str, tuple[dict[str, Any], str]] = {
    "id": (RULE["id"][0], "its name; it stands in the trace and in errors"),
    "point": ({"enum": list(get_args(LimitPoint))}, "what is counted: runs let in, calls of tools, or of models"),
    "tool": (TEXT, "the tool it is about; every tool without it"),
    "per": (
        {"type": "array", "items": {"enum": list(get_args(Per))}},
        "what is counted apart; nothing without it",
    ),
    "at_most": ({"type": "integer", "minimum": 1, "maximum": 999999}, "how many there may be"),
    "every": (DURATION, "in which time; the window moves"),
    "reason": (TEXT, "what whoever has to wait is told; when there is room again follows"),
}
"""Every key of a limit: its form, and what it is in words."""


_ONE_CONDITION = {"anyOf": [{"required": ["when"]}, {"required": ["check"]}]}
_NO_REDACTION = {"not": {"anyOf": [{"required": ["redact"]}, {"required": ["with"]}]}}
_FITS: list[dict[str, Any]] = [
    {"not": {"required": ["when", "check"]}},
    {"not": {"required": ["check", "tests"]}},
    {"if": {"properties": {"verdict": {"const": "redact"}}}, "else": {"allOf": [_ONE_CONDITION, _NO_REDACTION]}},
    {
        "if": {"properties": {"point": {"const": "tool_call"}, "with": {"const": "token"}}, "required": ["with"]},
        "then": False,
    },
]
"""What goes together in a rule."""


def rule_schema(tools: Iterable[str] = (), kinds: Iterable[str] = ()) -> dict[str, Any]:
    """The schema; with the names of tools and kinds of finds, where these are known."""
    rule = described(RULE)
    if known := sorted(tools):
        rule["tool"] = {"enum": known, "description": RULE["tool"][1]}
    if found := sorted(kinds):
        one = {"enum": found}
        rule["redact"] = {"anyOf": [one, {"type": "array", "items": one}], "description": RULE["redact"][1]}
    verdicts = [_if("point", point, "verdict", allowed) for point, allowed in VERDICTS_AT.items()]
    limit = described(LIMIT)
    if known:
        limit["tool"] = {"enum": known, "description": LIMIT["tool"][1]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rule file of Mainspring",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "include": {"anyOf": [TEXT, TEXTS], "description": "rule files that are part of this one"},
            "tenants": {
                "type": "object",
                "additionalProperties": TEXT,
                "description": "a further rule file by tenant, which may only make it stricter",
            },
            "approvals": approvals_schema(known),
            "limits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["id", "point", "at_most", "every", "reason"],
                    "properties": limit,
                    "allOf": [_without(["input", "model"], "tool")],
                },
            },
            "rules": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": rule,
                    "required": ["id", "point", "verdict", "reason"],
                    "allOf": [*verdicts, _without(["input", "output"], "tool"), *_FITS],
                },
            },
        },
    }


def _without(points: list[str], key: str) -> dict[str, Any]:
    """At these points there is no such key."""
    return {"if": {"properties": {"point": {"enum": points}}}, "then": {"not": {"required": [key]}}}


def _if(key: str, value: str, other: str, allowed: Iterable[str]) -> dict[str, Any]:
    return {
        "if": {"properties": {key: {"const": value}}},
        "then": {"properties": {other: {"enum": list(allowed)}}},
    }
