"""What a history holds for a replay: its steps, its definition, and whether it can prove anything. Pure reading."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from mainspring.contracts import names
from mainspring.contracts.steps import CompactWork, ModelCall, ToolWork

_WORK = {names.CALL_MODEL: ModelCall, names.CALL_TOOL: ToolWork, names.COMPACT: CompactWork}
_LOCAL = "core_local_activity"
"""How the SDK names the marker of a local activity."""
_HARMLESS = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}
"""A workflow task that failed of these did not fail of the code."""
_LAST = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_ENDS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
}


@dataclass(frozen=True)
class Step:
    """A step as history has it, or as the code asks for it. `given` is what the activity gets, as JSON.

    `event` is where history has it: 0 for what the code asks. A local activity's `given` is not recorded.
    """

    id: str
    type: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    event: int = 0

    def __str__(self) -> str:
        """What a person calls it, with names in quotes."""
        part = cast("Mapping[str, Any]", self.given.get("step") or {})
        if self.type == names.CLOSE:
            return f"the end of the run ({self.given.get('error') or self.given.get('outcome') or 'close'})"
        if self.type == names.CALL_TOOL and self.given:
            what = f"a call of tool {self.given.get('tool')!r}"
        elif self.type == names.COMPACT and self.given:
            what = f"agent {part.get('agent')!r} making its thread shorter"
        elif self.type == names.CALL_MODEL and self.given:
            what = f"a reply of agent {part.get('agent')!r}"
        else:
            what = f"{self.type!r}"
        node = f", node {part['node']!r}" if part.get("node") else ""
        return f"step {self.id!r} ({what}{node})"


@dataclass(frozen=True)
class Recorded:
    """What is read out of a history. `kind` and `turn` are those of the spec it was admitted with, where it was."""

    name: str
    steps: tuple[Step, ...]
    kind: str = ""
    turn: int | None = None


def unusable(history: WorkflowHistory) -> str:
    """Why a history proves nothing before it is replayed; "" where it can be. The SDK would hang on some of these."""
    events = history.events
    start = events[0] if events else HistoryEvent()
    if not start.HasField("workflow_execution_started_event_attributes"):
        return "it does not begin with the start of a run, so something is cut off. Save the whole history."
    for place, event in enumerate(events, 1):
        if event.event_id != place:
            return f"event {place} is missing: the next one is {event.event_id}. Save the whole history."
    if not any(event.HasField("workflow_task_completed_event_attributes") for event in events):
        return "no worker has taken it up yet, so there is nothing to replay."
    return ""


def foreign(history: WorkflowHistory, recorded: Recorded) -> str:
    """Why this is no run of an agent or graph; "" where it is one."""
    given = history.events[0].workflow_execution_started_event_attributes
    if given.continued_execution_run_id or not recorded.steps or recorded.steps[0].type == names.ADMIT:
        return ""
    first = recorded.steps[0]
    return (
        f"it is no run of Mainspring: the first thing {recorded.name!r} did was {first.type!r} (event {first.event}), "
        f"not {names.ADMIT!r}. Leave it out."
    )


def has_ended(history: WorkflowHistory) -> bool:
    """Whether the run was over when the history was saved."""
    return history.events[-1].event_type in _ENDS


def failed_task(history: WorkflowHistory) -> HistoryEvent | None:
    """The failed workflow task that the run is stuck in, if it is: after it, no task was completed."""
    for event in reversed(history.events):
        if event.event_type == _LAST:
            return None
        if event.HasField("workflow_task_failed_event_attributes"):
            return None if event.workflow_task_failed_event_attributes.cause in _HARMLESS else event
    return None


def as_if_done(history: WorkflowHistory, failed: HistoryEvent) -> WorkflowHistory:
    """The history up to the failed task, as if that had been completed: a replay then runs the code for it.

    The SDK replays completed tasks only, so the history as it is replays whatever the code does there.
    """
    attributes = failed.workflow_task_failed_event_attributes
    events = list(history.events[: attributes.started_event_id])
    done = HistoryEvent(event_id=len(events) + 1, event_type=_LAST, event_time=failed.event_time)
    done.workflow_task_completed_event_attributes.scheduled_event_id = attributes.scheduled_event_id
    done.workflow_task_completed_event_attributes.started_event_id = attributes.started_event_id
    return WorkflowHistory(history.workflow_id, [*events, done])


def make_step(step: str, kind: str, run: str, given: Mapping[str, Any], event: int = 0) -> Step:
    """A step with all that its request means: histories leave out what has its default or stands elsewhere."""
    model = _WORK.get(kind)
    try:
        full = model.model_validate(given).full(step, run).model_dump(mode="json") if model and given else given
    except ValidationError:
        full = given
    return Step(step, kind, full, event)


async def read_steps(history: WorkflowHistory, converter: DataConverter) -> Recorded:
    """Find the steps of a history, activities and local activities alike, and the spec it was admitted with."""
    steps: list[Step] = []
    scheduled: dict[int, str] = {}
    started = history.events[0].workflow_execution_started_event_attributes
    name = started.workflow_type.name
    carried = await _json(started.input.payloads, converter) if started.continued_execution_run_id else None
    admission: Mapping[str, Any] = carried if carried and "carried" in carried else {}
    for event in history.events:
        which = event.WhichOneof("attributes") or ""
        given: Any = getattr(event, which) if which else None
        result: list[Payload] = []
        if which == "activity_task_scheduled_event_attributes":
            kind = scheduled[event.event_id] = given.activity_type.name
            asked = await _json(given.input.payloads, converter)
            steps.append(make_step(given.activity_id, kind, name, asked, event.event_id))
        elif which == "activity_task_completed_event_attributes":
            kind, result = scheduled.get(given.scheduled_event_id, ""), given.result.payloads
        elif which == "marker_recorded_event_attributes" and given.marker_name == _LOCAL:
            about = await _json(given.details["data"].payloads, converter)
            kind = str(about.get("activity_type"))
            steps.append(Step(str(about.get("activity_id")), kind, event=event.event_id))
            result = given.details["result"].payloads if "result" in given.details else []
        else:
            continue
        if kind == names.ADMIT and result and not admission:
            admission = await _json(result, converter)
    kind, turn = _spec(admission)
    return Recorded(name, tuple(steps), kind, turn)


def described(event: HistoryEvent, recorded: Recorded) -> str:
    """An event in words: the step it is, or the kind of event."""
    step = next((step for step in recorded.steps if step.event == event.event_id), None)
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").replace("_", " ").lower()
    return str(step) if step else repr(words)


def _spec(admission: Mapping[str, Any]) -> tuple[str, int | None]:
    try:
        spec = json.loads(admission["spec"]["text"])
        return str(spec["kind"]), int(spec["turn"])
    except (KeyError, TypeError, ValueError):
        return "", None


async def _json(payloads: Any, converter: DataConverter) -> Mapping[str, Any]:
    """The first payload as a JSON object; empty where it is none, or cannot be decoded."""
    try:
        values = await converter.decode(cast("list[Payload]", list(payloads)[:1]))
    except Exception:  # noqa: BLE001 - whatever a codec says: the replay itself tells what cannot be read
        return {}
    found: Any = values[0] if values else None
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
