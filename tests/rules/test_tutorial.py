"""The tutorial works as written: its files, its commands and the output it shows, in a copy of the application.

A block such as `python tools/rooms.py` is the file of that name. Of a `console` block, lines with `$ ` are typed
and the others are what is shown; `…` stands for anything. What needs a person or a key (SKIPPED) is left out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.devserver import DevServer

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-agent.md"
FENCE = re.compile(r"^```(?P<kind>\w+)(?: (?P<path>\S+/\S+))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = list(FENCE.finditer(TUTORIAL.read_text()))
SKIPPED = ("make env", "source ", "mainspring dev", "OPENAI_API_KEY=")
TRIES = 20
"""A run may not be where the tutorial's reader finds it a moment later: a command is typed again."""


def typed() -> list[tuple[str, str]]:
    """The command lines of the tutorial, each with the output shown below it."""
    bodies = "".join(block["body"] for block in BLOCKS if block["kind"] == "console")
    parts = [part.partition("\n") for part in re.split(r"^\$ ", bodies, flags=re.MULTILINE) if part]
    return [(line, shown) for line, _, shown in parts if not line.startswith(SKIPPED)]


def looks_like(shown: str, said: str) -> bool:
    """Whether every line that is shown was said, in this order."""
    lines = [".*".join(map(re.escape, line.split("…"))) for line in shown.splitlines()]
    return re.search(r"[\s\S]*?".join(lines), said) is not None


@pytest.fixture
def environment(temporal_server: DevServer) -> dict[str, str]:
    """The reader's shell: the environment's commands, a server that answers, a wide terminal."""
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | temporal_server.environment | {"PATH": commands, "COLUMNS": "300", "NO_COLOR": "1"}


@pytest.fixture
def project(tmp_path: Path, environment: dict[str, str]) -> Iterator[Path]:
    """A copy of the application with the tutorial's files in it, and its worker at work."""
    for name in ("agents", "tools", "workflows", "policies", "worker.py", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for block in BLOCKS:
        if block["path"]:
            (tmp_path / block["path"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block["path"]).write_text(block["body"])
    start = [sys.executable, "-c", "from mainspring.cli import main; main()", "worker"]
    worker = subprocess.Popen(start, cwd=tmp_path, env=environment)
    yield tmp_path
    worker.terminate()
    worker.wait()


def test_the_tutorial_works_as_written(project: Path, environment: dict[str, str]) -> None:
    """Every command of the tutorial, typed in order, succeeds and says what the tutorial shows."""
    for line, shown in typed():
        for _ in range(TRIES):
            done = subprocess.run(
                line, shell=True, cwd=project, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode == 0 and looks_like(shown, done.stdout):
                break
        else:
            pytest.fail(f"$ {line}\n{done.stdout}{done.stderr}\nThe tutorial shows:\n{shown}")
