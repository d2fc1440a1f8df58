"""Draws the plots of `docs/benchmarks.md` from the results: `python plots.py RESULTS FOLDER`.

It runs in the environment `plots`, with matplotlib alone. The same results give the same files, byte for byte.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter

Sample = dict[str, Any]


def draw(samples: list[Sample], of: Callable[[Sample], float], label: str, file: Path) -> None:
    """One line for each stack, by length."""
    figure, axes = plt.subplots(figsize=(7.5, 4.5))
    for number, stack in enumerate(dict.fromkeys(sample["stack"] for sample in samples)):
        values: dict[int, list[float]] = {}
        for sample in samples:
            if sample["stack"] == stack and of(sample) > 0:
                values.setdefault(sample["turns"], []).append(of(sample))
        if values:
            ours = stack.startswith("mainspring")
            points = [(turns, median(values[turns])) for turns in sorted(values)]
            axes.plot(
                *zip(*points, strict=True),
                marker="o" if ours else "s",
                markersize=4,
                linewidth=2 if ours else 1,
                linestyle="-" if ours else "--",
                color=f"C{number}",
                label=stack,
            )
    axes.set(xscale="log", yscale="log", xlabel="turns of a run", ylabel=label)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    # matplotlib ends lines with spaces here and there.
    text = "\n".join(line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text(text + "\n", encoding="utf-8")


def main(results: Path, folder: Path) -> None:
    """Draw all."""
    plt.rcParams.update({"svg.hashsalt": "mainspring", "svg.fonttype": "none"})
    kept = json.loads(results.read_text(encoding="utf-8"))["samples"]
    alone = [s for s in kept if s["at_once"] == 1 and not s["latency"] and not s["failed"]]
    alone.sort(key=lambda sample: (not sample["stack"].startswith("mainspring"), sample["stack"]))
    if alone:
        draw(alone, lambda s: median(s["seconds"]), "seconds, model without latency", folder / "benchmark-time.svg")
        draw(alone, lambda s: s["bytes"], "bytes of history", folder / "benchmark-history.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
