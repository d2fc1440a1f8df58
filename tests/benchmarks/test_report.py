"""The page: a row for each stack that ran, a word where there is no number."""

import re

import pytest

from benchmarks import report
from benchmarks.catalogue import ENTRIES
from benchmarks.figures import Figures
from benchmarks.publish import PAGE, RESULTS
from benchmarks.results import Finding, Results, Sample, Sleep, Wait

MACHINE = {"cores": 2, "memory": "8 GB", "system": "Linux", "python": "3.11", "temporal": "temporal 1", "load": "0.1"}
ALONE = {"latency": 0.0, "at_once": 1, "seconds": (1.25,), "wall": 1.25}


def results(*samples: Sample) -> Results:
    """Results of these samples at T = 4 and 50."""
    return Results(machine=MACHINE, turns=[4, 50], repeat=1, samples=list(samples))


def row(text: str, stack: str) -> list[str]:
    """The cells of a stack's row."""
    [line] = [line for line in text.splitlines() if line.startswith(f"| `{stack}` |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_cells_say_what_happened():
    """A figure, a dash where nothing was measured, a word where the stack failed."""
    text = report.one_run(Figures(results(Sample("plain", 4, **ALONE), Sample("plain", 50, 0.0, 1, failed="gone"))))

    assert row(text, "plain")[1] == "1.25 / *dies*"
    assert row(text, "plain")[5] == f"{report.NONE} / *dies*"


def test_stack_that_did_not_run_has_no_row():
    """Only what was measured is in the tables."""
    text = report.one_run(Figures(results(Sample("plain", 4, **ALONE))))

    assert "`dbos`" not in text


def test_page_of_an_empty_benchmark_is_whole():
    """Nothing measured is no reason to fail: the page says why stacks did not run."""
    empty = results()
    empty.not_run["dbos"] = "PostgreSQL was not found."

    text = report.page(empty)

    assert "| `dbos` | PostgreSQL was not found. |" in text
    assert all(f"`{entry.name}`" in text for entry in ENTRIES)


@pytest.mark.parametrize("place", ["settings", "profiles"])
def test_page_shows_findings(place: str):
    """Each setting, and each profile, has its words and its table."""
    measured = results()
    setattr(measured, place, [Finding("Pollers", "How many.", ("pollers", "runs/s"), (("**5**, in use", "7.0"),))])

    text = report.page(measured)

    assert "**Pollers.** How many.\n\n| pollers | runs/s |\n| --- | --- |\n| **5**, in use | 7.0 |\n" in text


def test_every_table_is_rectangular():
    """Each row of each table has as many cells as its head."""
    full = results(Sample("plain", 4, **ALONE), Sample("mainspring-fast", 1000, **ALONE))
    full.sleep = Sleep(10, 10, 1, 2, 1, 1, (0.1,), (0.2,), 3.0)
    full.answers = {"query": 0.1}
    full.waits = [Wait("as it comes", (1.0,), 0.1, 0.2, 0.0)]

    tables = re.findall(r"(?:^\|.*\|\n?)+", report.page(full), re.MULTILINE)

    assert [t for t in tables if len({len(re.split(r"(?<!\\)\|", line)) for line in t.strip().splitlines()}) != 1] == []


@pytest.mark.skipif(not PAGE.is_file(), reason="nothing was published yet")
def test_published_page_is_what_was_measured():
    """The page is written from the results that are kept beside it, and by nobody else."""
    kept = Results.read(RESULTS)

    assert not kept.full or PAGE.read_text(encoding="utf-8") == report.page(kept)
