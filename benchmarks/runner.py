"""Runs the stacks, one process at a time and round by round, and writes down what they did."""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client
from temporalio.service import RPCError

from benchmarks import history
from benchmarks.catalogue import Entry
from benchmarks.child import Child, StackError, processor_time
from benchmarks.environments import Missing, python_of
from benchmarks.job import Job
from benchmarks.plan import FIRST, LONGEST, NOT_TWICE, Case, jobs
from benchmarks.postgres import Postgres
from benchmarks.protocol import Place
from benchmarks.results import Results, Sample, Start
from mainspring.devserver import OPTIONS, DevServer


@dataclass
class Servers:
    """What runs for the length of the benchmark. `no_postgres` says why there is none, and what to install."""

    temporal: DevServer
    client: Client
    folder: Path
    postgres: Postgres | None
    no_postgres: str

    def pid(self, entry: Entry) -> int:
        """The server that a stack keeps its runs in."""
        if entry.server == "temporal":
            return self.temporal.pid
        assert self.postgres is not None  # noqa: S101 - the stack was left out otherwise
        return self.postgres.pid


@asynccontextmanager
async def servers(entries: Iterable[Entry], options: Sequence[tuple[str, str]] = OPTIONS) -> AsyncGenerator[Servers]:
    """A Temporal server as `mainspring dev` starts it, for all stacks, and a PostgreSQL where one needs it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        postgres, why = None, ""
        if any(entry.server == "postgres" for entry in entries):
            try:
                postgres = stack.enter_context(Postgres())
            except Missing as missing:
                why = str(missing)
        async with DevServer(folder / "temporal", port=0, ui_port=0, options=options) as temporal:
            client = await Client.connect(temporal.address)
            yield Servers(temporal, client, folder, postgres, why)


class Runner:
    """Does cases on stacks; what fails is written down and left out afterwards, and stops nobody else."""

    def __init__(self, results: Results, servers: Servers) -> None:
        """Measure into these results, on these servers."""
        self.results = results
        self.servers = servers
        self._settled: set[tuple[str, Case]] = set()
        self._databases: set[str] = set()
        self._name = uuid.uuid5(uuid.NAMESPACE_OID, f"{os.getpid()}/{servers.temporal.address}").hex[:6]
        self._count = 0

    async def begin(self, entry: Entry, for_jobs: Sequence[Job], queue: str = "") -> Child:
        """A fresh process of a stack, on a task queue of its own unless one is named.

        Raises:
            StackError: it does not come up.
        """
        self._count += 1
        folder = self.servers.folder / f"{entry.name}-{self._count}"
        folder.mkdir()
        return await Child.begin(entry, self._place(entry, folder, for_jobs, queue or folder.name))

    def keys(self, entry: Entry, count: int) -> list[str]:
        """New names for runs."""
        self._count += 1
        return [f"{entry.name}-{self._name}-{self._count}-{n}" for n in range(count)]

    async def take_turn(self, entry: Entry, cases: Sequence[Case], label: str) -> None:
        """Start a stack, do the cases that are not settled, and end it."""
        left = [case for case in cases if (entry.name, case) not in self._settled]
        child: Child | None = None
        try:
            for case in left:
                if child is None or child.broken:
                    child = await self._first_run(entry, jobs(tuple(cases)), label)
                if child is None:
                    return
                print(f"{label} {entry.name}: {case} … ", end="", flush=True)
                sample = await self._sample(child, case)
                print(f"dies: {sample.failed}" if sample.failed else f"{sample.wall / len(sample.seconds):.2f} s a run")
                self.results.samples.append(sample)
                if sample.failed or sample.wall > NOT_TWICE:
                    self._settled.add((entry.name, case))
        except BaseException:
            if child is not None:
                await child.kill()  # nobody waits for its work when the benchmark is stopped
            raise
        if child is not None:
            await (child.kill() if child.broken else child.quit())

    async def _first_run(self, entry: Entry, for_jobs: Sequence[Job], label: str) -> Child | None:
        """Start a stack and do its first run; None, and the reason written down, where that fails."""
        print(f"{label} {entry.name}: start … ", end="", flush=True)
        child = None
        try:
            child = await self.begin(entry, for_jobs)
            await child.run(FIRST, self.keys(entry, 1), 1, LONGEST)
        except BaseException as error:
            if child is not None:
                await child.kill()
            if not isinstance(error, StackError | Missing):
                raise
            print(error)
            self.results.not_run[entry.name] = str(error)
            return None
        first = child.age
        print(f"first run after {first:.2f} s")
        start = Start(entry.name, child.load_seconds, child.ready_seconds, first, child.memory)
        self.results.starts.append(start)
        return child

    async def _sample(self, child: Child, case: Case) -> Sample:
        entry, job = child.entry, case.job
        keys, server = self.keys(entry, case.runs), self.servers.pid(entry)
        base: dict[str, Any] = {
            "stack": entry.name, "turns": job.turns, "latency": job.latency, "at_once": case.at_once,
        }  # fmt: skip
        try:
            before = processor_time(server)
            done = await child.run(job, keys, case.at_once, case.within)
            spent, memory = processor_time(server) - before, child.memory
            read = await self._read(child, case, keys[0])
        except StackError as error:
            await self._abandon(entry, keys)
            await child.kill()
            return Sample(**base, failed=str(error))
        seconds = tuple(done["seconds"])
        return Sample(
            **base, seconds=seconds, wall=done["wall"], cpu=done["cpu"], server_cpu=spent, memory=memory, **read
        )

    async def _read(self, child: Child, case: Case, key: str) -> dict[str, Any]:
        """What one run left behind."""
        found: dict[str, Any] = {}
        if case.at_once == 1 and (stored := await child.ask("stored", 60, key=key)):
            found["stored"] = stored
        if child.entry.server == "temporal":
            recorded = await history.read(self.servers.client, key, with_tasks=child.entry.is_ours)
            found |= {"bytes": recorded.bytes, "events": recorded.events, "executions": recorded.executions}
            found |= {"longest_task": recorded.longest_task, "replay_events": recorded.longest_events}
            if case.replays:
                within = 120.0 * case.replays
                replays = await child.ask("replay", within, key=key, times=case.replays, run_id=recorded.longest_run)
                found["replays"] = tuple(replays)
        return found

    async def _abandon(self, entry: Entry, keys: Iterable[str]) -> None:
        """End what a broken stack left running, so that it costs the next one nothing."""
        if entry.server == "temporal":
            for key in keys:
                with suppress(RPCError):  # it was never started, or has ended
                    await self.servers.client.get_workflow_handle(key).terminate("the benchmark gave it up")

    def _place(self, entry: Entry, folder: Path, for_jobs: Sequence[Job], queue: str) -> Place:
        address = ""
        if entry.server == "postgres" and self.servers.postgres is not None:
            name = entry.name.replace("-", "_")
            if name not in self._databases:
                self.servers.postgres.make_database(name)
                self._databases.add(name)
            address = self.servers.postgres.address(name)
        return Place(self.servers.temporal.address, address, str(folder), queue, tuple(for_jobs))


def usable(entries: Sequence[Entry], servers: Servers, results: Results) -> list[Entry]:
    """The stacks that can run here, their environments made; why another cannot is written down."""
    kept = []
    for entry in entries:
        try:
            _require(entry, servers)
            python_of(entry.lock)
        except Missing as missing:
            print(f"{entry.name} does not run: {missing}", flush=True)
            results.not_run[entry.name] = str(missing)
        else:
            kept.append(entry)
    return kept


def _require(entry: Entry, servers: Servers) -> None:
    if entry.server == "postgres" and servers.postgres is None:
        raise Missing(servers.no_postgres)


async def import_seconds(times: int) -> list[float]:
    """How long `import mainspring` takes in a fresh process."""
    program = "import time; t = time.perf_counter(); import mainspring; print(time.perf_counter() - t)"
    seconds = []
    for _ in range(times):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-c", program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
        seconds.append(float(out))
    return seconds


def machine() -> dict[str, Any]:
    """What the figures were made on, without a name that tells whose it is."""
    return {
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 1024**3:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "temporal": _version(["temporal", "--version"]),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _version(command: list[str]) -> str:
    program = shutil.which(command[0]) or str(Path(sys.executable).with_name(command[0]))
    said = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout.strip().splitlines()[0] if said.stdout.strip() else ""
