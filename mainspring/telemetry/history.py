"""Reads out of a run's history what its trace is made of. Neither side; decodes, decides nothing.

Reading ends where the run schedules its `close`: that activity builds the last spans from the history up to there,
so whoever builds them later must see no more. Where the run was to go on in another execution, people may decide in
between, and who did so stands nowhere else; and it may end all the same, and close again: that is still read.
"""

import re
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from mainspring.contracts import names
from mainspring.contracts.carried import Carried
from mainspring.contracts.deciding import Identified, IdentifyWork
from mainspring.contracts.run import RunInput, read_input
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    Closing,
    Compaction,
    CompactWork,
    ModelAnswer,
    ModelCall,
    Step,
    ToolOutcome,
    ToolWork,
)
from mainspring.core.approvals import Identity, Request, Vote
from mainspring.core.canonical import Json
from mainspring.errors import InputError
from mainspring.telemetry.spans import Result, Work

Events = AsyncIterable[HistoryEvent] | Iterable[HistoryEvent]

PAYLOADS: dict[str, tuple[type[Work], type[Result]]] = {
    names.ADMIT: (AdmitRequest, Admission),
    names.CALL_MODEL: (ModelCall, ModelAnswer),
    names.CALL_TOOL: (ToolWork, ToolOutcome),
    names.COMPACT: (CompactWork, Compaction),
}
LOCAL = "core_local_activity"
OUTCOMES = {
    "workflow_execution_completed_event_attributes": "completed",
    "workflow_execution_failed_event_attributes": "failed",
    "workflow_execution_canceled_event_attributes": "cancelled",
    "workflow_execution_terminated_event_attributes": "terminated",
    "workflow_execution_timed_out_event_attributes": "timed out",
    "workflow_execution_continued_as_new_event_attributes": "continued",
}
AFTER_CLOSE = {
    "activity_task_scheduled_event_attributes",
    "marker_recorded_event_attributes",
    "timer_fired_event_attributes",
    "timer_canceled_event_attributes",
    "workflow_execution_update_accepted_event_attributes",
    "workflow_execution_update_completed_event_attributes",
}
"""Events that tell more of an execution that was to go on in another: another `close`, and what people decided."""
SUMMARY = re.compile(
    r"waiting for a person: (?P<tool>.+) \(request (?P<request>\d+), step (?P<step>[\d.]+)\)(?P<then>, then .*)?"
)
"""The summary of a timer behind a wait: its deadline, or what comes before that."""


@dataclass
class Activity:
    """One activity of a step. Times are nanoseconds since 1970; `error` is the type of its failure."""

    id: str
    work: Work
    scheduled: int
    event: int
    began: int | None = None
    ended: int | None = None
    result: Result | None = None
    error: str = ""


@dataclass
class Wait:
    """A request to a person, with the timer behind it: when it was asked, and when the wait ended, if it did.

    `deadline` is 0 as long as something else comes before it. `expired` is the event by which its last moment came (0:
    it has not), and `votes` are who had agreed before this execution.
    """

    request: str
    step: str
    tool: str
    asked: int
    event: int
    deadline: int
    ended: int | None = None
    expired: int = 0
    is_timed: bool = False
    votes: tuple[Vote, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has ended; what was carried along and decided at once has no timer here."""
        return self.ended is not None or not self.is_timed


@dataclass
class Click:
    """An update that was let in. `form` is its argument, or `said` where that is a plain text.

    Who sent it is only what they said; `known` is who it was as far as that was looked into. `taken` is the event by
    which the run took it, 0 as long as that is looked into, or where it did not in the end.
    """

    name: str
    form: dict[str, Json]
    identity: str
    at: int
    update: str = ""
    known: Identity | None = None
    taken: int = 0
    said: str = ""


@dataclass
class Facts:
    """Everything a trace is made of. `outcome` is "" while the run goes on; `error` is the type of its failure."""

    name: str = ""
    first: str = ""
    workflow_id: str = ""
    started: int = 0
    given: RunInput = field(default_factory=lambda: RunInput(input="?"))
    carried: Carried | None = None
    activities: list[Activity] = field(default_factory=list[Activity])
    waits: list[Wait] = field(default_factory=list[Wait])
    clicks: list[Click] = field(default_factory=list[Click])
    closing: Closing | None = None
    ended: int | None = None
    outcome: str = ""
    error: str = ""


async def read_facts(events: Events, converter: DataConverter) -> Facts:
    """Go through a history, oldest event first, up to its `close` or its end."""
    reader = _Reader(converter)
    if isinstance(events, AsyncIterable):
        async for event in events:
            if await reader.read(event):
                break
    else:
        for event in events:
            if await reader.read(event):
                break
    return reader.facts


class _Reader:
    def __init__(self, converter: DataConverter) -> None:
        self.facts = Facts()
        self._converter = converter
        self._activities: dict[int, Activity] = {}
        self._waits: dict[int, Wait] = {}
        self._looked_into: dict[int, str] = {}
        self._handlers: dict[str, Callable[[HistoryEvent, Any], Any]] = {
            "workflow_execution_started_event_attributes": self._started,
            "activity_task_scheduled_event_attributes": self._scheduled,
            "activity_task_started_event_attributes": self._began,
            "activity_task_completed_event_attributes": self._completed,
            "activity_task_failed_event_attributes": self._failed,
            "activity_task_timed_out_event_attributes": self._failed,
            "activity_task_canceled_event_attributes": self._failed,
            "timer_started_event_attributes": self._asked,
            "timer_fired_event_attributes": self._expired,
            "timer_canceled_event_attributes": self._decided,
            "workflow_execution_update_accepted_event_attributes": self._clicked,
            "workflow_execution_update_completed_event_attributes": self._taken,
            "marker_recorded_event_attributes": self._local,
        }

    async def read(self, event: HistoryEvent) -> bool:
        """Take in one event; true when there is no more to read."""
        which = event.WhichOneof("attributes") or ""
        if self.facts.closing and which not in AFTER_CLOSE:
            return False
        given = getattr(event, which) if which else None
        if which in OUTCOMES:
            self.facts.outcome, self.facts.ended = OUTCOMES[which], _time(event)
            if which == "workflow_execution_failed_event_attributes":
                self.facts.error = _error_type(cast("Any", given).failure)
        elif which in self._handlers:
            waiting = self._handlers[which](event, given)
            if waiting is not None:
                await waiting
        return self.facts.closing is not None and self.facts.closing.outcome != "continued"

    async def _started(self, event: HistoryEvent, given: Any) -> None:
        facts = self.facts
        facts.name, facts.first = given.workflow_type.name, given.first_execution_run_id
        facts.workflow_id, facts.started = given.workflow_id, _time(event)
        values = await self._decode(given.input.payloads)
        said = cast("dict[str, Any]", values[0]) if values and isinstance(values[0], dict) else {}
        run = said.get("run") if "carried" in said else None
        # A client may write what looks like a run under way; only the run itself can know its first execution.
        if isinstance(run, dict) and cast("dict[str, Any]", run).get("first") == facts.first:
            facts.carried = Carried.model_validate(said)
            facts.given = facts.carried.given
            facts.waits.extend(_waits_on(each, event) for each in facts.carried.questions.open)
            return
        try:
            facts.given = read_input(values, facts.name)
        except InputError:
            return  # the run failed of it, and says so

    async def _local(self, event: HistoryEvent, given: Any) -> None:
        """A local activity: known once it has ended, by what its result says of the work it was."""
        if given.marker_name != LOCAL:
            return
        (data,) = await self._decode(given.details["data"].payloads)
        kind, step, result = data["activity_type"], data["activity_id"], given.details["result"].payloads
        if kind == names.CLOSE and result:
            (self.facts.closing,) = await self._decode(result, Closing)
            self.facts.ended = self.facts.closing.ended if self.facts.closing else _time(event)
        elif kind in PAYLOADS:
            found = Activity(id=step, work=self._work(kind, step), scheduled=_time(event), event=event.event_id)
            found.ended = _time(event)
            if result:
                (found.result,) = await self._decode(result, PAYLOADS[kind][1])
                if work := getattr(found.result, "work", None):
                    found.work = work.full(step, self.facts.name)
            else:
                found.error = _error_type(given.failure)
            self.facts.activities.append(found)

    def _work(self, kind: str, step: str) -> Work:
        """What is known of the work of a local activity that failed: its step, and of which kind it was."""
        if kind == names.ADMIT:
            return AdmitRequest(name=self.facts.name, first=self.facts.first, input=self.facts.given)
        return ModelCall(step=Step(id=step)) if kind == names.CALL_MODEL else ToolWork(step=Step(id=step), tool="")

    async def _scheduled(self, event: HistoryEvent, given: Any) -> None:
        kind = given.activity_type.name
        if kind == names.CLOSE:
            (closing,) = await self._decode(given.input.payloads, Closing)
            self.facts.closing, self.facts.ended = closing, closing.ended or _time(event)
        elif kind == names.IDENTIFY:
            (asked,) = await self._decode(given.input.payloads, IdentifyWork)
            self._looked_into[event.event_id] = asked.update
            for click in self.facts.clicks:
                click.taken = 0 if click.update == asked.update else click.taken
        elif kind in PAYLOADS:
            (work,) = await self._decode(given.input.payloads, PAYLOADS[kind][0])
            work = work if kind == names.ADMIT else work.full(given.activity_id, self.facts.name)
            found = Activity(id=given.activity_id, work=work, scheduled=_time(event), event=event.event_id)
            self._activities[event.event_id] = found
            self.facts.activities.append(found)

    def _began(self, event: HistoryEvent, given: Any) -> None:
        if found := self._activities.get(given.scheduled_event_id):
            found.began = _time(event)

    async def _completed(self, event: HistoryEvent, given: Any) -> None:
        if update := self._looked_into.get(given.scheduled_event_id):
            (known,) = await self._decode(given.result.payloads, Identified)
            for click in self.facts.clicks:
                click.known = known.identity if click.update == update else click.known
        if found := self._activities.get(given.scheduled_event_id):
            result = next(kind for work, kind in PAYLOADS.values() if isinstance(found.work, work))
            (found.result,) = await self._decode(given.result.payloads, result)
            found.ended, found.event = _time(event), event.event_id

    def _failed(self, event: HistoryEvent, given: Any) -> None:
        if found := self._activities.get(given.scheduled_event_id):
            found.error = _error_type(given.failure) if hasattr(given, "failure") else "Cancelled"
            found.ended, found.event = _time(event), event.event_id

    async def _asked(self, event: HistoryEvent, given: Any) -> None:
        if not event.user_metadata.HasField("summary"):
            return
        (summary,) = await self._decode([event.user_metadata.summary])
        match = SUMMARY.fullmatch(str(summary))
        if match:
            at = _time(event)
            deadline = 0 if match["then"] else at + given.start_to_fire_timeout.ToNanoseconds()
            request, step, tool = match["request"], match["step"], match["tool"]
            wait = next((each for each in self.facts.waits if each.request == request), None)
            if wait is None:
                wait = Wait(request, step, tool, asked=at, event=event.event_id, deadline=deadline)
                self.facts.waits.append(wait)
            wait.deadline, wait.ended, wait.expired, wait.is_timed = deadline or wait.deadline, None, 0, True
            self._waits[event.event_id] = wait

    def _expired(self, event: HistoryEvent, given: Any) -> None:
        self._decided(event, given)
        if wait := self._waits.get(given.started_event_id):
            wait.expired = event.event_id

    def _decided(self, event: HistoryEvent, given: Any) -> None:
        if wait := self._waits.get(given.started_event_id):
            wait.ended = _time(event)

    async def _clicked(self, event: HistoryEvent, given: Any) -> None:
        request = given.accepted_request
        values = await self._decode(request.input.args.payloads)
        given = values[0] if values else None
        form = cast("dict[str, Json]", given) if isinstance(given, dict) else {}
        meta, said = request.meta, given if isinstance(given, str) else ""
        click = Click(request.input.name, form, meta.identity, _time(event), meta.update_id, said=said)
        click.taken = event.event_id
        self.facts.clicks.append(click)

    def _taken(self, event: HistoryEvent, given: Any) -> None:
        for click in self.facts.clicks:
            if click.update == given.meta.update_id:
                click.taken = 0 if given.outcome.HasField("failure") else event.event_id

    async def _decode(self, payloads: Sequence[Payload], kind: type[Any] | None = None) -> list[Any]:
        return await self._converter.decode(payloads, [kind] if kind else None)


def _waits_on(request: Request, event: HistoryEvent) -> Wait:
    """The wait for a request of the execution before. It has no timer here where a person decides at once."""
    asked, deadline = int(request.asked * 1e9), int(request.deadline * 1e9)
    wait = Wait(request.id, request.step, request.tool, asked=asked, event=event.event_id, deadline=deadline)
    wait.votes = request.votes
    return wait


def _time(event: HistoryEvent) -> int:
    return event.event_time.ToNanoseconds()


def _error_type(failure: Failure) -> str:
    """The kind of a failure; never its message, which may quote what a tool or person said."""
    if failure.HasField("timeout_failure_info"):
        lost = failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT
        return "WorkerLost" if lost else "Timeout"
    if failure.HasField("canceled_failure_info"):
        return "Cancelled"
    return failure.application_failure_info.type or "Failed"
