"""Reads the final answer of a model that has a result type."""

import json
import re
from typing import cast

from mainspring.core.canonical import Json

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n\s*```\s*$", re.DOTALL)


def read_answer(text: str) -> Json:
    """The JSON value of an answer, also where the model put it into a Markdown fence.

    Raises:
        ValueError: it is not JSON; the message says where.
    """
    fenced = _FENCE.match(text)
    return cast("Json", json.loads(fenced.group(1) if fenced else text))
