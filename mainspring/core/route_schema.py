"""The form of a rule file's section `approvals` as JSON Schema, and every key of it in words. Pure."""

from collections.abc import Sequence
from typing import Any, get_args

from mainspring.core.routes import RoutePoint, Then
from mainspring.core.schema_parts import DURATION, ID, NAMES, TEXT, TEXTS, TRUTH, described

_ESCALATE: dict[str, Any] = {
    "type": "object",
    "properties": {"after": DURATION, "to": NAMES},
    "required": ["after", "to"],
    "additionalProperties": False,
}
_HAND_OVER: dict[str, Any] = {
    "type": "object",
    "properties": {"hand over": NAMES},
    "required": ["hand over"],
    "additionalProperties": False,
}
_DATE: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_ONE: dict[str, Any] = {"anyOf": [{"const": 1}, {"type": "array", "maxItems": 1}]}
_SPAN = "[0-2][0-9]:[0-5][0-9]"
_DAYS = "(mon|tue|wed|thu|fri|sat|sun)"

ROUTE: dict[str, tuple[dict[str, Any], str]] = {
    "id": (ID, "its name; it stands in the trace and in errors"),
    "point": (
        {"enum": list(get_args(RoutePoint))},
        (
            "what is decided: a call or a question ('tool_call', without it), an answer or what a graph's node gives "
            "('output'), or whether a call took effect ('outcome')"
        ),
    ),
    "tool": (TEXT, "the tool it is about; every tool without it"),
    "when": (
        {"type": ["string", "boolean"]},
        "a CEL expression over the facts of the point; always without it; the first route that holds counts",
    ),
    "who": (
        NAMES,
        (
            "who may decide: people (`ada@example.com`), groups, or roles that an identity provider vouches for; "
            "anybody without it"
        ),
    ),
    "need": (
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 99}, {**TEXTS, "minItems": 1, "uniqueItems": True}]},
        (
            "how many different people must agree (1 without it), or names of which it needs one person each; to deny, "
            "one is enough"
        ),
    ),
    "verified": (TRUTH, "true: only somebody whose identity is proven may decide"),
    "own": (TRUTH, "true: whoever the run is for may decide too"),
    "hours": (
        {"type": "string", "pattern": f"^{_DAYS}(-{_DAYS})? {_SPAN}-{_SPAN} [A-Za-z0-9_+/-]+$"},
        (
            "working hours, such as `mon-fri 09:00-17:00 Europe/Berlin`: 'remind', 'escalate' and 'deadline' count "
            "only these, so that `8h` is a whole day and `1d` are 24 hours of work"
        ),
    ),
    "remind": (DURATION, "when those who may decide are told again; never without it"),
    "escalate": (_ESCALATE, "`{after: 4h, to: [managers]}`: after that time those named may decide too, in any seat"),
    "deadline": (DURATION, "when nobody has decided; without it that of the section of the same file, or a day"),
    "then": (
        {"anyOf": [{"enum": [each for each in get_args(Then) if each != "hand over"]}, _HAND_OVER]},
        (
            "what happens at the deadline: 'deny' (without it), 'approve', 'playbook' (which goes on), or "
            "`{hand over: [managers]}`: these alone decide then, within as much time again"
        ),
    ),
    "notify": (NAMES, "the channels of the settings by which people are told"),
}
"""Every key of a route: its form, and what it is in words."""

DELEGATION: dict[str, tuple[dict[str, Any], str]] = {
    "from": (TEXT, "the person who is away"),
    "to": (TEXT, "the person who decides for them; of these two, one counts"),
    "until": (_DATE, "the last day, such as `2026-12-31`, in UTC"),
}
"""Every key of a delegation: its form, and what it is in words."""

APPROVALS: dict[str, tuple[dict[str, Any], str]] = {
    "deadline": (DURATION, "after it, what nobody approved is denied; a day without it"),
    "deny_reasons": (TEXTS, "buttons for the approver; at most 60 characters each"),
    "groups": (
        {"type": "object", "propertyNames": {"pattern": "^[^@]*$", "minLength": 1}, "additionalProperties": NAMES},
        "lists of people by the name of their group, which has no '@'; they are read anew at each decision",
    ),
    "delegations": ({"type": "array"}, "who decides for whom, and until when"),
    "routes": ({"type": "array"}, "who decides which requests, and what happens while nobody does"),
}
"""Every key of the section `approvals`: its form, and what it is in words."""

_ROUTE_FITS: list[dict[str, Any]] = [
    {"not": {"properties": {"need": {"type": "array"}}, "required": ["who", "need"]}},
    {
        "if": {"required": ["escalate"]},
        "then": {
            "anyOf": [{"required": ["who"]}, {"properties": {"need": {"type": "array"}}, "required": ["need"]}],
        },
    },
    {
        "if": {"properties": {"then": {"const": "approve"}}, "required": ["then"]},
        "then": {
            "properties": {"verified": {"const": False}, "need": _ONE},
        },
    },
    {
        "if": {"properties": {"point": {"const": "outcome"}}, "required": ["point"]},
        "then": {
            "not": {"anyOf": [{"required": ["when"]}, {"required": ["hours"]}]},
            "properties": {"then": {"anyOf": [{"const": "deny"}, _HAND_OVER]}},
        },
    },
    {
        "if": {"properties": {"point": {"const": "output"}}, "required": ["point"]},
        "then": {"not": {"required": ["tool"]}},
    },
]
"""What goes together in a route."""


def approvals_schema(tools: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of the section; with the names of tools, where these are known."""
    route = described(ROUTE)
    if tools:
        route["tool"] = {"enum": list(tools), "description": ROUTE["tool"][1]}
    delegation = {
        "type": "object",
        "additionalProperties": False,
        "required": list(DELEGATION),
        "properties": described(DELEGATION),
    }
    properties = described(APPROVALS)
    properties["delegations"]["items"] = delegation
    properties["routes"]["items"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id"],
        "properties": route,
        "allOf": _ROUTE_FITS,
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}
