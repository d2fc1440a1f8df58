"""Sends a decision to a run, and tells in words what the run said to it."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import FailureError
from temporalio.service import RPCError, RPCStatusCode

from mainspring.core.canonical import Json

ANSWERS_WITHIN = 20.0
"""Seconds a worker has to take a decision in."""
_AGAIN = 0.2


class Sent(NamedTuple):
    """What the run said: the sentence it recorded, or why it took nothing."""

    sentence: str
    is_taken: bool


async def send(client: Client, run: str, name: str, form: Mapping[str, Json], update: str) -> Sent:
    """Send an update under an id of its own: sent twice, it counts once, also where the run continues as new."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            return Sent(await _until_taken(client, run, name, form, update), is_taken=True)
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        return Sent(cause.message if isinstance(cause, FailureError) else str(cause), is_taken=False)
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        why = f"No worker answered within {ANSWERS_WITHIN:.0f} seconds, so it is not known whether this counts."
        return Sent(f"{why} See that a worker runs, look at this page again, and decide once more if it waits.", False)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return Sent("The run has ended, so nothing waits for a decision. Nothing was changed.", is_taken=False)
        return Sent(f"The Temporal server did not take this: {error.message}.", is_taken=False)


async def _until_taken(client: Client, run: str, name: str, form: Mapping[str, Json], update: str) -> str:
    handle = client.get_workflow_handle(run)
    while True:
        try:
            return await handle.execute_update(name, dict(form), id=update, result_type=str)  # pyright: ignore[reportUnknownMemberType] - an overload of the SDK
        except RPCError as error:
            if error.status != RPCStatusCode.ABORTED:
                raise
        await asyncio.sleep(_AGAIN)
