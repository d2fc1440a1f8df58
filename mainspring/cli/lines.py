"""Command lines of the `temporal` CLI: what is printed to copy is what is run here. The edge."""

import asyncio
import json
import shlex
import shutil
import sys
from pathlib import Path

from mainspring.core.canonical import Json
from mainspring.errors import SetupError


class Line(tuple[str, ...]):
    """A command and its arguments; as text, what a person can paste into a shell of this folder."""

    __slots__ = ()

    def __str__(self) -> str:
        """The command as one may call it here, then the arguments, quoted where a shell needs it."""
        return f"{callable_as(self[0])} {shlex.join(self[1:])}"

    async def run(self) -> str:
        """Run it; gives what it printed.

        Raises:
            SetupError: it ended with an error, which the message quotes.
        """
        process = await asyncio.create_subprocess_exec(
            shutil.which(self[0]) or str(_beside(self[0])),
            *self[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, error = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise SetupError(f"'{self[0]} {self[1]} {self[2]}' failed: {error.decode().strip()}")
        return out.decode().strip()


def start_run(name: str, given: Json, *, task_queue: str, address: str, run: str = "") -> Line:
    """Start a run of the agent or graph `name`; without `run`, the server makes up a workflow id."""
    line = ["temporal", "workflow", "start", "--type", name, "--task-queue", task_queue]
    line += ["--workflow-id", run] if run else []
    return Line([*line, "--input", json.dumps(given, ensure_ascii=False), "--address", address])


def update_run(run: str, name: str, form: dict[str, str], *, address: str) -> Line:
    """Send a decision to a run."""
    line = ["temporal", "workflow", "update", "execute", "--workflow-id", run, "--name", name]
    return Line([*line, "--input", json.dumps(form), "--address", address])


def callable_as(command: str) -> str:
    """How to call a command from here: by its name, or as the one beside this Python where the name means another."""
    found, place = shutil.which(command), _beside(command)
    if found and (command == "temporal" or Path(found).parent == place.parent):
        return command
    return shlex.quote(str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place))


def _beside(command: str) -> Path:
    return Path(sys.executable).parent / command
