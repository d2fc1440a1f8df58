"""Activity side. What the activities work with: definitions and ports, handed over by `serve`."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.contracts.steps import RunRef
from mainspring.core.rules import EMPTY, Judge, parse
from mainspring.core.spec import AgentSpec
from mainspring.core.tool import Tool
from mainspring.definitions import Agent, Graph
from mainspring.effects.ledger import Ledger
from mainspring.ports.memory import Memory
from mainspring.ports.model import Model
from mainspring.telemetry.export import Exporter

_JUDGES = 256
"""How many compiled rule files are kept; compiling costs a thousand times an evaluation."""


ITEM_LIMIT = 128 * 1024
"""Bytes of one item where nothing is stored outside the history: payloads have 2 MB at most, and hold several."""


@dataclass(frozen=True)
class World:
    """One worker's parts. `price` gives millionths of a US dollar for (provider, model, in, out).

    `item_limit` is how many bytes a tool's result or a model's reply may have.
    """

    agents: Mapping[str, Agent[Any]]
    graphs: Mapping[str, Graph]
    tools: Mapping[str, Tool]
    default_model: str
    open_model: Callable[[str, float], Model]
    price: Callable[[str, str, int, int], int | None]
    memory: Memory
    exporter: Exporter
    item_limit: int = ITEM_LIMIT
    ledger: Ledger = field(default_factory=Ledger)
    _judges: OrderedDict[str, Judge] = field(default_factory=OrderedDict[str, Judge])

    def too_large(self, text: str) -> str:
        """Why a text is too large to be kept as an item, in words; "" where it is not."""
        size = len(text.encode())
        if size <= self.item_limit:
            return ""
        return f"has {size:,} bytes, and at most {self.item_limit:,} ({self.item_limit // 1024:,} KiB) are kept"

    def judge(self, run: RunRef, agent: AgentSpec) -> Judge:
        """The compiled rules of an agent as the run was admitted with them."""
        key = f"{run.spec}/{agent.name}"
        judge = self._judges.get(key)
        if judge is None:
            policy = parse(agent.rules, agent.rules_source) if agent.rules else EMPTY
            judge = self._judges[key] = Judge(policy, agent.tools, agent.name)
            if len(self._judges) > _JUDGES:
                self._judges.popitem(last=False)
        return judge

    def all_agents(self) -> dict[str, Agent[Any]]:
        """Every agent that can come up in a run: those defined, and those they or graphs reach."""
        starts = (*self.agents.values(), *(a for g in self.graphs.values() for a in g.agents))
        return {agent.name: agent for start in starts for agent in start.reach()}
