"""Workflow side. How a step becomes an activity: ordinary or local, its time-outs and retries, in one place.

A local activity is an attempt, never more: whatever goes wrong with it, the step is done once more as an
ordinary activity, which has the retries. So it may only be what can be repeated. It is cut off after
`LOCAL_LIMIT` where a repetition costs nothing (a read), and a step that was found slow is ordinary from then on.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.workflow import ActivityCancellationType

HEARTBEAT = timedelta(seconds=5)
"""How soon a lost worker is noticed: measured 5 s to the next attempt at this setting."""
LOCAL_LIMIT = timedelta(seconds=2)
"""How long a read may take as a local activity. While one runs, the run answers nobody until the next heartbeat."""
GRACE = timedelta(seconds=5)
"""The effects side ends a call by its own time-out first; Temporal's is behind it."""

_FIRST_PAUSE = timedelta(seconds=1)
_ONCE = RetryPolicy(maximum_attempts=1)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Plan:
    """How a kind of step is performed. `seconds` is its own time-out; `tries` counts every attempt.

    `local` lets it be tried as a local activity first, for at most that long.
    """

    name: str
    seconds: float
    tries: int
    longest_pause: timedelta = timedelta(seconds=10)
    heartbeat: timedelta | None = HEARTBEAT
    backoff: float = 2.0
    cancellation: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL
    local: timedelta | None = None
    slow: set[str] = field(default_factory=set[str])


async def perform(  # noqa: PLR0917 - what, with what, giving what, and how
    plan: Plan, work: Any, result: type[ResultT], step: str, summary: str, local_work: Any = None
) -> ResultT:
    """Do one step; `local_work` is what a local activity gets instead of `work` (its arguments are not in history).

    Raises:
        ActivityError: it failed for good.
    """
    tries = plan.tries
    if plan.local:
        try:
            return await workflow.execute_local_activity(
                plan.name,
                local_work or work,
                result_type=result,
                activity_id=step,
                summary=summary,
                start_to_close_timeout=plan.local,
                retry_policy=_ONCE,
            )
        except FailureError as failed:
            error = failed if isinstance(failed, ActivityError) else _as_activity_error(failed, plan.name, step)
            if is_cancelled_exception(failed) or is_final(error):
                raise error from failed
            if isinstance(error.cause, TimedOut):
                plan.slow.add(summary)
            tries = max(1, tries - 1) if _counts(error) else tries
    return await workflow.execute_activity(
        plan.name,
        work,
        result_type=result,
        activity_id=step,
        summary=summary,
        start_to_close_timeout=timedelta(seconds=plan.seconds) + GRACE,
        heartbeat_timeout=plan.heartbeat,
        retry_policy=RetryPolicy(
            initial_interval=_FIRST_PAUSE,
            backoff_coefficient=plan.backoff,
            maximum_interval=plan.longest_pause,
            maximum_attempts=tries,
        ),
        cancellation_type=plan.cancellation,
    )


def is_final(error: ActivityError) -> bool:
    """Whether another attempt cannot help; a thread that this worker does not hold is another matter."""
    cause = error.cause
    return isinstance(cause, ApplicationError) and cause.non_retryable


def _as_activity_error(error: FailureError, name: str, step: str) -> ActivityError:
    """What an ordinary activity would raise: the SDK raises a local one's failure bare."""
    wrapped = ActivityError(
        "Activity task failed",
        scheduled_event_id=0,
        started_event_id=0,
        identity="",
        activity_type=name,
        activity_id=step,
        retry_state=None,
    )
    wrapped.__cause__ = error
    return wrapped


def _counts(error: ActivityError) -> bool:
    """Whether the attempt reached the work itself; one that found the thread missing did not."""
    return not (isinstance(error.cause, ApplicationError) and error.cause.type == "NotHeld")
