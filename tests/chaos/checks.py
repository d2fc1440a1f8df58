"""What must hold of a run that was disturbed. Pure: what was seen goes in, what is wrong comes out, in words."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.world import Attempt

HEARTBEAT = 0.8 * 2.0
"""Seconds after which a `fast` run, whose workflow tasks may take 2 s, has recorded what it did."""
SLACK = 1.5
"""Seconds that a busy machine may add to that."""
REPORTING = 1.0
"""Seconds that pass at most between the end of an activity and its being in history, on a busy machine."""
CALLS = ("call_model", "call_tool", "compact")
"""The activities that cost something."""

Kind = Literal["wrong", "repeated", "lost"]
Step = tuple[str, str, str]
"""Run id, activity type and step id of an activity."""


@dataclass(frozen=True)
class Expected:
    """What the run came to that nobody disturbed; `spans` are the names of its spans."""

    answer: str
    model_calls: int
    effects: Counter[tuple[str, str]]
    spans: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True)
class Gap:
    """When a run was disturbed: from the moment its worker died or stood still until it could go on (seconds)."""

    start: float
    end: float


@dataclass(frozen=True)
class Task:
    """A workflow task: from its start to its end; `done` is false where it timed out or failed."""

    start: float
    end: float
    done: bool


@dataclass(frozen=True)
class Seen:
    """What a disturbed run came to. Times are seconds since 1970.

    `recorded` is when the success of each step came into history, `tasks` are its workflow tasks, `events` is how
    many events there are in all. `asked` are the steps whose outcome a person was asked for. `spans` are those the
    histories give (id, parent and name), `open` the names of those without an end, `live` the ids of those that
    workers exported.
    """

    mode: str
    answer: str
    model_calls: int
    effects: Counter[tuple[str, str]]
    attempts: tuple[Attempt, ...]
    recorded: dict[Step, float] = field(default_factory=dict[Step, float])
    tasks: tuple[Task, ...] = ()
    events: int = 0
    gaps: tuple[Gap, ...] = ()
    asked: frozenset[str] = frozenset()
    spans: tuple[tuple[str, str, str], ...] = ()
    open: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    traces: frozenset[str] = frozenset({"one"})
    live: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fault:
    """One thing that must not be."""

    kind: Kind
    what: str


def faults(seen: Seen, expected: Expected, tools: dict[str, str]) -> list[Fault]:
    """Everything that is wrong with a run; `tools` gives the effect of each tool."""
    found = [*_outcome(seen, expected), *_effects(seen, expected, tools)]
    wrong = (*_places(seen, tools), *_promised(seen), *_traced(seen), *_told(seen, expected))
    return found + [Fault("wrong", what) for what in wrong]


def absent(seen: Seen, activity: str) -> list[Fault]:
    """Whether an undisturbed run passes by what its scenario is there for; else it would be right for nothing."""
    if activity in {"", *(each.type for each in seen.attempts)}:
        return []
    return [Fault("wrong", f"there is no {activity} in it, and its scenario is there for that")]


def _outcome(seen: Seen, expected: Expected) -> Iterator[Fault]:
    if seen.answer != expected.answer:
        yield Fault("wrong", f"the answer is {seen.answer!r}, not {expected.answer!r}")
    if seen.model_calls != expected.model_calls:
        yield Fault("wrong", f"the totals count {seen.model_calls} model calls, not {expected.model_calls}")


def _effects(seen: Seen, expected: Expected, tools: dict[str, str]) -> Iterator[Fault]:
    for tool, step in sorted(seen.effects | expected.effects):
        times, right = seen.effects[tool, step], expected.effects[tool, step]
        if times != right:
            kind: Kind = "repeated" if times > right else "wrong"
            yield Fault(kind, f"{tool} ({tools.get(tool)}) of step {step} took effect {times} times, not {right}")


def _places(seen: Seen, tools: dict[str, str]) -> Iterator[str]:
    """No call is a local activity that its mode or effect forbids."""
    for each in seen.attempts:
        reads = tools.get(each.tool) == "read"
        may = {"call_model": seen.mode == "fast", "call_tool": seen.mode != "step" and reads, "compact": False}
        if each.local and not may.get(each.type, True):
            yield f"{each.type} {each.step} {each.tool} was a local activity, in mode {seen.mode!r}"


def _promised(seen: Seen) -> Iterator[str]:
    """What the mode's row promises of work that had finished."""
    slow = _slow(seen)
    gaps = [*seen.gaps, *slow]
    made: dict[Step, list[Attempt]] = {}
    for each in seen.attempts:
        if each.type in CALLS:
            made.setdefault((each.run, each.type, each.step), []).append(each)
    for step, attempts in made.items():
        name = f"{step[1]} {step[2]}"
        late = [each for each in attempts if step in seen.recorded and each.began > seen.recorded[step]]
        if late:
            yield f"{name} was made again {_ago(late[0].began - seen.recorded[step])} after it was recorded"
        if len(attempts) > 1 + len(gaps):
            yield f"{name} was made {len(attempts)} times, after {len(gaps)} disturbance(s)"
    lost = [each for step, attempts in made.items() for each in _for_nothing(attempts, known=step in seen.recorded)]
    for each in lost:
        if not each.local and not any(gap.start - REPORTING <= _end(each) <= gap.end for gap in seen.gaps):
            when = ", ".join(f"{gap.start - _end(each):.2f} s before a disturbance" for gap in seen.gaps)
            yield f"{each.type} {each.step} was repeated, though it had finished {when}"
    local = [each for each in lost if each.local]
    yield from _unrecorded(seen, slow, local)
    yield from _within_a_heartbeat(gaps, local) if seen.mode == "fast" else _within_a_turn(seen, gaps, local)


def _slow(seen: Seen) -> list[Gap]:
    """Workflow tasks that a busy machine was too slow for; the worker hears of it only when it reports its work."""
    tasks = [task for task in seen.tasks if not task.done]
    own = [task for task in tasks if not any(task.start <= gap.start <= task.end for gap in seen.gaps)]
    return [Gap(task.start, task.end + SLACK) for task in own]


def _for_nothing(attempts: list[Attempt], *, known: bool) -> list[Attempt]:
    """The attempts at a step that had come to their end, but of whose end the run never learned."""
    ended = [each for each in attempts if each.ended is not None and not each.failed]
    return ended[:-1] if known else ended


def _end(attempt: Attempt) -> float:
    return attempt.ended or 0.0


def _unrecorded(seen: Seen, slow: list[Gap], lost: list[Attempt]) -> Iterator[str]:
    """A local activity is recorded with the workflow task in which it was made."""
    for each in lost:
        if any(gap.start <= each.began <= gap.end for gap in slow):
            continue
        tasks = [task for task in seen.tasks if task.done and task.start <= each.began]
        later = max((task.end for task in tasks), default=0.0) - _end(each)
        if later > REPORTING:
            yield f"{each.type} {each.step} was repeated, though its workflow task was recorded {later:.2f} s after it"


def _within_a_turn(seen: Seen, gaps: list[Gap], lost: list[Attempt]) -> Iterator[str]:
    """Of each thread, at most the reads of one turn are repeated although they had finished."""
    models = sorted({_place(each.step) for each in seen.attempts if each.type == "call_model"})
    turns: dict[str, set[int]] = {}
    for each in lost:
        thread, number = _place(each.step)
        turn = max((at for path, at in models if path == thread and at <= number), default=0)
        turns.setdefault(thread, set()).add(turn)
    for thread, of in turns.items():
        if len(of) > len(gaps):
            yield f"finished reads of {len(of)} turns were repeated in thread {thread or 'of the run'!r}"


def _within_a_heartbeat(gaps: list[Gap], lost: list[Attempt]) -> Iterator[str]:
    """What is repeated had not finished long before it was lost."""
    for each in lost:
        name = f"{each.type} {each.step}"
        ago = min((max(gap.start, _end(each)) for gap in gaps if gap.end >= each.began), default=None)
        if ago is None:
            yield f"{name} was repeated, though nothing was disturbed after it had finished"
        elif ago - _end(each) > HEARTBEAT + SLACK:
            yield f"{name} was repeated, though it finished {_ago(ago - _end(each))} before the crash"


def _traced(seen: Seen) -> Iterator[str]:
    """The trace is one, and connected."""
    known = {span for span, _, _ in seen.spans}
    if len(seen.roots) != 1:
        yield f"the trace has {len(seen.roots)} roots"
    if len(seen.traces) != 1:
        yield f"the spans are of {len(seen.traces)} traces"
    lost = [name for span, parent, name in seen.spans if parent not in known and span not in seen.roots]
    if lost:
        yield f"spans of the trace hang in the air: {', '.join(lost)}"
    if seen.open:
        yield f"spans have no end, though the run has: {', '.join(seen.open)}"
    if strangers := seen.live - known:
        yield f"{len(strangers)} exported spans are not in the trace that the history gives: {sorted(strangers)}"


def _told(seen: Seen, expected: Expected) -> Iterator[str]:
    """The trace tells what that of an undisturbed run does, and beyond that only that people were asked."""
    names = Counter(name for _, _, name in seen.spans)
    if missing := expected.spans - names:
        yield f"the trace lacks {', '.join(missing.elements())}"
    more = [name for name in (names - expected.spans).elements() if not name.startswith("wait for a person")]
    if more:
        yield f"the trace has more than an undisturbed run's: {', '.join(more)}"


def _place(step: str) -> tuple[str, int]:
    thread, _, number = step.rpartition(".")
    return thread, int(number) if number.isdigit() else 0


def _ago(seconds: float) -> str:
    return f"{seconds:.2f} s"
