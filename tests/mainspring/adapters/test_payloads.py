"""Large payloads in a folder: what is on the disk, what is refused, and how whole runs read through it."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import (
    DataConverter,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)
from temporalio.exceptions import ApplicationError

from mainspring import Agent, tool
from mainspring.adapters.payloads import ITEM_LIMIT, THRESHOLD, WINDOW_THRESHOLD, check_storage
from mainspring.adapters.payloads.folder import FolderDriver
from mainspring.contracts.steps import Chunk
from mainspring.core.canonical import canonical
from mainspring.core.ledger import Item
from mainspring.devserver import DevServer
from mainspring.errors import PayloadError, SetupError
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project, data_converter, working
from mainspring.settings import Settings
from mainspring.telemetry.projection import project
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from mainspring.testing.scripted import Step

LARGE = "0123456789" * 30_000
REPORT_TEXT = "A sentence of the report. " * 12_000
RETRIEVE = StorageDriverRetrieveContext()


def converter(folder: Path, payloads: str = "") -> DataConverter:
    """The engine's converter with its storage in this folder."""
    return data_converter(Settings(state=folder, payloads=payloads))


def files(folder: Path) -> list[Path]:
    """Every stored file below a state folder."""
    return sorted(each for each in (folder / "payloads").rglob("*") if each.is_file())


def for_run(workflow_id: str, namespace: str = "default") -> StorageDriverStoreContext:
    """The context in which the SDK stores a payload of a workflow."""
    return StorageDriverStoreContext(target=StorageDriverWorkflowInfo(namespace=namespace, id=workflow_id))


async def test_only_what_is_large_leaves(tmp_path: Path) -> None:
    """A payload under the threshold stays as it is; a larger one becomes a short reference, and is read through it."""
    small, large = await converter(tmp_path).encode(["x" * (THRESHOLD - 100), LARGE])

    assert small.metadata["encoding"] == b"json/plain"
    assert large.ByteSize() < 500
    assert (await converter(tmp_path).decode([small, large]))[1] == LARGE


async def test_what_is_taken_along_leaves_sooner(tmp_path: Path) -> None:
    """A window would stand in histories three times, so it goes outside where a result of its size would not."""
    text = "x" * WINDOW_THRESHOLD
    chunk = Chunk(items=(Item(digest="0", text=text),))

    plain, window, small = await converter(tmp_path).encode([text, chunk, Chunk(items=(Item(digest="0", text="x"),))])

    assert plain.ByteSize() > WINDOW_THRESHOLD
    assert window.ByteSize() < 500
    assert small.metadata["encoding"] == b"json/plain"
    assert (await converter(tmp_path).decode([window], [Chunk])) == [chunk]


async def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else on the machine may read a stored payload, nor list the folders it lies in."""
    await converter(tmp_path).encode([LARGE])

    (file,) = files(tmp_path)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (file.parent, file.parent.parent)} == {0o700}


async def test_a_missing_file_names_run_and_folder(tmp_path: Path) -> None:
    """Without the file the error says of which run it is, where it was looked for, and what every worker needs."""
    stored = await FolderDriver(tmp_path / "payloads").store(for_run("refund-7"), [Payload(data=b"x")])
    files(tmp_path)[0].unlink()

    with pytest.raises(PayloadError) as error:
        await FolderDriver(tmp_path / "payloads").retrieve(RETRIEVE, stored)

    said = str(error.value)
    assert "of run 'default/refund-7' is not in the folder" in said
    assert str(tmp_path / "payloads") in said
    assert "Every worker and client must see the same folder" in said


@pytest.mark.parametrize("damage", [b"", b"\x00", LARGE.encode()[:1000]])
async def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    """A file that is cut off or changed is not read."""
    payloads = await converter(tmp_path).encode([LARGE])
    files(tmp_path)[0].write_bytes(damage)

    with pytest.raises(PayloadError, match=r"is damaged: file .* is not what was stored"):
        await converter(tmp_path).decode(payloads)


async def test_storing_again_mends_a_damaged_file(tmp_path: Path) -> None:
    """A damaged file is not taken for the payload when that is stored again."""
    payloads = await converter(tmp_path).encode([LARGE])
    files(tmp_path)[0].write_bytes(b"rubbish")

    await converter(tmp_path).encode([LARGE])

    assert await converter(tmp_path).decode(payloads) == [LARGE]
    assert len(files(tmp_path)) == 1


async def test_a_payload_stored_again_is_young_again(tmp_path: Path) -> None:
    """A file that is stored again has a new time, so that it is not removed for its age."""
    await converter(tmp_path).encode([LARGE])
    (file,) = files(tmp_path)
    os.utime(file, (0, 0))

    await converter(tmp_path).encode([LARGE])

    assert file.stat().st_mtime > 0


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Where the folder is none, storing and the check at the start say so with the path."""
    (tmp_path / "payloads").write_text("a file")

    with pytest.raises(PayloadError, match=r"\(300,\d+ bytes\) cannot be written to .*/payloads"):
        await converter(tmp_path).encode([LARGE])
    with pytest.raises(SetupError, match=r"/payloads', cannot be written .*MAINSPRING_PAYLOADS"):
        await check_storage("", tmp_path / "payloads")


async def test_without_storage_nothing_is_written_and_all_is_read(tmp_path: Path) -> None:
    """With `none` payloads stay in the history, and those that were stored before are read all the same."""
    earlier = await converter(tmp_path).encode([LARGE])

    (kept,) = await converter(tmp_path, "none").encode([LARGE])

    assert kept.ByteSize() > len(LARGE)
    assert await converter(tmp_path, "none").decode(earlier) == [LARGE]


@pytest.mark.parametrize(
    "file",
    [
        "",
        "../../etc/passwd",
        f"../x/{'a' * 64}",
        f"default/../{'a' * 64}",
        f"/etc/{'a' * 64}",
        f"default/.draft/{'a' * 64}",
        f"default/run/{'a' * 63}",
        f"default/run/{'a' * 64}\n",
        f"default/r\0n/{'a' * 64}",
    ],
)
async def test_a_reference_cannot_lead_out_of_the_folder(tmp_path: Path, file: str) -> None:
    """A made-up reference is refused before anything is opened."""
    with pytest.raises(ApplicationError, match="which no worker has written"):
        await FolderDriver(tmp_path).retrieve(RETRIEVE, [StorageDriverClaim(claim_data={"file": file})])


@given(namespace=st.text(min_size=1, max_size=20), run=st.text(min_size=1, max_size=1000))
def test_any_workflow_id_makes_a_folder(tmp_path_factory: pytest.TempPathFactory, namespace: str, run: str) -> None:
    """Whatever a workflow's id is, its payload is stored below the folder and read back."""
    folder = tmp_path_factory.getbasetemp() / "any-id"
    given = Payload(data=run.encode("utf-8", "surrogatepass"))
    driver = FolderDriver(folder)

    claims = asyncio.run(driver.store(for_run(run, namespace), [given]))

    assert asyncio.run(driver.retrieve(RETRIEVE, claims)) == [given]
    assert (folder / claims[0].claim_data["file"]).resolve().is_relative_to(folder.resolve())


def test_several_processes_write_the_same_payload(tmp_path: Path) -> None:
    """Processes that store and read one payload at the same time never see a part of it, and leave one file."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from mainspring.serve import data_converter\n"
        "from mainspring.settings import Settings\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "converter = data_converter(Settings(state=folder))\n"
        "async def work():\n"
        "    for number in range(20):\n"
        "        values = ['same' * 50_000 + str(number)]\n"
        "        assert await converter.decode(await converter.encode(values)) == values\n"
        "asyncio.run(work())\n"
    )

    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(3)]

    assert [each.wait(60) for each in writers] == [0, 0, 0]
    assert len(files(tmp_path)) == 20


@tool(effect="read", returns="trusted")
def report() -> str:
    """Give the whole report."""
    return REPORT_TEXT


@tool(effect="once", returns="trusted")
def publish() -> str:
    """Publish the report."""
    return "published"


def reads_it_whole(request: ModelRequest) -> Step:
    """Say whether the model was given the report from its first letter to its last."""
    read = next(message for message in request.messages if message.tool == "report")
    return say("whole" if read.text == canonical(REPORT_TEXT) else read.text[:200])


reporter: Agent[str] = Agent(
    "reporter", instructions="Report, then publish.", tools=[report, publish], context=1_000_000
)


def script() -> ScriptedModel:
    """A model that fetches the report, has it published, and says what it read."""
    return ScriptedModel(call("report"), call("publish"), reads_it_whole)


async def waiting_run(bench: Bench, settings: Settings) -> TestRun:
    """A run that has fetched the report, and waits for a person; the worker that did it is gone."""
    async with working(Project(reporter, models={"test:model": script()}), bench.client, settings):
        run = await bench.submit("reporter", "Go.", settings.task_queue)
        await run.waiting()
    return run


async def test_a_run_reads_through_its_history(mainspring: Bench) -> None:
    """A tool's 300 KB stand outside the history; another worker, which has seen nothing, reads them whole."""
    settings = mainspring.settings(model="test:model")
    run = await waiting_run(mainspring, settings)

    await mainspring.work(Project(reporter, models={"test:model": script()}), settings)
    (request,) = await run.waiting()
    await run.approve(request)

    assert (await run.result()).answer == "whole"
    history = await run.history()
    assert sum(event.ByteSize() for event in history.events) < THRESHOLD
    (file,) = files(mainspring.folder)
    assert file.parts[-3:-1] == ("default", run.handle.id)


async def test_the_trace_is_rebuilt_through_the_storage(mainspring: Bench) -> None:
    """The spans of a run are made from its history and storage, as if all stood in the history."""
    run = await mainspring.start(
        Agent("reader", instructions="Read.", tools=[report], context=1_000_000),
        "Go.",
        model=ScriptedModel(call("report"), say("Done.")),
    )
    await run.result()

    trace = await project(run.handle.fetch_history_events(), mainspring.client.data_converter)

    assert [span.attributes["gen_ai.tool.name"] for span in trace.spans if span.name.startswith("execute_tool")] == [
        "report"
    ]


@pytest.mark.parametrize(
    ("damage", "why"),
    [(Path.unlink, "is not in the folder"), (lambda file: file.write_bytes(b"another"), "is damaged")],
)
async def test_a_run_waits_until_its_payload_is_put_right(
    mainspring: Bench, damage: Callable[[Path], object], why: str
) -> None:
    """A run whose payload is missing or damaged says so in its history, and goes on once the file is put back."""
    settings = mainspring.settings(model="test:model")
    run = await waiting_run(mainspring, settings)
    (file,) = files(mainspring.folder)
    data = file.read_bytes()
    damage(file)

    await mainspring.work(Project(reporter, models={"test:model": script()}), settings)
    await run.handle.signal("look again")  # so that there is a workflow task
    said = await failed_task(run.handle)
    file.write_bytes(data)
    (request,) = await run.waiting()
    await run.approve(request)

    assert f"a payload of run 'default/{run.handle.id}' {why}" in said
    assert (await run.result()).answer == "whole"


@tool(effect="read", returns="trusted")
def dump(size: int) -> str:
    """Give this many bytes."""
    return "x" * size


dumper: Agent[str] = Agent("dumper", instructions="Dump.", tools=[dump], context=10_000_000)


def tells(request: ModelRequest) -> Step:
    """Say what came of the call."""
    return say(request.messages[-1].text[:200])


@pytest.mark.parametrize(
    ("payloads", "size", "limit"),
    [("", ITEM_LIMIT, r"8,388,608 (8,192 KiB)"), ("none", THRESHOLD, r"131,072 (128 KiB)")],
)
async def test_a_result_that_is_too_large_names_tool_and_size(
    temporal_server: DevServer, tmp_path: Path, payloads: str, size: int, limit: str
) -> None:
    """With storage a result may have 8 MiB, without it 128 KiB; the model reads by how much it was too much."""
    settings = Settings(state=tmp_path, model="test:model", payloads=payloads, task_queue=f"dump-{size}")
    client = await Client.connect(temporal_server.address, data_converter=data_converter(settings))
    bench = Bench(client, tmp_path)
    model = ScriptedModel(call("dump", size=size), tells)

    async with working(Project(dumper, models={"test:model": model}), client, settings):
        run = await bench.submit("dumper", "Go.", settings.task_queue)
        answer = (await run.result()).answer

    assert answer == f"dump ran, but its result has {size + 2:,} bytes, and at most {limit} are kept. Ask for less."


async def failed_task(handle: WorkflowHandle[Any, Any]) -> str:
    """The words of the first workflow task that failed, once one has."""
    async with asyncio.timeout(60):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_task_failed_event_attributes"):
                return event.workflow_task_failed_event_attributes.failure.message
    raise AssertionError("no workflow task failed")
