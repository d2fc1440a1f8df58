"""Activity side. The conversation behind a head: from a cache, or from the run's own history.

There is no second store. What the cache lacks is read from history, newest page first, until the
chain reaches what is known; one reader a run at a time. Every item is checked against its digest.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from temporalio import activity
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest

from mainspring.contracts.steps import RunRef
from mainspring.core.ledger import Entry, Head, Item, Link, advance, unroll, verify
from mainspring.core.messages import Message
from mainspring.core.spec import Spec
from mainspring.errors import LedgerError

_PAGE = 100
_FIRST = 20
"""Events at the start of a history among which `admit` has nearly always ended."""


class Ledger:
    """A cache of items and links, bounded in bytes, for all runs of a worker."""

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        """Hold at most `limit` bytes of text; with 0 every call reads the history."""
        self._limit = limit
        self._bytes = 0
        self._items: OrderedDict[str, str] = OrderedDict()
        self._links: OrderedDict[str, Link] = OrderedDict()
        self._readers: dict[str, asyncio.Lock] = {}

    @property
    def size(self) -> int:
        """Bytes of text held now."""
        return self._bytes

    def clear(self) -> None:
        """Forget everything; the next reader rebuilds from history."""
        self._items.clear()
        self._links.clear()
        self._bytes = 0

    def keep(self, run: RunRef, items: Iterable[Item], link: Link | None = None) -> None:
        """Put items and a link in, each checked against its digest.

        Raises:
            LedgerError: an item does not fit.
        """
        known = _Known(self, run)
        known.add(items, link)
        self._put(known)

    async def thread(self, run: RunRef, head: Head, new: tuple[Entry, ...]) -> tuple[tuple[str, Message], ...]:
        """Every message up to `head`, then the new ones, oldest first, each with its digest.

        Raises:
            LedgerError: the run's history does not lead to this head.
        """
        known = _Known(self, run)
        known.add(Item(digest=e.digest, text=e.text) for e in new if e.text)
        texts = known.assemble(head, new)
        if texts is None:
            texts = await self._rebuild(run, known, head, new)
        self._put(known)
        return tuple((digest, Message.model_validate_json(text)) for digest, text in texts)

    async def spec(self, run: RunRef) -> Spec:
        """The definition the run was admitted with.

        Raises:
            LedgerError: the history does not hold it.
        """
        known = _Known(self, run)
        text = known.text(run.spec)
        if text is None:
            async for event in _oldest_first():
                known.add(*await _recorded(event))
                text = known.text(run.spec)
                if text is not None:
                    break
            self._put(known)
        if text is None:
            raise LedgerError(f"the history of {activity.info().workflow_id!r} does not hold the run's definition.")
        return Spec.model_validate_json(text)

    def text(self, name: str) -> str | None:
        """The text held under a full name; what is asked for is dropped last."""
        if name in self._items:
            self._items.move_to_end(name)
        return self._items.get(name)

    def link(self, name: str) -> Link | None:
        """The link held under the full name of the head it leads to."""
        if name in self._links:
            self._links.move_to_end(name)
        return self._links.get(name)

    def _put(self, known: "_Known") -> None:
        for digest, text in known.texts.items():
            if self.text(known.prefix + digest) is None:
                self._items[known.prefix + digest] = text
                self._bytes += len(text.encode())
        for head, link in known.links.items():
            self._links[known.prefix + head] = link
        while self._bytes > self._limit:
            self._bytes -= len(self._items.popitem(last=False)[1].encode())
        while len(self._links) > self._limit // 512:
            self._links.popitem(last=False)

    async def _rebuild(self, run: RunRef, known: "_Known", head: Head, new: tuple[Entry, ...]) -> list[tuple[str, str]]:
        lock = self._readers.setdefault(run.first, asyncio.Lock())
        async with lock:
            texts = known.assemble(head, new)
            if texts is None:
                activity.metric_meter().create_counter("mainspring_ledger_misses").add(1)
                async for page in _newest_first():
                    for event in page:
                        known.add(*await _recorded(event))
                    texts = known.assemble(head, new)
                    if texts is not None:
                        break
                self._put(known)
        if not lock.locked():
            self._readers.pop(run.first, None)
        if texts is None:
            unroll(head, known.link)  # says which link is missing
            raise LedgerError(f"thread {head.thread!r}: an item is not in the run's history.")
        return texts


class _Known:
    """Items and links of one run: those gathered for one call, else those the cache holds.

    A call keeps what it has gathered, so that a full cache cannot lose it before it is put together.
    """

    def __init__(self, ledger: Ledger, run: RunRef) -> None:
        self.prefix = f"{activity.info().namespace}/{run.first}/"
        self.texts: dict[str, str] = {}
        self.links: dict[str, Link] = {}
        self._ledger = ledger
        self._key = run.key

    def add(self, items: Iterable[Item], link: Link | None = None) -> None:
        for item in items:
            verify(item, self._key)
            self.texts[item.digest] = item.text
        if link:
            self.links[advance(link.before, link.appended).head] = link

    def text(self, digest: str) -> str | None:
        return self.texts.get(digest) or self._ledger.text(self.prefix + digest)

    def link(self, head: str) -> Link | None:
        return self.links.get(head) or self._ledger.link(self.prefix + head)

    def assemble(self, head: Head, new: tuple[Entry, ...]) -> list[tuple[str, str]] | None:
        """Digests and texts of a thread; None when one is not known."""
        try:
            digests = unroll(head, self.link)
        except LedgerError:
            return None
        texts = [(digest, self.text(digest)) for digest in (*digests, *(e.digest for e in new))]
        return None if any(text is None for _, text in texts) else cast("list[tuple[str, str]]", texts)


async def _recorded(event: HistoryEvent) -> tuple[list[Item], Link | None]:
    """The items and the link that one event records; which activity it was does not matter."""
    if event.HasField("activity_task_completed_event_attributes"):
        payloads = event.activity_task_completed_event_attributes.result.payloads
    elif event.HasField("activity_task_scheduled_event_attributes"):
        payloads = event.activity_task_scheduled_event_attributes.input.payloads
    else:
        return [], None
    items: list[Item] = []
    link: Any = None
    for value in await _decode(payloads):
        if isinstance(value, dict):
            found = cast("dict[str, Any]", value)
            held = [found.get(name) for name in ("item", "spec", "recalled")]
            held += [entry for entry in found.get("new") or () if entry.get("text")]
            items += [Item.model_validate(each) for each in held if isinstance(each, dict)]
            link = found.get("link") or link
    return items, Link.model_validate(link) if link else None


async def _decode(payloads: Iterable[Payload]) -> list[Any]:
    return await activity.client().data_converter.decode(list(payloads))


def _oldest_first() -> AsyncIterator[HistoryEvent]:
    info = activity.info()
    handle = activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    return handle.fetch_history_events(page_size=_FIRST)


async def _newest_first() -> AsyncIterator[list[HistoryEvent]]:
    info = activity.info()
    execution = WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
    token = b""
    while True:
        response = await activity.client().workflow_service.get_workflow_execution_history_reverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace=info.namespace,
                execution=execution,
                maximum_page_size=_PAGE,
                next_page_token=token,
            )
        )
        yield list(response.history.events)
        token = response.next_page_token
        if not token:
            return
