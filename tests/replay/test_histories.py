"""Runs that were recorded once replay on today's code: what is under way in production survives a deploy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from mainspring.durable.graph import GRAPHS
from mainspring.durable.run import AnyRun
from mainspring.serve import data_converter
from tests.histories.scenarios import SCENARIOS, process

FOLDER = Path(__file__).parent.parent / "histories"


@pytest.fixture(autouse=True)
def _graphs() -> Iterator[None]:
    """The graph of these histories is served while they are replayed."""
    GRAPHS[process.name] = process
    yield
    del GRAPHS[process.name]


def _read(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (FOLDER / f"{name}.json").read_text())


async def _replay(history: WorkflowHistory) -> None:
    replayer = Replayer(
        workflows=[AnyRun], data_converter=data_converter(), workflow_runner=UnsandboxedWorkflowRunner()
    )
    await replayer.replay_workflow(history)


def test_every_feature_has_a_history() -> None:
    """Each scenario has its file, and no file is left that no scenario made."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_it_replays(name: str) -> None:
    """The recorded history replays without a deviation."""
    await _replay(_read(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_is_whole(name: str) -> None:
    """It ends with the end of the run: one that ends in a failed task would replay whatever the code does."""
    events = json.loads((FOLDER / f"{name}.json").read_text())["events"]

    assert events[-1]["eventType"].startswith("EVENT_TYPE_WORKFLOW_EXECUTION_")
    assert not [e for e in events if e["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_FAILED"]


async def test_a_deviation_is_found() -> None:
    """The check can fail: a history that names another first step is refused."""
    text = (FOLDER / "approved.json").read_text().replace('"activityId": "admit"', '"activityId": "let-in"')

    with pytest.raises(NondeterminismError):
        await _replay(WorkflowHistory.from_json("approved", text))
