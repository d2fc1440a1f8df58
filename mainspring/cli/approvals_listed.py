"""What waits for a person, over many runs: asks each run, and shows it as a table or as lines of JSON. The edge."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mainspring.cli.rule_list import counted
from mainspring.contracts import names
from mainspring.core.approvals import Kind, Request
from mainspring.core.canonical import Json, canonical
from mainspring.core.deciding import agreed, deciders, who_decides
from mainspring.core.routes import People, person_name

if TYPE_CHECKING:
    from rich.table import Table
    from temporalio.client import Client

ANSWERS_WITHIN = timedelta(seconds=10)
"""How long a run's worker may take to say what waits."""


_HEADS = (
    "run",
    "request",
    "kind",
    "tool",
    "agent",
    "reason",
    "waiting since",
    "deadline (UTC)",
    "who may decide",
    "votes",
)
_LEAST = ("run", "request", "tool", "deadline (UTC)", "who may decide", "votes")
"""What stands in a table that has less than `WIDE` columns."""
WIDE = 140


@dataclass(frozen=True)
class Waiting:
    """A request that waits in an execution of a run."""

    run: str
    run_id: str
    request: Request


@dataclass(frozen=True)
class Mute:
    """A run that waits, of which nobody says for what."""

    run: str
    run_id: str
    problem: str


@dataclass(frozen=True)
class Wanted:
    """Which requests are meant; what is "" does not matter. `limit` is how many at most.

    `people` says by which names somebody who is named as `decider` is known on a `day`.
    """

    where: str = ""
    tool: str = ""
    agent: str = ""
    kind: Kind | None = None
    decider: str = ""
    limit: int | None = None
    people: Mapping[str, People] = field(default_factory=dict[str, People])
    day: str = ""

    @property
    def query(self) -> str:
        """The list query for runs in which such requests may wait."""
        return f"{names.WAITING_RUNS} AND ({self.where})" if self.where else names.WAITING_RUNS

    def fits(self, request: Request) -> bool:
        """Whether this request is meant."""
        return (
            self.tool in ("", request.tool)
            and self.agent in ("", request.agent)
            and self.kind in (None, request.kind)
            and (not self.decider or not self._known(request.agent).isdisjoint(deciders(request)))
        )

    def _known(self, agent: str) -> frozenset[str]:
        people = self.people.get(agent, People())
        return frozenset((self.decider, *people.names_of(person_name(self.decider), (), self.day)))


async def find(
    client: "Client", wanted: Wanted, jobs: int, asked: Callable[[int], None]
) -> tuple[list[Waiting], list[Mute]]:
    """What waits, what has waited longest first, and the runs that do not answer. `asked` is told how many were asked.

    Raises:
        SetupError: the server refuses the query.
    """
    found: list[Waiting] = []
    mute: list[Mute] = []
    number = 0
    async with aclosing(_answers(client, wanted.query, jobs)) as answers:
        async for answer in answers:
            number += 1
            asked(number)
            if isinstance(answer, Mute):
                mute.append(answer)
            else:
                found += [each for each in answer if wanted.fits(each.request)]
            if wanted.limit is not None and len(found) >= wanted.limit:
                break
    found = found[: wanted.limit]
    return sorted(found, key=lambda each: (each.request.asked, each.run, int(each.request.id))), mute


async def _answers(client: "Client", query: str, jobs: int) -> AsyncGenerator[list[Waiting] | Mute]:
    """What each run says, in the server's order; `jobs` runs are asked at a time."""
    from mainspring.replaying import listed

    under_way: deque[asyncio.Task[list[Waiting] | Mute]] = deque()
    try:
        async for run, run_id in listed(client, "", None, query, None):
            under_way.append(asyncio.create_task(_ask(client, run, run_id)))
            if len(under_way) >= jobs:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for each in under_way:
            each.cancel()


async def _ask(client: "Client", run: str, run_id: str) -> list[Waiting] | Mute:
    """Ask the very execution that was listed: by its name alone, a later run might answer."""
    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError, RPCStatusCode

    silence = (RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION)
    handle = client.get_workflow_handle(run, run_id=run_id)
    try:
        requests = await handle.query(names.WAITING, result_type=list[Request], rpc_timeout=ANSWERS_WITHIN)
    except RPCError as error:
        said = "no worker answers" if error.status in silence else error.message
        return Mute(run, run_id, said)
    except WorkflowQueryFailedError as error:
        return Mute(run, run_id, f"it does not say what waits: {error}")
    except ValueError as error:  # a worker that is newer than this command
        return Mute(run, run_id, f"what it says cannot be read: {str(error).splitlines()[0]}")
    return [Waiting(run, run_id, each) for each in requests]


def table(found: Iterable[Waiting], mute: Iterable[Mute], *, args: bool, wide: bool = True) -> "Table":
    """A line for each request; what the call is made with only where it is wanted, and the least where it is narrow."""
    from rich.table import Table

    keep = [*(_HEADS if wide else _LEAST), *(["arguments"] if args else [])]
    shown = Table(*keep, box=None, pad_edge=False)
    for each in found:
        cells = _cells(each)
        shown.add_row(*(plain(cells[name]) for name in keep))
    for each in mute:
        unknown = {"run": each.run, "request": "?", "who may decide": f"not known: {each.problem}"}
        shown.add_row(*(plain(unknown.get(name, "")) for name in keep))
    for column in shown.columns:
        column.overflow = "fold"
    return shown


def _cells(each: Waiting) -> dict[str, str]:
    request = each.request
    return {
        "run": each.run,
        "request": request.id,
        "kind": request.kind,
        "tool": request.tool,
        "agent": request.agent,
        "reason": request.reason,
        "waiting since": moment(request.asked),
        "deadline (UTC)": moment(request.deadline),
        "who may decide": who_decides(request) or "anybody",
        "votes": _votes(request),
        "arguments": canonical(request.args),
    }


def line(each: Waiting | Mute, *, args: bool) -> dict[str, Any]:
    """The same for a program."""
    place = {"run": each.run, "run_id": each.run_id}
    if isinstance(each, Mute):
        return {**place, "problem": each.problem}
    request, route = each.request, each.request.route
    said = request.model_dump(include={"kind", "tool", "agent", "rule", "reason", "stage"})
    votes = [{"person": vote.identity.person, "choice": vote.choice} for vote in request.votes]
    needed = {"who": deciders(request), "need": route.votes if route else 1, "verified": bool(route and route.verified)}
    times = {"since": stamp(request.asked), "deadline": stamp(request.deadline)}
    shown: dict[str, Json] = {"args": request.args} if args else {}
    return {**place, "request": request.id, **said, **times, **needed, "votes": votes, **shown}


def summary(found: list[Waiting], mute: list[Mute]) -> str:
    """Sentences about all of it."""
    runs = counted(len({each.run_id for each in found}), "run")
    waits = f"{counted(len(found), 'request')} {'waits' if len(found) == 1 else 'wait'} in {runs}."
    said = waits if found else "Nothing else that is asked for waits for a person." if mute else ""
    if not mute:
        return said or "Nothing that is asked for waits for a person."
    does = "waits but does not answer" if len(mute) == 1 else "wait but do not answer"
    return f"{said} {counted(len(mute), 'run')} {does}, so nobody knows for what: see that its worker runs."


def moment(seconds: float) -> str:
    """A time as people read it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" if seconds else ""


def stamp(seconds: float) -> str:
    """A time as programs read it (ISO 8601), in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else ""


def plain(text: str) -> str:
    """A text that a table takes as it is."""
    from rich.markup import escape

    return escape(visible(text))


def visible(text: str) -> str:
    """A text on one line, with nothing in it that would steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def _votes(request: Request) -> str:
    people = ", ".join(vote.identity.person or vote.identity.by for vote in request.votes)
    needed = request.route.votes if request.route else 1
    return f"{agreed(request)} of {needed}: {people}".removesuffix(": ") if needed > 1 or people else ""
