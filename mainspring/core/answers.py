"""Reads the final answer of a model that has a result type."""

import json
import re
from typing import cast

from mainspring.core.canonical import DEEPEST, Json, is_too_deep

_FENCE = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)


def unfenced(text: str) -> str:
    """An answer without the Markdown fence that models like to put around JSON."""
    fenced = _FENCE.fullmatch(text)
    return fenced.group(1) if fenced else text


def read_answer(text: str) -> Json:
    """The JSON value of an answer, also where the model put it into a Markdown fence.

    Raises:
        ValueError: it is not JSON; the message says where.
    """
    try:
        value = cast("Json", json.loads(unfenced(text)))
    except RecursionError:
        value = None
        is_deep = True
    else:
        is_deep = is_too_deep(value)
    if is_deep:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return value
