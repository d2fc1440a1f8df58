"""What a playbook reads from the user's words: intent, language and slots.

Pure. Patterns are RE2 (`google-re2`), whose matching takes time linear in the text: what a
stranger writes in a ticket cannot make a pattern of ours run for ever, as it can with `re`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import re2 as _untyped  # pyright: ignore[reportMissingTypeStubs]

from mainspring.core.canonical import Value
from mainspring.core.playbook_file import Patterns, Playbook, Slot

_AMOUNT = re.compile(r"(\d{1,3}(?:[.,' ]\d{3})+|\d{1,12})(?:[.,](\d{1,2}))?")
_LARGEST = 2**63 - 1
_RE2: Any = _untyped
_OPTIONS = _RE2.Options()
_OPTIONS.log_errors = False  # they are raised, and need not be printed by C++ as well


class Reading(Value):
    """What was understood. `disputed` holds the values of a slot that has several different ones."""

    text: str
    intent: str
    language: str
    slots: dict[str, str | int]
    disputed: dict[str, tuple[str | int, ...]]


class Reader:
    """The compiled patterns of one playbook."""

    def __init__(self, playbook: Playbook) -> None:
        """Compile every pattern.

        Raises:
            PolicyError: a pattern is wrong, or one of a slot has not exactly one group.
        """
        self._languages = _compile_all(playbook, playbook.languages, "languages")
        self._intents = _compile_all(playbook, playbook.intents, "intents")
        self._slots = {name: _SlotReader(playbook, name, slot) for name, slot in playbook.slots.items()}

    def read(self, said: Sequence[str]) -> Reading:
        """Read everything the user `said`, oldest first.

        For a slot the newest message that names a value counts, so that an answer to a question
        back settles what an earlier message left open.
        """
        text = "\n".join(said)
        found: dict[str, tuple[str | int, ...]] = {
            name: next((values for words in reversed(said) if (values := slot.values(words))), ())
            for name, slot in self._slots.items()
        }
        return Reading(
            text=text,
            intent=_first_match(self._intents, text) or "other",
            language=_first_match(self._languages, text) or next(reversed(self._languages), ""),
            slots={name: values[0] for name, values in found.items() if len(values) == 1},
            disputed={name: values for name, values in found.items() if len(values) > 1},
        )


class _SlotReader:
    def __init__(self, playbook: Playbook, name: str, slot: Slot) -> None:
        path = f"slots.{name}"
        self._type = slot.type
        self._choices = _compile_all(playbook, slot.choices, f"{path}.choices")
        self._patterns = [_compile(playbook, p, f"{path}.patterns.{i}") for i, p in enumerate(slot.patterns)]
        for index, pattern in enumerate(self._patterns):
            if pattern.groups != 1:
                raise playbook.problem(
                    f"{path}.patterns.{index}",
                    f"a pattern of slot {name!r} needs exactly one group ( ) around the value; "
                    f"this has {pattern.groups}. Others are written (?: ).",
                )

    def values(self, words: str) -> tuple[str | int, ...]:
        """The different values in one message, in the order found; of `choices` only the first."""
        if self._choices:
            choice = _first_match(self._choices, words)
            return (choice,) if choice else ()
        matches: Iterable[str] = (m.group(1) or "" for p in self._patterns for m in p.finditer(words))
        values = [_typed(match, self._type) for match in matches]
        return tuple(dict.fromkeys(value for value in values if value is not None))


def _typed(match: str, kind: str) -> str | int | None:
    """The value of a match; None where it is not one of that type, which counts as not found."""
    match = match.strip()
    if kind == "string":
        return match or None
    if kind == "integer":
        return int(match) if re.fullmatch(r"[0-9]{1,18}", match) else None
    amount = _AMOUNT.fullmatch(match)
    if not amount:
        return None
    whole, cents = re.sub(r"\D", "", amount[1]), (amount[2] or "0").ljust(2, "0")
    value = int(whole) * 100 + int(cents)
    return value if value <= _LARGEST else None


def _compile_all(playbook: Playbook, patterns: Patterns, path: str) -> dict[str, list[Any]]:
    return {
        name: [_compile(playbook, p, f"{path}.{name}.{i}") for i, p in enumerate(some)]
        for name, some in patterns.items()
    }


def _compile(playbook: Playbook, pattern: str, path: str) -> Any:
    try:
        return _RE2.compile(pattern, _OPTIONS)
    except _RE2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise playbook.problem(path, f"the pattern {pattern!r} is not RE2: {reason}.") from None


def _first_match(patterns: Mapping[str, list[Any]], text: str) -> str:
    return next((name for name, some in patterns.items() if any(p.search(text) for p in some)), "")
