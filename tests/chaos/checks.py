"""What must hold of a run that was disturbed. Pure: what was seen goes in, what is wrong comes out, in words."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.world import Attempt

HEARTBEAT = 0.8 * 2.0
"""Seconds after which a `fast` run, whose workflow tasks may take 2 s, has recorded what it did."""
SLACK = 1.5
"""Seconds that a busy machine may add to that."""
REPORTING = 0.3
"""Seconds between a local activity's end and the workflow task that can record it."""
CALLS = ("call_model", "call_tool")

Kind = Literal["wrong", "repeated", "lost"]
Step = tuple[str, str, str]
"""Run id, activity type and step id of an activity."""


@dataclass(frozen=True)
class Expected:
    """What the run came to that nobody disturbed."""

    answer: str
    model_calls: int
    effects: Counter[tuple[str, str]]


@dataclass(frozen=True)
class Seen:
    """What a disturbed run came to. Times are seconds since 1970.

    `recorded` is when the success of each step came into history, `tasks` when each workflow task was completed;
    `spans` are those the history gives (id and parent), `live` the ids of those that workers exported.
    """

    mode: str
    answer: str
    model_calls: int
    effects: Counter[tuple[str, str]]
    attempts: tuple[Attempt, ...]
    recorded: dict[Step, float] = field(default_factory=dict[Step, float])
    tasks: tuple[float, ...] = ()
    disturbed: tuple[float, ...] = ()
    asked: int = 0
    spans: tuple[tuple[str, str], ...] = ()
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
    found += [Fault("wrong", what) for what in (*_promised(seen, tools), *_traced(seen))]
    return found


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


def _promised(seen: Seen, tools: dict[str, str]) -> Iterator[str]:
    yield from _places(seen, tools)
    made: dict[Step, list[Attempt]] = {}
    for each in seen.attempts:
        made.setdefault((each.run, each.type, each.step), []).append(each)
    for step, attempts in made.items():
        late = [each for each in attempts if step in seen.recorded and each.began > seen.recorded[step]]
        if step[1] in CALLS and late:
            yield f"{step[1]} {step[2]} was made again {_ago(late[0].began - seen.recorded[step])} after it was recorded"
        if step[1] == "call_model" and len(attempts) > 1 + len(seen.disturbed):
            yield f"call_model {step[2]} was made {len(attempts)} times, after {len(seen.disturbed)} disturbance(s)"
    again = {step: each[0] for step, each in made.items() if step[1] in CALLS and _finished_for_nothing(each)}
    if seen.mode == "fast":
        yield from _within_a_heartbeat(seen, again)
    else:
        yield from _within_a_turn(seen, again)


def _finished_for_nothing(attempts: list[Attempt]) -> bool:
    """Whether an attempt had come to its end and another was made all the same."""
    return len(attempts) > 1 and attempts[0].ended is not None and not attempts[0].failed


def _places(seen: Seen, tools: dict[str, str]) -> Iterator[str]:
    """No call is a local activity that its mode or effect forbids."""
    for each in seen.attempts:
        reads = tools.get(each.tool) == "read"
        may = {"call_model": seen.mode == "fast", "call_tool": seen.mode != "step" and reads}
        if each.local and not may.get(each.type, True):
            yield f"{each.type} {each.step} {each.tool} was a local activity, in mode {seen.mode!r}"


def _within_a_turn(seen: Seen, again: dict[Step, Attempt]) -> Iterator[str]:
    """Of each thread, at most one turn's calls are repeated although they had finished."""
    models = sorted({_place(each.step) for each in seen.attempts if each.type == "call_model"})
    turns: dict[str, set[int]] = {}
    for _, kind, step in again:
        thread, number = _place(step)
        begun = [at for path, at in models if path == thread and at <= number]
        # A model call is a turn of its own here: it is in history before the calls that it asks for begin.
        turn = -number if kind == "call_model" else max(begun, default=0)
        turns.setdefault(thread, set()).add(turn)
    for thread, lost in turns.items():
        if len(lost) > max(1, len(seen.disturbed)):
            yield f"finished calls of {len(lost)} turns were repeated in thread {thread or 'of the run'!r}"


def _within_a_heartbeat(seen: Seen, again: dict[Step, Attempt]) -> Iterator[str]:
    """What is repeated had finished after the newest workflow task that was recorded, and not long before."""
    for (_, kind, step), first in again.items():
        if first.ended is None or not first.local:
            continue
        hit = min((at for at in seen.disturbed if at >= first.ended), default=None)
        if hit is None:
            yield f"{kind} {step} was repeated, though nothing was disturbed after it had finished"
            continue
        task = max((at for at in seen.tasks if at < hit), default=0.0)
        if first.ended < task - REPORTING:
            yield f"{kind} {step} was repeated, though it finished {_ago(task - first.ended)} before a recorded task"
        if hit - first.ended > HEARTBEAT + SLACK:
            yield f"{kind} {step} was repeated, though it finished {_ago(hit - first.ended)} before the crash"


def _traced(seen: Seen) -> Iterator[str]:
    known = {span for span, _ in seen.spans}
    if len(seen.roots) != 1:
        yield f"the trace has {len(seen.roots)} roots"
    if len(seen.traces) != 1:
        yield f"the spans are of {len(seen.traces)} traces"
    lost = [span for span, parent in seen.spans if parent not in known and span not in seen.roots]
    if lost:
        yield f"{len(lost)} spans of the trace hang in the air"
    if strangers := seen.live - known:
        yield f"{len(strangers)} exported spans are not in the trace that the history gives: {sorted(strangers)}"


def _place(step: str) -> tuple[str, int]:
    thread, _, number = step.rpartition(".")
    return thread, int(number) if number.isdigit() else 0


def _ago(seconds: float) -> str:
    return f"{seconds:.2f} s"


def tally(found: Iterable[Fault]) -> Counter[Kind]:
    """How many runs' worth of each kind: of one run, a kind counts once."""
    return Counter({fault.kind for fault in found})
