"""How times, amounts and addresses look where people read of a request: card, notices, inbox. Pure."""

from datetime import UTC, datetime
from urllib.parse import quote

from mainspring.core.canonical import Json

_LARGEST = 10**15
"""Cents from which on an amount is not counted in whole units: a float has no more digits, and at last no room."""


def when(moment: float) -> str:
    """A moment in words: `2026-11-26 09:00 UTC`."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def label(name: str) -> str:
    """The name of an argument as people write it."""
    return name.removesuffix("_cents").replace("_", " ") if name.isidentifier() else name


def amount(name: str, value: Json) -> str:
    """What an amount in cents is in whole units; "" for all else."""
    is_cents = name.endswith("_cents") and isinstance(value, int) and not isinstance(value, bool)
    return f"{value / 100:,.2f}" if is_cents and abs(value) < _LARGEST else ""  # type: ignore[operator, arg-type]


def request_path(namespace: str, run: str, request: str, kind: str = "requests") -> str:
    """The path of a request's page in the inbox; `kind` is `link` for one that lets its reader decide."""
    return "/".join(("", kind, *(quote(each, safe="") for each in (namespace, run, request))))
