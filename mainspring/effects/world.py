"""Activity side. What the activities work with: definitions and ports, handed over by `serve`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.definitions import Agent, Graph
from mainspring.effects.gauge import Gauge
from mainspring.effects.guards import Guards
from mainspring.effects.ledger import Ledger
from mainspring.ports.limiter import Limiter
from mainspring.ports.memory import Memory
from mainspring.ports.model import Model
from mainspring.ports.notifier import Notifier
from mainspring.ports.verifier import Verifier
from mainspring.telemetry.export import Exporter

ITEM_LIMIT = 128 * 1024
"""Bytes of one message where payloads stay in history: several travel in one payload, of 2 MB at most."""


@dataclass(frozen=True)
class World:
    """One worker's parts. `price` gives millionths of a US dollar for (provider, model, in, out).

    `item_limit` is how many bytes one message may have. `indexed` remembers, by namespace, which of our search
    attributes the server had, and when (monotonic seconds) it was asked. `inbox` is the address of the web inbox.
    `open_verifier` gives what checks tokens, whenever one comes: opening takes a while.
    """

    agents: Mapping[str, Agent[Any]]
    graphs: Mapping[str, Graph]
    guards: Guards
    default_model: str
    open_model: Callable[[str, float], Model]
    price: Callable[[str, str, int, int], int | None]
    memory: Memory
    exporter: Exporter
    ledger: Ledger = field(default_factory=Ledger)
    gauge: Gauge = field(default_factory=Gauge)
    item_limit: int = ITEM_LIMIT
    limiter: Limiter | None = None
    open_verifier: Callable[[], Verifier] | None = None
    inbox: str = ""
    notifier: Notifier | None = None
    indexed: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict[str, tuple[frozenset[str], float]])

    def too_large(self, text: str) -> str:
        """Why a text is too large to be kept as an item, in words; "" where it is not."""
        size = len(text.encode())
        if size <= self.item_limit:
            return ""
        return f"has {size:,} bytes, and at most {self.item_limit:,} ({self.item_limit // 1024:,} KiB) are kept"

    def all_agents(self) -> dict[str, Agent[Any]]:
        """Every agent that can come up in a run: those defined, and those they or graphs reach."""
        starts = (*self.agents.values(), *(a for g in self.graphs.values() for a in g.agents))
        return {agent.name: agent for start in starts for agent in start.reach()}
