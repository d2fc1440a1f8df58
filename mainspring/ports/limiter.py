"""The limiter port: counts what was taken, and says when there is room again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mainspring.core.limits import Allowance


class Limiter(ABC):
    """Counts in moving windows, across all processes that share its storage, and beyond their lives."""

    @abstractmethod
    async def take(self, wanted: Sequence[Allowance], once: str = "") -> Mapping[str, float]:
        """Take one of each allowance, or none of any. What was taken for `once` is not taken for it again.

        Empty where one was taken of each. Else nothing was taken, and there is an entry for each allowance without
        room: its key, and in how many seconds (more than 0) it has room again. The same allowance twice is one.

        Called by every worker before a run is let in, a model is called or a tool runs, so by several at once.

        Raises:
            LimitError: what was taken cannot be read or written.
        """
