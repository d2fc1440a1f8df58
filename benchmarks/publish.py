"""Puts results where they belong: the terminal, `benchmarks/results.json`, and the page in `docs/`.

`python -m benchmarks.publish` writes the page from the results once more, after its words have changed.
"""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.environments import ROOT, Missing, python_of
from benchmarks.figures import Figures
from benchmarks.results import Results

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results.json"
IMAGES = ROOT / "docs" / "images"


def write(results: Results, file: Path) -> None:
    """Keep the results, print tables and targets, and write the page where everything was measured."""
    results.write(file)
    results = Results.read(file)  # rounded as they are kept: the page can be written from them again
    figures = Figures(results)
    print(f"\n{report.one_run(figures)}\n\n{report.beside(figures)}\n")
    if results.sleep:
        print(f"{report.sleeping(results.sleep)}\n")
    if results.waits:
        print(f"{report.waits(results.waits)}\n")
    if results.settings:
        print(f"{report.findings(results.settings)}\n")
    if results.profiles:
        print(f"{report.findings(results.profiles)}\n")
    for name, why in results.not_run.items():
        print(f"{name}: not run: {why}")
    print("\n".join(report.verdict_lines(figures)))
    print(f"\nThe results are in {os.path.relpath(file)}.")
    if results.full:
        write_page(results, file)
    else:
        print(f"{PAGE.relative_to(ROOT)} stays as it is: only a run of all stacks at all lengths writes it.")


def show_sleep(results: Results) -> None:
    """Print what was seen of sleeping runs, and the targets about them."""
    assert results.sleep is not None  # noqa: S101 - just measured
    print(f"\n{report.sleeping(results.sleep)}\n")
    print("\n".join(line for line in report.verdict_lines(Figures(results)) if "sleeping" in line))


def write_page(results: Results, file: Path) -> None:
    """Write `docs/benchmarks.md` and draw its plots."""
    PAGE.write_text(report.page(results), encoding="utf-8")
    try:
        python = python_of("plots")
    except Missing as missing:
        print(f"The plots stay as they are: {missing}")
    else:
        plots = [str(python), "-P", str(ROOT / "benchmarks" / "plots.py"), str(file), str(IMAGES)]
        subprocess.run(plots, check=True)  # noqa: S603 - our own arguments
    print(f"{PAGE.relative_to(ROOT)} shows them.")


if __name__ == "__main__":
    kept = Results.read(RESULTS)
    sys.exit(write_page(kept, RESULTS) if kept.full else f"{RESULTS} holds a part of the benchmark only.")
