"""Activity side. The conversation behind a head: from a cache, or from the run's own history.

There is no second store. What the cache lacks is read from history, newest page first, until the
chain reaches what is known; one reader a run at a time. Every item is checked against its digest.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar, cast

from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from mainspring.contracts.steps import RunRef
from mainspring.core.ledger import Entry, Head, Item, Link, advance, unroll, verify
from mainspring.core.messages import Done, Message, finished_calls
from mainspring.core.spec import Spec
from mainspring.effects import recorded
from mainspring.errors import LedgerError

_TRIES = 5
"""How often a reader is sent back by a busy server before the step fails (and is tried again by Temporal)."""
_RUNS = 4096
"""How many runs' references are kept; each is a few hundred bytes."""
T = TypeVar("T")


@dataclass(frozen=True)
class Thread:
    """The messages of a thread, oldest first, with the digest of each. `bytes` is the size of their texts.

    `done` are the calls that have ended, kept here because to gather them anew takes longer with every turn.
    """

    digests: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    done: tuple[Done, ...] = ()
    bytes: int = 0

    def extended(self, items: Iterable[tuple[str, str]]) -> "Thread":
        """The thread with these digests and texts at its end."""
        given = tuple(items)
        new = tuple(Message.model_validate_json(text) for _, text in given)
        asking = next(((m,) for m in reversed(self.messages) if m.role == "assistant"), ())
        return Thread(
            digests=(*self.digests, *(digest for digest, _ in given)),
            messages=(*self.messages, *new),
            done=(*self.done, *finished_calls((*asking, *new))),
            bytes=self.bytes + sum(len(text) for _, text in given),
        )

    def find(self, digest: str) -> Message | None:
        """The message with this digest, looked for from the end."""
        return next(
            (m for d, m in zip(reversed(self.digests), reversed(self.messages), strict=True) if d == digest), None
        )


class Ledger:
    """A cache of items, links and threads, bounded in bytes, for all runs of a worker."""

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        """Hold at most `limit` bytes of text; with 0 every call reads the history."""
        self._limit = limit
        self._bytes = 0
        self._thread_bytes = 0
        self._items: OrderedDict[str, str] = OrderedDict()
        self._links: OrderedDict[str, Link] = OrderedDict()
        self._threads: OrderedDict[str, tuple[str, Thread]] = OrderedDict()
        self._runs: OrderedDict[str, RunRef] = OrderedDict()
        self._readers: dict[str, asyncio.Lock] = {}

    @property
    def size(self) -> int:
        """Bytes of text held now."""
        return self._bytes + self._thread_bytes

    def clear(self) -> None:
        """Forget everything; the next reader rebuilds from history."""
        self._items.clear()
        self._links.clear()
        self._threads.clear()
        self._runs.clear()
        self._bytes = self._thread_bytes = 0

    async def run(self, given: RunRef | None) -> RunRef:
        """The run that the activity in hand belongs to: as it was given, or from the start of its history.

        What a local activity was given is not kept. It may be lost with its workflow task, and then another worker
        admits the run anew, with another key.

        Raises:
            LedgerError: the history does not begin as a run's does.
        """
        info = activity.info()
        name = f"{info.namespace}/{info.workflow_run_id}"
        run = given or self._runs.get(name)
        if run is None:
            run, known = await _patiently(recorded.beginning)
            self.keep(run, known.items)
            if self._limit:
                self._runs[name] = run
                if len(self._runs) > _RUNS:
                    self._runs.popitem(last=False)
        return run

    def keep(self, run: RunRef, items: Iterable[Item], link: Link | None = None) -> None:
        """Put items and a link in, each checked against its digest.

        Raises:
            LedgerError: an item does not fit.
        """
        known = _Known(self, run)
        known.add(items, [link] if link else [])
        self._put(known)
        if link:
            self._advance(known, link)

    async def thread(self, run: RunRef, head: Head, new: tuple[Entry, ...]) -> Thread:
        """Every message up to `head`, then the new ones.

        Raises:
            LedgerError: the run's history does not lead to this head.
        """
        known = _Known(self, run)
        known.add((Item(digest=e.digest, text=e.text) for e in new if e.text), [])
        name = f"{known.prefix}{head.thread}"
        at, held = self._threads.get(name, ("", Thread()))
        if not head.count:
            at, held = head.head, Thread()
        if at == head.head:
            texts = known.texts_of(entry.digest for entry in new)
            if texts is not None:
                self._put(known)
                return held.extended(texts)
        texts = known.assemble(head, new)
        if texts is None:
            texts = await self._rebuild(run, known, head, new)
        self._put(known)
        thread = Thread().extended(texts[: len(texts) - len(new)])
        self._put_thread(name, head.head, thread)
        return thread.extended(texts[len(texts) - len(new) :])

    async def items(self, run: RunRef, head: Head, behind: tuple[str, ...] = ()) -> list[Item]:
        """The items of a thread, oldest first, then those with the digests that come behind it.

        Raises:
            LedgerError: the run's history does not lead to this head.
        """
        known, new = _Known(self, run), tuple(Entry(digest=digest) for digest in behind)
        texts = known.assemble(head, new)
        if texts is None:
            texts = await self._rebuild(run, known, head, new)
        return [Item(digest=digest, text=text) for digest, text in texts]

    async def spec(self, run: RunRef) -> Spec:
        """The definition the run was admitted with.

        Raises:
            LedgerError: the history does not hold it.
        """
        known = _Known(self, run)
        text = known.text(run.spec)
        if text is None:
            _, found = await _patiently(recorded.beginning)
            known.add(found.items, found.links)
            text = known.text(run.spec)
            self._put(known)
        if text is None:
            raise LedgerError(f"the history of {activity.info().workflow_id!r} does not hold the run's definition.")
        return _parsed(text)

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
        while self._bytes > self._limit // 2:
            self._bytes -= len(self._items.popitem(last=False)[1].encode())
        while len(self._links) > self._limit // 512:
            self._links.popitem(last=False)

    def _put_thread(self, name: str, head: str, thread: Thread) -> None:
        if name in self._threads:
            self._thread_bytes -= self._threads.pop(name)[1].bytes
        self._threads[name] = (head, thread)
        self._thread_bytes += thread.bytes
        while self._thread_bytes > self._limit // 2:
            self._thread_bytes -= self._threads.popitem(last=False)[1][1].bytes

    def _advance(self, known: "_Known", link: Link) -> None:
        """Bring a thread that is held here up to the head that this link leads to."""
        name = f"{known.prefix}{link.before.thread}"
        at, held = self._threads.get(name, ("", Thread()))
        held = held if link.before.count else Thread()
        texts = known.texts_of(link.appended)
        if texts is not None and (not link.before.count or at == link.before.head):
            self._put_thread(name, advance(link.before, link.appended).head, held.extended(texts))

    async def _rebuild(self, run: RunRef, known: "_Known", head: Head, new: tuple[Entry, ...]) -> list[tuple[str, str]]:
        lock = self._readers.setdefault(run.first, asyncio.Lock())
        async with lock:
            texts = known.assemble(head, new)
            if texts is None:
                texts = await _patiently(lambda: self._read(known, head, new))
                self._put(known)
        if not lock.locked():
            self._readers.pop(run.first, None)
        if texts is None:
            unroll(head, known.link)  # says which link is missing
            raise LedgerError(f"thread {head.thread!r}: an item is not in the run's history.")
        return texts

    async def _read(self, known: "_Known", head: Head, new: tuple[Entry, ...]) -> list[tuple[str, str]] | None:
        began, read, texts = time.monotonic(), 0, None
        async for page in recorded.newest_first():
            read += page.bytes
            known.add(page.items, page.links)
            texts = known.assemble(head, new)
            if texts is not None:
                break
        meter = activity.metric_meter()
        meter.create_counter("mainspring_ledger_misses").add(1)
        meter.create_counter("mainspring_ledger_miss_bytes", unit="bytes").add(read)
        took = int((time.monotonic() - began) * 1000)
        meter.create_histogram("mainspring_ledger_miss_time", unit="ms").record(took)
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

    def add(self, items: Iterable[Item], links: Iterable[Link]) -> None:
        for item in items:
            verify(item, self._key)
            self.texts[item.digest] = item.text
        for link in links:
            self.links[advance(link.before, link.appended).head] = link

    def text(self, digest: str) -> str | None:
        return self.texts.get(digest) or self._ledger.text(self.prefix + digest)

    def link(self, head: str) -> Link | None:
        return self.links.get(head) or self._ledger.link(self.prefix + head)

    def texts_of(self, digests: Iterable[str]) -> list[tuple[str, str]] | None:
        """Digests with their texts; None when one is not known."""
        texts = [(digest, self.text(digest)) for digest in digests]
        return None if any(text is None for _, text in texts) else cast("list[tuple[str, str]]", texts)

    def assemble(self, head: Head, new: tuple[Entry, ...]) -> list[tuple[str, str]] | None:
        """Digests and texts of a thread; None when one is not known."""
        try:
            digests = unroll(head, self.link)
        except LedgerError:
            return None
        return self.texts_of((*digests, *(entry.digest for entry in new)))


@lru_cache(maxsize=256)
def _parsed(text: str) -> Spec:
    """Runs of one definition share one value."""
    return Spec.model_validate_json(text)


async def _patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Read a history; a server that is busy is asked again, later each time."""
    for attempt in range(_TRIES):
        try:
            return await read()
        except RPCError as error:
            if error.status != RPCStatusCode.RESOURCE_EXHAUSTED or attempt == _TRIES - 1:
                raise
        await asyncio.sleep(0.1 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - spreads readers in time
    raise AssertionError  # the last attempt returns or raises
