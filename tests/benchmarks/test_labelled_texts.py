"""The labelled texts, and how finds are compared with them."""

from collections.abc import Iterable

import pytest

from benchmarks.recognisers.__main__ import SETS
from benchmarks.recognisers.labels import Labelled, read
from benchmarks.recognisers.page import KINDS as TOLD
from benchmarks.recognisers.score import Fault, Score, pieces, score, time_per_kb
from mainspring.adapters.recognisers import KINDS, open_recognisers
from mainspring.ports.recogniser import Found, Recogniser

TEXT = Labelled("one", "ab cd ef", frozenset({Found("a", 0, 2), Found("a", 3, 5), Found("b", 6, 8)}))


class Scripted(Recogniser):
    """Finds what it was told to."""

    kinds = frozenset({"a", "b"})

    def __init__(self, *finds: Found) -> None:
        self._finds = finds

    def find(self, text: str) -> Iterable[Found]:
        return self._finds


def test_score() -> None:
    """A find is right where it has the label's kind and both its ends."""
    scored = score(Scripted(Found("a", 0, 2), Found("a", 3, 4), Found("b", 6, 8)), [TEXT], frozenset({"a", "b"}))

    assert scored.kinds == {"a": Score(2, 2, 1), "b": Score(1, 1, 1)}
    assert scored.whole == Score(labels=3, finds=3, right=2)
    assert set(scored.faults) == {Fault("one", "a", "cd", missed=True), Fault("one", "a", "c", missed=False)}


def test_score_of_some_kinds() -> None:
    """Labels and finds of other kinds do not count."""
    scored = score(Scripted(Found("a", 0, 1), Found("b", 6, 8)), [TEXT], frozenset({"b"}))

    assert (scored.whole, scored.faults) == (Score(1, 1, 1), ())


def test_figures() -> None:
    """Precision, recall and F1 are what they are everywhere."""
    one = Score(labels=4, finds=2, right=1)

    assert (one.precision, one.recall, round(one.f1, 3)) == (0.5, 0.25, 0.333)
    assert Score(0, 0, 0).f1 == 1.0
    assert Score(1, 1, 0).f1 == 0.0


def test_pieces() -> None:
    """Texts are joined to pieces of a length, and none is left out."""
    assert pieces([TEXT] * 3, 10) == ["ab cd ef\nab cd ef\n", "ab cd ef\n"]
    assert time_per_kb(Scripted(), pieces([TEXT] * 3, 10)) >= 0


@pytest.mark.parametrize("file", SETS.values())
def test_labels(file: str) -> None:
    """All marks are read, and each is of a kind there is, which the page explains."""
    texts = read(file)

    assert all(mark not in each.text for each in texts for mark in "⟦⟧⁀")
    assert {label.kind for each in texts for label in each.labels} == KINDS == TOLD.keys()
    assert any(not each.labels for each in texts)


def test_labelled_texts() -> None:
    """What was found once is found still."""
    whole = score(open_recognisers(), read("labelled.yaml"), KINDS).whole

    assert whole.labels > 200
    assert whole.precision >= 0.99
    assert whole.recall >= 0.94
