"""Activity side. How many tokens a thread is, and how many the agent's model may be given."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec

UNKNOWN_WINDOW = 100_000
"""Tokens a model is given whose context window is not known: nearly every model in use takes as many."""
ROOM = 0.8
"""The part of a window that the thread may fill; the rest is for the reply, and for counts that are estimates."""
_DENSEST = 4
"""Tokens of a character at most, which is one byte or up to four. A text that is small by this is not counted."""
_FRAME = 4
"""Tokens that a message takes beside its text."""
_REMEMBERED = 50_000
"""How many messages' counts are kept."""


def estimated_tokens(text: str) -> int:
    """Tokens of a text where nothing better was handed over: one for every three bytes, fair for prose alone."""
    return len(text.encode()) // 3 + 1


@dataclass
class Gauge:
    """Counts tokens; each message is counted once. `counter` and `window` go by the model's name."""

    counter: Callable[[str], Callable[[str], int]] = lambda _: estimated_tokens
    window: Callable[[str], int | None] = lambda _: None
    _counts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    def tokens(self, agent: AgentSpec, digests: tuple[str, ...], messages: tuple[Message, ...]) -> int:
        """Tokens of instructions, tools and thread together."""
        return self.fixed(agent) + sum(self.each(agent, digests, messages))

    def surely_fits(self, agent: AgentSpec, messages: int, size: int) -> bool:
        """Whether so many messages of `size` bytes together are known to fit without counting."""
        return self.fixed(agent) + size * _DENSEST + messages * _FRAME <= self.limit(agent)

    def each(self, agent: AgentSpec, digests: tuple[str, ...], messages: tuple[Message, ...]) -> list[int]:
        """Tokens of each message, with what it takes to send it."""
        model = agent.models[0]
        found = [self._counts.get((model, digest)) for digest in digests]
        if None in found:
            if len(self._counts) > _REMEMBERED:
                self._counts.clear()
            count = self.counter(model)
            for digest, message in zip(digests, messages, strict=True):
                if (model, digest) not in self._counts:
                    self._counts[model, digest] = count(_sent(message)) + _FRAME
        return [self._counts[model, digest] for digest in digests]

    def fixed(self, agent: AgentSpec) -> int:
        """Tokens of what every request of an agent begins with: instructions, tools, the form of its answer."""
        model = agent.models[0]
        key = (model, f"{agent.name}/{hash(agent.instructions)}/{len(agent.tools)}")
        if key not in self._counts:
            tools = "".join(
                tool.model_dump_json(include={"name", "description", "input_schema"}) for tool in agent.tools
            )
            self._counts[key] = self.counter(model)(f"{agent.instructions}{tools}{agent.result_schema or ''}")
        return self._counts[key]

    def limit(self, agent: AgentSpec) -> int:
        """How many tokens the agent's model may be given."""
        if agent.context:
            return agent.context
        return int((self.window(agent.models[0]) or UNKNOWN_WINDOW) * ROOM)

    def too_much(self, agent: AgentSpec, text: str) -> str:
        """Why a tool's result is more than the agent's model can read, in words; "" where it can, or none reads it.

        Half of what the model may be given is for the rest of the thread: without that the run would end here.
        """
        if not agent.models:
            return ""
        room = max(0, self.limit(agent) // 2 - self.fixed(agent))
        if len(text) * _DENSEST <= room:
            return ""
        tokens = self.counter(agent.models[0])(text)
        return f"is about {tokens:,} tokens, and at most {room:,} can be read" if tokens > room else ""


def _sent(message: Message) -> str:
    """The text of a message as it goes to a provider, near enough to count it."""
    calls = "".join(call.model_dump_json() for call in message.calls)
    return f"{message.text}{calls}{message.call}"
