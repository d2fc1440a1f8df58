"""Figures: medians, differences between lengths, and what is said where there is nothing to say."""

import pytest

from benchmarks.figures import Dies, Figures, NotRun, middle, ratio
from benchmarks.results import Results, Sample


def sample(stack: str = "plain", turns: int = 50, **values: object) -> Sample:
    """A sample of one run of one second, with some values set."""
    base = {"latency": 0.0, "at_once": 1, "seconds": (1.0,), "wall": 1.0}
    return Sample(stack, turns, **(base | values))


def figures(*samples: Sample) -> Figures:
    """Figures of these samples."""
    return Figures(Results(samples=list(samples)))


def test_median_of_nothing_was_not_run():
    """Where there is no value there is no median, rather than a zero."""
    with pytest.raises(NotRun):
        middle([])


def test_ratio_to_nothing_was_not_run():
    """A peer's zero is no measurement to compare with."""
    with pytest.raises(NotRun):
        ratio(1.0, 0.0)


def test_p50_is_over_all_rounds():
    """The runs of every round count alike."""
    f = figures(sample(seconds=(1.0, 2.0)), sample(seconds=(9.0,)))

    assert f.p50("plain", 50) == 2.0


def test_other_jobs_do_not_count():
    """A slow model, another length or many at once are other figures."""
    others = (sample(latency=0.05, seconds=(7.0,)), sample(turns=4, seconds=(8.0,)), sample(at_once=20, seconds=(9.0,)))

    assert figures(sample(), *others).p50("plain", 50) == 1.0


def test_stack_that_is_missing_was_not_run():
    """A stack without a sample has no figures."""
    with pytest.raises(NotRun):
        figures(sample()).p50("dbos", 50)


def test_stack_that_failed_once_dies():
    """A failure in one round is not hidden by good rounds."""
    with pytest.raises(Dies, match="too large"):
        figures(sample(), sample(failed="too large", seconds=())).p50("plain", 50)


def test_processor_time_is_by_run_and_turn():
    """Runs measured together share what they spent."""
    f = figures(sample(turns=10, seconds=(1.0, 1.0), cpu=4.0))

    assert f.worker_cpu("plain", 10) == pytest.approx(0.2)


def test_what_a_turn_adds_is_a_difference():
    """What every run has, however short, is not a turn's."""
    f = figures(sample(turns=10, bytes=3000), sample(turns=50, bytes=7000))

    assert f.per_turn(f.history_bytes, "plain", 10, 50) == 100


def test_own_time_of_a_slow_model_is_not_added():
    """Two turns of a 1 s model are five steps and three seconds of the model."""
    f = figures(sample(turns=2, latency=1.0, seconds=(4.0,)))

    assert f.added_per_step("plain", 2, 1.0) == pytest.approx(0.2)
    assert f.against_ideal("plain", 2, 1.0) == pytest.approx(4 / 3)


def test_worst_task_comes_after_the_worst_replay():
    """A workflow task may have to begin with the cold replay of the longest execution."""
    f = figures(sample(longest_task=0.5, replays=(1.0, 1.2, 1.1)), sample(turns=4, longest_task=0.9))

    assert f.worst_task(["plain"]) == pytest.approx(1.6)


def test_results_survive_their_file(tmp_path):
    """What is written is what is read."""
    kept = Results(machine={"cores": 2}, turns=[4], repeat=1, samples=[sample(replays=(0.5,))])

    kept.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == kept
