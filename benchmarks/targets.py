"""What the figures have to be, and whether they are. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.catalogue import TEMPORAL_PEERS
from benchmarks.figures import Dies, Figures, NotRun, middle, peer, ratio
from benchmarks.job import PAYLOAD_PER_TURN

STEP, TURN, FAST = (f"mainspring-{mode}" for mode in ("step", "turn", "fast"))
OURS = (STEP, TURN, FAST)
SLOW = 0.05
"""Latency of the slow model, in seconds."""
KB, MB = 1024.0, 1024.0 * 1024.0
TIMES = "{:.2f}×"  # noqa: RUF001 - the sign for it
Verdict = Literal["ok", "short", "not run"]


@dataclass(frozen=True)
class Target:
    """One figure and its bound: at most, or at least where `least` says so. `show` writes either."""

    name: str
    bound: float
    figure: Callable[[Figures], float]
    show: str = "{:.2f}"
    least: bool = False

    def verdict(self, figures: Figures) -> tuple[Verdict, str]:
        """Whether it is met, and the line that says so."""
        bound = f"{'≥' if self.least else '≤'} {self.show.format(self.bound)}"
        try:
            value = self.figure(figures)
        except NotRun:
            return "not run", f"{self.name}: not run"
        except Dies as death:
            return "short", f"{self.name}: dies, {death} ({bound}) short"
        met = value >= self.bound if self.least else value <= self.bound
        verdict: Verdict = "ok" if met else "short"
        return verdict, f"{self.name}: {self.show.format(value)} ({bound}) {verdict}"


def targets() -> tuple[Target, ...]:
    """All of them, in the order they are printed."""
    return (*_history(), *_time(), *_work(), *_replay(), *_life())


def _history() -> tuple[Target, ...]:
    def bytes_per_turn(f: Figures, stack: str, shorter: int, longer: int) -> float:
        return f.per_turn(f.history_bytes, stack, shorter, longer)

    def growth(f: Figures) -> float:
        return ratio(bytes_per_turn(f, TURN, 150, 200), bytes_per_turn(f, TURN, 10, 50))

    def long_growth(f: Figures) -> float:
        return ratio(bytes_per_turn(f, FAST, 1000, 5000), bytes_per_turn(f, FAST, 150, 200))

    def events(stack: str) -> Callable[[Figures], float]:
        return lambda f: f.per_turn(f.events, stack, 4, 50)

    beyond = Target(
        "turn: history bytes per turn beyond the payload, T = 150 to 200",
        1.3 * KB,
        lambda f: bytes_per_turn(f, TURN, 150, 200) - PAYLOAD_PER_TURN,
        "{:,.0f} B",
    )
    return (
        Target("turn: history bytes per turn, T = 150 to 200 against 10 to 50", 1.05, growth),
        beyond,
        Target("turn: history of T = 200", 0.7, lambda f: f.history_bytes(TURN, 200) / MB, "{:.2f} MB"),
        Target("fast: T = 1,000 ends, executions", 1, lambda f: f.executions(FAST, 1000), "{:.0f}", least=True),
        Target("fast: T = 5,000 ends by continue-as-new, executions", 2, lambda f: f.executions(FAST, 5000), "{:.0f}",
               least=True),
        Target("fast: history bytes per turn, T = 1,000 to 5,000 against 150 to 200", 1.05, long_growth),
        Target("step: history events per turn", 12, events(STEP), "{:.1f}"),
        Target("turn: history events per turn", 7, events(TURN), "{:.1f}"),
        Target("fast: history events per turn", 3, events(FAST), "{:.1f}"),
    )  # fmt: skip


def _time() -> tuple[Target, ...]:
    def against(stack: str, other: str, turns: int) -> Callable[[Figures], float]:
        return lambda f: ratio(f.p50(stack, turns), peer(lambda: f.p50(other, turns)))

    def added(stack: str) -> Callable[[Figures], float]:
        return lambda f: f.added_per_step(stack, 50, SLOW) * 1000

    def ideal(stack: str) -> Callable[[Figures], float]:
        return lambda f: f.against_ideal(stack, 50, SLOW)

    return (
        Target("turn: p50 at T = 50 against plain", 0.6, against(TURN, "plain", 50), TIMES),
        Target("fast: p50 at T = 50 against plain", 0.2, against(FAST, "plain", 50), TIMES),
        Target("turn: time added per step, 50 ms model, T = 50", 20, added(TURN), "{:.1f} ms"),
        Target("fast: time added per step, 50 ms model, T = 50", 7, added(FAST), "{:.1f} ms"),
        Target("turn: 50 ms model, T = 50, against the ideal", 1.8, ideal(TURN), TIMES),
        Target("fast: 50 ms model, T = 50, against the ideal", 1.3, ideal(FAST), TIMES),
        Target("fast: p50 at T = 4 against DBOS", 2.0, against(FAST, "dbos", 4), TIMES),
        Target("fast: p50 at T = 50 against DBOS", 1.3, against(FAST, "dbos", 50), TIMES),
        Target("fast: p50 at T = 200 against DBOS", 1.0, against(FAST, "dbos", 200), TIMES),
    )


def _work() -> tuple[Target, ...]:
    def rate(stack: str) -> Callable[[Figures], float]:
        return lambda f: ratio(f.runs_per_second(stack), bestpeer(f))

    def worker(stack: str) -> Callable[[Figures], float]:
        return lambda f: ratio(f.worker_cpu(stack, 50), peer(lambda: f.worker_cpu("plain", 50)))

    def server(stack: str) -> Callable[[Figures], float]:
        return lambda f: ratio(f.server_cpu(stack, 50), peer(lambda: f.server_cpu("plain", 50)))

    best = "against the best peer on Temporal"
    return (
        Target(f"turn: runs a second, T = 4, 20 at once, {best}", 1.3, rate(TURN), TIMES, least=True),
        Target(f"fast: runs a second, T = 4, 20 at once, {best}", 3.0, rate(FAST), TIMES, least=True),
        Target("step: worker CPU per turn at T = 50 against plain", 1.2, worker(STEP), TIMES),
        Target("step: server CPU per turn at T = 50 against plain", 1.0, server(STEP), TIMES),
        Target("turn: worker CPU per turn at T = 50 against plain", 0.9, worker(TURN), TIMES),
        Target("turn: server CPU per turn at T = 50 against plain", 0.6, server(TURN), TIMES),
    )


def _replay() -> tuple[Target, ...]:
    def cold(f: Figures) -> float:
        return ratio(f.replay_per_event(TURN, 200), peer(lambda: f.replay_per_event("plain-by-reference", 200)))

    return (
        Target("turn: cold replay of T = 200, an event, against plain by reference", 1.2, cold, TIMES),
        Target(
            "longest workflow task after a cold replay, any length and mode",
            2,
            lambda f: f.worst_task(OURS),
            "{:.2f} s",
        ),
    )


def _life() -> tuple[Target, ...]:
    def answer(of: str) -> Callable[[Figures], float]:
        return lambda f: _known(f.results.answers.get(of))

    def beside(f: Figures) -> float:
        sleep = f.results.sleep
        return _known(sleep and (sleep.beside - sleep.fresh) / MB)

    def in_cache(f: Figures) -> float:
        sleep = f.results.sleep
        return _known(sleep and (sleep.cached - sleep.empty) / sleep.in_cache / KB)

    return (
        Target("cold start, process to end of first run", 2.0, lambda f: f.start(TURN, "first"), "{:.2f} s"),
        Target("import mainspring", 0.5, _imported, "{:.2f} s"),
        Target("worker ready after", 1.2, lambda f: f.start(TURN, "ready"), "{:.2f} s"),
        # What a process holds differs by about this from one start to the next.
        Target("memory of a worker for all sleeping runs outside its cache", 4, beside, "{:.1f} MB"),
        Target("memory of a sleeping run in the cache", 150, in_cache, "{:.0f} KB"),
        Target("fast: a busy run answers a query within", 2, answer("query"), "{:.2f} s"),
        Target("fast: a busy run answers an update within", 2, answer("update"), "{:.2f} s"),
        Target("fast: a busy run is cancelled within", 2, answer("cancel"), "{:.2f} s"),
    )


def bestpeer(f: Figures) -> float:
    """Runs a second of the fastest stack on Temporal that is not Mainspring."""
    rates = []
    for stack in TEMPORAL_PEERS:
        try:
            rates.append(f.runs_per_second(stack))
        except (NotRun, Dies):
            continue
    if not rates:
        raise NotRun
    return max(rates)


def _imported(f: Figures) -> float:
    return middle(f.results.imports)


def _known(value: float | None) -> float:
    if value is None:
        raise NotRun
    return value
