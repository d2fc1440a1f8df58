"""How long a provider may take for one reply. Activity side, no I/O and no clock of its own.

`limits_of("ollama", 120)` gives the limits of one call; `Wait` says, while a reply is streamed, how long to wait for
the next piece, and puts into words which limit was passed.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from mainspring.errors import ModelError

USUAL = 120.0
"""Seconds for a whole call where nobody said otherwise, as for `Agent(model_timeout=…)`."""


class Limits(NamedTuple):
    """Seconds of one call: to connect, to the first token, between two pieces, and in total."""

    connect: float = 10.0
    first: float = math.inf
    idle: float = math.inf
    total: float = math.inf


class Share(NamedTuple):
    """What a provider is given: `connect` in seconds, the others as shares of the total.

    As shares, so that who gives a model that thinks long more time has one number to raise.
    """

    connect: float
    first: float
    idle: float


OTHERS = Share(connect=10.0, first=0.5, idle=0.25)
SHARES = {
    "anthropic": Share(connect=10.0, first=0.5, idle=0.25),
    # It loads the model before the first token, and holds a tool call back until it is complete.
    "ollama": Share(connect=5.0, first=0.8, idle=0.5),
    "openai": Share(connect=10.0, first=0.5, idle=0.25),
}


def limits_of(provider: str, total: float) -> Limits:
    """The limits of one call that may take `total` seconds."""
    share = SHARES.get(provider, OTHERS)
    return Limits(min(share.connect, total), share.first * total, share.idle * total, total)


@dataclass
class Wait:
    """One reply under way, from `start` on the caller's clock.

    Until there is content, an empty piece (a provider's sign that it has begun) buys the time of one pause and never
    shortens the time to the first token: some send one at once and think afterwards.
    """

    limits: Limits
    start: float
    heard: float = -math.inf
    speaking: bool = False

    @property
    def until(self) -> float | None:
        """When the wait for the next piece is over; None where it never is."""
        until = min(self._next, self.start + self.limits.total)
        return None if math.isinf(until) else until

    def hear(self, now: float, *, content: bool) -> None:
        """Take note of a piece."""
        self.heard = now
        self.speaking = self.speaking or content

    def over(self, provider: str) -> ModelError:
        """The limit that was passed, in words. Another attempt may help."""
        limits = self.limits
        if self.start + limits.total <= self._next:
            return ModelError(
                f"the provider {provider!r} gave no whole reply within {limits.total:g} s (total time-out)."
            )
        if self.speaking:
            return ModelError(
                f"the provider {provider!r} stopped in the middle of its reply: "
                f"nothing more came within {limits.idle:g} s (idle time-out)."
            )
        return ModelError(
            f"the provider {provider!r} sent no first token within {limits.first:g} s (first-token time-out)."
        )

    @property
    def _next(self) -> float:
        after_piece = self.heard + self.limits.idle
        return after_piece if self.speaking else max(self.start + self.limits.first, after_piece)
