"""Runs that were recorded once replay on today's code: what is under way in production survives a deploy.

The SDK's `Replayer` begins each history on a worker that holds nothing of the run, so every replay here is one with
cold caches; nothing of the activity side takes part.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from mainspring.durable import continuing
from mainspring.durable.graph import GRAPHS
from mainspring.durable.run import AnyRun
from mainspring.serve import data_converter
from tests.histories.scenarios import EXECUTIONS, FIRST, drafting, process

FOLDER = Path(__file__).parent.parent / "histories"


@pytest.fixture(autouse=True)
def _graphs() -> Iterator[None]:
    """The graph of these histories is served while they are replayed."""
    GRAPHS.update({process.name: process, drafting.name: drafting})
    yield
    del GRAPHS[process.name], GRAPHS[drafting.name]


def _read(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (FOLDER / f"{name}.json").read_text())


async def _replay(history: WorkflowHistory) -> None:
    replayer = Replayer(
        workflows=[AnyRun], data_converter=data_converter(), workflow_runner=UnsandboxedWorkflowRunner()
    )
    await replayer.replay_workflow(history)


def test_every_feature_has_a_history() -> None:
    """Each scenario has its file (two where it continues as new), and no file is left that no scenario made."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EXECUTIONS)


@pytest.mark.parametrize("name", EXECUTIONS)
async def test_it_replays(name: str) -> None:
    """The recorded history replays without a deviation, on a worker that held nothing of the run."""
    await _replay(_read(name))


@pytest.mark.parametrize("name", EXECUTIONS)
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


@pytest.mark.parametrize(("newest", "first"), FIRST.items())
def test_the_second_execution_begins_with_what_the_first_carried(newest: str, first: str) -> None:
    """Both histories of a run that continued as new are there, and the one leads to the other."""
    before, after = (json.loads((FOLDER / f"{name}.json").read_text())["events"] for name in (first, newest))
    ended = before[-1]["workflowExecutionContinuedAsNewEventAttributes"]
    began = after[0]["workflowExecutionStartedEventAttributes"]

    assert began["originalExecutionRunId"] == ended["newExecutionRunId"]
    assert began["input"] == ended["input"]
    assert began["firstExecutionRunId"] == began["continuedExecutionRunId"]


async def test_the_length_of_an_execution_is_replayed_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a release lowers it, runs under way would end their executions where they did not: that needs a patch."""
    monkeypatch.setattr(continuing, "EVENTS", 20)

    with pytest.raises(NondeterminismError):
        await _replay(_read("turn"))


async def test_a_deviation_in_a_local_step_is_found() -> None:
    """A history whose local activity is another step is refused too, although nothing of it was scheduled."""
    events = json.loads((FOLDER / "turn.json").read_text())["events"]
    marker = next(event for event in events if _local(event).get("activity_id") == "2")
    other = _local(marker) | {"activity_id": "7"}
    payload = marker["markerRecordedEventAttributes"]["details"]["data"]["payloads"][0]
    payload["data"] = base64.b64encode(json.dumps(other).encode()).decode()

    with pytest.raises(NondeterminismError):
        await _replay(WorkflowHistory.from_json("turn", {"events": events}))


def _local(event: dict[str, Any]) -> dict[str, Any]:
    """What a marker says of the local activity it stands for."""
    details = event.get("markerRecordedEventAttributes", {}).get("details", {})
    return json.loads(base64.b64decode(details["data"]["payloads"][0]["data"])) if "data" in details else {}
