"""What several commands are tried on."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HISTORIES = Path(__file__).parents[2] / "histories"
WORKER = """
from mainspring.serve import Project
from scenarios import boss, clerk, drafting, process, reporter

project = Project(process, drafting, boss, clerk, reporter)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder: the graph and agents of the recorded histories, and the histories."""
    (tmp_path / "worker.py").write_text(WORKER)
    for name in ("scenarios.py", "guarded.yaml", "routed.yaml"):
        shutil.copy(HISTORIES / name, tmp_path)
    (tmp_path / "histories").mkdir()
    for file in HISTORIES.glob("*.json"):
        shutil.copy(file, tmp_path / "histories")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("worker", "scenarios"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("worker", "scenarios"):
        sys.modules.pop(name, None)
