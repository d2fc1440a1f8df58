"""What one `make bench` measured: plain values, kept in `benchmarks/results.json`."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Start:
    """One start of a stack's process, in seconds from its birth.

    Its modules are loaded, its worker is ready, its first run (4 turns) has ended. `memory` is in bytes, afterwards.
    """

    stack: str
    load: float
    ready: float
    first: float
    memory: int


@dataclass(frozen=True)
class Sample:
    """Some runs of one job on one stack in one round. Processor times are seconds for all of these runs together.

    What is read once is of the first of them: bytes, events and executions in Temporal's history (0 where there is
    none), replays of its longest execution (`replay_events` long), bytes in a store of its own.
    """

    stack: str
    turns: int
    latency: float
    at_once: int
    seconds: tuple[float, ...] = ()
    wall: float = 0.0
    cpu: float = 0.0
    server_cpu: float = 0.0
    memory: int = 0
    bytes: int = 0
    events: int = 0
    executions: int = 0
    longest_task: float = 0.0
    replays: tuple[float, ...] = ()
    replay_events: int = 0
    stored: int = 0
    failed: str = ""


@dataclass(frozen=True)
class Sleep:
    """Runs that wait for an approval, `in_cache` of them in the worker's cache: memory in bytes, times in seconds.

    `empty` and `cached` are of the worker that started them, before and after. `fresh` and `beside` are of new
    workers, with no run on the server and with all of them asleep. `warm` and `cold` are the times to wake one.
    """

    runs: int
    in_cache: int
    empty: int
    cached: int
    fresh: int
    beside: int
    warm: tuple[float, ...]
    cold: tuple[float, ...]
    started: float


@dataclass(frozen=True)
class Wait:
    """Runs of one job on one way to start the development server, in seconds.

    `early` and `late` are the medians of what a workflow task waits for a worker, at the start and at the end of a
    run; `activity` of what an activity waits.
    """

    server: str
    seconds: tuple[float, ...]
    early: float
    late: float
    activity: float


@dataclass(frozen=True)
class Finding:
    """Something looked into beside, such as a setting of the worker: what it is, and a table of what was seen."""

    name: str
    text: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass
class Results:
    """Everything of one run of the benchmark."""

    machine: dict[str, Any] = field(default_factory=dict)
    turns: list[int] = field(default_factory=list)
    repeat: int = 0
    full: bool = False
    not_run: dict[str, str] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)
    answers: dict[str, float] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)
    settings: list[Finding] = field(default_factory=list)
    profiles: list[Finding] = field(default_factory=list)
    sleep: Sleep | None = None

    def write(self, file: Path) -> None:
        """Keep it."""
        values = _rounded(dataclasses.asdict(self))
        file.write_text("{\n" + ",\n".join(_lines(values)) + "\n}\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote."""
        kept = json.loads(file.read_text(encoding="utf-8"))
        kept["starts"] = [Start(**each) for each in kept["starts"]]
        kept["samples"] = [Sample(**_with_tuples(each)) for each in kept["samples"]]
        kept["waits"] = [Wait(**_with_tuples(each)) for each in kept["waits"]]
        for name in ("settings", "profiles"):
            kept[name] = [Finding(**_with_tuples(each)) for each in kept[name]]
        kept["sleep"] = Sleep(**_with_tuples(kept["sleep"])) if kept["sleep"] else None
        return cls(**kept)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in values.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value


def _lines(values: dict[str, Any]) -> Iterator[str]:
    """A line for each value, and for each of a list of records."""
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            yield f" {json.dumps(name)}: [\n{rows}\n ]"
        else:
            yield f" {json.dumps(name)}: {json.dumps(value)}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
