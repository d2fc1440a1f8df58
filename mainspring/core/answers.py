"""Reads the final answer of a model that has a result type."""

from mainspring.core.canonical import Json, read_json

_FENCE = "```"


def unfenced(text: str) -> str:
    """An answer without the Markdown fence that models like to put around JSON."""
    bare = text.strip()
    if len(bare) < 2 * len(_FENCE) or not (bare.startswith(_FENCE) and bare.endswith(_FENCE)):
        return text
    inner = bare.removeprefix(_FENCE).removesuffix(_FENCE).removeprefix("json")
    # No pattern, which would try each blank line as the fence's: that takes the cube of their number.
    end, lead = inner.rfind("\n"), len(inner) - len(inner.lstrip())
    begin = inner.rfind("\n", 0, max(0, min(lead, end)))
    is_fenced = 0 <= begin < end and not inner[end:].strip()
    return inner[begin + 1 : end] if is_fenced else text


def read_answer(text: str) -> Json:
    """The JSON value of an answer, also where the model put it into a Markdown fence.

    Raises:
        ValueError: it is not JSON, or nested too deep; the message says which, and where.
    """
    return read_json(unfenced(text))
