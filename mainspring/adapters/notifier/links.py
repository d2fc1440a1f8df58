"""Where a request is shown. Activity side."""

from collections.abc import Callable
from urllib.parse import quote

from mainspring.adapters.notifier.ways import Links
from mainspring.core.words import request_path
from mainspring.ports.notifier import Notice

Sign = Callable[[str, str, float], str]
"""Gives the token by which a person decides what is bound to a binding, until a moment (seconds since 1970)."""


def links_of(notice: Notice, *, ui: str, inbox: str, person: str = "", sign: Sign | None = None) -> Links:
    """The links to a request: `ui` and `inbox` are the addresses of the two, "" where there is none.

    For a `person` the link to the inbox lets its reader decide in their name, as long as there is something to decide.
    """
    namespace, run, execution = (quote(each, safe="") for each in (notice.namespace, notice.run, notice.execution))
    to_ui = f"{ui.rstrip('/')}/namespaces/{namespace}/workflows/{run}/{execution}/user-metadata" if ui else ""
    if not inbox:
        return Links(ui=to_ui)
    about = (notice.namespace, notice.run, notice.request)
    is_open = notice.occasion != "decided" and notice.deadline > 0  # a link that never expires is none to send around
    if person and sign and notice.binding and is_open:
        token = quote(sign(person, notice.binding, notice.deadline), safe="")
        return Links(ui=to_ui, inbox=f"{inbox.rstrip('/')}{request_path(*about, kind='link')}?t={token}")
    return Links(ui=to_ui, inbox=inbox.rstrip("/") + request_path(*about))
