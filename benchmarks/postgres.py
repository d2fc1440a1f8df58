"""A private PostgreSQL for the stacks that need one: its own cluster in a temporary folder, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.environments import Missing
from mainspring.devserver import end_with_parent

STARTS_WITHIN = 30.0
USER = "bench"


def _program(name: str) -> str:
    """A program of PostgreSQL: from the PATH, else the newest that the system's package manager put aside."""
    aside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = shutil.which(name) or (str(aside[-1]) if aside else None)
    if found is None:
        raise Missing(f"PostgreSQL's {name!r} was not found; install PostgreSQL (Debian: apt-get install postgresql).")
    return found


def _account() -> str | None:
    """Who runs the server: PostgreSQL refuses to run as root, so then an account without rights does."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Postgres:
    """A server with PostgreSQL's own settings, reached through a socket file in its folder."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Make the cluster and start the server.

        Raises:
            Missing: PostgreSQL is not installed, or does not come up.
        """
        initdb, server = _program("initdb"), _program("postgres")
        self.folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
        try:
            self._start(initdb, server)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its folder."""
        self.stop()

    @property
    def pid(self) -> int:
        """The first process of the server."""
        assert self._process is not None  # noqa: S101 - asked for while it runs
        return self._process.pid

    def address(self, database: str) -> str:
        """Where a client connects to a database."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def make_database(self, name: str) -> None:
        """Create an empty database."""
        createdb = [_program("createdb"), "--host", str(self.folder), "--username", USER, name]
        subprocess.run(createdb, check=True, capture_output=True)  # noqa: S603 - our own arguments

    def stop(self) -> None:
        """End it in order, by force after ten seconds."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, initdb: str, server: str) -> None:
        account, data = _account(), self.folder / "data"
        if account:
            shutil.chown(self.folder, account)
        make = [initdb, "--pgdata", str(data), "--username", USER, "--auth", "trust", "--encoding", "UTF8"]
        made = subprocess.run(  # noqa: S603 - our own arguments
            [*make, "--locale", "C"], user=account, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise Missing(f"PostgreSQL's 'initdb' failed: {(made.stderr.strip().splitlines() or ['?'])[-1]}")
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [server, "-D", str(data), "-k", str(self.folder), "-h", ""],
                user=account,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - calls nothing but two system calls
            )
        end = time.monotonic() + STARTS_WITHIN
        ready = [_program("pg_isready"), "--quiet", "--host", str(self.folder)]
        while subprocess.run(ready, check=False).returncode:  # noqa: S603 - our own arguments
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self.folder / "log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                raise Missing(f"PostgreSQL did not come up: {said[-1]}")
            time.sleep(0.1)
