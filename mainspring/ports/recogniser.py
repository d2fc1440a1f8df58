"""The recogniser port: where a text holds personal data or secrets."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple


class Found(NamedTuple):
    """A place in a text: of which kind it is, and from where to where in characters, the end not included."""

    kind: str
    start: int
    end: int


class Recogniser(ABC):
    """Finds places in texts. It is asked for every text of a run, so it is quick, and it knows nothing but the text."""

    @property
    @abstractmethod
    def kinds(self) -> frozenset[str]:
        """The kinds it can find: lower-case names such as `card`."""

    @abstractmethod
    def find(self, text: str) -> Iterable[Found]:
        """What is in a text, sorted, and none overlapping another.

        Never raises, whatever the text is, and takes time linear in its length: a stranger may have written it.
        """


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
