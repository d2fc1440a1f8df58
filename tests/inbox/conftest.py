"""Fixtures of the inbox's tests: runs that ask, and the inbox of one person."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring.core.approvals import Request
from mainspring.inbox.app import make_app
from mainspring.inbox.people import Local
from mainspring.testing.bench import Bench
from tests.inbox.asked import Asking
from tests.inbox.visitor import Visitor, visiting

Ask = Callable[..., Awaitable[WorkflowHandle[Asking, list[list[object]]]]]
SECRET = "for tests alone, and long enough"


@pytest_asyncio.fixture(loop_scope="session")
async def ask(mainspring: Bench) -> AsyncIterator[Ask]:
    """Starts runs that ask these requests; they end with the test."""
    queue = f"asking-{uuid.uuid4().hex[:8]}"
    started: list[WorkflowHandle[Asking, list[list[object]]]] = []

    async def start(*requests: Request, run: str = "") -> WorkflowHandle[Asking, list[list[object]]]:
        name = run or f"asking-{uuid.uuid4().hex[:8]}"
        handle = await mainspring.client.start_workflow(Asking.run, list(requests), id=name, task_queue=queue)
        started.append(handle)
        return handle

    worker = Worker(
        mainspring.client,
        task_queue=queue,
        workflows=[Asking],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="asking",  # else the SDK hashes every loaded module at start
    )
    async with worker:
        yield start
        for each in started:
            await _end(each)


async def _end(handle: WorkflowHandle[Asking, list[list[object]]]) -> None:
    if (await handle.describe()).close_time is None:
        await handle.terminate()


@pytest_asyncio.fixture(loop_scope="session")
async def ada(mainspring: Bench) -> AsyncIterator[Visitor]:
    """Ada, before her own inbox on this machine."""
    async with visiting(local(mainspring.client)) as visitor:
        yield visitor


def local(client: Client, **options: object):
    """An inbox of one person of this machine."""
    return make_app(client, Local("ada@example.com"), url="http://127.0.0.1", secret=SECRET, **options)  # type: ignore[arg-type]
