"""Runs a history through the SDK's Replayer, and notes what the code asks for on the way."""

import asyncio
import logging
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    StartActivityInput,
    StartLocalActivityInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from mainspring.durable.run import AnyRun
from mainspring.replaying.recorded import Step, make_step

PATIENCE = 60.0
"""Seconds a replay may take. A damaged history makes the SDK wait for ever for what does not come."""


@dataclass
class Seen:
    """What came of a replay: the steps the code asked for, and what stopped it.

    `failure` is the SDK's. `error` is what the workflow's code raised, at the task that began with event `at`.
    """

    asked: list[Step] = field(default_factory=list[Step])
    failure: str = ""
    error: BaseException | None = None
    at: int = 0
    ended: bool = False


async def watch(history: WorkflowHistory, converter: DataConverter) -> Seen:
    """Replay a history; never raises for what the code does.

    In a thread of its own: a replay that the SDK never ends cannot be cancelled, only left.
    """
    seen, loop, over = Seen(), asyncio.get_running_loop(), asyncio.Event()

    def work() -> None:
        try:
            asyncio.run(_replay(history, converter, seen))
        except Exception as error:  # noqa: BLE001 - the SDK's own troubles with this history
            seen.failure, seen.ended = f"{type(error).__name__}: {error}", True
        with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(over.set)

    with _quiet(), suppress(TimeoutError):
        threading.Thread(target=work, daemon=True, name="replay").start()
        async with asyncio.timeout(PATIENCE):
            await over.wait()
    return seen


@contextmanager
def _quiet() -> Generator[None]:
    """Keep the SDK from logging what the verdict says."""
    logger = logging.getLogger("temporalio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _replay(history: WorkflowHistory, converter: DataConverter, seen: Seen) -> None:
    replayer = Replayer(
        workflows=[AnyRun],
        data_converter=converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[_Watching(seen)],
        runtime=_silent(),
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    seen.failure = str(result.replay_failure) if result.replay_failure else ""
    seen.ended = True


@cache
def _silent() -> Runtime:
    """A runtime that writes no log: what it would say of a deviation is in the verdict."""
    off = TelemetryFilter(core_level="OFF", other_level="OFF")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=off)))


class _Watching(Interceptor):
    """Notes for one replay; a replay has one workflow."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002 - the SDK's name
        """Give the SDK a class that notes here."""
        del input
        seen = self._seen

        class Inbound(WorkflowInboundInterceptor):
            """Notes what the code raises."""

            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(_Outbound(outbound, seen))

            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - likewise
                try:
                    return await super().execute_workflow(input)
                except FailureError:
                    raise  # how a run fails
                except Exception as error:
                    if not is_cancelled_exception(error):
                        seen.error, seen.at = error, workflow.info().get_current_history_length()
                    raise

        return Inbound


class _Outbound(WorkflowOutboundInterceptor):
    """Notes the steps that the code asks for."""

    def __init__(self, below: WorkflowOutboundInterceptor, seen: Seen) -> None:
        super().__init__(below)
        self._seen = seen

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002 - likewise
        """Note, and pass on."""
        self._note(input)
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002 - likewise
        """Note, and pass on."""
        self._note(input)
        return super().start_local_activity(input)

    def _note(self, asked: StartActivityInput | StartLocalActivityInput) -> None:
        run = workflow.info().workflow_type
        self._seen.asked.append(make_step(asked.activity_id or "", asked.activity, run, _given(asked.args)))


def _given(args: Any) -> Mapping[str, Any]:
    first: Any = next(iter(args), None)
    return first.model_dump(mode="json") if isinstance(first, BaseModel) else {}
