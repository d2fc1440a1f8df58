"""How far a content may be trusted, and who may see it. Pure.

Two ladders, each from harmless to grave. **Integrity**: `trusted` (the team's own words and systems), `user` (whoever
the run works for), `external` (anybody may have written it). **Secrecy**: `public`, `internal`, `personal`, `secret`.
What was made of several contents has the gravest of each. The model is given the whole thread, so whatever it says was
made of everything before it: only where a value stands word for word in a better place is it taken from there.

After Denning, *A Lattice Model of Secure Information Flow* (1976); applied to agents as in CaMeL
(https://arxiv.org/abs/2503.18813) and FIDES (https://arxiv.org/abs/2505.23643).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, get_args

from mainspring.core.canonical import Value

Integrity = Literal["trusted", "user", "external"]
Secrecy = Literal["public", "internal", "personal", "secret"]

INTEGRITY: tuple[Integrity, ...] = get_args(Integrity)
SECRECY: tuple[Secrecy, ...] = get_args(Secrecy)


class Label(Value):
    """Where a content comes from, and how secret it is."""

    integrity: Integrity = "trusted"
    secrecy: Secrecy = "internal"

    def __str__(self) -> str:
        """As it is written in definitions and histories."""
        return f"{self.integrity} {self.secrecy}"

    def fits(self, limit: "Label") -> bool:
        """Whether it is no graver than `limit`, on both ladders."""
        return not (self.is_less_trusted_than(limit) or self.is_more_secret_than(limit))

    def is_less_trusted_than(self, limit: "Label") -> bool:
        """Whether its integrity is graver."""
        return INTEGRITY.index(self.integrity) > INTEGRITY.index(limit.integrity)

    def is_more_secret_than(self, limit: "Label") -> bool:
        """Whether its secrecy is graver."""
        return SECRECY.index(self.secrecy) > SECRECY.index(limit.secrecy)


OURS = Label()
"""The team's own: instructions, definitions, what the engine says."""
FROM_USER = Label(integrity="user")


_HARMLESS = Label(integrity=INTEGRITY[0], secrecy=SECRECY[0])


def join(labels: Iterable[Label]) -> Label:
    """The label of what was made of contents with these labels: the gravest of each ladder (of nothing: harmless)."""
    return _chosen((_HARMLESS, *labels), max)


def meet(labels: Iterable[Label]) -> Label:
    """The most harmless of each ladder among these labels, of which there is one at least."""
    return _chosen(tuple(labels), min)


def _chosen(labels: Sequence[Label], choose: Callable[[Iterable[int]], int]) -> Label:
    return Label(
        integrity=INTEGRITY[choose(INTEGRITY.index(label.integrity) for label in labels)],
        secrecy=SECRECY[choose(SECRECY.index(label.secrecy) for label in labels)],
    )


def read_label(text: str, missing: Label = OURS) -> Label:
    """Read `external`, `personal`, `external personal` …; what is not said is as in `missing`.

    Raises:
        ValueError: a word is on neither ladder, or two are on one; it says which words there are.
    """
    return _read(text, missing.integrity, missing.secrecy)


@lru_cache(maxsize=256)
def _read(text: str, integrity: Integrity, secrecy: Secrecy) -> Label:
    said: dict[str, str] = {}
    for word in text.split():
        ladder = "integrity" if word in INTEGRITY else "secrecy" if word in SECRECY else ""
        if not ladder:
            raise ValueError(f"{word!r} is no label; there are {', '.join(INTEGRITY)}, and {', '.join(SECRECY)}")
        if ladder in said:
            raise ValueError(f"{said[ladder]!r} and {word!r} contradict each other")
        said[ladder] = word
    return Label(integrity=integrity, secrecy=secrecy).model_copy(update=said)
