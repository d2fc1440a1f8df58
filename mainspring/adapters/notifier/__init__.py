"""Tells people by mail, chat or webhook that a request waits for them. Activity side.

A channel's URL says how: `webhook+https://…` is a signed webhook, `mailto://…` a mail, and all else is for apprise,
which takes a second to load, so only where there is a channel.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring.core.routes import Route
from mainspring.errors import PolicyError, did_you_mean
from mainspring.ports.notifier import Channel, Notifier

if TYPE_CHECKING:
    from mainspring.adapters.notifier.links import Sign
    from mainspring.adapters.notifier.ways import Way

SECONDS = 10.0
"""How long one attempt at one channel may take."""


def open_notifier(
    channels: Mapping[str, Channel],
    *,
    templates: Path | None = None,
    ui: str = "",
    inbox: str = "",
    sign: "Sign | None" = None,
    seconds: float = SECONDS,
) -> Notifier:
    """Give a notifier for the channels of the settings.

    `templates` is a folder whose files go before ours, `ui` and `inbox` are addresses that links begin with ("": there
    are none), and `sign` gives the token of a person for a binding until a moment, for links that let them decide.

    Raises:
        SetupError: a channel or a template is wrong; it names the channel or the file, never an address.
    """
    from mainspring.adapters.notifier.sending import ChannelNotifier, Line
    from mainspring.adapters.notifier.wording import Wording

    common = [templates] if templates else []
    wording = Wording(common)
    lines = {
        name: Line(
            way=_way(name, channel, seconds),
            wording=Wording([channel.templates, *common]) if channel.templates else wording,
            person=channel.person,
        )
        for name, channel in channels.items()
    }
    return ChannelNotifier(lines, seconds=seconds, ui=ui, inbox=inbox, sign=sign)


def check_channels(routes: Iterable[Route], channels: Collection[str]) -> None:
    """Check that the settings have every channel that a route notifies.

    Raises:
        PolicyError: one is missing; it names the file with the line, the route and the channel.
    """
    for route in routes:
        for name in route.notify:
            if name not in channels:
                known = did_you_mean(name, channels)
                raise PolicyError(
                    route.source,
                    route.at[0],
                    f"the route {route.id!r} notifies {name!r}, a channel that the settings do not have (the table "
                    f"'notify' in 'mainspring.toml').{known}",
                    route.at[1],
                )


def _way(name: str, channel: Channel, seconds: float) -> "Way":
    from mainspring.adapters.notifier.mail import MailWay, is_mail
    from mainspring.adapters.notifier.services import ServiceWay, check_service
    from mainspring.adapters.notifier.webhook import PREFIX, WebhookWay

    if channel.url.startswith(PREFIX):
        return WebhookWay(name, channel, seconds=seconds)
    is_smtp = is_mail(check_service(name, channel, seconds=seconds))
    return MailWay(channel.url, seconds=seconds) if is_smtp else ServiceWay(channel.url, seconds=seconds)
