"""Parts of a YAML file as what they should be; what they are not is noted, with its place. Pure."""

import re
from collections.abc import Sequence

from mainspring.core.canonical import Json
from mainspring.core.marked_yaml import Part, Problems
from mainspring.errors import did_you_mean

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_TIME = re.compile(r"([1-9][0-9]{0,3})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def fields_of(problems: Problems, part: Part | None, what: str, known: Sequence[str]) -> dict[str, Part]:
    """The known fields of a mapping; nothing for a part that is absent or wrong."""
    if part is None:
        return {}
    if not isinstance(part.value, dict):
        problems.wrong(part, f"{what} must hold {listed(known)}, each with a colon and its value.")
        return {}
    for name, field in part.value.items():
        if name not in known:
            problems.wrong(field, f"{what} has no key {name!r}.{did_you_mean(name, known)}")
    return {name: field for name, field in part.value.items() if name in known}


def items_of(problems: Problems, part: Part | None, what: str) -> list[Part]:
    """The items of a list; nothing for a part that is absent or wrong."""
    if part is None:
        return []
    if not isinstance(part.value, list):
        problems.wrong(part, f"{what} must be a list, each item with a dash.")
        return []
    return part.value


def one_or_more(problems: Problems, part: Part | None) -> list[Part]:
    """The items of a list, or the one text that stands for a list of one."""
    if part is None or isinstance(part.value, str):
        return [part] if part else []
    return items_of(problems, part, "this")


def text_of(problems: Problems, part: Part, what: str) -> str:
    """The words of a text; none where it is empty or no text."""
    words = part.value.strip() if isinstance(part.value, str) else ""
    if not words:
        problems.wrong(part, f"{what} must be a text.")
    return words


def check_id(problems: Problems, part: Part, label: str, words: str) -> None:
    """Note an id that is none; that it is a text is noted elsewhere."""
    if words and not _ID.fullmatch(words):
        problems.wrong(part, f"{label}: an id is made of a-z, 0-9, '-', '_' and '.', at most 64 of them.")


def check_apart(problems: Problems, what: str, items: Sequence[tuple[str, tuple[int, int]]]) -> None:
    """Note each id that another item of the list has; an item is its id and its place."""
    first: dict[str, int] = {}
    for name, at in items:
        if name in first:
            problems.wrong(at, f"{what} {name!r} has the id of the {what} in line {first[name]}.")
        first.setdefault(name, at[0])


def seconds_of(problems: Problems, part: Part, what: str, words: str, such_as: str) -> int:
    """A time such as `30m` in seconds; 0 where it is none. That it is a text is noted elsewhere."""
    seconds = read_time(words)
    if words and not seconds:
        problems.wrong(part, f"{what} is {words!r}, but must be a number and a unit, such as {such_as}.")
    return seconds


def read_time(words: str) -> int:
    """A time such as `30m` in seconds; 0 where it is none."""
    found = _TIME.fullmatch(words)
    return int(found[1]) * _UNITS[found[2]] if found else 0


def one_of(problems: Problems, part: Part, label: str, allowed: Sequence[str]) -> str:
    """The word, where it is one of those allowed; else none."""
    word = part.value.strip() if isinstance(part.value, str) else ""
    if word in allowed:
        return word
    suggestion = did_you_mean(word, allowed)
    near = suggestion if suggestion.startswith(" Did") else ""  # the list of all stands beside it already
    said = repr(word) if word else "no text"
    problems.wrong(part, f"{label} is {said}, but must be {listed(allowed, 'or')}.{near}")
    return ""


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names in quotes, as a sentence has them."""
    *others, last = [repr(name) for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last


def value_of(part: Part) -> Json:
    """A part as YAML reads it: numbers, truth values and nothing are no texts here."""
    if isinstance(part.value, dict):
        return {name: value_of(value) for name, value in part.value.items()}
    if isinstance(part.value, list):
        return [value_of(item) for item in part.value]
    if part.is_quoted:
        return part.value
    words: dict[str, Json] = {"true": True, "false": False, "null": None, "~": None}
    if part.value in words:
        return words[part.value]
    for number in (int, float):
        try:
            return number(part.value)
        except ValueError:
            continue
    return part.value
