"""One job, however it is started: the `temporal` command line, the SDK; a plain string, an object."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainspring.contracts import names
from mainspring.core.canonical import Json
from mainspring.devserver import DevServer, temporal_binary
from mainspring.serve import Project
from mainspring.testing.bench import Bench, TestRun
from tests.app.tickets import given
from tools.shop import refunds
from tools.sink import MailSink
from workflows.refund_desk import refund_desk

TICKET = given("damaged-grinder")
PLAIN = TICKET["input"]


@pytest.fixture(autouse=True)
def sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSink]:
    """A shop and a mail server of its own for each test."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    with MailSink(tmp_path / "mail") as running:
        monkeypatch.setenv("SMTP_HOST", running.host)
        monkeypatch.setenv("SMTP_PORT", str(running.port))
        yield running


@pytest.fixture
async def task_queue(mainspring: Bench) -> str:
    """Where a worker serves the refund desk with its playbooks."""
    settings = mainspring.settings()
    await mainspring.work(Project(refund_desk), settings)
    return settings.task_queue


async def temporal(*arguments: str) -> str:
    """What the `temporal` command prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        temporal_binary(), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=-1, stderr=-1
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def start_by_cli(address: str, task_queue: str, what: Json) -> None:
    """As a person types it."""
    line = ["workflow", "start", "--type", "refund-desk", "--task-queue", task_queue, "--workflow-id", task_queue]
    await temporal(*line, "--input", json.dumps(what), "--address", address)


@pytest.mark.parametrize("what", [PLAIN, TICKET], ids=["string", "object"])
@pytest.mark.parametrize("by", ["cli", "sdk"])
async def test_the_same_job(
    mainspring: Bench, temporal_server: DevServer, task_queue: str, sink: MailSink, *, by: str, what: Json
):
    """Every form does the whole job; a mail goes out where the input names the customer."""
    if by == "cli":
        await start_by_cli(temporal_server.address, task_queue, what)
        run = TestRun(mainspring.client.get_workflow_handle(task_queue), mainspring.client)
    else:
        run = await mainspring.submit("refund-desk", what, task_queue)

    (request,) = await run.waiting()
    await run.approve(request)
    result = await run.result()

    assert result.result == {"kind": "refund", "language": "en", "outcome": "refunded", "note": ""}
    assert "We have refunded EUR 89.00 for order 1042" in result.answer
    assert refunds()[-1].amount_cents == 8900
    assert [mail["To"] for mail in sink.mails] == ([TICKET["user"]] if what is TICKET else [])


async def test_approved_by_the_command_line(mainspring: Bench, temporal_server: DevServer, task_queue: str):
    """`temporal workflow update execute` approves, and prints the sentence that says so."""
    run = await mainspring.submit("refund-desk", PLAIN, task_queue)
    (request,) = await run.waiting()
    line = ["workflow", "update", "execute", "--workflow-id", run.handle.id, "--name", names.APPROVE]

    said = await temporal(*line, "--input", '{"request":"1"}', "--address", temporal_server.address)
    await run.result()

    assert request.id == "1"
    assert "Request 1 (issue_refund): approve. Recorded." in said
    assert refunds()[-1].amount_cents == 8900
