"""Assembly of what decisions need besides a worker: keys, what checks tokens, and what tells people."""

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from mainspring.core.routes import Route
from mainspring.ports.notifier import Notifier
from mainspring.ports.verifier import Verifier
from mainspring.settings import Settings

if TYPE_CHECKING:
    from mainspring.adapters.approval_keys import ApprovalKeys


def open_approving(routes: Sequence[Route], settings: Settings) -> tuple[Callable[[], Verifier], Notifier | None]:
    """What checks who decides, and what tells them that they are to.

    Raises:
        SetupError: keys, a channel or a template cannot be used.
        PolicyError: a route tells a channel that there is not.
    """
    from mainspring.adapters.notifier import check_channels, open_notifier

    check_channels(routes, settings.notify)
    open_verifier = cache(partial(_open_verifier, settings))
    if settings.approvers or settings.approval_keys:  # a mistake in them is to be seen now
        open_verifier()
    if not settings.notify:
        return open_verifier, None
    sign = partial(_sign_link, settings)
    templates, ui, inbox = settings.notify_templates, settings.ui_url, settings.inbox_url
    return open_verifier, open_notifier(settings.notify, templates=templates, ui=ui, inbox=inbox, sign=sign)


def _open_verifier(settings: Settings) -> Verifier:
    from mainspring.adapters.verifier import open_verifier

    return open_verifier(settings.approvers, lambda: open_keys(settings).public())


def open_keys(settings: Settings) -> "ApprovalKeys":
    """The engine's own keys, made where there are none and none are set.

    Raises:
        SetupError: they cannot be used.
    """
    from mainspring.adapters.approval_keys import open_approval_keys

    return open_approval_keys(settings.approval_keys_file, make=not settings.approval_keys)


def _sign_link(settings: Settings, person: str, binding: str, until: float) -> str:
    """The token in a link, by which whoever gets it decides one request in this person's name."""
    now = time.time()
    return open_keys(settings).sign(person, binding=binding, now=now, seconds=max(1.0, until - now))
