"""Figures made from samples: medians, and differences between two lengths. Pure.

A figure that cannot be given raises: `NotRun` where it was not measured, `Dies` where the stack failed at it.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from benchmarks.job import Job
from benchmarks.results import Results, Sample

MANY = 20


class NotRun(Exception):  # noqa: N818 - no error: nobody asked for it
    """The figure was not measured."""


class Dies(Exception):  # noqa: N818 - the stack's, not ours
    """The stack failed at it; the text says how."""


def middle(values: Iterable[float]) -> float:
    """The median.

    Raises:
        NotRun: there is no value.
    """
    kept = list(values)
    if not kept:
        raise NotRun
    return float(median(kept))


def ratio(one: float, other: float) -> float:
    """How often `other` goes into `one`.

    Raises:
        NotRun: there is nothing to compare with.
    """
    if not other:
        raise NotRun
    return one / other


def peer(figure: Callable[[], float]) -> float:
    """A peer's figure: where the peer dies there is nothing to compare with.

    Raises:
        NotRun: it was not measured, or the peer died.
    """
    try:
        return figure()
    except Dies:
        raise NotRun from None


class Figures:
    """The figures of one run of the benchmark. Lengths are in turns."""

    def __init__(self, results: Results) -> None:
        """Take what was measured."""
        self.results = results

    def p50(self, stack: str, turns: int, latency: float = 0.0) -> float:
        """Median seconds of one run alone."""
        return middle(s for sample in self._of(stack, turns, latency) for s in sample.seconds)

    def runs_per_second(self, stack: str, turns: int = 4) -> float:
        """Runs a second, 20 at once."""
        return middle(len(s.seconds) / s.wall for s in self._of(stack, turns, at_once=MANY))

    def worker_cpu(self, stack: str, turns: int) -> float:
        """Processor seconds of the worker's process, a turn."""
        return middle(s.cpu / (len(s.seconds) * turns) for s in self._of(stack, turns))

    def server_cpu(self, stack: str, turns: int) -> float:
        """Processor seconds of the Temporal server or of PostgreSQL, a turn."""
        return middle(s.server_cpu / (len(s.seconds) * turns) for s in self._of(stack, turns))

    def history_bytes(self, stack: str, turns: int) -> float:
        """Bytes of a run's history."""
        return middle(s.bytes for s in self._of(stack, turns) if s.bytes)

    def events(self, stack: str, turns: int) -> float:
        """Events of a run's history."""
        return middle(s.events for s in self._of(stack, turns) if s.events)

    def executions(self, stack: str, turns: int) -> float:
        """In how many executions, each continuing the one before, a run was done."""
        return middle(s.executions for s in self._of(stack, turns) if s.executions)

    def stored(self, stack: str, turns: int) -> float:
        """Bytes of a run in a store that is not Temporal's."""
        return middle(s.stored for s in self._of(stack, turns) if s.stored)

    def replay(self, stack: str, turns: int) -> float:
        """Seconds of a cold replay."""
        return middle(s for sample in self._of(stack, turns) for s in sample.replays)

    def replay_per_event(self, stack: str, turns: int) -> float:
        """Seconds of a cold replay, an event."""
        return middle(s / sample.replay_events for sample in self._of(stack, turns) for s in sample.replays)

    def worst_task(self, stacks: Sequence[str]) -> float:
        """Seconds that a workflow task may take: the longest in any history, after the longest cold replay."""
        seen = [s for s in self.results.samples if s.stack in stacks and s.replays]
        if not seen:
            raise NotRun
        return max(s.longest_task + middle(s.replays) for s in seen)

    def added_per_step(self, stack: str, turns: int, latency: float) -> float:
        """Seconds that a step takes beyond the model's own time."""
        job = Job(turns, latency)
        return (self.p50(stack, turns, latency) - job.ideal) / job.steps

    def against_ideal(self, stack: str, turns: int, latency: float) -> float:
        """How often the model's own time goes into a run."""
        return ratio(self.p50(stack, turns, latency), Job(turns, latency).ideal)

    def per_turn(self, figure: Callable[[str, int], float], stack: str, shorter: int, longer: int) -> float:
        """What one more turn adds to a figure, between two lengths."""
        return (figure(stack, longer) - figure(stack, shorter)) / (longer - shorter)

    def start(self, stack: str, of: str) -> float:
        """Median of a value of the starts."""
        return middle(getattr(each, of) for each in self.results.starts if each.stack == stack)

    def memory(self, stack: str) -> float:
        """The most bytes that the worker's process was seen to hold."""
        seen = [s.memory for s in self.results.samples if s.stack == stack and s.memory]
        if not seen:
            raise NotRun
        return float(max(seen))

    def _of(self, stack: str, turns: int, latency: float = 0.0, at_once: int = 1) -> list[Sample]:
        wanted = (stack, turns, latency, at_once)
        found = [s for s in self.results.samples if (s.stack, s.turns, s.latency, s.at_once) == wanted]
        if failed := next((s.failed for s in found if s.failed), ""):
            raise Dies(failed)
        if not found:
            raise NotRun
        return found
