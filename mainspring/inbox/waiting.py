"""What waits for people, over all runs: the server's list, and each run asked what it waits for."""

import asyncio
import base64
import binascii
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionAsyncIterator, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from mainspring.contracts import names
from mainspring.core.approvals import Kind, Request
from mainspring.errors import SetupError

AT_ONCE = 8
"""How many runs are asked at the same time."""
ANSWERS_WITHIN = 3.0
"""Seconds that a run has to say what it waits for; a worker that has to read its history needs some."""
SOON = 3600.0
"""Seconds before its deadline from which a request is due soon."""
_PAGE = 25
_LOOKED_AT = 200
"""How many runs one page looks at, at most, where filters leave few."""
_ALL_WITHIN = 8.0
_LISTS_WITHIN = 5.0

Silence = Literal["", "silent", "gone"]
"""Why a run said nothing: no worker answers, or it has ended or is not there."""


@dataclass(frozen=True)
class Waiting:
    """A request that waits, and the run it is of; without a request, a run whose worker does not answer."""

    run: str
    run_id: str
    agent: str
    request: Request | None = None


@dataclass(frozen=True)
class Filter:
    """Which requests are listed: "", None and False stand for all. `mine` says which are for who looks."""

    tool: str = ""
    agent: str = ""
    kind: Kind | Literal[""] = ""
    mine: Callable[[Request], bool] | None = None
    soon: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything is left out."""
        return bool(self.tool or self.agent or self.kind or self.mine or self.soon)

    def fits(self, waiting: Waiting, now: float) -> bool:
        """Whether it is listed. A run that does not answer is, since nobody knows what it asks."""
        request = waiting.request
        if request is None:
            return True
        return (
            self.tool in ("", request.tool)
            and self.agent in ("", request.agent)
            and self.kind in ("", request.kind)
            and (self.mine is None or self.mine(request))
            and (not self.soon or request.deadline - now <= SOON)
        )


@dataclass(frozen=True)
class Listed:
    """One page: what waits, the soonest first; `next` is where the next page begins ("" where this is the last)."""

    waiting: tuple[Waiting, ...]
    looked_at: int
    next: str = ""


async def list_waiting(client: Client, wanted: Filter, token: str, now: float) -> Listed:
    """A page of what waits: pages of the server's list, until there is enough to show.

    Raises:
        SetupError: the server does not list them; most likely the search attribute is not registered.
    """
    runs = client.list_workflows(names.WAITING_RUNS, page_size=_PAGE, next_page_token=read_page(token))
    until = time.monotonic() + _ALL_WITHIN
    found: list[Waiting] = []
    looked_at = 0
    while True:
        page = await fetch_page(
            runs, "what waits", "Where the search attribute is missing, 'mainspring setup' adds it."
        )
        looked_at += len(page)
        found += [each for each in await _ask_all(client, page, until) if wanted.fits(each, now)]
        onwards = page_name(runs.next_page_token)
        if not onwards or len(found) >= _PAGE or looked_at >= _LOOKED_AT or time.monotonic() > until:
            break
    in_order = sorted(found, key=lambda each: each.request.deadline if each.request else float("inf"))
    return Listed(tuple(in_order), looked_at, onwards)


async def fetch_page(runs: WorkflowExecutionAsyncIterator, what: str, hint: str = "") -> Sequence[WorkflowExecution]:
    """The next page of the server's list.

    Raises:
        SetupError: the server does not give it; the message says `what` is not listed, then `hint`.
    """
    try:
        async with asyncio.timeout(_LISTS_WITHIN):  # the SDK goes on asking where a page was never one
            await runs.fetch_next_page()
    except (RPCError, TimeoutError) as error:
        why = error.message if isinstance(error, RPCError) else "it does not answer, or the page is none of its list"
        raise SetupError(f"The Temporal server does not list {what}: {why}. {hint}".rstrip()) from None
    return runs.current_page or ()


async def ask_run(client: Client, run: str, run_id: str | None = None) -> tuple[Sequence[Request], Silence]:
    """What a run waits for; where it does not say, why."""
    handle = client.get_workflow_handle(run, run_id=run_id)
    patience = timedelta(seconds=ANSWERS_WITHIN)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await handle.query(names.WAITING, result_type=list[Request], rpc_timeout=patience), ""
    except RPCError as error:
        return (), "gone" if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT) else "silent"
    except WorkflowQueryFailedError:  # no run of Mainspring
        return (), "gone"
    except TimeoutError:
        return (), "silent"


async def _ask_all(client: Client, runs: Iterable[WorkflowExecution], until: float) -> list[Waiting]:
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(run: WorkflowExecution) -> list[Waiting]:
        about = (run.id, run.run_id, run.workflow_type)
        async with room:
            # Runs of a worker that is gone must not hold up the page for each of them.
            if time.monotonic() > until:
                return [Waiting(*about)]
            requests, silence = await ask_run(client, run.id, run.run_id)
        if silence == "silent":
            return [Waiting(*about)]
        return [Waiting(run.id, run.run_id, run.workflow_type, request) for request in requests]

    return [each for found in await asyncio.gather(*map(ask, runs)) for each in found]


def page_name(token: bytes | None) -> str:
    """A place in the server's list, as it stands in an address."""
    return base64.urlsafe_b64encode(token).decode() if token else ""


def read_page(name: str) -> bytes | None:
    """Such a place, or the beginning where the address holds none."""
    try:
        return base64.b64decode(name, altchars=b"-_", validate=True) or None
    except (ValueError, binascii.Error):
        return None
