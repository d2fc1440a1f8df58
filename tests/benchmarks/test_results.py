"""What was measured is kept, and read as it was."""

from pathlib import Path

from benchmarks.results import Finding, Results, Sample, Sleep, Start, Wait


def test_results_are_read_as_they_were_written(tmp_path: Path):
    """Every kind of record comes back, in a file with a line for each."""
    kept = Results({"cores": 2}, [4, 50], 3, full=True, not_run={"dbos": "no server"}, imports=[0.1])
    kept.starts = [Start("plain", 0.1, 0.2, 0.3, 4)]
    kept.samples = [Sample("plain", 4, 0.0, 1, (0.25, 0.5)), Sample("plain", 50, 0.05, 1, failed="gone")]
    kept.sleep = Sleep(10, 10, 1, 2, 3, 4, (0.1,), (0.2,), 5.0)
    kept.waits = [Wait("as it comes", (0.5,), 0.1, 0.2, 0.3)]
    kept.settings = [Finding("Pollers", "How many.", ("a", "b"), (("1", "2"), ("3", "4")))]

    kept.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == kept
    assert sum('"plain"' in line for line in (tmp_path / "results.json").read_text().splitlines()) == 3
