"""Addresses of mail and of machines."""

import re
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.surroundings import stands_alone
from mainspring.ports.recogniser import Found

# Letters of scripts that put blanks between words: in Japanese what is said goes on right behind an address.
_LETTERS = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{Devanagari}"
_HOST = rf"[{_LETTERS}\pN](?:[{_LETTERS}\pN-]*[{_LETTERS}\pN])?"
_NAME = rf"[{_LETTERS}\pN][{_LETTERS}\pN._%+'-]*"
_MAIL = compiled(rf"{_NAME}@(?:{_HOST}\.)+[{_LETTERS}]{{2,24}}")
_AT = compiled(r"(?i)[\[({<] ?(?:at|arroba|chez|chiocciola|@) ?[\])}>]")
_SPELLED = compiled(
    rf"(?i){_NAME} ?[\[({{<] ?(?:at|arroba|chez|chiocciola|@) ?[\])}}>] ?{_HOST}"
    rf"(?:(?:\.| ?[\[({{<] ?(?:dot|punkt|punto|point|ponto|\.) ?[\])}}>] ?){_HOST}){{0,4}}"
    rf"(?:\.| ?[\[({{<] ?(?:dot|punkt|punto|point|ponto|\.) ?[\])}}>] ?)[{_LETTERS}]{{2,24}}"
)
_FILES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".css", ".map")
_GOES_ON = re.compile(r"[@_-]|\.\d")
_REPOSITORY = re.compile(r"git@[\w.-]{1,128}:[^\d\s]")
_IN_ADDRESS = re.compile(r"://[^\s/?#]*$")

_FOUR = compiled(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_SIX = compiled(r"(?i)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?")
_VERSION = re.compile(r"(?i)(?:version|release|build|rev|revision|ver|clause|section|chapter|v|§)[ .:=]{0,2}$")
_FEWEST_PARTS = 3
_NOBODY = {0, 127, 255}
"""What an address begins with that is nobody's: any machine, this machine, a mask."""


def find_mails(text: str) -> Iterator[Found]:
    """Addresses of mail in a folded text, also with `[at]` and `[dot]` in it."""
    for match in _MAIL.finditer(text):
        start, end = match.span()
        # `deploy:p4ss@host` in a web address is a password, and git@host:path names a repository.
        is_user = _REPOSITORY.match(text, start) or _IN_ADDRESS.search(text, max(0, start - 128), start)
        if not is_user and not match[0].lower().endswith(_FILES) and not _GOES_ON.match(text, end):
            yield Found("email", start, end)
    for match in _SPELLED.finditer(text) if _AT.search(text) else ():
        yield Found("email", *match.span())


def find_machines(text: str) -> Iterator[Found]:
    """Addresses of machines, IPv4 and IPv6, but for those that are every machine's own."""
    for match in _FOUR.finditer(text):
        start, end = match.span()
        before = text[max(0, start - 12) : start]
        if (
            stands_alone(text, start, end)
            and not before.endswith(("-v", "#"))
            and text[end : end + 1] != "@"
            and not _VERSION.search(before)
        ):
            with suppress(ValueError):
                if IPv4Address(match[0]).packed[0] not in _NOBODY:
                    yield Found("ip", start, end)
    for match in _SIX.finditer(text):
        start, end = match.span()
        if stands_alone(text, start, end, joints=":") and _is_six(match[0]) and text[start - 1 : start] != ":":
            yield Found("ip", start, end)


def _is_six(written: str) -> bool:
    """Whether this is an address of a machine: not `12:30:45`, and not `ab::cd` of a program."""
    if sum(map(bool, written.split(":"))) < _FEWEST_PARTS or not any(one.isdigit() for one in written):
        return False
    try:
        return not IPv6Address(written).is_loopback
    except ValueError:
        return False
