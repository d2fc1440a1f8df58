"""Targets: met, short, or not run; never silently passed."""

import pytest

from benchmarks.figures import Dies, Figures, NotRun
from benchmarks.results import Results, Sample
from benchmarks.targets import Target, targets


def given(value: float):
    """A figure with this value."""
    return lambda _: value


def raising(error: Exception):
    """A figure that cannot be given."""

    def figure(_: Figures) -> float:
        raise error

    return figure


NOTHING = Figures(Results())


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "ok"), (1.2, "ok"), (1.3, "short")])
def test_upper_bound(value: float, verdict: str):
    """A figure may be as large as its bound."""
    assert Target("time", 1.2, given(value), "{:.1f} s").verdict(NOTHING) == (
        verdict,
        f"time: {value} s (≤ 1.2 s) {verdict}",
    )


@pytest.mark.parametrize(("value", "verdict"), [(3.1, "ok"), (2.9, "short")])
def test_lower_bound(value: float, verdict: str):
    """Where more is better, a figure has to reach its bound."""
    assert Target("rate", 3.0, given(value), "{:.1f}", least=True).verdict(NOTHING) == (
        verdict,
        f"rate: {value} (≥ 3.0) {verdict}",
    )


def test_what_was_not_measured_is_not_met():
    """Without the stacks it needs, a target says so."""
    assert Target("time", 1, raising(NotRun())).verdict(NOTHING) == ("not run", "time: not run")


def test_what_dies_is_short():
    """A stack of ours that fails misses its target, with the reason."""
    verdict, line = Target("time", 1, raising(Dies("no answer"))).verdict(NOTHING)

    assert verdict == "short"
    assert "no answer" in line


def test_all_are_not_run_without_samples():
    """No target is met or missed by an empty benchmark."""
    assert {target.verdict(NOTHING)[0] for target in targets()} == {"not run"}


def test_names_tell_targets_apart():
    """Each line of the output is about one thing."""
    names = [target.name for target in targets()]

    assert len(names) == len(set(names))


def test_peer_that_dies_is_no_comparison():
    """Mainspring is neither better nor worse than a stack that did not end the job."""
    alone = {"latency": 0.0, "at_once": 1, "seconds": (1.0,), "wall": 1.0}
    ours, plain = Sample("mainspring-turn", 50, **alone), Sample("plain", 50, 0.0, 1, failed="no answer")
    [target] = [each for each in targets() if each.name == "turn: p50 at T = 50 against plain"]

    assert target.verdict(Figures(Results(samples=[ours, plain])))[0] == "not run"


def test_best_peer_is_the_fastest_on_temporal():
    """A peer that dies, and one that is not on Temporal, do not set the mark."""
    many = {"latency": 0.0, "at_once": 20, "wall": 1.0}
    samples = [
        Sample("mainspring-fast", 4, seconds=(1.0,) * 9, **many),
        Sample("plain", 4, seconds=(1.0,) * 3, **many),
        Sample("plain-by-reference", 4, seconds=(1.0,) * 2, **many),
        Sample("temporalio-langgraph", 4, failed="it died", **many),
        Sample("dbos", 4, seconds=(1.0,) * 30, **many),
    ]
    [target] = [each for each in targets() if each.name.startswith("fast: runs a second")]

    assert ": 3.00" in target.verdict(Figures(Results(samples=samples)))[1]
