"""Puts points into a worker at which its process dies or waits: before and after each activity and workflow task.

What is durable changes with these alone: all commands of a workflow task are recorded together or not at all, and an
activity is recorded when its end is reported. So a kill between two commands is the kill before their task's end.
It is a Temporal plugin, which a client hands on to its workers: the engine knows nothing of it.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from temporalio import activity
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkerConfig,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

from tests.chaos.world import Attempt, World

STICKY = timedelta(seconds=1)
"""How long a workflow task waits for a worker that may be dead; in production it is longer."""
UNEVENTFUL = {"query_workflow", "remove_from_cache", "update_random_seed", "notify_has_patch"}
"""Jobs of an activation that bring the run nothing new."""

Act = Literal["", "die", "wait"]


@dataclass
class Points:
    """The points of one worker process. At the one named `at` it dies or waits, if it is to."""

    world: World
    at: str = ""
    act: Act = ""

    def __post_init__(self) -> None:
        self._passed: Counter[str] = Counter()

    def here(self, name: str, label: str) -> bool:
        """Pass a point; true where the process has to wait at it."""
        self._passed[name] += 1
        point = name if self._passed[name] == 1 else f"{name}:{self._passed[name]}"
        self.world.passed(point, label, os.getpid())
        if point != self.at or not self.act:
            return False
        self.world.stop(point)
        if self.act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    async def stay(self) -> None:
        """Wait at a point until whoever watches says to go on."""
        while not self.world.may_go_on():  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(0.02)


class Failpoints(SimplePlugin):
    """Gives a worker its points, and shorter time-outs."""

    def __init__(self, points: Points) -> None:
        super().__init__(
            "failpoints",
            interceptors=[_Activities(points)],
            workflow_runner=lambda runner: _Runner(runner, points),
        )

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Add them to what the engine configured."""
        config = super().configure_worker(config)
        config["sticky_queue_schedule_to_start_timeout"] = STICKY
        return config


class _Activities(Interceptor):
    def __init__(self, points: Points) -> None:
        self._points = points

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Activity(next, self._points)


class _Activity(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, points: Points) -> None:
        super().__init__(inner)
        self._points = points

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - Temporal's name
        info = activity.info()
        tool = str(getattr(input.args[0], "tool", "")) if input.args else ""
        name = f"{info.activity_type}:{info.activity_id}"
        label = f"{'local ' if info.is_local else ''}{tool or info.activity_type}"
        row = self._points.world.begin(
            Attempt(
                run=info.workflow_run_id or "",
                type=info.activity_type,
                step=info.activity_id,
                tool=tool,
                local=info.is_local,
                pid=os.getpid(),
                began=time.time(),
            )
        )
        failed = True
        try:
            await self._point(f"{name}:before", label)
            result = await super().execute_activity(input)
            failed = False
        finally:
            self._points.world.end(row, failed=failed)
            await self._point(f"{name}:after", label)
        return result

    async def _point(self, name: str, label: str) -> None:
        if self._points.here(name, label):
            await self._points.stay()


class _Runner(WorkflowRunner):
    def __init__(self, inner: WorkflowRunner, points: Points) -> None:
        self._inner = inner
        self._points = points

    def prepare_workflow(self, defn: Any) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(self._inner.create_instance(det), self._points)

    def set_worker_level_failure_exception_types(self, types: Any) -> None:
        self._inner.set_worker_level_failure_exception_types(types)


class _Instance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance, points: Points) -> None:
        self._inner = inner
        self._points = points

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        jobs = [job.WhichOneof("variant") or "" for job in act.jobs]
        news = [job for job in jobs if job not in UNEVENTFUL]
        if act.is_replaying or not news:
            return self._inner.activate(act)
        label = " + ".join(news)
        self._points.here("task:before", label)
        done = self._inner.activate(act)
        commands = [each.WhichOneof("variant") or "" for each in done.successful.commands]
        self._points.here("task:after", f"{label} -> {' + '.join(commands) or 'nothing'}")
        return done

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._inner.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()
