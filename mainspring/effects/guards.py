"""Activity side. What rules are asked with: the tools and functions there are, and what finds personal data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.core.canonical import canonical, digest
from mainspring.core.facts import Facts
from mainspring.core.rule_file import assemble
from mainspring.core.rules import Judge
from mainspring.core.spec import AgentSpec
from mainspring.core.tool import Tool
from mainspring.effects.recent import Recent
from mainspring.ports.recogniser import Nothing, Recogniser

_SEEN = 20_000
_JUDGES = 256
"""How many compiled rule files are kept, by content and by object; compiling costs a thousand times an evaluation."""


@dataclass(frozen=True)
class Guards:
    """`checks` are the functions that rules may name, `token_key` is what tokens are made with.

    `open_recogniser` gives what finds personal data, whenever that is asked for: opening takes a good part of a
    worker's start, so it may wait for the first time. `seen` holds users' words as they are redacted.
    """

    tools: Mapping[str, Tool]
    checks: Mapping[str, Callable[[Facts], Any]] = field(default_factory=dict[str, Callable[[Facts], Any]])
    open_recogniser: Callable[[], Recogniser] = Nothing
    token_key: bytes = b""
    seen: Recent[tuple[str, str, str], str] = field(default_factory=lambda: Recent[tuple[str, str, str], str](_SEEN))
    _judges: Recent[str, tuple[AgentSpec, Judge]] = field(
        default_factory=lambda: Recent[str, tuple[AgentSpec, Judge]](_JUDGES)
    )

    @property
    def recogniser(self) -> Recogniser:
        """What finds personal data and secrets in texts."""
        return self.open_recogniser()

    def judge(self, agent: AgentSpec) -> Judge:
        """The compiled rules of an agent as its run was admitted with them."""
        known = self._judges.get(str(id(agent)))
        if known and known[0] is agent:
            return known[1]
        tools = [tool.model_dump(mode="json") for tool in agent.tools]
        key = digest(canonical([agent.name, [text.model_dump() for text in agent.rule_texts], tools]))
        known = self._judges.get(key)
        if known is None:
            known = (agent, Judge(assemble(agent.rule_texts), agent.tools, agent.name))
        self._judges.put(key, known)
        self._judges.put(str(id(agent)), (agent, known[1]))
        return known[1]
