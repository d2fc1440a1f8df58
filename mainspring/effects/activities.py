"""Activity side. The activities by their names, bound to one worker's world."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from mainspring.contracts import names
from mainspring.contracts.deciding import Identified, IdentifyWork, Notified, NotifyWork
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    Closing,
    Compaction,
    CompactWork,
    ModelAnswer,
    ModelCall,
    Sealed,
    SealWork,
    ToolOutcome,
    ToolWork,
)
from mainspring.effects import admit, call_model, call_tool, close, compact, identify, notify, seal
from mainspring.effects.world import World


class Activities:
    """What a worker registers. The types are few and fixed: agents and tools are data."""

    def __init__(self, world: World) -> None:
        """Bind to the parts of this worker."""
        self._world = world

    @activity.defn(name=names.ADMIT)
    async def admit(self, asked: AdmitRequest) -> Admission:
        """See `effects.admit`."""
        return await admit.admit(self._world, asked)

    @activity.defn(name=names.CALL_MODEL)
    async def call_model(self, call: ModelCall) -> ModelAnswer:
        """See `effects.call_model`."""
        return await call_model.call_model(self._world, call)

    @activity.defn(name=names.CALL_TOOL)
    async def call_tool(self, work: ToolWork) -> ToolOutcome:
        """See `effects.call_tool`."""
        return await call_tool.call_tool(self._world, work)

    @activity.defn(name=names.COMPACT)
    async def compact(self, work: CompactWork) -> Compaction:
        """See `effects.compact`."""
        return await compact.compact(self._world, work)

    @activity.defn(name=names.SEAL)
    async def seal(self, work: SealWork) -> Sealed:
        """See `effects.seal`."""
        return await seal.seal(self._world, work)

    @activity.defn(name=names.CLOSE)
    async def close(self, closing: Closing) -> Closing | None:
        """See `effects.close`."""
        return await close.close(self._world, closing)

    @activity.defn(name=names.IDENTIFY)
    async def identify(self, work: IdentifyWork) -> Identified:
        """See `effects.identify`."""
        return await identify.identify(self._world, work)

    @activity.defn(name=names.NOTIFY)
    async def notify(self, work: NotifyWork) -> Notified:
        """See `effects.notify`."""
        return await notify.notify(self._world, work)

    def all(self) -> list[Callable[..., Any]]:
        """All of them, to register."""
        return [
            self.admit,
            self.call_model,
            self.call_tool,
            self.compact,
            self.seal,
            self.close,
            self.identify,
            self.notify,
        ]
