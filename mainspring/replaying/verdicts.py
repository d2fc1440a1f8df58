"""Says in words how a recorded run gets on with the code of today, and what to do where it does not."""

import re
import sys
from collections import defaultdict, deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from mainspring.core.turn import TABLES
from mainspring.durable.graph import GRAPHS
from mainspring.errors import did_you_mean
from mainspring.replaying.recorded import (
    Recorded,
    Step,
    as_if_done,
    described,
    failed_task,
    foreign,
    has_ended,
    read_steps,
    unusable,
)
from mainspring.replaying.sources import Entry
from mainspring.replaying.watch import PATIENCE, Seen, watch
from mainspring.serve import Project

# How the SDK words a deviation. Where it comes to word it differently, its own words are shown.
_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_OTHER_STEP = re.compile(r"Activity (?:id|type) of .*?'(.*?)' does not match activity (id|type) of .*?'(.*?)'")
_OTHER_EVENT = re.compile(r"(\w[\w ]*?) machine does not handle this event: HistoryEvent\(id: (\d+)")
_NOT_ASKED = re.compile(r"No command scheduled for event HistoryEvent\(id: (\d+)")
_ANY_EVENT = re.compile(r"HistoryEvent\(id: (\d+)|event_?id: (\d+)", re.IGNORECASE)
_GETS_THROUGH = (
    "The code of today gets through that task, but a replay shows nothing more: let a worker of this code go on with "
    "the run, then replay it again."
)
_BLOCKED = "[TMPRL1101]"
_UNREAD = 'type: "PayloadError"'
"""In the SDK's words where the storage of large payloads failed, which says nothing of the code."""


@dataclass(frozen=True)
class Verdict:
    """How a history gets on with the code. `event` is the one at fault (0: none, or not known).

    `said` is what is the matter, `todo` what to do about it. `running`: the run had not ended.
    """

    kind: Literal["ok", "deviates", "unusable"]
    events: int = 0
    event: int = 0
    said: str = ""
    todo: str = ""
    running: bool = False

    def __str__(self) -> str:
        """Everything there is to say, on one line."""
        return " ".join(part for part in (self.said, self.todo) if part)


async def judge(entry: Entry, project: Project, converter: DataConverter) -> Verdict:
    """Replay a history on the code that is loaded, with the graphs of the project.

    The converter reads large payloads from where they are, and stores none: a replay leaves no traces.
    """
    history = entry.history
    if history is None:
        return Verdict("unusable", said=entry.problem)
    count, problem = len(history.events), unusable(history)
    if problem:
        return Verdict("unusable", count, said=problem)
    recorded = await read_steps(history, converter)
    if problem := foreign(history, recorded):
        return Verdict("unusable", count, said=problem)
    stuck = failed_task(history)
    with _serving(project):
        seen = await watch(as_if_done(history, stuck) if stuck else history, converter)
    if not seen.ended:
        problem = f"its replay did not end within {PATIENCE:.0f} s. The file may be damaged: save the history again."
    elif _UNREAD in seen.failure:
        problem = _words(seen.failure)
    elif found := _earliest(_failure(seen, history, recorded, project), _difference(seen, recorded)):
        event, said = found
        return Verdict("deviates", count, event, said, _todo(project, recorded, seen))
    elif stuck:
        return Verdict("unusable", count, stuck.event_id, _stuck(stuck), _GETS_THROUGH)
    return Verdict("unusable" if problem else "ok", count, said=problem, running=not has_ended(history))


@contextmanager
def _serving(project: Project) -> Generator[None]:
    before = dict(GRAPHS)
    GRAPHS.clear()
    GRAPHS.update(project.graphs)
    try:
        yield
    finally:
        GRAPHS.clear()
        GRAPHS.update(before)


def _earliest(*found: tuple[int, str] | None) -> tuple[int, str] | None:
    """Of the deviations found, the one that came first: those after it follow from it."""
    return min((each for each in found if each), key=lambda each: each[0] or sys.maxsize, default=None)


def _failure(seen: Seen, history: WorkflowHistory, recorded: Recorded, project: Project) -> tuple[int, str] | None:
    """What the SDK refused, as event and sentence; None where it replayed all."""
    if not seen.failure:
        return None
    message = _words(seen.failure)
    if seen.error is not None:
        event, said = seen.at, f"here {_stopped(seen.error, recorded, project)}, and the run went on."
    elif _BLOCKED in message:
        event, said = 0, "the code of today held up the worker for more than 2 seconds between two steps."
    else:
        event, said = _refused(message, seen, history, recorded)
    return event, (f"event {event}: " if event else "") + said


def _refused(message: str, seen: Seen, history: WorkflowHistory, recorded: Recorded) -> tuple[int, str]:
    """The SDK's own words for a deviation, as event and sentence."""
    if match := _OTHER_STEP.search(message):
        step = _first_other(recorded, seen, match)
        same = [each for each in seen.asked if _part(each, match) == match[3]]
        return (step.event if step else 0), _sentence(step or repr(match[1]), same[-1] if same else repr(match[3]))
    if match := _OTHER_EVENT.search(message):
        event = history.events[int(match[2]) - 1]
        return event.event_id, _sentence(described(event, recorded), _wanted(match[1], seen))
    if match := _NOT_ASKED.search(message):
        event = history.events[int(match[1]) - 1]
        return event.event_id, _sentence(described(event, recorded), "nothing more")
    match = _ANY_EVENT.search(message)
    return int(match[1] or match[2]) if match else 0, f"the replay failed: {message}"


def _stopped(error: BaseException, recorded: Recorded, project: Project) -> str:
    if recorded.kind == "graph" and recorded.name not in project.graphs:
        return f"the code of today has no graph {recorded.name!r}"
    if recorded.turn is not None and recorded.turn not in TABLES:
        return f"the code of today has no turn table of version {recorded.turn}"
    return f"the code of today stops with {f'{type(error).__name__}: {error}'!r}"


def _sentence(recorded: object, wanted: object) -> str:
    return f"the run has {recorded} here, but the code of today wants {wanted}."


def _wanted(machine: str, seen: Seen) -> object:
    """What the command is that did not fit: the last of its kind that the code gave."""
    if "Activity" in machine:
        return seen.asked[-1] if seen.asked else "another step"
    return {"Timer": "a timer", "Complete workflow": "to end the run"}.get(machine, f"{machine.lower()!r}")


def _part(step: Step, match: "re.Match[str]") -> str:
    """The part of a step that the SDK speaks of."""
    return step.id if match[2] == "id" else step.type


def _first_other(recorded: Recorded, seen: Seen, match: "re.Match[str]") -> Step | None:
    """The recorded step that the SDK means: ids may repeat, so the first place where the two orders part."""
    fits = [step for step in recorded.steps if _part(step, match) == match[1]]
    for step, asked in zip(recorded.steps, seen.asked, strict=False):
        if (step.id, step.type) != (asked.id, asked.type):
            return step if step in fits else next(iter(fits), None)
    return next(iter(fits), None)


def _difference(seen: Seen, recorded: Recorded) -> tuple[int, str] | None:
    """What the SDK lets pass: the same step of another node or tool, or given something else.

    Step ids are ordinals, so a node that calls another tool in the same place replays, and would act on what
    the first one said.
    """
    asked: defaultdict[str, deque[Step]] = defaultdict(deque)
    for each in seen.asked:
        asked[each.id].append(each)
    for step in recorded.steps:
        now = asked[step.id].popleft() if asked[step.id] else None
        if now is None or not step.given or not now.given:
            continue
        if str(now) != str(step):
            return step.event, f"event {step.event}: {_sentence(step, now)}"
        if _content(now.given) != _content(step.given):
            why = "It was changed, or a node uses the clock, chance or I/O of its own."
            return step.event, f"event {step.event}: the code of today gives {step} something else. {why}"
    return None


def _content(given: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a step is given, by digest: its text may travel or not."""
    new = given.get("new")
    entries = cast("list[dict[str, Any]]", new) if isinstance(new, list) else []
    return given.get("head"), [each.get("digest") for each in entries]


def _stuck(task: HistoryEvent) -> str:
    why = task.workflow_task_failed_event_attributes.failure.message.strip() or "no reason is recorded"
    return f"event {task.event_id}: its last workflow task failed, and nothing is recorded after it. It said: {why!r}."


def _todo(project: Project, recorded: Recorded, seen: Seen) -> str:
    name, version = recorded.name, recorded.turn
    if recorded.kind == "graph" and name not in project.graphs:
        return (
            f"No graph {name!r} is in this project.{did_you_mean(name, project.graphs)} "
            f"Put the module back that defines Graph({name!r}, …) until its runs have ended."
        )
    if version is not None and version not in TABLES:
        return (
            f"The run goes by version {version} of the turn table, and this release of mainspring has "
            f"{', '.join(map(str, sorted(TABLES)))}. Keep a worker of the release that admitted it until it has ended."
        )
    if recorded.kind == "graph" or (not recorded.kind and name in project.graphs):
        if _BLOCKED in seen.failure:
            return "Put what takes long into a tool, and call that with use(…)."
        return (
            f"The code of a graph is replayed. Undo the change, or give the changed graph a new name and keep "
            f"{name!r} as it was until its runs have ended."
        )
    return (
        "An agent's turn is mainspring's own code: keep a worker of the release that wrote this run until it has "
        "ended, and report the deviation."
    )


def _words(failure: str) -> str:
    """The message inside the SDK's own wrapping."""
    match = _MESSAGE.search(failure)
    message = match[1].replace('\\"', '"').replace("\\n", " ").replace("\\'", "'") if match else failure
    return message.removeprefix("[TMPRL1100] Nondeterminism error: ")
