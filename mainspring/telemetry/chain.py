"""The trace of a whole run: of every execution it took, where it continued as new. Neither side; reads a server."""

from collections.abc import AsyncIterator

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from mainspring.telemetry.projection import joined, project
from mainspring.telemetry.trace import Trace


async def project_run(client: Client, workflow_id: str, newest: str) -> Trace:
    """The trace of a run, whose newest execution has this run id.

    Of executions whose history the server no longer keeps, the spans are missing.

    Raises:
        RPCError: there is no such execution.
    """
    parts: list[Trace] = []
    run_id = newest
    while run_id:
        events = _Events(client, workflow_id, run_id)
        try:
            parts.insert(0, await project(events.all(), client.data_converter))
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or not parts:
                raise
            break
        run_id = events.before
    return joined(parts)


class _Events:
    """One execution's history, and in `before`, once that is read, the run id of the execution before it."""

    def __init__(self, client: Client, workflow_id: str, run_id: str) -> None:
        self.before = ""
        self._handle = client.get_workflow_handle(workflow_id, run_id=run_id)

    async def all(self) -> AsyncIterator[HistoryEvent]:
        async for event in self._handle.fetch_history_events():
            if event.HasField("workflow_execution_started_event_attributes"):
                self.before = event.workflow_execution_started_event_attributes.continued_execution_run_id
            yield event
