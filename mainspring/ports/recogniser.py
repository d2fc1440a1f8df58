"""The recogniser port: anything that finds personal data or secrets in a text."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple


class Found(NamedTuple):
    """A find: its kind, and the characters from `start` up to `end`."""

    kind: str
    start: int
    end: int


class Recogniser(ABC):
    """Finds kinds of data in texts. It keeps nothing, and serves many runs at once."""

    @property
    @abstractmethod
    def kinds(self) -> frozenset[str]:
        """Every kind that it can find."""

    @abstractmethod
    def find(self, text: str) -> Iterable[Found]:
        """What is in a text. Never raises; takes time linear in the text."""


class Nothing(Recogniser):
    """Finds nothing."""

    @property
    def kinds(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def find(self, text: str) -> Iterable[Found]:
        """Nothing, in any text."""
        del text
        return ()
