"""A very long run: `make long` (TURNS=10000 MODE=fast). It continues as new again and again while updates come in.

Checked: the answer, each update handled exactly once although each is sent twice, the totals, one connected trace, and
that the worker's memory does not grow.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from mainspring import Agent, tool
from mainspring.contracts.run import RunResult
from mainspring.core.messages import ToolCall, count_replies
from mainspring.devserver import DevServer
from mainspring.ports.model import Model, ModelReply, ModelRequest
from mainspring.serve import Project, serve
from mainspring.settings import Settings
from mainspring.telemetry.chain import project_run
from mainspring.telemetry.trace import Trace, orphans
from mainspring.testing.bench import connect

QUEUE = "long"
GROWTH = 1.15
"""How much more memory the worker may have in the last third than in the middle one: noise, no leak."""
TEXT = "x" * 1000


@tool(effect="read", returns="trusted")
def look(number: int) -> str:
    """Look something up."""
    return f"{number}: {TEXT}"


class Counter(Model):
    """Calls `look` until the last turn; answers how many notes it was given, and how many of them again."""

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._seen: set[str] = set()
        self._last: set[str] = set()
        self._again = 0

    async def reply(self, request: ModelRequest) -> ModelReply:
        """The next call, or the answer."""
        notes = re.findall(r"note \d+", " ".join(m.text for m in request.messages if m.role == "note"))
        fresh = set(notes) - self._last
        self._again += len(fresh & self._seen) + len(notes) - len(set(notes))
        self._seen |= fresh
        self._last = set(notes)
        spoken = count_replies(request.messages)
        known = ModelReply(text="", model="counter", provider="mainspring", input_tokens=1, output_tokens=1)
        if spoken < self._turns - 1:
            call = ToolCall(id="c", name="look", args={"number": spoken})
            return known.model_copy(update={"calls": (call,)})
        return known.model_copy(update={"text": f"{len(self._seen)} notes, {self._again} again"})


async def work(turns: int, mode: str, state: Path) -> None:
    """The worker process."""
    agent = Agent("long", instructions="Count.", tools=[look], mode=mode, max_steps=2 * turns)
    project = Project(agent, models={"count:er": Counter(turns)})
    await serve(project, Settings(model="count:er", state=state, task_queue=QUEUE))


async def main(turns: int, mode: str) -> int:
    """Play it; 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        async with DevServer(Path(folder) / "server", port=0, ui_port=0) as server:
            command = [sys.executable, "-m", "tests.long", "worker", str(turns), mode, f"{folder}/state"]
            worker = subprocess.Popen(command, env={**os.environ, **server.environment})  # noqa: ASYNC220 - at the start
            try:
                return await play(
                    await connect(server.address, Path(folder) / "state"), turns, mode, lambda: resident(worker.pid)
                )
            finally:
                worker.terminate()
                worker.wait()


async def play(client: Client, turns: int, mode: str, memory: Callable[[], int]) -> int:
    """Start the run, send updates while it goes on, and look at what came of it."""
    handle = await client.start_workflow("long", "Go", id="long", task_queue=QUEUE)
    done = asyncio.create_task(handle.result())
    sent, sizes = 0, list[int]()
    while not done.done():
        sent += await send(handle, sent + 1)
        sizes.append(memory())
        show(f"{sent} notes sent, worker {sizes[-1] / 1e6:.0f} MB")
        await asyncio.wait([done], timeout=0.5)
    result = RunResult.model_validate(done.result())
    trace = await project_run(client, "long", (await handle.describe()).run_id)
    third = len(sizes) // 3
    growth = median(sizes[-third:]) / median(sizes[third : 2 * third])
    executions = [each async for each in client.list_workflows("WorkflowId = 'long'")]
    wrong = {
        "the answer": result.answer != f"{sent} notes, 0 again",
        "the totals": result.totals.tool_calls != turns - 1 or not 0 <= result.totals.model_calls - turns <= sent,
        "the trace": bool(orphans(trace)) or count(trace, "chat counter") != result.totals.model_calls,
        "the memory": growth > GROWTH,
    }
    print(  # noqa: T201 - a script
        f"\n{mode}, {turns} turns in {len(executions)} executions, {result.totals.seconds:.0f} s: {result.answer} "
        f"({sent} sent, each twice); worker memory x {growth:.2f}; "
        f"{', '.join(f'{what} is WRONG' for what, bad in wrong.items() if bad) or 'ok'}"
    )
    return int(any(wrong.values()))


async def send(handle: WorkflowHandle, number: int) -> int:
    """Send a note twice under one id, as a client does that got no answer; whether the run still took it."""
    for again in range(2):
        while True:
            try:
                await handle.execute_update("steer", f"note {number}", id=f"note-{number}")
                break
            except WorkflowUpdateFailedError:  # no agent is at work any more
                return again
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:  # it has ended
                    return again
                if error.status != RPCStatusCode.ABORTED:  # it continues as new just now
                    raise
    return 1


def count(trace: Trace, name: str) -> int:
    """How many spans of a trace have this name."""
    return sum(span.name == name for span in trace.spans)


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) * 1024 if match else 0


def show(text: str) -> None:
    """A line that the next one writes over, on a terminal."""
    if sys.stdout.isatty():
        print(f"\r{text}    ", end="", flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(work(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
    else:
        sys.exit(asyncio.run(main(int(sys.argv[1]), sys.argv[2])))
