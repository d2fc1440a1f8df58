"""Links to lists in the Web UI. The edge.

Columns and saved views live in each browser, so a link is what can be handed out.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from mainspring.contracts.names import DECIDERS, DUE, WAITING_RUNS

SOON = timedelta(days=1)


class Link(NamedTuple):
    """What a list of runs shows, and the list query behind it."""

    what: str
    query: str

    def at(self, ui_url: str, namespace: str = "default") -> str:
        """The page of a Web UI that lists it."""
        return (
            f"{ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows?query={quote(self.query, safe='')}"
        )


def lists(groups: Iterable[str], task_queue: str, now: datetime) -> list[Link]:
    """The lists that people who decide or operate want; `now` has a time zone.

    A query knows no "today", so what is due is listed by a date, and the link grows old with it.
    """
    soon = (now + SOON).strftime("%Y-%m-%dT%H:%M:00Z")
    return [
        Link("what waits", WAITING_RUNS),
        Link("what is overdue", f"{DUE} < '{now:%Y-%m-%dT%H:%M:00Z}' AND ExecutionStatus = 'Running'"),
        Link(f"what is due by {now + SOON:%Y-%m-%d %H:%M} UTC", f"{DUE} < '{soon}' AND ExecutionStatus = 'Running'"),
        *(Link(f"what waits for {each}", f"{DECIDERS} = {text(each)} AND {WAITING_RUNS}") for each in groups),
        Link("what failed", f"ExecutionStatus = 'Failed' AND TaskQueue = {text(task_queue)}"),
    ]


def text(value: str) -> str:
    """A text in a list query. A double quote or backslash is more than some servers take."""
    return "'" + value.replace("'", "''") + "'"
