"""Mainspring on a worker, or with workflow tasks, that are set otherwise: `benchmarks/settings.py` tries values."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker

from benchmarks.protocol import Place
from benchmarks.stacks.mainspring import MODEL, OnMainspring, Scripted, reply
from mainspring import Agent, serve, tool
from mainspring.core.spec import Mode
from mainspring.durable.continuing import FAST_TASK
from mainspring.ports.model import ModelReply, ModelRequest

PATIENT = "patient"
ENOUGH = 60.0
METRICS = 500_000
"""How many updates of metrics are kept until somebody asks."""
MISSES = {
    "mainspring_ledger_misses": "misses",
    "mainspring_ledger_miss_bytes": "bytes",
    "mainspring_ledger_miss_time": "milliseconds",
}
BEGUN, ENDED = asyncio.Event(), asyncio.Event()
"""That the tool is at work, and that it no longer is; it runs in this process."""

WORKER: dict[str, Callable[[Any], dict[str, Any]]] = {
    "pollers": lambda count: {
        "workflow_task_poller_behavior": PollerBehaviorSimpleMaximum(count),
        "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(count),
    },
    "cache": lambda count: {"max_cached_workflows": count},
    "sticky": lambda seconds: {"sticky_queue_schedule_to_start_timeout": timedelta(seconds=seconds)},
    "eager": lambda eager: {"disable_eager_activity_execution": not eager},
    "throttle": lambda seconds: {
        "max_heartbeat_throttle_interval": timedelta(seconds=seconds),
        "default_heartbeat_throttle_interval": timedelta(seconds=seconds),
    },
}
"""What a value of each setting of a worker is in the SDK."""


@tool("idempotent", returns="trusted", timeout=timedelta(seconds=ENOUGH))
async def wait_long() -> str:
    """Take longer than anybody waits."""
    BEGUN.set()
    try:
        await asyncio.sleep(ENOUGH)
    finally:
        ENDED.set()
    return "waited"


class WithPatience(Scripted):
    """Has one more agent, which calls the tool that takes long."""

    async def reply(self, request: ModelRequest) -> ModelReply:
        """One reply."""
        return reply("", [("wait_long", {})]) if request.agent == PATIENT else await super().reply(request)


class Otherwise(OnMainspring):
    """The stack with some of its settings replaced."""

    model = WithPatience()

    def __init__(self, mode: Mode, values: dict[str, Any]) -> None:
        """Take the mode and the values by the names of the settings; `task` is the workflow-task time-out."""
        super().__init__(mode)
        if "task" in values:
            self.task_timeout = timedelta(seconds=values.pop("task"))
        self.others = (Agent(PATIENT, instructions="Wait.", tools=[wait_long], model=MODEL, mode=mode),)
        self.options = {name: value for key, given in values.items() for name, value in WORKER[key](given).items()}

    async def start(self, place: Place) -> None:
        """Start a worker with these options in place of its own: `serve` lets nobody choose them."""

        def worker(*given: Any, **usual: Any) -> Worker:
            return Worker(*given, **(usual | self.options))

        self.metrics = MetricBuffer(METRICS)
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=self.metrics)))
        serve.Worker = worker  # type: ignore[assignment,misc]
        await super().start(place)

    async def usual(self) -> dict[str, float]:
        """The values that are in use."""
        config = self.worker.config()
        pollers: Any = config["workflow_task_poller_behavior"]
        return {
            "pollers": pollers.maximum,
            "cache": config["max_cached_workflows"],
            "sticky": config["sticky_queue_schedule_to_start_timeout"].total_seconds(),
            "throttle": config["max_heartbeat_throttle_interval"].total_seconds(),
            "task": FAST_TASK.total_seconds(),
        }

    async def misses(self) -> dict[str, float]:
        """What the ledger had to read in histories since the start: how often, how much, how long in all."""
        sums = dict.fromkeys(MISSES.values(), 0.0)
        for update in self.metrics.retrieve_updates():
            if name := MISSES.get(update.metric.name):
                sums[name] += update.value
        return sums

    async def cancelled(self, key: str, after: float) -> float:
        """Seconds from cancelling a run to when its tool, which is at work, is told."""
        BEGUN.clear()
        ENDED.clear()
        handle = await self.started(PATIENT, key)
        await BEGUN.wait()
        await asyncio.sleep(after)
        start = time.perf_counter()
        await handle.cancel()
        await ENDED.wait()
        return time.perf_counter() - start


def make(mode: Mode, values: str = "{}") -> Otherwise:
    """The stack."""
    return Otherwise(mode, json.loads(values))
