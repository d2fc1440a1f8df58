"""`python -m benchmarks`, as `make bench` calls it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import __main__ as command
from benchmarks.publish import PAGE
from benchmarks.results import Results

STACK = "mainspring-step"


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start the benchmark with its temporary files and its results in this folder."""
    program = [sys.executable, "-m", "benchmarks", "--stacks", STACK, "--repeat", "1", *arguments]
    return subprocess.Popen(
        [*program, "--results", str(folder / "results.json")],
        cwd=PAGE.parents[1],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--stacks", "plan"], "there is no stack 'plan'. STACKS takes some of: mainspring-step, "),
        (["--turns", "4,many"], "TURNS is 'many'; it must be a whole number above 0."),
        (["--turns", "0"], "TURNS is '0'; it must be a whole number above 0."),
        (["--repeat", "-1"], "REPEAT is '-1'; it must be a whole number above 0."),
        (["--sleep", "1.5"], "N is '1.5'; it must be a whole number above 0."),
        (["--stacks", "dbos", "--sleep", "10"], "'dbos' has no runs that wait for an approval. STACKS takes one of: "),
    ],
)
def test_wrong_values_are_said_in_words(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A wrong value stops the benchmark before anything is started, and the sentence names it and what is right."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *given])

    assert command.main() == 1
    assert capsys.readouterr().err.startswith(f"Error: {said}")


def test_part_of_the_benchmark(tmp_path: Path):
    """It prints what it measured, keeps it as a part, and leaves the page alone."""
    before = PAGE.read_bytes() if PAGE.is_file() else None
    ended = start(tmp_path, "--turns", "2,12")
    printed, _ = ended.communicate(timeout=120)
    results = Results.read(tmp_path / "results.json")

    assert ended.returncode == 0
    assert [sample.failed for sample in results.samples] == [""] * 4
    assert not results.full
    assert f"| `{STACK}` |" in printed
    assert "import mainspring: " in printed
    assert "not run" not in printed
    assert (PAGE.read_bytes() if PAGE.is_file() else None) == before


def test_ctrl_c_leaves_nothing(tmp_path: Path):
    """Stopped in the middle of a run it ends at once: no process, no file and no results are left."""
    running = start(tmp_path, "--turns", "200")
    assert running.stdout is not None
    printed = ""
    while "T = 200 …" not in printed:
        printed += running.stdout.read(1) or pytest.fail(f"it ended: {printed}")
    started = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)

    assert running.returncode == 130
    assert printed.endswith("Stopped; nothing was written.\n")
    assert len(started) >= 2
    assert [process.pid for process in started if process.is_running()] == []
    assert list(tmp_path.iterdir()) == []
