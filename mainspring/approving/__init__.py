"""Assembly of what decisions need besides a worker: keys, what checks tokens, what tells people, how one is sent."""

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

_SECONDS = 300.0
"""How long a token of somebody who logged in is good."""


def open_approving(routes: Sequence[Route], settings: Settings) -> tuple[Callable[[], Verifier], Notifier | None]:
    """What checks who decides, and what tells them that they are to.

    Raises:
        SetupError: keys, a channel or a template cannot be used.
        PolicyError: a route tells a channel that there is not.
    """
    from mainspring.adapters.notifier import check_channels, open_notifier

    check_channels(routes, settings.notify)
    open_verifier = cache(partial(open_own_verifier, settings))
    if settings.approvers or settings.approval_keys:  # a mistake in them is to be seen now
        open_verifier()
    if not settings.notify:
        return open_verifier, None
    sign = partial(_sign_link, cache(partial(open_keys, settings)))
    templates, ui, inbox = settings.notify_templates, settings.ui_url, settings.inbox_url
    return open_verifier, open_notifier(settings.notify, templates=templates, ui=ui, inbox=inbox, sign=sign)


def open_own_verifier(settings: Settings) -> Verifier:
    """What checks tokens of those whom the settings trust, and of the engine itself.

    Raises:
        SetupError: keys cannot be used.
    """
    from mainspring.adapters.verifier import open_verifier

    keys = cache(partial(open_keys, settings))  # which are read again when they change
    return open_verifier(settings.approvers, lambda: keys().public())


def open_keys(settings: Settings) -> "ApprovalKeys":
    """The engine's own keys, made where there are none and none are set.

    Raises:
        SetupError: they cannot be used.
    """
    from mainspring.adapters.approval_keys import open_approval_keys

    return open_approval_keys(settings.approval_keys_file, make=not settings.approval_keys)


def _sign_link(keys: "Callable[[], ApprovalKeys]", person: str, binding: str, until: float) -> str:
    """The token in a link, by which whoever gets it decides one request in this person's name."""
    now = time.time()
    return keys().sign(person, binding=binding, now=now, seconds=max(1.0, until - now))


def sign_in(keys: "ApprovalKeys", person: str, roles: Sequence[str], binding: str, form: str) -> str:
    """The token by which somebody who logged in decides one thing, within a few minutes."""
    return keys.sign(person, roles=tuple(roles), binding=binding, form=form, now=time.time(), seconds=_SECONDS)
