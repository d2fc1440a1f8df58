"""`make bench` and `make bench-sleep`: Mainspring beside its peers, and runs that wait for a person."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from benchmarks import profiles, publish, settings, sleeping, waits
from benchmarks.catalogue import BY_NAME, ENTRIES, Entry
from benchmarks.child import StackError
from benchmarks.environments import HOME, Missing
from benchmarks.job import Job
from benchmarks.plan import TURNS, once, rounds
from benchmarks.results import Results
from benchmarks.runner import Runner, import_seconds, machine, servers, usable
from benchmarks.targets import FAST, OURS, SLOW, STEP, TURN

SLEEPERS = 1000
"""How many runs sleep where N does not say it."""


async def bench(names: list[str], turns: tuple[int, ...], repeat: int, *, beside: bool, file: Path) -> None:
    """Measure, round by round, then write what was measured; `beside` is all that a full benchmark measures once."""
    asked = [BY_NAME[name] for name in names]
    results = Results(machine(), list(turns), repeat)
    async with servers(asked) as running:
        entries = usable(asked, running, results)
        results.full = beside and len(entries) == len(ENTRIES)
        runner = Runner(results, running)
        for number in range(1, repeat + 1):
            order = entries if number % 2 else entries[::-1]  # no stack always follows the same one
            for place, entry in enumerate(order, start=1):
                label = f"round {number} of {repeat}, stack {place} of {len(order)}:"
                await runner.take_turn(entry, rounds(turns), label)
        if any(entry.is_ours for entry in entries):
            results.imports = await import_seconds(max(3, repeat))
        if beside:
            await _beside(runner, results, entries)
    publish.write(results, file)


async def _beside(runner: Runner, results: Results, entries: list[Entry]) -> None:
    """What a full benchmark measures one time: more lengths, long runs, busy runs, sleeping runs."""
    here = {entry.name for entry in entries}
    for entry in entries:
        if cases := once(entry):
            await runner.take_turn(entry, cases, "once:")
    if FAST in here:
        with _noting("a busy run", results):
            results.answers = await _answers(runner)
    if stack := next((name for name in (TURN, STEP) if name in here), ""):
        with _noting("sleeping runs", results):
            results.sleep = await sleeping.measure(runner, stack, SLEEPERS)
    if here.issuperset(OURS):
        with _noting("settings of the worker", results):
            results.settings = await settings.measure(runner)
    if here.issuperset(profiles.STACKS):
        with _noting("where the time goes", results):
            results.profiles = await profiles.measure(runner)
    if waits.STACK in here:
        with _noting("waits of the server", results):
            results.waits = await waits.measure(results)


@contextlib.contextmanager
def _noting(name: str, results: Results) -> Iterator[None]:
    """Write down what could not be measured, and go on."""
    try:
        yield
    except (StackError, Missing) as error:
        print(f"failed: {error}")
        results.not_run[name] = str(error)


async def _answers(runner: Runner) -> dict[str, float]:
    entry, job = BY_NAME[FAST], Job(TURNS[-1], SLOW)
    print(f"once: {FAST}: a query, an update and a cancellation of a busy run … ", end="", flush=True)
    async with await runner.begin(entry, [job]) as child:
        [key] = runner.keys(entry, 1)
        answers: dict[str, float] = await child.ask("answers", 120, turns=job.turns, latency=job.latency, key=key)
    print(", ".join(f"{seconds:.2f} s" for seconds in answers.values()))
    return answers


async def sleep(runs: int, stack: str) -> None:
    """Measure sleeping runs alone, and print what was seen."""
    results = Results(machine())
    async with servers([]) as running:
        results.sleep = await sleeping.measure(Runner(results, running), stack, runs)
    publish.show_sleep(results)


def main() -> int:
    """Read the command line, measure; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--stacks", default="", help=f"some of: {', '.join(BY_NAME)}")
    parser.add_argument("--turns", default="", help="lengths of runs, such as 4,50")
    parser.add_argument("--repeat", default="", help="rounds (3)")
    parser.add_argument("--results", default=publish.RESULTS, type=Path, help="the file for what was measured")
    parser.add_argument("--sleep", metavar="N", default="", help="measure N sleeping runs instead")
    given = parser.parse_args()
    try:
        return _run(_work(given))
    except (ValueError, Missing, StackError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _work(given: argparse.Namespace) -> Coroutine[Any, Any, None]:
    names = list(dict.fromkeys(given.stacks.replace(",", " ").split())) or [entry.name for entry in ENTRIES]
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(f"there is no stack {unknown[0]!r}. STACKS takes some of: {', '.join(BY_NAME)}")
    if given.sleep:
        stack = names[0] if given.stacks else TURN
        if stack not in OURS:
            raise ValueError(f"{stack!r} has no runs that wait for an approval. STACKS takes one of: {', '.join(OURS)}")
        return sleep(_number(given.sleep, "N"), stack)
    turns = tuple(sorted({_number(length, "TURNS") for length in given.turns.replace(",", " ").split()})) or TURNS
    return bench(names, turns, _number(given.repeat or "3", "REPEAT"), beside=not given.turns, file=given.results)


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError(f"{name} is {text!r}; it must be a whole number above 0.")
    return int(text)


def _run(work: Coroutine[Any, Any, None]) -> int:
    """Run until done; Ctrl-C and SIGTERM end the servers and the stacks first."""

    async def whole() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it runs this function
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    HOME.mkdir(exist_ok=True)
    try:
        asyncio.run(whole())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nStopped; nothing was written.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
