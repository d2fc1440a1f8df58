"""Recognisers of personal data and secrets, all as one.

What stands in a text is found as it reads (`folding.py`), by patterns that take time linear in the text, and told by
its place in the text as it was given.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from typing_extensions import override

from mainspring.adapters.recognisers import personal, secrets
from mainspring.adapters.recognisers.folding import FoldingRecogniser
from mainspring.adapters.recognisers.patterns import Patterns
from mainspring.adapters.recognisers.personal import Personal
from mainspring.adapters.recognisers.phones import REGIONS
from mainspring.adapters.recognisers.secrets import Secrets
from mainspring.ports.recogniser import Found, Recogniser

KINDS = personal.KINDS | secrets.KINDS
"""The kinds that are built in."""
_NONE: Mapping[str, str] = MappingProxyType({})


class _Together(FoldingRecogniser):
    """Several recognisers as one. Where two find the same, the longer find counts, and of equals the earlier's."""

    def __init__(self, recognisers: Sequence[FoldingRecogniser]) -> None:
        self._recognisers = tuple(recognisers)

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return frozenset[str]().union(*(each.kinds for each in self._recognisers))

    @override
    def find_folded(self, text: str) -> Iterable[Found]:
        return (found for each in self._recognisers for found in each.find_folded(text))


def open_recognisers(
    patterns: Mapping[str, str] = _NONE, presidio: bool = False, *, regions: tuple[str, ...] = REGIONS
) -> Recogniser:
    """All recognisers as one: those that are built in, `patterns` by their kinds, and presidio's where asked for.

    Telephone numbers without a country code are looked for in `regions`.

    Raises:
        SetupError: a pattern or the name of its kind is wrong, there is no such region, or presidio-analyzer is not
            installed.
    """
    recognisers: list[FoldingRecogniser] = [Patterns(patterns, KINDS), Secrets(), Personal(regions)]
    if presidio:
        from mainspring.adapters.recognisers.presidio import Presidio

        recognisers.append(Presidio())
    return _Together(recognisers)


__all__ = ["KINDS", "REGIONS", "open_recognisers"]
