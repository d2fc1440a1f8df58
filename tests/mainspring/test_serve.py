"""Assembly: what a project may hold, and what is said when it may not."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mainspring import Agent, DefinitionError, SetupError, tool
from mainspring.serve import Project, connect, load_project, open_guards
from mainspring.settings import Settings, read_settings
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench


def test_a_project_collects_everything_that_is_reached() -> None:
    """Agents and tools that only a graph or another agent names are found too."""
    from workflows.refund_desk import refund_desk

    project = Project(refund_desk)

    assert set(project.agents) == {"triage", "refund-agent", "parcel-desk"}
    assert {"find_order", "send_email", "track_parcel", "remember"} <= set(project.tools)


def test_two_agents_of_one_name_are_refused() -> None:
    """Names are workflow types, so they must differ."""
    with pytest.raises(DefinitionError, match="two definitions are named 'twin'"):
        Project(Agent("twin", instructions="A."), Agent("twin", instructions="B."))


def test_somebody_elses_package_is_refused() -> None:
    """A package of that name from site-packages is not the project's."""
    foreign = ModuleType("agents")
    foreign.__file__ = "/usr/lib/python3/site-packages/agents/__init__.py"

    with pytest.raises(DefinitionError, match=r"'agents' was imported from .*site-packages"):
        Project(foreign)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no worker.py"),
        ("project = 1", "worker.py has no `project`"),
        ("import nothing_like_this", "worker.py cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_folder_without_a_project_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, sentence: str
) -> None:
    """Every way in which worker.py can be missing or wrong has its sentence."""
    if text is not None:
        (tmp_path / "worker.py").write_text(text)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "worker", raising=False)

    with pytest.raises(SetupError, match=sentence):
        load_project(tmp_path)
    sys.modules.pop("worker", None)


OPENS = """
import sys
from mainspring import Agent
from mainspring.serve import Project, open_guards
from mainspring.settings import Settings

guards = open_guards(Project(Agent("a", instructions="A.", rules=RULES)), Settings(), read_only=True)
opened = "phonenumbers" in sys.modules
print(opened, *(found.kind for found in guards.recogniser.find("Write to ada@example.com.")))
"""
LOOKS = "rules:\n  - {id: a, point: input, when: size(found) > 0, verdict: deny, reason: R.}\n"


def test_recognisers_are_opened_where_rules_may_look(tmp_path: Path) -> None:
    """Who has no such rules does not wait for them at each start, and has them all the same when one is asked."""
    (tmp_path / "looks.yaml").write_text(LOOKS)

    def opens(rules: Path | None) -> str:
        code = OPENS.replace("RULES", repr(rules and str(rules)))
        return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    assert opens(None) == "False email"
    assert opens(tmp_path / "looks.yaml") == "True email"


def test_a_wrong_pattern_is_told_at_the_start() -> None:
    """Also where no rule looks for anything."""
    with pytest.raises(SetupError, match="order_number"):
        open_guards(Project(), Settings(patterns={"order_number": "("}))


async def test_no_server_is_said_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server the address and the way to get one are named."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "localhost:1")

    with pytest.raises(SetupError, match=r"no Temporal server answers at localhost:1\. .*mainspring dev"):
        await connect(read_settings())


async def test_a_tools_error_is_not_logged(mainspring: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells that a call failed and as what, but not the words: they may quote a customer."""

    @tool(effect="read", returns="trusted")
    def look() -> None:
        """Look."""
        raise RuntimeError("ada@example.com is unknown")

    agent: Agent[str] = Agent("looker", instructions="Look.", tools=[look])
    run = await mainspring.start(agent, "look", model=ScriptedModel(call("look"), say("No.")))
    await run.result()

    assert "[ToolFailed]" in caplog.text
    assert "ada@example.com" not in caplog.text
