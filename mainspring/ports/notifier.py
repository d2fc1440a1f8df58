"""The notifier port: tells people that a request waits for them."""

from abc import ABC, abstractmethod
from typing import Literal

from mainspring.core.canonical import Value

Occasion = Literal["asked", "reminded", "escalated", "handed over", "decided"]


class Notice(Value):
    """What people are told of a request: never what the call is made with, or what a person said.

    `key` is the same in every attempt at one telling. `deadline` is in seconds since 1970, `reason` in the policy's
    words. `binding` is what a link that lets its reader decide is bound to (`Request.binding`).
    """

    key: str
    occasion: Occasion
    namespace: str
    run: str
    execution: str
    request: str
    kind: str
    agent: str
    tool: str
    reason: str
    rule: str
    deadline: float
    binding: str = ""
    decision: str = ""


class Notifier(ABC):
    """Sends notices to channels, each of which the settings name."""

    @abstractmethod
    async def send(self, channel: str, notice: Notice) -> None:
        """Tell a channel, once: a second call with the same `Notice.key` may come after a crash.

        Raises:
            NotifyError: it was not taken; `retryable` says whether another attempt can help. Its message names the
                channel, never its address.
        """
