"""Every service that apprise knows, by its URL: chats, paging, text messages. Activity side.

apprise works in threads of its own. What it tells of a failure is only in its log, and there with the address; so we
read the status out of it, and nobody else gets it.
"""

import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, cast

from typing_extensions import override

from mainspring.adapters.notifier.quiet import hushed
from mainspring.adapters.notifier.ways import Message, NotSent, Way, refused
from mainspring.errors import SetupError
from mainspring.ports.notifier import Channel, Occasion

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

_STATUS = re.compile(r"\berror[=: ]+([1-5][0-9]{2})\b")
_TYPES: dict[Occasion, str] = {"reminded": "warning", "escalated": "warning", "decided": "success"}


class ServiceWay(Way):
    """Sends by one of apprise's services."""

    def __init__(self, url: str, *, seconds: float) -> None:
        """Take a URL that `open_service` can open."""
        self._url = url
        self._seconds = seconds

    @override
    async def send(self, message: Message) -> None:
        from apprise import Apprise, NotifyFormat

        words = message.words
        with hushed() as heard:
            # A new one each time: one that is kept waits between notices, and is not made for several threads.
            service = open_service(self._url, seconds=self._seconds)
            result = service and await Apprise([service], asset=service.asset).async_notify(
                body=words.text or words.title,
                title=words.title,
                notify_type=_TYPES.get(message.notice.occasion, "info"),
                body_format=NotifyFormat.HTML if words.is_html else NotifyFormat.TEXT,
            )
        if not result:
            raise _failure(heard)


def open_service(url: str, *, seconds: float) -> "NotifyBase | None":
    """The service that a URL names, with apprise's own retries off; None where it names none, or lacks a part."""
    from apprise import Apprise, AppriseAsset

    _load()
    with hushed():
        asset = AppriseAsset(
            app_id="Mainspring",
            app_desc="Mainspring",
            app_url="",
            storage_mode="memory",
            service_timeout=seconds,
            allow_templates=False,
        )
        instantiate = cast("Callable[..., NotifyBase | None]", Apprise.instantiate)
        service = instantiate(url, asset=asset)
    if service is not None:
        service.retry = 0
        service.optional = False  # a failure is told as one, whatever the URL says
    return service


def check_service(name: str, channel: Channel, *, seconds: float) -> "NotifyBase":
    """The service of a channel.

    Raises:
        SetupError: its URL names none, or lacks a part; the message does not hold it.
    """
    service = open_service(channel.url, seconds=seconds)
    if service is None:
        raise SetupError(
            f"the channel {name!r} of 'notify' has a URL that cannot be used: it names no service, or lacks a part. "
            "Write it like 'mailto://…', 'slack://…' or 'webhook+https://…'; https://appriseit.com/services/ has all."
        )
    return service


@cache
def _load() -> None:
    """Load apprise's services; one of them imports a module that Python warns of."""
    from apprise.manager_plugins import NotificationManager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        cast("Callable[[], None]", NotificationManager().load_modules)()


def _failure(heard: list[str]) -> NotSent:
    for line in heard:
        if found := _STATUS.search(line):
            return refused(int(found[1]))
    return NotSent("it could not be reached, or did not take it", retryable=True)
