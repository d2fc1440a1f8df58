"""Workflow side. How a run fails: in one sentence, for good, with a type to filter by."""

from typing import Literal

from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutType
from temporalio.exceptions import TimeoutError as TimedOut

Kind = Literal[
    "BadInput",
    "UnknownName",
    "NotAdmitted",
    "Refused",
    "StepLimit",
    "MalformedReply",
    "ModelFailed",
    "UnknownOutcome",
    "ContextFull",
    "NotReviewed",
    "Stopped",
    "NotContinued",
    "GraphFailed",
    "NotAccepted",
]

_TIMEOUTS = {
    TimeoutType.START_TO_CLOSE: "it did not end in the time it has",
    TimeoutType.SCHEDULE_TO_CLOSE: "it did not end in the time it has, all attempts together",
    TimeoutType.SCHEDULE_TO_START: "no worker took it",
    TimeoutType.HEARTBEAT: "the worker that ran it was lost",
}


def failure(kind: Kind, reason: str) -> ApplicationError:
    """An error that ends the run (or refuses an update) at once, without retry."""
    return ApplicationError(reason, type=kind, non_retryable=True)


def cause_of(error: FailureError) -> str:
    """Why an activity failed, in words, without Temporal's wrapping."""
    cause = error.cause if isinstance(error, ActivityError) and error.cause else error
    if isinstance(cause, TimedOut):
        last = f" (before that: {cause.cause})" if cause.cause else ""
        return (_TIMEOUTS.get(cause.type, "it timed out") if cause.type else "it timed out") + last
    return cause.message if isinstance(cause, FailureError) else str(cause)


def type_of(error: ActivityError) -> str:
    """The type an activity gave its failure ("" for a time-out or another kind)."""
    return (error.cause.type or "") if isinstance(error.cause, ApplicationError) else ""
