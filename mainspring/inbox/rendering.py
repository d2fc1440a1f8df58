"""Templates, and how times, money and the texts of others look in them."""

import difflib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from mainspring.core.words import amount, label, request_path, when
from mainspring.inbox.evidence import pretty

STATIC = Path(__file__).parent / "static"
LONGEST = 6000
"""Characters of one text that a page shows; the history has it all."""
_COMPARED = 600
"""Words of a text that are compared one by one."""
_SECONDS = (("d", 86400), ("h", 3600), ("min", 60))


class Piece(NamedTuple):
    """A part of a text that was changed: `how` is "", "old" or "new"."""

    how: str
    text: str


def render(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page. What it is given is escaped, whatever it is."""
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**context), status_code=status)


def visible(text: str) -> str:
    """What cannot be seen, or turns the direction of writing, must not change what a person reads."""
    lines = text.replace("\r\n", "\n")
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{MIDDLE DOT}" for each in lines)


def cut(text: str) -> tuple[str, int]:
    """A text as far as a page shows it, and how many characters are left out."""
    return visible(text[:LONGEST]), max(0, len(text) - LONGEST)


def machine_time(seconds: float) -> str:
    """Likewise, for the attribute of a `time` element."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def span(seconds: float) -> str:
    """A length of time by its two largest units: `2 h 5 min`."""
    left, parts = int(abs(seconds)), list[str]()
    for unit, size in _SECONDS:
        if left >= size and len(parts) < 2:  # noqa: PLR2004 - the two largest
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts) or "less than a minute"


def money(microusd: int | None) -> str:
    """Millionths of a dollar as `$0.0123`."""
    return "price not known" if microusd is None else f"${microusd / 1e6:,.4f}" if microusd else "$0"


def compared(old: str, new: str) -> list[Piece]:
    """Two texts as one, with what went and what came, word by word; whole where they are too long for that."""
    before, after = re.split(r"(\s+)", old), re.split(r"(\s+)", new)
    if max(len(before), len(after)) > _COMPARED:
        return [Piece("old", old), Piece("new", new)]
    pieces: list[Piece] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("", "".join(before[a:b])))
            continue
        pieces += [Piece("old", "".join(before[a:b]))] if a < b else []
        pieces += [Piece("new", "".join(after[c:d]))] if c < d else []
    return pieces


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("mainspring.inbox"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Any = made.filters
    for each in (visible, cut, machine_time, span, money, label, pretty):
        filters[each.__name__] = each
    filters["moment"] = when
    functions: Any = made.globals
    functions.update(amount=amount, compared=compared, request_path=request_path)
    return made


_ENVIRONMENT = _environment()
