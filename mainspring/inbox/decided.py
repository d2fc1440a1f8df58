"""What people decided, as pages show it: `replaying` reads it out of the histories of runs."""

import asyncio
from typing import NamedTuple

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from mainspring.errors import LedgerError, PayloadError
from mainspring.inbox.evidence import read_history
from mainspring.inbox.fields import Change, shown
from mainspring.inbox.waiting import fetch_page, page_name, read_page
from mainspring.replaying import Decided, Entry, read_decisions

AT_ONCE = 4
"""How many histories are read at the same time."""
_PAGE = 15
"""Runs of one page: each costs a reading of its whole history."""


class Shown(NamedTuple):
    """A decision, and as texts what a person said, answered and changed."""

    of: Decided
    said: str
    answer: str
    changes: tuple[Change, ...]


class Page(NamedTuple):
    """Decisions, the newest first, of so many runs, of which some could not be read.

    `next` is where the next page begins ("" for nowhere).
    """

    decided: tuple[Shown, ...]
    runs: int
    next: str
    unread: int = 0


async def list_decided(client: Client, token: str, run: str = "") -> Page:
    """A page of decisions: those of the newest runs, or of one run alone.

    Raises:
        SetupError: the server does not list runs.
    """
    query = f"WorkflowId = '{run}'" if run else ""
    if "'" in run or "\\" in run:  # no run of ours; and nobody writes queries of their own here
        return Page((), 0, "")
    runs = client.list_workflows(query, page_size=_PAGE, next_page_token=read_page(token))
    page = await fetch_page(runs, "its runs")
    room = asyncio.Semaphore(AT_ONCE)

    async def read(each: WorkflowExecution) -> list[Shown] | None:
        async with room:
            return await read_decided(client, each.id, each.run_id)

    found = await asyncio.gather(*map(read, page))
    decided = sorted((each for some in found for each in some or ()), key=lambda each: -each.of.at)
    return Page(tuple(decided), len(page), page_name(runs.next_page_token), unread=found.count(None))


async def find_decided(client: Client, run: str, number: str) -> Shown | None:
    """How a request of a run's newest execution was decided; None where its history does not tell."""
    return next((each for each in await read_decided(client, run) or () if each.of.request == number), None)


async def read_decided(client: Client, run: str, run_id: str | None = None) -> list[Shown] | None:
    """What was decided in one execution; nothing where it is no run of Mainspring, or its history is gone.

    None where something of it cannot be read, such as a large payload that is kept elsewhere.
    """
    try:
        entry = Entry(run, await read_history(client, run, run_id))
        return [_shown(each) for each in await read_decisions(entry, client.data_converter)]
    except (RPCError, LedgerError, ValueError):  # a ValueError: another's workflow
        return []
    except PayloadError:
        return None


def _shown(it: Decided) -> Shown:
    said = dict.fromkeys(each for each in (it.reason, it.comment) if each)
    changes = (Change(name, shown(old), shown(new)) for name, (old, new) in it.changes.items())
    return Shown(it, ". ".join(said), shown(it.answer), tuple(changes))
