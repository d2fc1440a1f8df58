"""The how-to about trying rules works as written: what its commands say is said, of runs of the refund desk.

Of its `console` blocks the commands with output are typed, in a copy of the application; so is the mistake it shows.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.testing.bench import Bench
from tests.app.tickets import given
from tools.sink import MailSink
from workflows.refund_desk import refund_desk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "try-rules.md").read_text()
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RULES = Path("policies/refund_desk.yaml")
ALONE = ("mainspring guards check", "mainspring guards schema > rules.schema.json")
"""Commands without output that are typed as well."""
CHANGE = ("total.amount_cents > 5000 ", "total.amount_cents > 1000 ")
"""What the page changes before it asks about past runs."""


def typed() -> list[tuple[str, str]]:
    """The command lines of the page, each with the output shown below it."""
    parts = [part.partition("\n") for part in re.split(r"^\$ ", "".join(CONSOLE.findall(PAGE)), flags=re.MULTILINE)]
    found = [(line, shown) for line, _, shown in parts if shown or line in ALONE]
    assert len(found) > len(ALONE)
    return found


@pytest.fixture
async def project(tmp_path: Path, mainspring: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the application, and two of its runs in the folder `runs`."""
    for name in ("agents", "tools", "workflows", "policies", "worker.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for file in (tmp_path / "agents" / "incident_desk.py", tmp_path / "policies" / "incident_desk.yaml"):
        file.unlink()  # the page is about one desk
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    with MailSink(tmp_path / "mail") as sink:
        monkeypatch.setenv("SMTP_HOST", sink.host)
        monkeypatch.setenv("SMTP_PORT", str(sink.port))
        for ticket in ("small-refund", "over-1000"):
            run = await mainspring.start(refund_desk, given(ticket))
            await run.result()
            events = json.loads((await run.history()).to_json())
            (tmp_path / "runs" / f"{ticket}.json").write_text(json.dumps(events))
    return tmp_path


def said_by(line: str, project: Path) -> str:
    """What a command says, where nobody looks."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "NO_COLOR": "1"}
    done = subprocess.run(line, shell=True, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def test_the_page_works_as_written(project: Path) -> None:
    """Every command says what the page shows, before and after the change that it makes."""
    rules = project / RULES
    right = rules.read_text()
    assert right.count(CHANGE[0]) == 1
    assert f"when: {CHANGE[1].strip()}\n" in PAGE

    rules.write_text(right.replace("when: args.amount_cents > 100000", "when: args.amount > 100000"))
    assert f"```text\n{said_by('mainspring guards check', project)}```\n" in PAGE
    rules.write_text(right)

    for line, shown in typed():
        if "dry-run" in line:
            rules.write_text(right.replace(*CHANGE))
        said = said_by(line, project)
        assert (line, said) == (line, shown or said)
        assert "Error" not in said
