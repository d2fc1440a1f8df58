from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checks import Expected, Gap, Seen, Task, absent, faults
from tests.chaos.plan import Crash, Sums, crashes, named, only, sample
from tests.chaos.world import Attempt

TOOLS = {"look": "read", "pay": "once"}
EXPECTED = Expected("done", 2, Counter({("pay", "2"): 1}), Counter({"run": 1, "chat": 1}))
KILLED = Gap(100.0, 101.0)
SEEN = Seen(
    mode="turn",
    answer="done",
    model_calls=2,
    effects=Counter({("pay", "2"): 1}),
    attempts=(),
    gaps=(KILLED,),
    spans=(("a", "", "run"), ("b", "a", "chat")),
    roots=("a",),
)
POINTS = {("desk", mode): [f"{kind}:{n}" for kind in ("task", "call_tool", "event") for n in range(9)] for mode in "ab"}


def attempt(kind: str, step: str, began: float, ended: float | None, **more: Any) -> Attempt:
    """One attempt, by default an ordinary activity's."""
    return Attempt(
        **{"run": "r", "type": kind, "step": step, "tool": "", "local": False, "pid": 1} | more,
        began=began,
        ended=ended,
    )


def twice(kind: str, step: str, ended: float, **more: Any) -> tuple[Attempt, Attempt]:
    """An attempt that had ended, and another after the worker was killed."""
    return attempt(kind, step, ended - 0.1, ended, **more), attempt(kind, step, 102.0, 102.1, **more)


def told(seen: Seen) -> list[str]:
    """What is wrong with it, in words."""
    return [f"{fault.kind}: {fault.what}" for fault in faults(seen, EXPECTED, TOOLS)]


def test_a_run_that_came_out_right_has_no_fault() -> None:
    """A run with the right answer, effects and trace, whose killed call was made once more, is right."""
    cut_off = attempt("call_model", "1", 99.9, None), attempt("call_model", "1", 102.0, 102.1)

    assert told(replace(SEEN, attempts=cut_off, recorded={("r", "call_model", "1"): 102.2})) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"answer": "else"}, "wrong: the answer is 'else'"),
        ({"model_calls": 3}, "wrong: the totals count 3 model calls"),
        ({"effects": Counter({("pay", "2"): 2})}, "repeated: pay (once) of step 2 took effect 2 times, not 1"),
        ({"effects": Counter()}, "wrong: pay (once) of step 2 took effect 0 times, not 1"),
        ({"roots": ("a", "b")}, "wrong: the trace has 2 roots"),
        ({"traces": frozenset({"one", "two"})}, "wrong: the spans are of 2 traces"),
        ({"open": ("chat",)}, "wrong: spans have no end, though the run has: chat"),
        ({"live": frozenset({"c"})}, "wrong: 1 exported spans are not in the trace"),
        ({"spans": (("a", "", "run"), ("b", "x", "chat"))}, "wrong: spans of the trace hang in the air: chat"),
        ({"spans": (("a", "", "run"),)}, "wrong: the trace lacks chat"),
        ({"spans": (*SEEN.spans, ("c", "a", "chat"))}, "wrong: the trace has more than an undisturbed run's: chat"),
    ],
)
def test_what_came_out_wrong_is_told(changes: dict[str, Any], what: str) -> None:
    """A wrong answer, total, effect or trace is a fault."""
    (said,) = told(replace(SEEN, **changes))

    assert said.startswith(what)


def test_a_call_must_not_be_local_where_its_mode_forbids_it() -> None:
    """A model call in mode turn is an ordinary activity."""
    (said,) = told(
        replace(
            SEEN, attempts=(attempt("call_model", "1", 1.0, 1.1, local=True),), recorded={("r", "call_model", "1"): 1.2}
        )
    )

    assert "was a local activity" in said


def test_what_was_recorded_is_never_made_again() -> None:
    """An attempt after the step's result is in history is a fault in every mode."""
    (said,) = told(replace(SEEN, attempts=twice("call_model", "1", 99.9), recorded={("r", "call_model", "1"): 100.0}))

    assert "was made again 2.00 s after it was recorded" in said


def test_a_call_is_made_once_more_for_each_disturbance_at_most() -> None:
    """Three attempts after one kill are one too many."""
    three = (attempt("call_model", "1", 99.0, None), *twice("call_model", "1", 99.9))

    assert any("was made 3 times, after 1 disturbance(s)" in said for said in told(replace(SEEN, attempts=three)))


@pytest.mark.parametrize(("ended", "wrong"), [(99.95, False), (95.0, True)])
def test_an_ordinary_activity_is_only_repeated_if_its_report_was_cut_off(ended: float, wrong: bool) -> None:
    """What had ended right before the kill was not reported yet; what had ended long before was."""
    seen = replace(SEEN, attempts=twice("call_model", "1", ended), recorded={("r", "call_model", "1"): 102.2})

    assert bool(told(seen)) == wrong


@pytest.mark.parametrize(("steps", "wrong"), [(("2", "3"), False), (("2", "5"), True)])
def test_in_turn_the_reads_of_one_turn_may_be_repeated(steps: tuple[str, str], wrong: bool) -> None:
    """Reads of two turns that are repeated after one kill are a fault; those of one turn are not."""
    models = tuple(attempt("call_model", step, 90.0, 90.1) for step in ("1", "4"))
    reads = tuple(each for step in steps for each in twice("call_tool", step, 99.9, tool="look", local=True))
    recorded = {(each.run, each.type, each.step): 102.2 for each in (*models, *reads)}

    assert bool(told(replace(SEEN, attempts=(*models, *reads), recorded=recorded))) == wrong


@pytest.mark.parametrize(
    ("ended", "tasks", "wrong"),
    [
        (99.0, (), False),
        (90.0, (), True),
        (97.5, (Task(97.0, 99.5, done=True),), True),
        (90.0, (Task(89.0, 91.0, done=False),), False),
        (91.5, (Task(89.0, 91.0, done=False), Task(91.2, 94.0, done=True)), False),
    ],
)
def test_in_fast_what_a_heartbeat_may_lose_is_repeated(ended: float, tasks: tuple[Task, ...], wrong: bool) -> None:
    """What had ended longer than a heartbeat before, or whose workflow task is recorded, is not repeated."""
    repeated = twice("call_model", "1", ended, local=True)
    recorded = {("r", "call_model", "1"): 102.2}

    assert bool(told(replace(SEEN, mode="fast", attempts=repeated, recorded=recorded, tasks=tasks))) == wrong


def test_a_scenario_must_show_what_it_is_there_for() -> None:
    """A run of the scenario for compaction without a `compact` step is wrong, however right its answer is."""
    without = replace(SEEN, attempts=(attempt("call_model", "1", 1.0, 1.1),))

    assert [fault.what for fault in absent(without, "compact")] == [
        "there is no compact in it, and its scenario is there for that"
    ]
    assert absent(without, "call_model") == absent(without, "") == []


def test_a_sample_holds_every_run_and_every_victim() -> None:
    """However few are taken, each scenario, mode and victim is among them, and the seed chooses."""
    everything = crashes(POINTS, seed=1)
    few = sample(everything, 12, seed=1)

    assert {(each.mode, each.who) for each in few} == {
        (mode, who) for mode in "ab" for who in ("worker", "server", "both")
    }
    assert few == sample(everything, 12, seed=1) != sample(everything, 12, seed=2)
    assert sorted(map(str, sample(everything, 1000, seed=1))) == sorted(map(str, everything))


def test_a_crash_is_found_by_its_name() -> None:
    """A name, the beginning of one, and one with a star find their crashes; a full name stands for itself."""
    everything = crashes(POINTS, seed=1)
    every_task = [each for each in everything if each.who == "worker" and each.point.startswith("task")]

    assert only(everything, "desk/a/worker/task:1") == [Crash("desk", "a", "worker", "task:1")]
    assert only(everything, "desk/*/worker/task*") == every_task
    assert only(everything, "desk/a/server/event:4") == [Crash("desk", "a", "server", "event:4")]
    assert only(everything, "desk/c") == []
    assert named("desk", "a", "desk/a/worker/task:1")
    assert named("desk", "a", "")
    assert not named("desk", "b", "desk/a/worker/task:1")


def test_the_last_line_has_the_sums() -> None:
    """The line is what other programs read, and only zeros in it are good."""
    sums = Sums(points=3, asked=1)

    assert str(sums) == "crash points: 3, wrong: 0, repeated once-effects: 0, unknown outcomes asked: 1, lost: 0"
    assert sums.good
    assert not Sums(points=3, lost=1).good
