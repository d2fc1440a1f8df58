"""Compares what is found with what is labelled, and measures the time. A find counts where it has the label's ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

from benchmarks.recognisers.labels import Labelled
from mainspring.ports.recogniser import Found, Recogniser

ROUNDS = 7


@dataclass(frozen=True)
class Fault:
    """A label that was not found, or a find that is no label."""

    id: str
    kind: str
    words: str
    missed: bool


@dataclass(frozen=True)
class Score:
    """Of one kind: the labels, the finds, and how many of each are the other."""

    labels: int
    finds: int
    right: int

    @property
    def precision(self) -> float:
        """The part of the finds that is right."""
        return self.right / self.finds if self.finds else 1.0

    @property
    def recall(self) -> float:
        """The part of the labels that was found."""
        return self.right / self.labels if self.labels else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Scored:
    """What came of one set of texts."""

    kinds: dict[str, Score]
    whole: Score
    faults: tuple[Fault, ...]


def score(recogniser: Recogniser, texts: Sequence[Labelled], kinds: frozenset[str]) -> Scored:
    """What a recogniser finds in the texts, of these kinds."""
    labels, finds, right, faults = list[Found](), list[Found](), list[Found](), list[Fault]()
    for each in texts:
        wanted = {label for label in each.labels if label.kind in kinds}
        got = {find for find in recogniser.find(each.text) if find.kind in kinds}
        labels += wanted
        finds += got
        right += wanted & got
        for find in sorted(wanted ^ got, key=lambda one: one.start):
            faults.append(Fault(each.id, find.kind, each.text[find.start : find.end], find in wanted))
    by_kind = {kind: Score(*(_count(some, kind) for some in (labels, finds, right))) for kind in sorted(kinds)}
    return Scored(by_kind, Score(len(labels), len(finds), len(right)), tuple(faults))


def _count(finds: Iterable[Found], kind: str) -> int:
    return sum(find.kind == kind for find in finds)


def pieces(texts: Sequence[Labelled], size: int) -> list[str]:
    """The texts, joined to pieces of at least this many characters but for the last."""
    made, now = list[str](), ""
    for each in texts:
        now += each.text.rstrip("\n") + "\n"
        if len(now) >= size:
            made.append(now)
            now = ""
    return [*made, now] if now else made


def time_per_kb(recogniser: Recogniser, texts: Sequence[str]) -> float:
    """Milliseconds of processor time for each KB of these texts: the median of some rounds, after one that warms up."""
    size = sum(len(text.encode(errors="replace")) for text in texts) / 1024
    rounds = list[float]()
    for _ in range(ROUNDS + 1):
        began = process_time()
        for text in texts:
            list(recogniser.find(text))
        rounds.append((process_time() - began) * 1000 / size)
    return median(rounds[1:])
