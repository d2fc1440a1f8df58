"""What the ways to send a notice have in common. Activity side.

Each makes one attempt: Temporal owns retries. None says where it sends to, neither in an error nor in its `repr`.
"""

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import NamedTuple

from mainspring.ports.notifier import Notice

_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


class Links(NamedTuple):
    """Where a request is shown: in Temporal's Web UI, and in the inbox; "" where there is none."""

    ui: str = ""
    inbox: str = ""


class Words(NamedTuple):
    """A notice in words: a title of one line, and a text, which may be HTML."""

    title: str
    text: str
    is_html: bool = False


class Message(NamedTuple):
    """What is sent to a channel."""

    notice: Notice
    words: Words
    links: Links
    person: str = ""


class NotSent(Exception):  # noqa: N818 - turned into a NotifyError, which names the channel
    """It was not taken; the message says why, without the address."""

    def __init__(self, why: str, *, retryable: bool) -> None:
        """Keep whether another attempt can help."""
        super().__init__(why)
        self.retryable = retryable


class Way(ABC):
    """One way to send to one address."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Send it, in one attempt.

        Raises:
            NotSent: it was not taken.
        """


def refused(status: int) -> NotSent:
    """What an HTTP status that is no success means: the fault of a server may pass, ours does not."""
    retryable = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN
    return NotSent(f"it was answered with status {status}", retryable=retryable)
