"""Decides many requests: each once, some at a time, with a tally of what came of it. The edge."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mainspring.approving.sending import EndedError, RefusedError, UnansweredError, deliver
from mainspring.cli.approvals_listed import Waiting, visible
from mainspring.cli.rule_list import counted
from mainspring.contracts import names
from mainspring.core.approvals import UNCHANGED, Decision, told
from mainspring.core.canonical import canonical, digest
from mainspring.core.deciding import deciders
from mainspring.errors import MainspringError, UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

AT_ONCE = 4
"""Updates under way to one run. Over ten, the server drops what the run is doing; and others may be deciding too."""

PATIENCE = 6
"""How often one decision is sent while others are answered: a worker that has much to do takes its time."""

How = Literal["done", "late", "refused", "unanswered"]


@dataclass(frozen=True)
class Order:
    """What is said to each request: the update `name`, and what its form has beside the request's number.

    `person` is who says it, "" for this machine's user.
    """

    name: Literal["approve", "deny"]
    form: dict[str, Any]
    person: str = ""

    @property
    def done(self) -> str:
        """What was done with those that took it."""
        return {names.APPROVE: "approved", names.DENY: "denied"}[self.name]

    def fits(self, each: Waiting) -> bool:
        """Whether such a request can be decided so: a question has no approval, an outcome neither."""
        return each.request.kind in ({"approval", "review"} | ({"question"} if self.name == names.DENY else set[str]()))

    def update_id(self, each: Waiting, first: str, person: str) -> str:
        """The id of the update: of the run, the request, what is said to it, and who says it.

        It is another one where the request was changed, or others may decide by now: who was refused before is heard
        again.
        """
        request = each.request
        now = [request.binding, request.stage, deciders(request)]
        return digest(canonical([first, request.id, now, self.name, self.form, person]))


@dataclass(frozen=True)
class Told:
    """What came of one decision, in words."""

    waiting: Waiting
    how: How
    said: str

    def __str__(self) -> str:
        """A line about it."""
        return visible(f"{self.waiting.run}, request {self.waiting.request.id}: {self.said}")


@dataclass
class Tally:
    """What came of all. `count` is how many were to be decided."""

    order: Order
    count: int
    told: list[Told] = field(default_factory=list[Told])

    @property
    def is_fine(self) -> bool:
        """Whether all went through."""
        return sum(each.how == "done" for each in self.told) == self.count

    def sums(self) -> dict[str, int]:
        """Counts for a program."""
        found = Counter(each.how for each in self.told)
        keys = {"done": self.order.done, "late": "decided_by_others", "refused": "refused", "unanswered": "unanswered"}
        return {said: found[how] for how, said in keys.items()} | {"not_sent": self.count - len(self.told)}

    def lines(self) -> list[str]:
        """The same in words, with how to go on."""
        sums = self.sums()
        said = [f"{self.order.done.capitalize()}: {sums[self.order.done]} of {counted(self.count, 'request')}."]
        if sums["decided_by_others"]:
            said.append(f"Decided by others already: {sums['decided_by_others']}.")
        reasons = Counter(_general(each.said) for each in self.told if each.how == "refused")
        said += [f"Refused: {number}. {reason}" for reason, number in reasons.most_common()]
        if sums["unanswered"]:
            said.append(f"Not answered: {sums['unanswered']}. Nobody knows yet whether these count.")
        if sums["not_sent"]:
            said.append(f"Not sent: {sums['not_sent']}.")
        if sums["unanswered"] or sums["not_sent"]:
            said.append("Type the same command again to go on: whatever was sent before counts once.")
        return said


class Sending:
    """Sends an order to many requests; `tell` hears what came of each, as it comes."""

    def __init__(self, client: "Client", order: Order, jobs: int, tell: Callable[[Told], None]) -> None:
        self._client, self._order, self._tell = client, order, tell
        self._slots = asyncio.Semaphore(jobs)
        self._slots_of: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._first: dict[str, asyncio.Task[str]] = {}
        self._stopped = False
        self._answered = 0

    async def through(self, waiting: list[Waiting]) -> None:
        """Send it to all of them. Cancelled, it sends no more, and ends when what is under way has been answered.

        Raises:
            CancelledError: it was.
        """
        everything = asyncio.gather(*(self._one(each) for each in waiting))
        try:
            await asyncio.shield(everything)
        except asyncio.CancelledError:
            self._stopped = True
            await everything
            raise

    async def _one(self, each: Waiting) -> None:
        async with self._slots_of[each.run_id], self._slots:
            if not self._stopped:
                self._tell(await self._send(each))

    async def _send(self, each: Waiting) -> Told:
        form, first = {"request": each.request.id, "binding": each.request.binding, **self._order.form}, ""
        try:
            first = await self._first_of(each)
            update = self._order.update_id(each, first, self._client.identity)
            said = await self._until_answered(each, form, update, first)
        except RefusedError as error:
            self._answered += 1
            return Told(each, "late" if str(error).endswith(UNCHANGED) else "refused", str(error))
        except EndedError as error:
            return await self._after_its_end(each, first, str(error))
        except UsageError as error:
            return Told(each, "unanswered", str(error))
        self._answered += 1
        return Told(each, "done", said)

    async def _until_answered(self, each: Waiting, form: dict[str, Any], update: str, first: str) -> str:
        """Send it under its id; again, where others were answered meanwhile, so that there is somebody."""
        attempt = 0
        while True:
            attempt, before = attempt + 1, self._answered
            try:
                return await deliver(self._client, each.run, self._order.name, form, update_id=update, first=first)
            except UnansweredError:
                if self._stopped or self._answered == before or attempt == PATIENCE:
                    raise

    async def _first_of(self, each: Waiting) -> str:
        """The run id of the run's first execution, asked for once."""
        if each.run_id not in self._first:
            self._first[each.run_id] = asyncio.create_task(self._describe(each))
        return await self._first[each.run_id]

    async def _describe(self, each: Waiting) -> str:
        from temporalio.service import RPCError

        from mainspring.cli import runs

        try:
            found = await self._client.get_workflow_handle(each.run, run_id=each.run_id).describe()
        except RPCError as error:
            raise UsageError(f"The server says nothing of run {each.run!r}: {error.message}.") from None
        return runs.first_of(found) or each.run_id

    async def _after_its_end(self, each: Waiting, first: str, why: str) -> Told:
        """A run that has ended tells nobody who was faster, but its history does."""
        from mainspring.cli import runs
        from mainspring.replaying import fetch, read_decisions

        number = each.request.id
        try:
            newest = await runs.find(self._client, each.run)
            goes_on = newest is not None and runs.first_of(newest) == first  # or the name is that of another run by now
            entry = await fetch(self._client, each.run, newest.run_id if newest and goes_on else each.run_id)
            decisions = await read_decisions(entry, self._client.data_converter)
        except MainspringError:
            return Told(each, "refused", why)
        for decision in decisions:
            if decision.request == number:
                said = told(each.request, Decision(request=number, choice=decision.choice))
                return Told(each, "late", f"{said} The run has ended since. {UNCHANGED}")
        return Told(each, "refused", why)


def json_line(each: Told, order: Order) -> str:
    """What came of one decision, for a program."""
    request = each.waiting.request
    results = {"done": order.done, "late": "decided by others", "refused": "refused", "unanswered": "unanswered"}
    place = {"run": each.waiting.run, "request": request.id, "kind": request.kind, "tool": request.tool}
    return json.dumps({**place, "result": results[each.how], "said": each.said})


def _general(said: str) -> str:
    """A refusal without the number of its request, so that equal reasons are counted together."""
    return re.sub(r"\b([Rr]equest) \d+\b", r"\1 N", said)
