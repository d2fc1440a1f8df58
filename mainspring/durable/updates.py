"""Workflow side. Updates by their ids: each is handled once, also when it comes again after a continue-as-new.

The server knows the ids of one execution only; so the newest are carried along with what they gave.
"""

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from temporalio import workflow

from mainspring.contracts.carried import Answered

REMEMBERED = 1000
"""How many updates are carried along; a client retries for minutes, not for that long."""


def update_id() -> str:
    """The id of the update in hand; "" where there is none."""
    info = workflow.current_update_info()
    return info.id if info else ""


class Updates:
    """The updates this run has handled. `count` is how many this execution took, and `counted` is told of each."""

    def __init__(self, handled: Iterable[Answered], counted: Callable[[], None]) -> None:
        """Take up those of the execution before."""
        self.count = 0
        self._counted = counted
        self._before = {each.id: each.answer for each in handled}
        self._handled: OrderedDict[str, str] = OrderedDict()

    @property
    def is_known(self) -> bool:
        """Whether the update in hand was handled by an execution before this one."""
        info = workflow.current_update_info()
        return info is not None and info.id in self._before

    def add(self) -> None:
        """Count an update; the server takes so many in one execution, and then none."""
        self.count += 1
        self._counted()

    def once(self, handle: Callable[[], Any]) -> Any:
        """What the update in hand gives, by handling it or as it was given before."""
        info = workflow.current_update_info()
        if info is None:
            return handle()
        self.add()
        if info.id in self._before:
            return json.loads(self._before[info.id])
        return self._kept(info.id, handle())

    async def once_after(self, handle: Callable[[], Awaitable[str]]) -> str:
        """Likewise, where it takes a while to handle it; an update that is refused in the end is not kept."""
        info = workflow.current_update_info()
        if info is None:
            return await handle()
        self.add()
        if info.id in self._before:
            return str(json.loads(self._before[info.id]))
        return str(self._kept(info.id, await handle()))

    def _kept(self, name: str, given: Any) -> Any:
        value = given.model_dump(mode="json") if hasattr(given, "model_dump") else given
        self._handled[name] = json.dumps(value)
        return given

    def carried(self) -> tuple[Answered, ...]:
        """The newest updates, for the next execution."""
        newest = [*self._before.items(), *self._handled.items()][-REMEMBERED:]
        return tuple(Answered(id=name, answer=answer) for name, answer in newest)
