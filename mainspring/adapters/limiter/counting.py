"""The limiter port over the moving window of the package `limits`, on any of its storages.

Activity side. All work is done in one thread of its own: a file may be locked and a server far away, a caller may be
cancelled, and what has begun still goes to its end.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import Storage
from limits.strategies import MovingWindowRateLimiter
from typing_extensions import override

from mainspring.adapters.limiter.sqlite import SqliteStorage
from mainspring.core.canonical import digest
from mainspring.core.limits import Allowance
from mainspring.errors import LimitError
from mainspring.ports.limiter import Limiter

NAMESPACE = "mainspring"
SOONEST = 0.01
"""Seconds to wait, at least: an end of a window that is this near may be over when it is looked at again."""


class _Window(RateLimitItemPerSecond):
    """Seconds, under the key alone: so a limit that is made larger or smaller goes on counting."""

    @override
    def key_for(self, *identifiers: bytes | str | float) -> str:
        return "/".join((self.namespace, *map(str, identifiers)))


class CountingLimiter(Limiter):
    """Counts in a storage of `limits`. `thread` is one thread, the one in which the storage was made.

    On a file or in memory, one of each is taken or none of any. On a server, somebody else may take the last of one
    between the look and the taking; then what was taken of the others stays counted, so never more than allowed.
    """

    def __init__(
        self, storage: Storage, thread: Executor, *, place: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._storage = storage
        self._thread = thread
        self._place = place
        self._clock = clock
        self._window = MovingWindowRateLimiter(storage)
        kinds = storage.base_exceptions
        self._failures = (OSError, *(kinds if isinstance(kinds, tuple) else (kinds,)))

    @override
    async def take(self, wanted: Sequence[Allowance], once: str = "") -> Mapping[str, float]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._take, tuple(dict.fromkeys(wanted)), once)
        except self._failures as error:
            raise LimitError(
                f"limits cannot be counted in {self._place}: {_reason(error)}. Mend the file or the server, or its "
                "access; it is tried again."
            ) from error

    def _take(self, wanted: tuple[Allowance, ...], once: str) -> dict[str, float]:
        storage = self._storage
        # Whoever takes for a name leaves a mark under it, as long as any window of it lasts: the one place of a limit.
        longest = max((each.every for each in wanted), default=1)
        mark = Allowance(key=f"once/{digest(once)}", at_most=1, every=longest)
        with storage.transaction() if isinstance(storage, SqliteStorage) else nullcontext():
            if once and self._wait(mark):
                return {}
            waits = {each.key: seconds for each in wanted if (seconds := self._wait(each))}
            if waits:
                return waits
            for each in wanted:
                if not self._window.hit(_item(each), each.key):
                    return {each.key: self._wait(each) or SOONEST}
            if once and wanted:
                self._window.hit(_item(mark), mark.key)
        return {}

    def _wait(self, wanted: Allowance) -> float:
        reset, left = self._window.get_window_stats(_item(wanted), wanted.key)
        return 0.0 if left > 0 else max(reset - self._clock(), SOONEST)


def _item(wanted: Allowance) -> RateLimitItem:
    return _Window(wanted.at_most, wanted.every, NAMESPACE)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
