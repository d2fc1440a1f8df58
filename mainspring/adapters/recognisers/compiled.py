"""RE2 patterns, whose matching takes time linear in the text."""

from typing import Any

import re2 as _untyped  # pyright: ignore[reportMissingTypeStubs]

_RE2: Any = _untyped
_OPTIONS = _RE2.Options()
_OPTIONS.log_errors = False  # they are raised, and need not be printed by C++ as well


def compiled(pattern: str) -> Any:
    """A compiled RE2 pattern, which has no types.

    Raises:
        ValueError: it is not RE2; the message says why.
    """
    try:
        return _RE2.compile(pattern, _OPTIONS)
    except _RE2.error as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
