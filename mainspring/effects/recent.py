"""Activity side. The newest entries of something that costs more to make than to keep."""

from collections import OrderedDict
from typing import TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Recent(OrderedDict[KeyT, ValueT]):
    """Keeps the `limit` entries that were put in last."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def put(self, key: KeyT, value: ValueT) -> ValueT:
        """Keep an entry, and drop the oldest beyond the limit; gives the value."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._limit:
            self.popitem(last=False)
        return value
