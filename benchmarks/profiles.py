"""Where the time of short and of long runs goes, ours beside a plain workflow's.

`python -m benchmarks.profiles` prints this part of `docs/benchmarks.md` alone.
"""

import asyncio
from collections import Counter

from benchmarks import report
from benchmarks.catalogue import BY_NAME
from benchmarks.child import processor_time
from benchmarks.figures import MANY
from benchmarks.job import Job
from benchmarks.plan import FIRST, LONGEST
from benchmarks.results import Finding, Results
from benchmarks.runner import Runner, machine, servers
from benchmarks.targets import FAST, TURN

SHORT, LONG = Job(4), Job(200)
CASES = ((SHORT, 3 * MANY, MANY), (LONG, 3, 1))
"""Job, runs, at once."""
STACKS = ("plain", TURN, FAST)
SERVER = "Temporal server"


async def measure(runner: Runner) -> list[Finding]:
    """A table for each case.

    Raises:
        Missing: the environment of a stack cannot be made.
        StackError: a run did not end.
    """
    return [await _of(runner, *case) for case in CASES]


async def _of(runner: Runner, job: Job, runs: int, at_once: int) -> Finding:
    print(f"once: profiles: {runs} runs of T = {job.turns}, {at_once} at once … ", end="", flush=True)
    spent: dict[str, Counter[str]] = {}
    for name in STACKS:
        entry = BY_NAME[name]
        server = runner.servers.pid(entry)
        async with await runner.begin(entry, list(dict.fromkeys((FIRST, job)))) as child:
            await child.run(FIRST, runner.keys(entry, 1), 1, LONGEST)
            before = processor_time(server)
            done = await child.run(job, runner.keys(entry, runs), at_once, LONGEST, profile=True)
            looks: dict[str, int] = done["looks"]
            unit = done["cpu"] / sum(looks.values())
            spent[name] = Counter({SERVER: processor_time(server) - before})
            spent[name].update({whose: count * unit for whose, count in looks.items()})
    print("done")
    owners = sorted(set().union(*spent.values()), key=lambda whose: -sum(each[whose] for each in spent.values()))
    rows = [(whose, *(f"{spent[name][whose] / runs * 1000:.1f}" for name in STACKS)) for whose in owners]
    rows.append(("all", *(f"{spent[name].total() / runs * 1000:.1f}" for name in STACKS)))
    return Finding(
        f"T = {job.turns}, {at_once} at once",
        f"Processor milliseconds of a run, by whose code it was ({runs} runs).",
        ("Whose", *(f"`{name}`" for name in STACKS)),
        tuple(rows),
    )


async def _alone() -> None:
    async with servers([]) as running:
        found = await measure(Runner(Results(machine()), running))
    print(f"\n{report.findings(found)}")


if __name__ == "__main__":
    asyncio.run(_alone())
