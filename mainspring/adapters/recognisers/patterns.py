"""Kinds of a team's own, each with an RE2 pattern: the numbers of its customers, the names of its projects."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import override

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.folding import FoldingRecogniser
from mainspring.errors import SetupError
from mainspring.ports.recogniser import Found

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Patterns(FoldingRecogniser):
    """Finds what a pattern matches. Where it has a group, only that group is the find."""

    def __init__(self, patterns: Mapping[str, str], taken: frozenset[str] = frozenset()) -> None:
        """Look for these kinds, none of which may be one of the `taken` ones.

        Raises:
            SetupError: a name or a pattern is wrong; the message says which, and why.
        """
        self._patterns = {kind: _checked(kind, pattern, taken) for kind, pattern in patterns.items()}

    @property
    @override
    def kinds(self) -> frozenset[str]:
        return frozenset(self._patterns)

    @override
    def find_folded(self, text: str) -> Iterable[Found]:
        for kind, pattern in self._patterns.items():
            for match in pattern.finditer(text):
                start, end = match.span(pattern.groups)
                if end > start >= 0:  # a group may have taken no part
                    yield Found(kind, start, end)


def _checked(kind: str, pattern: str, taken: frozenset[str]) -> Any:
    if not _NAME.fullmatch(kind):
        raise SetupError(
            f"{kind!r} is no name of a kind: it needs lower-case letters, digits and '_', beginning with a letter, "
            "32 of them at most."
        )
    if kind in taken:
        raise SetupError(f"the kind {kind!r} is built in, so a pattern cannot be called so. Give it another name.")
    try:
        one = compiled(pattern)
    except ValueError as error:
        raise SetupError(f"the pattern of the kind {kind!r} is not RE2: {error}: {pattern!r}") from None
    if one.groups > 1:
        raise SetupError(
            f"the pattern of the kind {kind!r} has {one.groups} groups ( ), so it is not clear which of them is meant. "
            "Write the others as (?: ): " + repr(pattern)
        )
    if one.search(""):
        raise SetupError(
            f"the pattern of the kind {kind!r} matches an empty text, so it would be everywhere: {pattern!r}"
        )
    return one
