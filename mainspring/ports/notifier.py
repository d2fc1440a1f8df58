"""The notifier port: tells people that a request waits for them."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from mainspring.core.canonical import Value

Occasion = Literal["asked", "reminded", "escalated", "handed over", "decided"]


class Channel(Value):
    """A place to tell people at, as an entry of the setting `notify` has it; a text alone is its `url`.

    `url` and `secret` are secrets: neither stands in its `repr`. `person` is who alone reads it, so that a link in a
    notice can let its reader decide. `templates` is a folder of texts that are this channel's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(min_length=1, repr=False)
    secret: str = Field(default="", repr=False)
    person: str = Field(default="", pattern=r"^\S*$")
    templates: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        return {"url": given} if isinstance(given, str) else given


class Notice(Value):
    """What people are told of a request: never what the call is made with, or what a person said.

    `key` is the same in every attempt at one telling of one channel. `at` (when there was something to tell) and
    `deadline` (0: none) are in seconds since 1970, `reason` in the policy's words, `who` are those who may decide.
    `binding` is what a link that lets its reader decide is bound to (`Request.binding`).
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
    who: tuple[str, ...] = ()
    at: float = 0.0


class Notifier(ABC):
    """Sends notices to channels, each of which the settings name."""

    @abstractmethod
    async def send(self, channel: str, notice: Notice) -> None:
        """Tell a channel, once: a second call with the same `Notice.key` may come after a crash.

        Called once per attempt; the engine owns retries, so an implementation must not retry.

        Raises:
            NotifyError: it was not taken; `retryable` says whether another attempt can help. Its message names the
                channel, never its address.
        """
