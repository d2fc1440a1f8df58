"""Finds runs on the server, and says in words when one is not there. The edge."""

import getpass
import socket
from typing import TYPE_CHECKING

from mainspring.contracts import names
from mainspring.errors import SetupError, UsageError, did_you_mean

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecutionDescription

    from mainspring.core.approvals import Request

ANSWERS_WITHIN = 20
"""Seconds a worker has to say what waits, or to take a decision in."""
LISTED = 20
"""How many runs an unknown name is compared with."""


async def connect_as_person(person: str = "") -> "Client":
    """A client that says who sits at the terminal: decisions are recorded with it, as claimed.

    Raises:
        UsageError: this names nobody.
        SetupError: no server answers.
    """
    from mainspring.serve import connect
    from mainspring.settings import read_settings

    if not person.isprintable() or person.strip() != person:
        raise UsageError(f"'--as' is {person!r}; it must be a name or a mail address.")
    client = await connect(read_settings())
    who = person or f"{getpass.getuser()}@{socket.gethostname()}"
    client.service_client.config.identity = f"mainspring-cli:{who}"
    return client


async def find(client: "Client", run: str) -> "WorkflowExecutionDescription | None":
    """The newest execution with the workflow id `run`; None where there never was one, or it is gone.

    Raises:
        SetupError: the server does not say.
    """
    from temporalio.service import RPCError, RPCStatusCode

    try:
        return await client.get_workflow_handle(run).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise SetupError(f"The Temporal server says nothing of run {run!r}: {error.message}.") from None


async def describe(client: "Client", run: str) -> "WorkflowExecutionDescription":
    """The newest execution with the workflow id `run`.

    Raises:
        UsageError: there is none; it names some that exist.
        SetupError: the server does not say.
    """
    found = await find(client, run)
    if found is not None:
        return found
    known = [each.id async for each in client.list_workflows(limit=LISTED)]
    where = f"namespace {client.namespace!r} at {client.service_client.config.target_host}"
    raise UsageError(f"There is no run {run!r} in {where}.{did_you_mean(run, known)}")


async def describe_running(client: "Client", run: str) -> "WorkflowExecutionDescription":
    """The newest execution of a run that has not ended.

    Raises:
        UsageError: there is none, or it has.
        SetupError: the server does not say.
    """
    found = await describe(client, run)
    if found.status is not None and found.status.name != "RUNNING":
        raise UsageError(f"Run {run!r} has ended ({found.status.name.lower()}), so nothing waits for a decision.")
    return found


async def waiting(client: "Client", run: str) -> "list[Request]":
    """What waits for a person in a run, oldest first.

    Raises:
        UsageError: there is no such run, it has ended, or no worker answers.
        SetupError: the server does not say.
    """
    import asyncio

    from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError
    from temporalio.service import RPCError

    from mainspring.core.approvals import Request

    await describe_running(client, run)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await client.get_workflow_handle(run).query(names.WAITING, result_type=list[Request])
    except (TimeoutError, RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        raise UsageError(
            f"No worker said within {ANSWERS_WITHIN} s what waits in run {run!r}, so nothing was decided. See that one "
            "runs ('mainspring doctor' tells), then try again."
        ) from None


def first_of(found: "WorkflowExecutionDescription") -> str:
    """The run id of the first execution of a run, which is the run's own id; "" of a server that does not say."""
    return found.raw_description.workflow_execution_info.first_run_id
