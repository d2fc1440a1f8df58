"""Makes workers cheaply: a process that has imported everything, and forks a worker whenever one is asked for.

    python -m tests.chaos.nursery     reads orders and writes what became of them, a JSON object a line

Here no thread runs and no client is connected before a fork: each worker makes its own.
"""

import asyncio
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tests.chaos.failpoints import Act

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Order:
    """A worker that is wanted: which folder, server and task queue are its own, and what becomes of it where."""

    folder: str
    address: str
    task_queue: str
    at: str = ""
    act: Act = ""
    events: int = 0


class Child:
    """A worker process; `gone` is done when it has ended, and gives how."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.gone.done():
            os.kill(self.pid, number)

    async def stop(self) -> None:
        """End it in order, by force after ten seconds."""
        self.send(signal.SIGTERM)
        await asyncio.wait([self.gone], timeout=10)
        self.send(signal.SIGKILL)
        await self.gone


class Nursery:
    """The other end of the pipe: asks for workers and learns of their ends."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._children: dict[int, Child] = {}
        self._one = asyncio.Lock()

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.nursery"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C reaches us alone, and ours end with us
            )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()  # then it ends, and its workers with it
        try:
            await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._reader.cancel()

    async def spawn(self, order: Order) -> Child:
        """A new worker process."""
        pipe = self._process.stdin
        assert pipe
        async with self._one:
            pipe.write(json.dumps(asdict(order)).encode() + b"\n")
            await pipe.drain()
            pid = await self._born.get()
            if pid < 0:
                raise RuntimeError(f"The nursery has ended: {self._log.read_text()[-2000:]}")
            return self._children[pid]

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            told = json.loads(line)
            if "status" in told:
                self._children[told["pid"]].gone.set_result(told["status"])
            else:
                self._children[told["pid"]] = Child(told["pid"])
                self._born.put_nowait(told["pid"])
        self._born.put_nowait(-1)


def main() -> None:
    """Fork a worker for each line that comes in, until there is nobody who could write one."""
    _end_with_parent()
    from tests.chaos import app

    made = app.cases()
    project = app.project(made)
    _import_the_rest()
    gc.collect()
    gc.freeze()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 512)
            _tell_of_the_dead(living)
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                living.add(_fork(project, json.loads(line)))
    for pid in living:
        os.kill(pid, signal.SIGKILL)


def _tell_of_the_dead(living: set[int]) -> None:
    for pid in tuple(living):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            living.discard(pid)
            _tell({"pid": pid, "status": status})


def _tell(said: dict[str, Any]) -> None:
    os.write(1, json.dumps(said).encode() + b"\n")


def _fork(project: Any, order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _tell({"pid": pid})
        return pid
    try:
        _end_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(f"{order['folder']}/worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        asyncio.run(_work(project, Order(**order)))
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, no worker may go on as a second nursery
        import traceback

        traceback.print_exc()
        os._exit(1)


async def _work(project: Any, order: Order) -> None:
    """Be a worker until SIGTERM."""
    from temporalio.client import Client

    from mainspring.serve import data_converter, working
    from mainspring.settings import Settings
    from tests.chaos import app
    from tests.chaos.failpoints import Failpoints, Points
    from tests.chaos.world import World

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if order.events:
        _continue_after(order.events)
    world = World(Path(order.folder))
    app.live_in(world)
    plugin = Failpoints(Points(world, order.at, order.act))
    client = await Client.connect(order.address, data_converter=data_converter(), plugins=[plugin])
    settings = Settings(model=app.MODEL, state=world.folder / "state", task_queue=order.task_queue)
    async with working(project, client, settings):
        await stop.wait()


def _continue_after(events: int) -> None:
    """Let executions of this process continue as new after few events."""
    from mainspring.durable import continuing

    continuing.EVENTS = continuing.FAST_EVENTS = events


def _import_the_rest() -> None:
    """What a worker imports when it needs it, it shall have before it is forked."""
    for name in ("mainspring.adapters.prices", "mainspring.adapters.store_memory", "tests.chaos.failpoints"):
        importlib.import_module(name)


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    main()
