"""`mainspring replay` as a user's CI sees it: recorded runs, edited graphs, damaged files, the server."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mainspring import Agent, tool
from mainspring.cli import app
from mainspring.core import turn
from mainspring.devserver import DevServer, temporal_binary
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun

HISTORIES = Path(__file__).parents[2] / "histories"
SPEAK = "paid = await use(pay, amount_cents=200)"

Events = list[dict[str, Any]]
Edit = Callable[[str, str], None]


@pytest.fixture
def edit(project: Path) -> Edit:
    """Edits the code of that folder."""

    def change(old: str, new: str) -> None:
        file = project / "scenarios.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return change


def replay(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, ["replay", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def failure_of(*arguments: str) -> str:
    """What the command says of the one history that does not replay."""
    result = replay(*arguments)
    lines = result.stdout.splitlines()

    assert (result.exit_code, len(lines)) == (1, 2)
    assert lines[0].startswith("FAIL  ")
    return lines[0]


def events_of(name: str) -> Events:
    """The events of a recorded history."""
    return json.loads((HISTORIES / f"{name}.json").read_text())["events"]


def written(name: str, events: Events) -> str:
    """A history file of these events."""
    Path(name).write_text(json.dumps({"events": events}))
    return name


def failed_at(events: Events, started: int) -> Events:
    """The history as a worker would have left it whose code failed in the task that this event started."""
    task = events[started - 1]
    attributes = {
        "scheduledEventId": task["workflowTaskStartedEventAttributes"]["scheduledEventId"],
        "startedEventId": str(started),
        "cause": "WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE",
        "failure": {"message": "a bug of yesterday"},
    }
    failed = {
        "eventId": str(started + 1),
        "eventTime": task["eventTime"],
        "eventType": "EVENT_TYPE_WORKFLOW_TASK_FAILED",
        "workflowTaskFailedEventAttributes": attributes,
    }
    return [*events[:started], failed]


def test_a_folder_of_good_histories(project: Path):
    """Every history of a folder is replayed, and all of them are fine on the code that wrote them."""
    result = replay("histories")
    lines = result.stdout.splitlines()

    assert (result.exit_code, len(lines)) == (0, len(list(HISTORIES.glob("*.json"))) + 1)
    assert all(line.startswith("ok    histories/") and line.endswith(" events)") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} histories: {len(lines) - 1} ok."


def test_as_a_process(project: Path):
    """The command ends with its own exit code and an empty stderr, however the SDK takes the end of the process."""
    start = [sys.executable, "-c", "from mainspring.cli import main; main()", "replay", "histories/graph.json"]
    done = subprocess.run(start, cwd=project, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 history: 1 ok.\n")


def test_a_graph_with_one_more_step(edit: Edit):
    """A step put before the others is found at the first event that it pushes aside, with what to do."""
    edit(SPEAK, f"await use(look_up, number=9)\n    {SPEAK}")
    said = failure_of("histories/graph.json")

    assert "event 23: the run has step '4.1' (a call of tool 'pay', node 'speak') here" in said
    assert "wants step '4.1' (a call of tool 'look_up', node 'speak')" in said
    assert "give the changed graph a new name and keep 'process' as it was until its runs have ended" in said


def test_a_graph_with_a_step_less(edit: Edit):
    """A step that is gone is found where the history has it."""
    edit(SPEAK, "paid = 'paid'")

    assert "event 23: the run has step '4.1' (a call of tool 'pay'" in failure_of("histories/graph.json")


def test_a_step_at_the_end(edit: Edit):
    """A step that is put after the others is found where the run ended without it."""
    edit("return {\"answer\": await ask(clerk, f\"{state['found']} {paid}\")}",
         "answer = await ask(clerk, f\"{state['found']} {paid}\")\n    await use(look_up, number=1)\n"
         '    return {"answer": answer}')  # fmt: skip

    said = failure_of("histories/graph.json")

    assert "the run has the end of the run (completed) here, but the code of today wants step '4.3'" in said


def test_a_renamed_node(edit: Edit):
    """A renamed node is found, though Temporal would let it pass: the steps keep their numbers."""
    edit('_graph.add_node("speak"', '_graph.add_node("talk"')
    edit('_graph.add_edge("work", "speak")', '_graph.add_edge("work", "talk")')
    edit('_graph.add_edge("speak", END)', '_graph.add_edge("talk", END)')

    assert "wants step '4.1' (a call of tool 'pay', node 'talk')" in failure_of("histories/graph.json")


def test_other_arguments(edit: Edit):
    """A call with other arguments is found, which Temporal would let pass as well."""
    edit("amount_cents=200", "amount_cents=300")
    said = failure_of("histories/graph.json")

    assert "event 23: the code of today gives step '4.1' (a call of tool 'pay', node 'speak') something else" in said


def test_a_node_that_raises(edit: Edit):
    """A node that fails now is found where the run went on."""
    edit(SPEAK, "raise ValueError('no')")

    assert "but the code of today wants the end of the run (GraphFailed)" in failure_of("histories/graph.json")


def test_an_edited_graph_spares_the_agents(edit: Edit):
    """The edit of a graph does no harm to other runs, and the summary counts both."""
    edit(SPEAK, "paid = 'paid'")
    result = replay("histories/graph.json", "histories/approved.json")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:] == [
        f"ok    histories/approved.json ({len(events_of('approved'))} events)",
        "2 histories: 1 ok, 1 deviating.",
    ]


def test_a_graph_that_is_gone(project: Path):
    """A run whose graph no module defines any more says which is missing."""
    worker = project / "worker.py"
    worker.write_text(worker.read_text().replace("Project(process, ", "Project("))
    said = failure_of("histories/graph.json")

    assert "event 9: here the code of today has no graph 'process'" in said
    assert "Put the module back that defines Graph('process', …)" in said


def test_a_turn_table_that_is_gone(project: Path, monkeypatch: pytest.MonkeyPatch):
    """A run of a turn table that this release has no more needs a worker of the one that admitted it."""
    monkeypatch.setitem(turn.TABLES, 99, turn.TABLES[1])
    monkeypatch.delitem(turn.TABLES, 1)
    said = failure_of("histories/approved.json")

    assert "the code of today has no turn table of version 1" in said
    assert "Keep a worker of the release that admitted it until it has ended" in said


def test_a_changed_turn_table(project: Path):
    """A step of an agent that the turn table numbers otherwise is found, and not blamed on the user's code."""
    events = events_of("approved")
    events[10]["activityTaskScheduledEventAttributes"]["activityId"] = "7"
    said = failure_of(written("changed.json", events))

    assert "event 11: the run has step '7' (a reply of agent 'clerk') here" in said
    assert "keep a worker of the release that wrote this run" in said


def test_a_history_that_ends_in_a_failed_task(project: Path):
    """A run that is stuck is not called fine, though Temporal's replay finds nothing."""
    said = failure_of(written("stuck.json", failed_at(events_of("graph"), 9)))

    assert "event 10: its last workflow task failed, and nothing is recorded after it" in said
    assert "'a bug of yesterday'" in said


def test_a_failed_task_that_fails_again(project: Path):
    """A run that is stuck in a task which fails on this code too is told why."""
    worker = project / "worker.py"
    worker.write_text(worker.read_text().replace("Project(process, ", "Project("))
    said = failure_of(written("stuck.json", failed_at(events_of("graph"), 9)))

    assert "event 9: here the code of today has no graph 'process'" in said


def test_a_run_that_goes_on(project: Path):
    """The history of a run that has not ended is replayed as far as it goes, and the line says so."""
    result = replay(written("running.json", events_of("graph")[:30]))

    assert result.stdout == "ok    running.json (30 events, so far)\n1 history: 1 ok.\n"


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (slice(3, None), "it does not begin with the start of a run"),
        (slice(0, 1), "no worker has taken it up yet"),
        (slice(0, None, 2), "event 2 is missing: the next one is 3"),
        (slice(0, 0), "it is no history: it has no events"),
    ],
)
def test_a_cut_history(project: Path, kept: slice, said: str):
    """A history that lacks something is not replayed: Temporal's replay would wait for ever for some of them."""
    assert said in failure_of(written("cut.json", events_of("approved")[kept]))


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"events": [1]}', '{"events": [{"eventId": {}}]}', "7"])
def test_no_history(project: Path, text: str):
    """A file that is no history is named with how to save one."""
    Path("other.json").write_text(text)
    said = failure_of("other.json")

    assert "FAIL  other.json: it " in said
    assert "temporal workflow show --output json" in said


def test_a_run_of_something_else(project: Path):
    """The history of another system's workflow is told apart."""
    text = json.dumps(events_of("approved")).replace('"name": "admit"', '"name": "charge"')

    assert "it is no run of Mainspring: the first thing 'clerk' did was 'charge' (event 5)" in failure_of(
        written("foreign.json", json.loads(text))
    )


def test_the_forms_of_a_file(project: Path):
    """The bare list, the server's own answer, and newest first are read as well."""
    events = events_of("repaired")
    Path("list.json").write_text(json.dumps(events))
    Path("answer.json").write_text(json.dumps({"history": {"events": events}}))
    written("reverse.json", events[::-1])

    assert replay("list.json", "answer.json", "reverse.json").stdout.endswith("3 histories: 3 ok.\n")


@pytest.mark.parametrize(
    "arguments",
    [(), ("nowhere.json",), ("--since", "soon"), ("a", "b", "--run-id", "1"), ("histories", "--save", "x")],
)
def test_wrong_usage(project: Path, arguments: tuple[str, ...]):
    """What cannot be meant ends with 2 and replays nothing."""
    result = replay(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_an_empty_folder(project: Path):
    """A folder without a history shows nothing, and so is not fine."""
    Path("empty").mkdir()
    result = replay("empty")

    assert (result.exit_code, result.stdout) == (1, "No history was found, so nothing was shown.\n")


@pytest.fixture
async def greeted(
    mainspring: Bench, temporal_server: DevServer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> TestRun:
    """A run that has ended, on the server that the command line is configured for."""
    greeter: Agent[str] = Agent("greeter", instructions="Greet.")
    run = await mainspring.start(greeter, "Hello", model=ScriptedModel(say("Hello.")))
    await run.result()
    described = await run.handle.describe()
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_TASK_QUEUE", described.task_queue)
    return run


async def replayed(*arguments: str) -> str:
    """What the command prints where all is fine, while workers go on working."""
    result = await asyncio.to_thread(replay, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_run_on_the_server(greeted: TestRun):
    """A run is replayed by its workflow id, or by that and its run id."""
    name = greeted.handle.id
    events = len((await greeted.history()).events)

    assert await replayed(name) == f"ok    {name} ({events} events)\n1 history: 1 ok.\n"
    assert await replayed(name, "--run-id", str(greeted.handle.result_run_id)) == await replayed(name)


async def test_runs_of_the_server(greeted: TestRun):
    """Runs of this task queue are listed by time, number and query; one that fits none is not replayed."""
    name = greeted.handle.id

    async with asyncio.timeout(60):
        while not (await asyncio.to_thread(replay, "--since", "1h")).stdout.startswith("ok"):
            pass  # the server lists a run a little after it has ended
    assert name in await replayed("--limit", "1")
    assert name in await replayed("--query", "WorkflowType = 'greeter' OR WorkflowType = 'clerk'")
    nothing = await asyncio.to_thread(replay, "--query", "WorkflowType = 'clerk'")
    assert (nothing.exit_code, nothing.stdout) == (1, "No history was found, so nothing was shown.\n")


async def test_saved_histories(greeted: TestRun):
    """What is saved from the server replays from the folder."""
    await replayed(greeted.handle.id, "--save", "saved")

    assert (await replayed("saved")).startswith(f"ok    saved/{greeted.handle.id}-")


async def test_what_the_temporal_command_writes(greeted: TestRun, temporal_server: DevServer, project: Path):
    """The output of `temporal workflow show --output json` is read as it is."""
    line = ("workflow", "show", "--workflow-id", greeted.handle.id, "--output", "json")
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *line, "--address", temporal_server.address, stdout=asyncio.subprocess.PIPE
    )
    shown, _ = await process.communicate()
    (project / "shown.json").write_bytes(shown)

    assert (await replayed("shown.json")).endswith("1 history: 1 ok.\n")


@tool(effect="read", returns="trusted")
def report() -> str:
    """Give more than history takes."""
    return "A sentence. " * 12_000


async def test_large_payloads(
    mainspring: Bench, temporal_server: DevServer, project: Path, monkeypatch: pytest.MonkeyPatch
):
    """A payload outside the history is read; where it is not there, no code is blamed. A replay stores nothing."""
    reader: Agent[str] = Agent("reader", instructions="Read.", tools=[report])
    run = await mainspring.start(reader, "Go.", model=ScriptedModel(call("report"), say("Done. " * 30_000)))
    await run.result()
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_STATE", str(mainspring.folder))

    assert "1 ok" in await replayed(run.handle.id, "--save", "saved")
    kept = [each.name for each in (mainspring.folder / "payloads").iterdir()]
    shutil.rmtree(mainspring.folder / "payloads")
    result = await asyncio.to_thread(replay, "saved")

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "1 history: 1 not to be judged.")
    assert f": a payload of run 'default/{run.handle.id}' is not in the folder" in result.stdout
    assert kept == ["default"]


async def test_an_unknown_run(greeted: TestRun):
    """A run that is not there is an error in words, with one that is."""
    result = await asyncio.to_thread(replay, f"{greeted.handle.id}0")

    assert result.exit_code == 1
    assert f"There is no run '{greeted.handle.id}0'" in result.stderr
