"""`make bench-recognisers`: what is found in labelled texts, and how long it takes."""

import argparse
import sys
from importlib.util import find_spec

from benchmarks.recognisers import page
from benchmarks.recognisers.labels import Labelled, read
from benchmarks.recognisers.score import pieces, score, time_per_kb
from mainspring.adapters.recognisers import KINDS, open_recognisers
from mainspring.ports.recogniser import Recogniser

SETS = {"Texts it was made with": "labelled.yaml", "Texts written afterwards": "unseen.yaml"}


def measure(name: str, recogniser: Recogniser, kinds: frozenset[str]) -> page.Measured:
    """What one recogniser finds, and how long it takes."""
    sets = {each: read(file) for each, file in SETS.items()}
    texts: list[Labelled] = [text for some in sets.values() for text in some]
    scored = {each: score(recogniser, some, kinds) for each, some in sets.items()}
    small, large = (time_per_kb(recogniser, pieces(texts, size)) for size in (1024, 10 * 1024))
    return page.Measured(name, scored, small, large)


def main() -> int:
    """Measure and show; the exit code is 1 where it takes longer than the target."""
    argparse.ArgumentParser(prog="python -m benchmarks.recognisers", description=__doc__).parse_args()
    presidio = None
    if find_spec("presidio_analyzer"):
        from mainspring.adapters.recognisers.presidio import Presidio

        recogniser = Presidio()
        presidio = measure("presidio", recogniser, recogniser.kinds & KINDS)
    return page.show(measure("ours", open_recognisers(), KINDS), presidio)


if __name__ == "__main__":
    sys.exit(main())
