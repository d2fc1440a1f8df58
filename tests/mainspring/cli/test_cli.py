import asyncio
import re
import socket
import sys
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from typer.testing import CliRunner, Result

from mainspring import Agent
from mainspring.cli import app
from mainspring.core.tool import tool
from mainspring.devserver import DevServer
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun

COMMANDS = sorted(
    str(command.callback.__name__).replace("_", "-") for command in app.registered_commands if command.callback
)
ROOT = Path(__file__).parents[3]


@tool(effect="once", returns="trusted")
def wire(cents: int) -> str:
    """Pay.

    Args:
        cents: how much.
    """
    return f"paid {cents}"


def payer() -> Agent:
    """An agent whose only tool needs a person."""
    return Agent("payer", instructions="Pay what you are told to pay.", tools=[wire])


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    return address


@pytest.fixture
def model() -> ScriptedModel:
    """A model that wants to pay, and then says what came of it."""
    return ScriptedModel(call("wire", cents=700), say("That is that."))


@pytest.fixture
async def waiting(
    mainspring: Bench, model: ScriptedModel, temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch
) -> TestRun:
    """A run that waits for a person, on the server that the command line is configured for."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_STATE", str(mainspring.folder))
    run = await mainspring.start(payer(), "Pay Ada", model=model)
    await run.waiting()
    return run


def type_in(*arguments: str) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERM": "dumb"}, prog_name="mainspring")


async def typed(*arguments: str) -> Result:
    """Run a command line while workers go on working."""
    return await asyncio.to_thread(type_in, *arguments)


def one_sentence(result: Result) -> str:
    """What a command that failed said: on stderr only, without a traceback."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str):
    """Every command explains itself."""
    result = type_in(command, "--help")

    assert result.exit_code == 0
    assert f"mainspring {command}" in result.stdout


def test_version():
    """`--version` tells the version."""
    assert re.fullmatch(r"mainspring \d+\.\d+\.\d+\S*\n", type_in("--version").stdout)


def test_help_is_light():
    """Showing help loads neither Temporal nor LangGraph, so it answers at once."""
    program = "import sys; from mainspring.cli import app; print(*sys.modules)"
    done = asyncio.run(_python(program))

    assert not {"temporalio", "langgraph", "langchain_core", "opentelemetry"} & set(done.split())


async def _python(program: str) -> str:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()


def test_bad_setting(monkeypatch: pytest.MonkeyPatch):
    """A setting that cannot be used is named, and nothing is started."""
    monkeypatch.setenv("MAINSPRING_MODEL", "gpt")

    assert "'MAINSPRING_MODEL' is 'gpt', but it must be 'playbook' or" in one_sentence(type_in("worker"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("approve", "r", "1"),
        ("deny", "r", "1"),
        ("answer", "r", "1", "happened"),
        ("answer", "r", "1", "--text", "x"),
        ("take-over", "r", "1", "--text", "x"),
        ("reschedule", "r", "1", "--deadline", "2h"),
        ("trace", "r"),
        ("setup",),
        ("approvals",),
    ],
)
def test_no_server(arguments: tuple[str, ...], nowhere: str):
    """Without a server, each command that needs one names the address and the way out."""
    said = one_sentence(type_in(*arguments))

    assert nowhere in said
    assert "mainspring dev" in said


@pytest.mark.parametrize("command", ["worker", "dev", "demo"])
def test_no_project(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a folder without a project, the folder is named."""
    monkeypatch.chdir(tmp_path)

    assert f"no worker.py in {tmp_path}" in one_sentence(type_in(command))


def test_demo_of_another_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The demo plays the refund desk only, and says what there is for others."""
    (tmp_path / "worker.py").write_text("from mainspring.serve import Project\nproject = Project()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "worker", raising=False)

    assert "has no graph 'refund-desk'" in one_sentence(type_in("demo"))
    monkeypatch.delitem(sys.modules, "worker", raising=False)


def test_answer_that_does_not_exist():
    """What `answer` takes is checked before anything is asked of a server."""
    result = type_in("answer", "run", "1", "perhaps")

    assert result.exit_code == 2
    assert all(word in result.stderr for word in ("'perhaps'", "happened", "not-happened", "give-up"))


async def test_approve(waiting: TestRun):
    """An approved run goes on, and its history says who claimed to approve."""
    result = await typed("approve", waiting.handle.id, "1", "--comment", "checked")

    assert result.stdout == "Request 1 (wire): approve. Recorded.\n"
    assert (await waiting.result()).answer == "That is that."
    assert _decided_by(await waiting.history()).startswith("mainspring-cli:")


async def test_approve_as_somebody(waiting: TestRun):
    """A name that is given is claimed in the place of this machine's user; one that is none is refused."""
    assert one_sentence(await typed("approve", waiting.handle.id, "1", "--as", " ")).endswith(
        "it must be a name or a mail address.\n"
    )

    await typed("approve", waiting.handle.id, "1", "--as", "ada@example.com")
    await waiting.result()
    assert _decided_by(await waiting.history()) == "mainspring-cli:ada@example.com"


async def test_who_may_not_decide_is_told_how_to_say_who_they_are(
    mainspring: Bench, temporal_server: DevServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A route knows nobody by this machine's user; and who agrees to what was changed names it."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_STATE", str(mainspring.folder))
    (tmp_path / "rules.yaml").write_text(
        "approvals:\n  routes:\n    - {id: two, tool: wire, who: [ada@example.com, bo@example.com], need: 2}\n"
    )
    agent = Agent("payer", instructions="Pay.", tools=[wire], rules=tmp_path / "rules.yaml")
    model = ScriptedModel(call("wire", cents=700), say("That is that."))
    run = await mainspring.start(agent, "Pay Ada", model=model)
    await run.waiting()

    refused = one_sentence(await typed("approve", run.handle.id, "1"))
    assert refused.endswith("Say who you are with --as, or prove it with --key.\n")
    await typed("approve", run.handle.id, "1", "--as", "ada@example.com", "--args", '{"cents": 800}')
    (changed,) = await run.waiting()
    refused = one_sentence(await typed("approve", run.handle.id, "1", "--as", "bo@example.com"))
    assert refused.endswith(f"with --binding: {changed.binding}\n")
    done = await typed("approve", run.handle.id, "1", "--as", "bo@example.com", "--binding", changed.binding)
    assert done.stdout.startswith("Request 1 (wire): approve, changed (cents: 700 → 800). Recorded.")
    await run.result()


def _decided_by(history: WorkflowHistory) -> str:
    accepted = (e.workflow_execution_update_accepted_event_attributes for e in history.events)
    return next(each.accepted_request.meta.identity for each in accepted if each.protocol_instance_id)


async def test_deny_tells_the_model_why(waiting: TestRun, model: ScriptedModel):
    """The reason given on the command line is what the model reads."""
    await typed("deny", waiting.handle.id, "1", "--reason", "the invoice is missing")
    await waiting.result()

    assert "the invoice is missing" in model.requests[-1].messages[-1].text


async def test_unknown_run(waiting: TestRun):
    """An unknown run is answered with one that exists."""
    said = one_sentence(await typed("approve", f"{waiting.handle.id}0", "1"))

    assert f"There is no run '{waiting.handle.id}0'" in said
    assert f"Did you mean '{waiting.handle.id}'?" in said


async def test_unknown_request(waiting: TestRun):
    """An unknown request is answered with those that wait, and decides nothing."""
    said = one_sentence(await typed("approve", waiting.handle.id, "7"))

    assert said == "Error: There is no request 7. Waiting: request 1 (wire).\n"
    assert len(await waiting.waiting()) == 1


async def test_wrong_kind_of_answer(waiting: TestRun):
    """A question whether a call may run is not answered with what happened."""
    said = one_sentence(await typed("answer", waiting.handle.id, "1", "happened"))

    assert said == "Error: Request 1 is decided with approve or deny, not with 'happened'.\n"


async def test_run_that_has_ended(waiting: TestRun):
    """After the end there is nothing to decide, and the answer says how it ended."""
    await typed("approve", waiting.handle.id, "1")
    await waiting.result()

    assert "has ended (completed)" in one_sentence(await typed("deny", waiting.handle.id, "1"))


async def test_trace_of_a_waiting_run(waiting: TestRun):
    """The tree of a run that waits shows what it waits for."""
    result = await typed("trace", waiting.handle.id)

    assert result.exit_code == 0
    assert "payer waiting" in result.stdout
    assert "request 1 is open: may it run?" in result.stdout


async def test_trace_from_the_file(waiting: TestRun, mainspring: Bench, request: pytest.FixtureRequest):
    """Where no server answers, the local file has the tree, and stderr says that it is from there."""
    await waiting.approve((await waiting.waiting())[0])
    await waiting.result()
    await mainspring.close()
    nowhere = request.getfixturevalue("nowhere")

    result = await typed("trace", waiting.handle.id)

    assert "payer completed" in result.stdout
    assert nowhere in result.stderr
    assert "traces.jsonl' has of it" in result.stderr


async def test_doctor_of_a_working_place(
    mainspring: Bench, temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch
):
    """Where all is in place the doctor finds nothing missing."""
    settings = mainspring.settings()
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_STATE", str(settings.state))
    monkeypatch.setenv("MAINSPRING_TASK_QUEUE", settings.task_queue)
    await mainspring.work(Project(payer()), settings)

    result = await typed("doctor")

    assert (result.exit_code, "missing" in result.stdout) == (0, False)
    assert f"1 on task queue '{settings.task_queue}'" in result.stdout


def test_doctor_finds_what_is_missing(tmp_path: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch):
    """Each thing that is missing is a line with what to do, and one does not hide the other."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSPRING_STATE", "file/state")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{nowhere}")

    result = type_in("doctor")

    missing = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("missing")]
    assert (result.exit_code, missing) == (1, ["state", "large", "project", "server", "traces"])
    assert "Set MAINSPRING_STATE" in result.stdout


async def test_doctor_misses_the_worker(temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch):
    """A task queue that nobody works on is missing its worker."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("MAINSPRING_TASK_QUEUE", "nobody-works-here")

    result = await typed("doctor")

    assert result.exit_code == 1
    assert "nobody works on task queue 'nobody-works-here'. Start one: mainspring worker" in result.stdout
