"""Workflow side. Whether steps may begin: not while a person has paused the run, nor while it is to continue as new.

What has begun goes on to its end, so a run that is held back becomes quiet by itself.
"""

from collections.abc import Callable

from temporalio import workflow


class Traffic:
    """The one place every step passes. `full` tells whether this execution's history is long enough."""

    def __init__(self, full: Callable[[], bool]) -> None:
        """Open, with nothing under way."""
        self.paused = False
        self._draining = False
        self._moving = 0
        self._full = full

    @property
    def draining(self) -> bool:
        """Whether the run is to continue as new; once it is, no further step begins in this execution."""
        return self._draining

    @property
    def quiet(self) -> bool:
        """Whether no step is under way."""
        return self._moving == 0

    def drain(self) -> None:
        """Let no further step begin: the run is to continue as new."""
        self._draining = True

    def look(self) -> None:
        """See how long the history is.

        Only where something recorded has led: a condition that waits is looked at on other occasions too, such as a
        query, and a replay has none of them.
        """
        self._draining = self._draining or self._full()

    async def enter(self) -> None:
        """Wait until a step may begin, and count it as under way until `leave`."""
        self.look()
        if self.paused or self._draining:
            await workflow.wait_condition(lambda: not (self.paused or self._draining))
        self._moving += 1

    def leave(self) -> None:
        """A step has ended, and what it gave is part of the run's state."""
        self._moving -= 1
