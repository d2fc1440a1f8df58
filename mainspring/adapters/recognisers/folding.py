r"""Texts as they read, and where each character stands in the original.

A full-width digit becomes a digit, a no-break space a space, every dash `-`; what nobody sees, such as a zero-width
space, goes.
So do the escapes of JSON (`\n`, `\u0040`) and of web addresses (`%40`), since what a tool gives is often such a text
inside another. A find in the folded text is told by its place in the original.
"""

import re
import unicodedata
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from typing_extensions import override

from mainspring.adapters.recognisers.overlaps import settled
from mainspring.ports.recogniser import Found, Recogniser

_FOLDED = (range(0x80, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x11000), range(0x1D400, 0x1D800))
"""Where characters stand that look like others: full-width, of other scripts' digits, letters of mathematics."""
_UNSEEN = (*range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080), 0x34F, 0x115F, 0x1160, 0x3164)
"""Not in the category of invisible marks, but not seen either."""


def _plain(code: int) -> str:
    """The one character that this one stands for; itself where that is not one."""
    one = chr(code)
    if "\ud800" <= one <= "\udfff":
        return "\ufffd"  # half a character: no encoding has it
    if (digit := unicodedata.decimal(one, None)) is not None:
        return str(digit)
    if one in "\u00b7\u2022\u2219\u22c5":
        return "."
    category = unicodedata.category(one)
    if category == "Pd" or one == "\u2212":
        return "-"
    if category == "Zs":
        return " "
    like = unicodedata.normalize("NFKC", one)
    return like if len(like) == 1 else one


def _table() -> dict[int, str]:
    """What to put for a character, where that is another one."""
    codes = chain(*_FOLDED, range(0xD800, 0xE000))
    return {code: plain for code in codes if (plain := _plain(code)) != chr(code)}


def _unseen() -> str:
    codes = chain(range(0x80, 0x3000), range(0xFE00, 0x10000), _UNSEEN)
    seen = (chr(code) for code in codes if unicodedata.category(chr(code)) == "Cf" or code in _UNSEEN)
    return "".join(dict.fromkeys(seen))


_TABLE = _table()
_SEEN_TABLE = {**_TABLE, **dict.fromkeys(map(ord, _unseen()))}
"""Likewise, and nothing for what is not seen."""
_OTHER = re.compile(rf"[{re.escape(_unseen())}]+|(?<!\\)\\+(?:[nrt]|u[0-9A-Fa-f]{{4}})|%40|%2[Bb]")
"""Of several backslashes the first begins an escape: looked for from each of them, it would take their square."""
_ESCAPES = {"%40": "@", "%2b": "+"}


@dataclass(frozen=True)
class Folded:
    """A text as it reads. `pieces` are empty where each character stands where it stood."""

    text: str
    pieces: tuple[list[int], list[int], list[int]] | None = None

    def found(self, finds: Iterable[Found]) -> Iterator[Found]:
        """The finds, each at its place in the original."""
        for find in finds:
            yield find if self.pieces is None else Found(find.kind, self._start(find.start), self._end(find.end))

    def _start(self, place: int) -> int:
        return self._place(place)[0]

    def _end(self, place: int) -> int:
        return self._place(place - 1)[1]

    def _place(self, place: int) -> tuple[int, int]:
        """From where to where a character of the folded text goes in the original."""
        folded, starts, widths = self.pieces or ([], [], [])
        index = bisect_right(folded, place) - 1
        first, width = starts[index], widths[index]
        if width:  # one character for several
            return first, first + width
        start = first + place - folded[index]
        return start, start + 1


def fold(text: str) -> Folded:
    """The text as it reads."""
    seen = text if text.isascii() else text.translate(_SEEN_TABLE)
    if len(seen) == len(text) and "\\" not in text and "%" not in text:
        return Folded(seen)
    plain = text.translate(_TABLE)
    parts: list[str] = []
    folded, starts, widths = list[int](), list[int](), list[int]()
    length, last = 0, 0

    def add(part: str, start: int, width: int) -> None:
        nonlocal length
        if part:
            parts.append(part)
            folded.append(length)
            starts.append(start)
            widths.append(width)
            length += len(part)

    for match in _OTHER.finditer(plain):
        add(plain[last : match.start()], last, 0)
        add(_read(match[0]), match.start(), match.end() - match.start())
        last = match.end()
    add(plain[last:], last, 0)
    return Folded("".join(parts), (folded, starts, widths))


def _read(escape: str) -> str:
    """The one character that an escape stands for; nothing for what is not seen."""
    if escape[0] == "%":
        return _ESCAPES[escape.lower()]
    if escape[0] != "\\":
        return ""
    escape = escape.lstrip("\\")
    return _plain(int(escape[1:], 16)) if escape[0] == "u" else "\n"


class FoldingRecogniser(Recogniser):
    """A recogniser that looks at folded texts. Where there are several, a text is folded once for all."""

    @abstractmethod
    def find_folded(self, text: str) -> Iterable[Found]:
        """What is in a folded text, in any order; finds may overlap, and the surer of them come first."""

    @override
    def find(self, text: str) -> Iterable[Found]:
        folded = fold(text)
        return list(folded.found(settled(self.find_folded(folded.text), len(folded.text))))
