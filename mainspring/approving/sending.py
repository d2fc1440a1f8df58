"""Sends a decision to a run: once, however often it has to be sent. How every command and page does it."""

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mainspring.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowUpdateFailedError

ANSWERS_WITHIN = 20
"""Seconds a worker has to take a decision in."""
_AGAIN, _AGAIN_AT_MOST = 0.1, 2.0


class RefusedError(UsageError):
    """The run does not take the decision, and says why."""


class EndedError(UsageError):
    """The run that was meant has ended, or is not there."""


class UnansweredError(UsageError):
    """Nobody answered, so it is not known whether the decision counts."""


async def deliver(
    client: "Client", run: str, name: str, form: dict[str, Any], *, update_id: str = "", first: str = ""
) -> str:
    """Send a decision to a run that goes on; gives the sentence it is recorded with.

    Under one `update_id` it counts once, however often it is sent, and each time the answer is the same. With `first`,
    the run id of the run's first execution, it reaches that run and no later one of the same name.

    Raises:
        RefusedError: the run does not accept it.
        EndedError: the run has ended, or there is none.
        UnansweredError: no worker answers, or the server is too busy for as long.
        UsageError: the server does not pass it on.
    """
    from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
    from temporalio.exceptions import FailureError
    from temporalio.service import RPCError, RPCStatusCode

    # It just then continues as new; it has as many updates under way as it may; the server is not there for a moment.
    passing = (RPCStatusCode.ABORTED, RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.UNAVAILABLE)
    handle = client.get_workflow_handle(run, first_execution_run_id=first or None)
    update, pause, busy = update_id or uuid4().hex, _AGAIN, ""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            while True:
                try:
                    return await handle.execute_update(name, form, id=update, result_type=str)  # pyright: ignore[reportUnknownMemberType] - an overload of the SDK
                except RPCError as error:
                    if error.status not in passing:
                        raise
                    busy = error.message
                except WorkflowUpdateFailedError as error:
                    if not _is_cut_off(error):
                        raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, _AGAIN_AT_MOST)
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        raise RefusedError(cause.message if isinstance(cause, FailureError) else str(cause)) from None
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        who = f"The server did not pass this on to run {run!r}" if busy else f"No worker answered for run {run!r}"
        why = f"{who} within {ANSWERS_WITHIN} s, so it is not known whether this counts{busy and f' ({busy})'}."
        raise UnansweredError(f"{why} See that a worker runs ('mainspring doctor' tells), then try again.") from None
    except RPCError as error:
        kind = EndedError if error.status == RPCStatusCode.NOT_FOUND else UsageError
        raise kind(f"Run {run!r} did not take this: {error.message}.") from None


def _is_cut_off(error: "WorkflowUpdateFailedError") -> bool:
    """Whether the execution ended while it handled the update, so that the next one, if there is one, has to."""
    cause: Any = error.cause
    return getattr(cause, "type", "") == "AcceptedUpdateCompletedWorkflow"
