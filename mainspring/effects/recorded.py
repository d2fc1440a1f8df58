"""Activity side. Reads what a run's history records of its conversations: items and links, whoever recorded them.

A result says all of itself, but a reply's place in its thread stands in its request. The arguments of local
activities are not recorded, so their results say that as well.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest

from mainspring.contracts import names
from mainspring.contracts.run import RunInput, read_input
from mainspring.contracts.steps import ModelCall, RunRef
from mainspring.core.ledger import Head, Item, Link
from mainspring.errors import InputError, LedgerError

_PAGE = 100
_FIRST = 20
"""Events at the start of a history among which `admit` has nearly always ended."""
_LOCAL = "core_local_activity"
_ITEM = TypeAdapter(Item)


async def _decode(payloads: Sequence[Payload]) -> list[Any]:
    return await activity.client().data_converter.decode(payloads)


@dataclass
class Page:
    """What one page of a history records. `bytes` is how much of the history that was.

    `decode` gives the values of payloads: that of the activity in hand, unless another is named.
    """

    decode: Callable[[Sequence[Payload]], Awaitable[list[Any]]] = _decode
    items: list[Item] = field(default_factory=list[Item])
    links: list[Link] = field(default_factory=list[Link])
    bytes: int = 0

    async def read(self, event: HistoryEvent, replies: dict[int, str] | None = None) -> list[Any]:
        """Add what an event records; gives its values.

        Newest first, `replies` keeps the digests of results for the requests that come later: by the event's number.
        """
        self.bytes += event.ByteSize()
        payloads = list(_payloads(event))
        values = await self.decode(payloads) if payloads else []
        if replies is not None:
            self._pair(event, values, replies)
        for value in values:
            if isinstance(value, dict):
                self._take(cast("dict[str, Any]", value))
        _windows(self, values)
        return values

    def _pair(self, event: HistoryEvent, values: list[Any], replies: dict[int, str]) -> None:
        """A reply is linked to what was before it by its request."""
        value = cast("dict[str, Any]", values[0]) if values and isinstance(values[0], dict) else {}
        if event.HasField("activity_task_completed_event_attributes") and value.get("item"):
            replies[event.activity_task_completed_event_attributes.scheduled_event_id] = value["item"]["digest"]
        elif event.activity_task_scheduled_event_attributes.activity_type.name == names.CALL_MODEL:
            call, reply = ModelCall.model_validate(value), replies.get(event.event_id)
            appended = (*(entry.digest for entry in call.new), *([reply] if reply else ()))
            self.links += [Link(before=call.head, appended=appended)] if reply else []

    def _take(self, value: dict[str, Any]) -> None:
        held = [value.get(name) for name in ("item", "spec", "recalled")]
        for said in (value, value.get("work") or {}):
            held += [entry for entry in said.get("new") or () if entry.get("text")]
        self.items += [_ITEM.validate_python(each) for each in held if isinstance(each, dict)]
        if link := value.get("link"):
            self.links.append(Link.model_validate(link))


async def beginning() -> tuple[RunRef, Page]:
    """The run as it was admitted, or as the execution before carried it over.

    Raises:
        LedgerError: the history does not begin as a run's does.
    """
    info, page = activity.info(), Page()
    handle = activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    name = first = ""
    given = RunInput()
    async for event in handle.fetch_history_events(page_size=_FIRST):
        values = await page.read(event)
        if event.HasField("workflow_execution_started_event_attributes"):
            started = event.workflow_execution_started_event_attributes
            name, first = started.workflow_type.name, started.first_execution_run_id
            if carried := _carried(values, first):
                return carried, page
            given = _given(values, name)
            continue
        said = [cast("dict[str, Any]", each) for each in values if isinstance(each, dict)]
        admission = next((each for each in said if "key" in each and "spec" in each), None)
        if admission:
            return _admitted(name, first, given, admission), page
    raise LedgerError(f"the history of {info.workflow_id!r} does not hold the run's definition.")


async def newest_first() -> AsyncIterator[Page]:
    """The run's history, a page at a time, the newest first."""
    info = activity.info()
    execution = WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
    token, replies = b"", dict[int, str]()
    while True:
        response = await activity.client().workflow_service.get_workflow_execution_history_reverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace=info.namespace,
                execution=execution,
                maximum_page_size=_PAGE,
                next_page_token=token,
            )
        )
        page = Page()
        for event in response.history.events:
            await page.read(event, replies)
        yield page
        token = response.next_page_token
        if not token:
            return


def _carried(values: list[Any], first: str) -> RunRef | None:
    """The run that an execution before this one left; nobody else knows the first execution's run id beforehand."""
    for value in values[:1]:
        if isinstance(value, dict) and "carried" in value and value["run"]["first"] == first:
            return RunRef.model_validate(value["run"])
    return None


def _given(values: list[Any], name: str) -> RunInput:
    try:
        return read_input(values, name)
    except InputError as error:
        raise LedgerError(str(error)) from None


def _admitted(name: str, first: str, given: RunInput, admission: dict[str, Any]) -> RunRef:
    return RunRef.of(given, name=name, first=first, key=admission["key"], spec=admission["spec"]["digest"])


def _windows(page: Page, values: list[Any]) -> None:
    """Windows stand in chunks, one after the other; together, the chunks of a thread are its whole chain."""
    digests: dict[str, list[str]] = {}
    for value in values:
        sealed = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        for chunk in sealed.get("chunks") or ([sealed] if isinstance(sealed.get("items"), list) else ()):
            items = [_ITEM.validate_python(each) for each in chunk["items"]]
            page.items += items
            if not chunk.get("loose"):
                digests.setdefault(chunk.get("thread", ""), []).extend(item.digest for item in items)
    page.links += [Link(before=Head(thread=thread), appended=tuple(each)) for thread, each in digests.items()]


def _payloads(event: HistoryEvent) -> Iterable[Payload]:
    if event.HasField("activity_task_completed_event_attributes"):
        return event.activity_task_completed_event_attributes.result.payloads
    if event.HasField("activity_task_scheduled_event_attributes"):
        return event.activity_task_scheduled_event_attributes.input.payloads
    if event.HasField("workflow_execution_started_event_attributes"):
        return event.workflow_execution_started_event_attributes.input.payloads
    if event.HasField("marker_recorded_event_attributes"):
        marker = event.marker_recorded_event_attributes
        return marker.details["result"].payloads if marker.marker_name == _LOCAL and "result" in marker.details else ()
    return ()
