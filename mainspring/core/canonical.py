"""One way to turn a value into text, and text into a digest."""

import hashlib
import json
import math
import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, JsonValue

Json = JsonValue
DEEPEST = 100
"""How deep a value may be nested that rules are to judge or that is to be kept."""
_LARGEST = 10**4000
"""Python reads and writes numbers of 4,300 digits, and no longer ones."""
_HALF = re.compile("[\ud800-\udfff]")


class Value(BaseModel):
    """Base of every frozen value in the engine. Fields that a newer worker added are passed over, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Record(Value):
    """A value that stands in histories: what has its default is not written, so a default never changes."""


def canonical(value: object) -> str:
    """JSON with sorted keys and no white space; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def scalars(value: Json) -> Iterator[str | int | float]:
    """Every text, number and boolean in a value, and the keys of its objects before theirs. However deep it is."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(part for key, value in reversed(each.items()) for part in (value, key))
        elif isinstance(each, list):
            waiting.extend(reversed(each))
        elif each is not None:
            yield each


def is_too_deep(value: Json) -> bool:
    """Whether lists and objects are nested deeper than `DEEPEST`."""
    layer: list[Json] = [value]
    for _ in range(DEEPEST + 1):
        inner = ((each.values() if isinstance(each, dict) else each) for each in layer if isinstance(each, dict | list))
        layer = [part for parts in inner for part in parts]
        if not layer:
            return False
    return True


def read_json(text: str, *, strict: bool = True) -> Json:
    """The value that a JSON text holds; where not `strict`, line breaks may stand within its texts.

    Raises:
        ValueError: it is not JSON, or nested deeper than `DEEPEST`; the message says which, and where.
    """
    try:
        value: Json = json.loads(text, strict=strict)
        is_deep = is_too_deep(value)
    except RecursionError:
        value, is_deep = None, True
    if is_deep:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return value


def why_not_kept(value: Json) -> str:
    """What is in a value that no JSON text holds, in words; "" where it can be kept as it is."""
    if is_too_deep(value):
        return f"nested deeper than {DEEPEST} levels"
    for each in scalars(value):
        if isinstance(each, float) and not math.isfinite(each):
            return "with a number that is not finite"
        if isinstance(each, int) and abs(each) >= _LARGEST:
            return "with a number that is too long"
    return ""


def mended(text: str) -> str:
    """The text with a sign in the place of each half of a character: JSON can spell one, and no encoding has it."""
    return text if text.isascii() else _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


def mended_value(value: Json) -> Json:
    """The value with all its texts and keys mended; it is not `is_too_deep`."""
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, list):
        return [mended_value(each) for each in value]
    if isinstance(value, dict):
        return {mended(key): mended_value(each) for key, each in value.items()}
    return value


def digest(text: str, key: str = "") -> str:
    """32 hex characters of keyed BLAKE2b (RFC 7693) over the UTF-8 bytes of `text`."""
    return hashlib.blake2b(text.encode(), key=key.encode(), digest_size=16).hexdigest()
