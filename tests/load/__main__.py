"""Very many approvals: `make approvals-load` (N=1000 runs, each of which waits for one decision).

They are listed, approved, and approved again as after a lost connection, by what `mainspring approvals` is made of.
Checked: each call ran once, nothing was lost, nothing ran twice, and the second time everybody was told the same.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from temporalio.client import Client

from mainspring import Agent, Context, tool
from mainspring.cli.approvals_listed import Waiting, Wanted, find
from mainspring.cli.approvals_sent import Order, Sending, Tally
from mainspring.devserver import DevServer
from mainspring.serve import Project, serve
from mainspring.settings import Settings
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import connect

QUEUE = "load"
JOBS = 32
PAID = Path("paid")
"""One line for each time the tool took effect, in the folder that the worker runs in."""


@tool("once", returns="trusted")
def pay(cents: int, context: Context) -> str:
    """Pay money."""
    with PAID.open("a", encoding="utf-8") as paid:
        paid.write(f"{context.run}\n")
    return f"paid {cents}"


async def work(state: Path) -> None:
    """The worker process."""
    agent = Agent("payer", instructions="Pay.", tools=[pay])
    project = Project(agent, models={"test:model": ScriptedModel(call("pay", cents=100), say("Paid."))})
    await serve(project, Settings(model="test:model", state=state, task_queue=QUEUE))


async def main(number: int) -> int:
    """Play it; 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with DevServer(folder / "server", port=0, ui_port=0) as server:
            environment = {**os.environ, **server.environment, "PYTHONPATH": str(Path.cwd())}
            command = [sys.executable, "-m", "tests.load", "worker", str(folder / "state")]
            worker = subprocess.Popen(command, env=environment, cwd=folder)  # noqa: ASYNC220 - at the start
            try:
                client = await connect(server.address, folder / "state")
                return await play(client, number, folder / PAID)
            finally:
                worker.terminate()
                worker.wait()


async def play(client: Client, number: int, paid: Path) -> int:
    """Start the runs, decide them twice, and look at what came of it."""
    first_ids = await start(client, number)
    began = time.monotonic()
    waiting, mute = await find(client, Wanted(), JOBS, lambda n: show(f"{n} runs asked"))
    listed = took(began, f"{len(waiting)} requests wait in {number} runs, {len(mute)} runs do not answer")
    once = await decide(client, waiting)
    decided = took(listed, f"{once.sums()}")
    again = await decide(client, waiting)
    took(decided, f"the same again: {again.sums()}")
    await asyncio.gather(*(client.get_workflow_handle(each.run).result() for each in waiting))
    ran = Counter((await asyncio.to_thread(paid.read_text, encoding="utf-8")).split())
    lost, double = len(first_ids - set(ran)), sum(times - 1 for times in ran.values())
    same = {each.waiting.run: each.said for each in once.told} == {each.waiting.run: each.said for each in again.told}
    is_fine = once.is_fine and again.is_fine and same and len(waiting) == number and lost == double == 0
    seconds = decided - listed
    say_line(
        f"{number} decisions over {number} runs in {seconds:.1f} s ({number / seconds:.0f} a second): lost {lost}, "
        f"double {double}; {'ok' if is_fine else 'WRONG'}"
    )
    return int(not is_fine)


async def start(client: Client, number: int) -> set[str]:
    """Start the runs, and wait until all of them wait; gives the run ids."""
    slots = asyncio.Semaphore(JOBS)

    async def one(place: int) -> str:
        async with slots:
            handle = await client.start_workflow("payer", "Pay", id=f"payer-{place}", task_queue=QUEUE)
            return str(handle.first_execution_run_id)

    began = time.monotonic()
    found = set(await asyncio.gather(*(one(place) for place in range(number))))
    while (count := (await client.count_workflows(Wanted().query)).count) < number:
        show(f"{count} runs wait")
        await asyncio.sleep(0.5)
    took(began, f"{number} runs started, until each waits")
    return found


async def decide(client: Client, waiting: list[Waiting]) -> Tally:
    """Approve everything."""
    tally = Tally(Order("approve", {"comment": "load"}), len(waiting))
    await Sending(client, tally.order, JOBS, tally.told.append).through(waiting)
    return tally


def took(began: float, what: str) -> float:
    """Say how long something took; gives the time now."""
    now = time.monotonic()
    say_line(f"{what}: {now - began:.1f} s")
    return now


def say_line(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - a script


def show(text: str) -> None:
    """A line that the next one writes over, on a terminal."""
    if sys.stdout.isatty():
        print(f"\r{text}    ", end="", flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(work(Path(sys.argv[2])))
    else:
        sys.exit(asyncio.run(main(int(sys.argv[1]))))
