"""Telephone numbers: shapes by RE2, then the numbering plans of `phonenumbers`.

With a country code a number is found wherever it stands. Without one it has to be grouped as numbers of its country are
and to be valid in one of the regions, or to have a word such as `Tel.` or `mobile` near it.
"""

import re
from collections.abc import Iterator

import phonenumbers
from phonenumbers import NumberParseException

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.surroundings import BEFORE, stands_alone
from mainspring.ports.recogniser import Found

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL")
"""The regions whose numbers are found without a country code too."""

_INTERNATIONAL = compiled(r"(?:\(?\+ ?|\b00[ -]?)\(?[1-9](?:[ ()./-]{0,3}\d){6,14}")
_GROUPED = compiled(
    r"\(0\d{1,5}\)[ ./-]{0,2}\d(?:[ ./-]{0,2}\d){4,9}"  # (030) 901820
    r"|\b0[1-9]\d{0,4}(?:[ ./-]{1,2}\d{2,8}){1,5}"  # 030 901820, 06 12 34 56 78, 0171/2345678
    r"|(?:\b1[ .-])?\(\d{3}\) ?\d{3}[ .-]\d{4}"  # (212) 555-0187
    r"|\b(?:1[.-])?\d{3}[.-]\d{3}[.-]\d{4}"  # 212-555-0187
)
_TOLD = compiled(r"[(]?\d(?:[ ()./-]{0,3}\d){6,14}")
_WORDS = compiled(
    r"(?i)\b(?:phone|telephone|tel|mobile|cell|call|fax|sms|whatsapp|text me|landline|telefon|handy|mobil|rufnummer|"
    r"ruf|festnetz|anrufen|t[eé]l[eé]phone|portable|appelez|appelle|joindre|tel[eé]fono|fijo|m[oó]vil|celular|ll[aá]m[ae]me|"
    r"cellulare|chiami|bel|bellen|telefoon|mobiel|mobiele|telemóvel|telefone|puhelin|mobilen)(?:_?(?:number|no|nr))?\b"
)
_AFTER = 20
_DIGIT = re.compile(r"\d")
_DATE = re.compile(r"(?:\d{1,2}([./-])\d{1,2}\1(?:19|20)?\d\d|(?:19|20)\d\d([./-])\d{1,2}\2\d{1,2})(?![./-]?\d)")
_POSTCODE = re.compile(r"\d{5}-\d{4}$")
"""Of the United States, which may begin with 0 as well."""
_SHORTEST, _LONGEST = 7, 64
_FEWEST, _MOST = 9, 13
"""Digits of a number without a country code."""
_MORE_BEFORE = re.compile(r"\d[ ]$")
"""It goes on from a number before, so it is a part of something longer."""


def find_phones(text: str, regions: tuple[str, ...] = REGIONS) -> Iterator[Found]:
    """Telephone numbers in a folded text; the same place may come more than once."""
    for match in _INTERNATIONAL.finditer(text):
        end = _international(text, match.start(), match.end())
        if end is not None:
            yield Found("phone", match.start(), end)
    for pattern in (_GROUPED, _TOLD):
        for match in pattern.finditer(text):
            start, end = match.span()
            if (pattern is _GROUPED or _is_told(text, start, end)) and _is_national(text, start, end, regions):
                yield Found("phone", start, end)


def _is_told(text: str, start: int, end: int) -> bool:
    """Whether a word near a number says what it is, with no other number between them."""
    before, after = text[max(0, start - BEFORE) : start], text[end : end + _AFTER]
    if _WORDS.search(_DIGIT.split(before)[-1]):
        return True
    return text[start:end].isdigit() and bool(_WORDS.search(_DIGIT.split(after)[0]))


def _international(text: str, start: int, end: int) -> int | None:
    """The end of the number that begins here: groups that are too many are left off. None where it is no number."""
    while end - start < _LONGEST and text[end : end + 1].isdigit():
        end += 1
    if not stands_alone(text, start, end, joints=""):
        return None
    while end - start > _SHORTEST:
        if _is_international(text[start:end]):
            return end
        cut = max(text.rfind(joint, start, end) for joint in " ()./-")
        end = _stripped(text, start, cut)
    return None


def _stripped(text: str, start: int, end: int) -> int:
    while end > start and not text[end - 1].isdigit():
        end -= 1
    return end


def _is_international(written: str) -> bool:
    plus = "+" in written
    try:
        number = phonenumbers.parse(written if plus else f"+{written[2:]}")
    except NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (plus and phonenumbers.is_possible_number(number))


def _is_national(text: str, start: int, end: int, regions: tuple[str, ...]) -> bool:
    written = text[start:end]
    if not _FEWEST <= sum(map(str.isdigit, written)) <= _MOST or written.count("(") != written.count(")"):
        return False
    if _DATE.match(written) or _POSTCODE.match(written):
        return False
    if _MORE_BEFORE.search(text[max(0, start - 2) : start]) or not stands_alone(text, start, end, joints="-._/+"):
        return False
    return _is_valid(written, regions)


def _is_valid(written: str, regions: tuple[str, ...]) -> bool:
    """Whether it is a number in one of the regions."""
    for region in regions:
        try:
            number = phonenumbers.parse(written, region)
        except NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(number, region):
            return True
    return False
