"""Templates of a playbook: text with CEL expressions in braces.

Pure. `{find_order.number}` is a value, `{cents|money}` an amount such as 1,249.00 (`money_de`:
1.249,00), `{{` and `}}` are braces. An expression itself holds no brace.
"""

import re
from collections.abc import Callable, Mapping

from mainspring.core.canonical import Json
from mainspring.core.cel import CelError, Expression, Kind
from mainspring.errors import did_you_mean

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FILTERED = re.compile(r"(.*[^|])\|\s*(\w+)\s*", re.DOTALL)


def _money(cents: int) -> str:
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{part:02}"


def _money_de(cents: int) -> str:
    return _money(cents).translate(str.maketrans(",.", ".,"))


FILTERS: dict[str, Callable[[int], str]] = {"money": _money, "money_de": _money_de}
"""What may follow `|`: each makes a text of integer cents."""


class Template:
    """One compiled template. `constant` is its text where nothing in it varies, else None."""

    def __init__(self, text: str, variables: Mapping[str, Kind]) -> None:
        """Compile the expressions in `text`.

        Raises:
            CelError: an expression, a filter or a brace is wrong.
        """
        self._parts: list[str | tuple[Expression, str]] = []
        end = 0
        for match in _PART.finditer(text):
            self._parts.append(text[end : match.start()])
            self._parts.append(_part(match, variables))
            end = match.end()
        self._parts.append(text[end:])
        fixed = [part for part in self._parts if isinstance(part, str)]
        self.constant = "".join(fixed) if len(fixed) == len(self._parts) else None

    def fill(self, facts: Mapping[str, Json]) -> str:
        """The text over `facts`.

        Raises:
            CelError: an expression gave an error, or a value that is no text or number.
        """
        return "".join(part if isinstance(part, str) else _filled(*part, facts) for part in self._parts)


def _part(match: re.Match[str], variables: Mapping[str, Kind]) -> str | tuple[Expression, str]:
    if match[0] in ("{{", "}}"):
        return match[0][0]
    if match[1] is None:
        raise CelError(f"a single {match[0]!r} opens or closes nothing; write {match[0] * 2!r} for the sign itself")
    filtered = _FILTERED.fullmatch(match[1])
    if not filtered:
        return Expression(match[1].strip(), variables, ("string", "int", "double")), ""
    name = filtered[2]
    if name not in FILTERS:
        raise CelError(f"unknown filter {name!r}.{did_you_mean(name, FILTERS)}".removesuffix("."))
    return Expression(filtered[1].strip(), variables, ("int",)), name


def _filled(expression: Expression, name: str, facts: Mapping[str, Json]) -> str:
    value = expression.evaluate(facts)
    if isinstance(value, bool) or not isinstance(value, int if name else str | int | float):
        raise CelError("an expression in a text gave neither a text nor a number")
    return FILTERS[name](int(value)) if name else str(value)
