"""A real Temporal server with its Web UI, as a child process: for `mainspring demo`, `mainspring dev` and tests.

Nothing of the engine depends on it: a run cannot tell this server from a cluster.
"""

import asyncio
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from temporalio.client import Client
from temporalio.service import RPCError

from mainspring.contracts.names import SEARCH_ATTRIBUTES
from mainspring.effects.indexing import usable
from mainspring.errors import SetupError

PORT = 7233
UI_PORT = 8233
NAMESPACE = "default"
STARTS_WITHIN = timedelta(seconds=30)
STOPS_WITHIN = timedelta(seconds=10)
OPTIONS = (
    # By itself the server looks 20 times a second for tasks to hand on: after a burst, each instant step takes 50 ms.
    ("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"),
    # Lets tests skip the time of a run; runs that do not ask for it keep the clock.
    ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
    # A write goes to the end of a log, and readers do not wait for it. SQLite's own ways wait for the disk several
    # times a write; this one waits when the log is put into the file. What a killed process wrote is safe with the
    # operating system; what a machine wrote in the moments before it lost power is not.
    ("--sqlite-pragma", "journal_mode=wal"),
    ("--sqlite-pragma", "synchronous=1"),
)


def temporal_binary() -> str:
    """The path of the `temporal` command: the one on the PATH, else the one that the extra 'server' installed.

    Raises:
        SetupError: there is none.
    """
    beside = Path(sys.executable).parent / "temporal"
    found = shutil.which("temporal") or (str(beside) if beside.exists() else None)
    if found is None:
        raise SetupError(
            "The command 'temporal' was not found, neither on the PATH nor beside this Python. "
            "pip install 'mainspring[server]' brings it, with the server and the Web UI."
        )
    return found


class DevServer:
    """A Temporal server that keeps its runs in `<state>/temporal.db` and writes to `<state>/server.log`.

    An async context manager; `stop()` and `start()` again continue on the same file and ports.
    A port is taken as asked; None means the usual one (7233, Web UI 8233) or a free one where that is taken,
    0 means any free one. `options` are further options of `temporal server start-dev`, with their values.
    The server ends with this process, however that ends. Killed, it loses nothing that it acknowledged; a power
    cut may take the last moments.
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int | None = None,
        ui_port: int | None = None,
        options: Sequence[tuple[str, str]] = OPTIONS,
    ) -> None:
        self.state = state
        self._options = options
        self._asked = (port, ui_port)
        self._ports: tuple[int, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def ports(self) -> tuple[int, int]:
        """The port of the server and the port of the Web UI, chosen at the first use and kept."""
        if self._ports is None:
            port, ui_port = self._asked
            chosen = _port(port, PORT, avoid=ui_port or 0)
            self._ports = chosen, _port(ui_port, UI_PORT, avoid=chosen)
        return self._ports

    @property
    def address(self) -> str:
        """Where clients and workers connect, as `host:port`."""
        return f"localhost:{self.ports[0]}"

    @property
    def ui_url(self) -> str:
        """Where the Web UI is, without a slash at the end."""
        return f"http://localhost:{self.ports[1]}"

    @property
    def pid(self) -> int:
        """The id of its process, while it runs."""
        assert self._process is not None  # noqa: S101 - asked for while it runs
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a client, a worker or the `temporal` CLI to this server."""
        return {"TEMPORAL_ADDRESS": self.address, "TEMPORAL_NAMESPACE": NAMESPACE}

    async def start(self) -> None:
        """Start the server and return when it answers, with the search attributes in place.

        Raises:
            SetupError: no `temporal` command, a port in use, a state folder that cannot be written or that another
                server uses, or a server that does not come up (with its own last words).
        """
        binary = temporal_binary()
        self._lock = lock = self._claim_state()
        try:
            for port, what in zip(self.ports, ("the Temporal server", "the Temporal Web UI"), strict=True):
                _must_be_free(port, what)
            self._process = self._spawn(binary, lock)
            await self._until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server in order, by force after ten seconds; does nothing when it does not run."""
        process, self._process = self._process, None
        try:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                await asyncio.to_thread(process.wait, STOPS_WITHIN.total_seconds())
        except subprocess.TimeoutExpired:
            pass  # what did not end in order is ended below
        finally:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _claim_state(self) -> IO[str]:
        """Hold the state folder for one server; two on one SQLite file would damage each other's runs."""
        path = self.state / "server.lock"
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise SetupError(
                f"The state folder {str(self.state)!r} cannot be written: {error.strerror}. "
                "Set MAINSPRING_STATE to a folder that you may write to."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise SetupError(
                f"Another Temporal server already uses the state folder {str(self.state)!r} ({holder}). "
                "Stop it, or set MAINSPRING_STATE to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"Web UI {self.ui_url}, started by process {os.getpid()}")
        lock.flush()
        return lock

    def _spawn(self, binary: str, lock: IO[str]) -> subprocess.Popen[bytes]:
        port, ui_port = self.ports
        command = [binary, "server", "start-dev", "--db-filename", str(self.state / "temporal.db")]
        command += ["--ip", "127.0.0.1", "--port", str(port), "--ui-port", str(ui_port)]
        command += [word for each in SEARCH_ATTRIBUTES.items() for word in ("--search-attribute", "=".join(each))]
        command += ["--log-level", "error"]
        command += [word for option in self._options for word in option]
        with (self.state / "server.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: Ctrl-C in the terminal reaches us alone, and we stop worker and server in order.
                start_new_session=True,
                # The server holds the claim too, so it stands as long as either of us lives.
                pass_fds=[lock.fileno()],
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - calls nothing but two system calls
            )

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        try:
            async with asyncio.timeout(STARTS_WITHIN.total_seconds()):
                while process.poll() is None:
                    try:
                        client = await Client.connect(self.address, namespace=NAMESPACE)
                        known = await usable(client)
                    except (RuntimeError, RPCError):
                        known = frozenset[str]()
                    if known.issuperset(SEARCH_ATTRIBUTES):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass
        raise SetupError(
            f"The Temporal server did not come up at {self.address}: {self._last_words()} "
            f"Its log is {str(self.state / 'server.log')!r}."
        )

    def _last_words(self) -> str:
        lines = (self.state / "server.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing."


def _port(asked: int | None, usual: int, *, avoid: int) -> int:
    if asked:
        return asked
    if asked is None and usual != avoid and _is_free(usual):
        return usual
    while True:  # asked twice, the system may give the same port twice
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            found = int(probe.getsockname()[1])
        if found != avoid:
            return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server itself does, so that a port whose last connections are fading counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _must_be_free(port: int, what: str) -> None:
    if not _is_free(port):
        raise SetupError(f"Port {port} for {what} is in use. Stop what uses it, or ask for another port.")


def end_with_parent() -> Callable[[], None] | None:
    """What the child runs first so that it dies with us, even by SIGKILL; only Linux can promise that.

    Elsewhere an orderly end, Ctrl-C and SIGTERM still stop the server; after a SIGKILL it has to be stopped by hand
    (the next start names it).
    """
    if sys.platform != "linux":
        return None
    prctl, parent, die_with_parent = ctypes.CDLL(None).prctl, os.getpid(), 1

    def in_child() -> None:
        prctl(die_with_parent, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return in_child
