"""Activity side. What the activities work with: definitions and ports, handed over by `serve`."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.core import base_rules
from mainspring.core.canonical import canonical, digest
from mainspring.core.rule_file import joined
from mainspring.core.rules import EMPTY, Judge, parse
from mainspring.core.spec import AgentSpec
from mainspring.core.tool import Tool
from mainspring.definitions import Agent, Graph
from mainspring.effects.gauge import Gauge
from mainspring.effects.ledger import Ledger
from mainspring.ports.memory import Memory
from mainspring.ports.model import Model
from mainspring.telemetry.export import Exporter

ITEM_LIMIT = 128 * 1024
"""Bytes of one message where payloads stay in history: several travel in one payload, of 2 MB at most."""
_JUDGES = 256
"""How many compiled rule files are kept, by content and by object; compiling costs a thousand times an evaluation."""


@dataclass(frozen=True)
class World:
    """One worker's parts. `price` gives millionths of a US dollar for (provider, model, in, out).

    `item_limit` is how many bytes one message may have; `indexed` remembers, by namespace, whether the server had
    our search attribute, and when (monotonic seconds) it was asked.
    """

    agents: Mapping[str, Agent[Any]]
    graphs: Mapping[str, Graph]
    tools: Mapping[str, Tool]
    default_model: str
    open_model: Callable[[str, float], Model]
    price: Callable[[str, str, int, int], int | None]
    memory: Memory
    exporter: Exporter
    ledger: Ledger = field(default_factory=Ledger)
    gauge: Gauge = field(default_factory=Gauge)
    item_limit: int = ITEM_LIMIT
    indexed: dict[str, tuple[bool, float]] = field(default_factory=dict[str, tuple[bool, float]])
    _judges: OrderedDict[str, tuple[AgentSpec, Judge]] = field(
        default_factory=OrderedDict[str, tuple[AgentSpec, Judge]]
    )

    def too_large(self, text: str) -> str:
        """Why a text is too large to be kept as an item, in words; "" where it is not."""
        size = len(text.encode())
        if size <= self.item_limit:
            return ""
        return f"has {size:,} bytes, and at most {self.item_limit:,} ({self.item_limit // 1024:,} KiB) are kept"

    def judge(self, agent: AgentSpec) -> Judge:
        """The compiled rules of an agent as its run was admitted with them."""
        known = self._judges.get(str(id(agent)))
        if known and known[0] is agent:
            return known[1]
        key = digest(
            canonical([agent.name, agent.base, agent.rules, [tool.model_dump(mode="json") for tool in agent.tools]])
        )
        known = self._judges.get(key)
        if known is None:
            own = parse(agent.rules, agent.rules_source) if agent.rules else EMPTY
            policy = joined(parse(agent.base, base_rules.SOURCE), own) if agent.base else own
            known = (agent, Judge(policy, agent.tools, agent.name))
        self._judges[key] = known
        self._judges[str(id(agent))] = (agent, known[1])
        while len(self._judges) > _JUDGES:
            self._judges.popitem(last=False)
        return known[1]

    def all_agents(self) -> dict[str, Agent[Any]]:
        """Every agent that can come up in a run: those defined, and those they or graphs reach."""
        starts = (*self.agents.values(), *(a for g in self.graphs.values() for a in g.agents))
        return {agent.name: agent for start in starts for agent in start.reach()}
