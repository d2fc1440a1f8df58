"""What the stacks on Temporal share: a client, a worker with its usual settings, runs, and replay."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from temporalio.client import Client, Plugin
from temporalio.worker import Replayer, Worker

from benchmarks.job import Job
from benchmarks.protocol import Place, Stack

ENOUGH = 5.0
"""Seconds of replaying that tell enough."""


class OnTemporal(Stack):
    """Runs one workflow class; a stack says which, and what else its worker has."""

    def __init__(
        self,
        workflow: type,
        activities: Sequence[Callable[..., Any]] = (),
        *,
        plugins: Sequence[Plugin] = (),
    ) -> None:
        """Take the workflow, its activities, and plugins of the client."""
        self.workflow = workflow
        self.activities = activities
        self.plugins = plugins
        self._open = contextlib.AsyncExitStack()

    async def start(self, place: Place) -> None:
        """Connect with the plugins and start a worker with the SDK's own settings."""
        self.queue = place.queue
        self.client = await Client.connect(place.temporal, plugins=self.plugins)
        worker = Worker(self.client, task_queue=self.queue, workflows=[self.workflow], activities=self.activities)
        await self._open.enter_async_context(worker)

    async def run(self, job: Job, key: str) -> None:
        """Start the workflow and wait for its result."""
        await self.client.execute_workflow(
            self.workflow.run,  # type: ignore[attr-defined]
            job,
            id=key,
            task_queue=self.queue,
        )

    async def replay(self, key: str, times: int, run_id: str | None = None) -> list[float] | None:
        """Replay the recorded history with the same code."""
        replayer = Replayer(workflows=[self.workflow], plugins=self.plugins)
        return await timed_replays(self.client, replayer, key, run_id, times)

    async def stop(self) -> None:
        """Shut the worker down."""
        await self._open.aclose()


async def timed_replays(client: Client, replayer: Replayer, key: str, run_id: str | None, times: int) -> list[float]:
    """Replay one run so many times (fewer where it takes long), its history read beforehand.

    Raises:
        RuntimeError: it does not replay.
    """
    history = await client.get_workflow_handle(key, run_id=run_id).fetch_history()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        await replayer.replay_workflow(history)
        seconds.append(time.perf_counter() - start)
        if sum(seconds) > ENOUGH:
            break
    return seconds
