"""Workflow side. When a run continues as new, and how it takes everything along.

It happens by itself, between steps: the history is long, or the server's limit of updates is near. A `fast` run
also moves itself over once at its start, where its workflow tasks may take too long for local activities.

The limits are replayed code: one that changes needs a patch, or runs under way deviate.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn, cast

from temporalio import workflow
from temporalio.common import RawValue

from mainspring.contracts.carried import Carried
from mainspring.contracts.steps import Sealed
from mainspring.core.spec import Spec

EVENTS = 2500
"""A history this long is replayed in well under 2 s, the longest that a workflow task should take."""
FAST_EVENTS = 500
"""Likewise where a workflow task may take only a second, and each event is a step: a replay fits in it by far."""
BYTES = 8 * 1024 * 1024
UPDATES = 1500
"""The server takes 2,000 in one execution, and then none."""
FEW = 50
"""Events below which no execution ends for its bytes: what was carried along may be most of them."""
FAST_TASK = timedelta(seconds=1)
"""Workflow-task time-out of `fast` runs. Local activities are recorded at 0.8 of it; an update takes two rounds."""
_SLOW_TASK = timedelta(seconds=3)


def is_full(updates: int) -> bool:
    """Whether this execution should be the last thing in its history."""
    info = workflow.info()
    length = info.get_current_history_length()
    if updates >= UPDATES or length >= (min(EVENTS, FAST_EVENTS) if info.task_timeout <= _SLOW_TASK else EVENTS):
        return True
    return length >= FEW and (info.is_continue_as_new_suggested() or info.get_current_history_size() >= BYTES)


def read_carried(args: Sequence[RawValue]) -> Carried | None:
    """What the execution before left, or None at the start of a run.

    Nobody can pass it from outside: it names the first execution's run id, which no client knows beforehand.
    """
    info = workflow.info()
    if info.continued_run_id is None or not args:
        return None
    convert = workflow.payload_converter().from_payload
    try:
        value: Any = convert(args[0].payload)
    except Exception:  # noqa: BLE001 - not ours: an input that this worker cannot read, and `run` says so
        return None
    # A schedule or a retry gives a client's own input to an execution that follows another.
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) and "carried" in value else {}
    run = fields.get("run")
    if not isinstance(run, dict) or cast("dict[str, Any]", run).get("first") != info.first_execution_run_id:
        return None
    return Carried.model_validate(fields)


def is_too_slow(spec: Spec) -> bool:
    """Whether a `fast` run was started with workflow tasks that may take longer than suits local activities."""
    info = workflow.info()
    fast = any(agent.mode == "fast" for agent in spec.agents)
    return fast and info.task_timeout > _SLOW_TASK


def continue_as_new(carried: Carried, sealed: Sealed, *, task_timeout: timedelta | None = None) -> NoReturn:
    """End this execution and begin the next with all of this.

    Raises:
        ContinueAsNewError: always; it is how the SDK ends an execution.
    """
    workflow.continue_as_new(args=[carried, *sealed.chunks], task_timeout=task_timeout)
