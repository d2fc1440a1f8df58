"""Card numbers and bank accounts: shapes by RE2, then the check digits.

A card is found with blanks, line breaks, dashes, dots or slashes between its digits, and has to begin as a network's
cards do and to have their length. Of sixteen digits that begin so one in ten passes the check by chance.
"""

import re
from collections.abc import Iterator

from stdnum import iban, luhn, numdb

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.surroundings import stands_alone
from mainspring.ports.recogniser import Found

_NETWORKS = (
    (re.compile(r"4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|220[0-4]|35|6011|64[4-9]|65"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|3[689]"), (14,)),
    (re.compile(r"5[06-8]|6"), (16, 19)),
)
"""How the numbers of a network begin, and their lengths; the likeliest first."""
_SHORTEST, _LONGEST = 14, 19
_RUN = compiled(r"\d(?:[ \t\n./_-]{0,3}\d)*")
_GROUP = re.compile(r"\d+")

_COUNTRIES = (
    "AD AE AL AT AZ BA BE BG BH BR BY CH CR CY CZ DE DK DO EE EG ES FI FO FR GB GE GI GL GR GT HR HU IE IL IQ IS IT JO "
    "KW KZ LB LC LI LT LU LV LY MC MD ME MK MR MT MU NL NO PK PL PS PT QA RO RS SA SC SE SI SK SM ST SV TL TN TR UA VA "
    "VG XK"
)


def _length(country: str) -> int:
    """How many letters and digits an account of this country has."""
    _, facts = numdb.get("iban").info(f"{country}00")[0]
    return 4 + sum(int(part) for part in re.findall(r"(\d+)!", facts.get("bban", "")))


_LENGTHS = {country: _length(country) for country in _COUNTRIES.split()}
_ACCOUNT = compiled(rf"(?i)\b(?:{'|'.join(_LENGTHS)})\d\d")
_JOINTS = " \n.-"


def find_cards(text: str) -> Iterator[Found]:
    """Card numbers in a folded text."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _SHORTEST:
            continue
        groups = [(run.start() + g.start(), run.start() + g.end()) for g in _GROUP.finditer(run[0])]
        index = 0
        while index < len(groups):
            last = _card(text, groups, index)
            if last is None:
                index += 1
            else:
                yield Found("card", groups[index][0], groups[last][1])
                index = last + 1


def _card(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the card that begins with group `first`; None where none does."""
    digits, lasts = "", dict[int, int]()
    for last in range(first, len(groups)):
        digits += text[slice(*groups[last])]
        if len(digits) > _LONGEST:
            break
        lasts[len(digits)] = last
    for length in next((lengths for begins, lengths in _NETWORKS if begins.match(digits)), ()):
        last = lasts.get(length)
        if last is None or not luhn.is_valid(digits[:length]):
            continue
        start, end = groups[first][0], groups[last][1]
        if stands_alone(text, start, end) and _is_grouped(groups[first : last + 1]):
            return last
    return None


def _is_grouped(groups: list[tuple[int, int]]) -> bool:
    """Whether somebody would write a card so: not by three from the end, as an amount, and no `2.71828`."""
    sizes = [end - start for start, end in groups]
    by_three = len(sizes) > 1 and set(sizes[1:]) == {3}
    return not by_three and (min(sizes) > 1 or max(sizes) == 1)


def find_accounts(text: str) -> Iterator[Found]:
    """Bank accounts (IBAN) in a folded text, grouped in whatever way."""
    done = 0
    for match in _ACCOUNT.finditer(text):
        start = match.start()
        if start >= done and (end := _account(text, start)) is not None:
            yield Found("iban", start, end)
            done = end


def _account(text: str, start: int) -> int | None:
    """The end of the account that begins here; None where none does."""
    number, place = "", start
    length = _LENGTHS.get(text[start : start + 2].upper(), 0)
    while len(number) < length and place < len(text):
        one = text[place]
        if one.isascii() and one.isalnum():
            number += one
        elif one not in _JOINTS or text[place - 1] in _JOINTS:
            return None
        place += 1
    # Not which banks a country has: that list grows old.
    right = len(number) == length and not text[place : place + 1].isalnum() and iban.is_valid(number, False)
    return place if right else None
