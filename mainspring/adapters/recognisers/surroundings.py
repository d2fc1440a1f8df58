"""What stands beside a place in a text: whether it is only a part of something, and which words come before it."""

from typing import Any

BEFORE = 40
"""Characters before a number in which a word may tell what it is."""


def stands_alone(text: str, start: int, end: int, joints: str = "-._/") -> bool:
    """Whether no letter or digit touches a place, and none is tied to it by one of `joints`, as in a file's name."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before and (_touches(before[-1]) or (before[-1] in joints and _touches(before[:-1]))):
        return False
    return not (after and (_touches(after[0]) or (after[0] in joints and _touches(after[1:]))))


def _touches(one: str) -> bool:
    """Whether it is a letter or digit of a script that puts blanks between words: Chinese and Japanese do not."""
    return one.isalnum() and one < "\u2e80"


def is_told(words: Any, text: str, start: int) -> bool:
    """Whether one of the words, an RE2 pattern, stands in the 40 characters before a place."""
    return bool(words.search(text[max(0, start - BEFORE) : start]))
