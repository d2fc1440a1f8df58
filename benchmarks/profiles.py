"""Where the time of short and of long runs goes, ours beside a plain workflow's, and where the bytes of a history go.

`python -m benchmarks.profiles` prints this part of `docs/benchmarks.md` alone.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from benchmarks import report
from benchmarks.catalogue import BY_NAME
from benchmarks.child import processor_time
from benchmarks.figures import MANY
from benchmarks.job import PAYLOAD_PER_TURN, Job
from benchmarks.plan import FIRST, LONGEST
from benchmarks.results import Finding, Results
from benchmarks.runner import Runner, machine, servers
from benchmarks.targets import FAST, TURN

SHORT, MIDDLE, LONG = Job(4), Job(50), Job(200)
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
    return [*[await _of(runner, *case) for case in CASES], await _bytes(runner)]


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


async def _bytes(runner: Runner) -> Finding:
    print(f"once: profiles: the history of {TURN}, T = {MIDDLE.turns} … ", end="", flush=True)
    async with await runner.begin(BY_NAME[TURN], [FIRST, MIDDLE]) as child:
        [key] = runner.keys(BY_NAME[TURN], 1)
        await child.run(MIDDLE, [key], 1, LONGEST)
    count, size, said = Counter[str](), Counter[str](), Counter[str]()
    async for event in runner.servers.client.get_workflow_handle(key).fetch_history_events():
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").replace("_", " ").lower()
        count[kind] += 1
        size[kind] += event.ByteSize()
        said[kind] += sum(len(payload.data) for payload in _ours(event))
    print("done")
    kinds = [kind for kind, number in count.most_common() if number >= MIDDLE.turns - 1]
    each = [(kind, size[kind] / count[kind], said[kind] / count[kind]) for kind in kinds]
    each.append(("all", sum(whole for _, whole, _ in each), sum(ours for _, _, ours in each)))
    return Finding(
        f"The history of `{TURN}`",
        f"Bytes of each kind of event that every turn has, and how much of that is ours: {PAYLOAD_PER_TURN} of it "
        "are what model and tool said, the rest says what belongs to what. All else are fields of Temporal's own.",
        ("Event", "bytes", "ours"),
        tuple((kind, f"{whole:,.0f}", f"{ours:,.0f}") for kind, whole, ours in each),
    )


def _ours(event: HistoryEvent) -> Iterator[Payload]:
    """Input and result of a step."""
    yield from event.activity_task_scheduled_event_attributes.input.payloads
    yield from event.activity_task_completed_event_attributes.result.payloads
    yield from event.marker_recorded_event_attributes.details["result"].payloads


async def _alone() -> None:
    async with servers([]) as running:
        found = await measure(Runner(Results(machine()), running))
    print(f"\n{report.findings(found)}")


if __name__ == "__main__":
    asyncio.run(_alone())
