"""Templates of a playbook: text with CEL expressions in braces.

Pure. `{find_order.number}` is a value, `{cents|money}` an amount such as 1,249.00 (`money_de`:
1.249,00), `{{` and `}}` are braces. An expression itself holds no brace.
"""

import re
from collections.abc import Mapping

from mainspring.core.canonical import Json
from mainspring.core.cel import CelError, Expression, Kind
from mainspring.core.playbook_file import Text
from mainspring.errors import did_you_mean

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FILTERED = re.compile(r"(.*[^|])\|\s*(\w+)\s*", re.DOTALL)


def _money(cents: int) -> str:
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{part:02}"


def _money_de(cents: int) -> str:
    return _money(cents).translate(str.maketrans(",.", ".,"))


_FILTERS = {"money": _money, "money_de": _money_de}


class Template:
    """A compiled text, in one language or several."""

    def __init__(self, text: Text, variables: Mapping[str, Kind]) -> None:
        """Compile the expressions in `text`.

        Raises:
            CelError: an expression, a filter or a brace is wrong.
        """
        self._texts = {"": text} if isinstance(text, str) else text
        self._values = {
            match[0]: _compiled(match, variables) for words in self._texts.values() for match in _PART.finditer(words)
        }

    def evaluate(self, facts: Mapping[str, Json]) -> str:
        """The text over `facts`, in their language.

        Raises:
            CelError: an expression gave an error, or a value that is no text or number.
        """
        words = self._texts.get("") or self._texts[str(facts["language"])]
        return _PART.sub(lambda match: _shown(self._values[match[0]], facts), words)


def _compiled(match: re.Match[str], variables: Mapping[str, Kind]) -> str | tuple[Expression, str]:
    if match[0] in ("{{", "}}"):
        return match[0][0]
    if match[1] is None:
        raise CelError(f"a single {match[0]!r} opens or closes nothing; write {match[0] * 2!r} for the sign itself")
    filtered = _FILTERED.fullmatch(match[1])
    if not filtered:
        return Expression(match[1].strip(), variables, ("string", "int", "double")), ""
    if filtered[2] not in _FILTERS:
        raise CelError(f"unknown filter {filtered[2]!r}.{did_you_mean(filtered[2], _FILTERS)}".removesuffix("."))
    return Expression(filtered[1].strip(), variables, ("int",)), filtered[2]


def _shown(part: str | tuple[Expression, str], facts: Mapping[str, Json]) -> str:
    if isinstance(part, str):
        return part
    expression, name = part
    value = expression.evaluate(facts)
    if isinstance(value, bool) or not isinstance(value, int if name else str | int | float):
        raise CelError("an expression in a text gave neither a text nor a number")
    return _FILTERS[name](int(value)) if name else str(value)
