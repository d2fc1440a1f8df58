"""The ledger: each message is in history once, and everything else refers to it by digest.

An **item** is a text made once by whoever made the message, with a keyed digest. A **thread** (one
per agent invocation) is the chain of its items: `Head(thread, count, head)`. Every result that adds
items repeats the link, so the chain rebuilds from results alone, in whatever order they lie in history.
"""

from collections.abc import Callable, Iterable

from pydantic_core import PydanticSerializationError

from mainspring.core.canonical import Record, Value, digest, mended_value
from mainspring.errors import LedgerError


class Item(Record):
    """A text with its digest. The text is JSON of a `Message`, a `Spec` …, never re-serialised."""

    digest: str
    text: str


class Entry(Record):
    """An item as it travels to an activity: with its text only where history does not hold it yet."""

    digest: str
    text: str = ""


class Head(Record):
    """The end of a thread: how many items it has, and the digest over all of them in order."""

    thread: str = ""
    count: int = 0
    head: str = ""


class Link(Record):
    """A piece of the chain: from `before`, these items were appended, oldest first."""

    before: Head
    appended: tuple[str, ...]


def make_item(value: Value, key: str) -> Item:
    """Turn a value into an item; called by its producer, once."""
    try:
        text = value.model_dump_json(exclude_defaults=True)
    except PydanticSerializationError:  # half a character somewhere, in what a tool gave or a person said
        whole = type(value).model_validate(mended_value(value.model_dump()))
        text = whole.model_dump_json(exclude_defaults=True)
    return Item(digest=digest(text, key), text=text)


def advance(head: Head, appended: Iterable[str]) -> Head:
    """The head after appending items with these digests, in this order."""
    count, link = head.count, head.head
    for each in appended:
        count, link = count + 1, digest(f"{link}/{head.thread}/{each}")
    return Head(thread=head.thread, count=count, head=link)


def verify(item: Item, key: str) -> None:
    """Check an item against its digest.

    Raises:
        LedgerError: the text is not what the digest says.
    """
    if digest(item.text, key) != item.digest:
        raise LedgerError(f"item {item.digest} does not fit its digest: the history or a cache was changed.")


def unroll(head: Head, link_to: Callable[[str], Link | None]) -> tuple[str, ...]:
    """The digests of a whole thread, oldest first; `link_to` finds a link by the head it leads to.

    Raises:
        LedgerError: a link is missing or leads round in a circle.
    """
    digests: list[str] = []
    at = head
    while at.count:
        link = link_to(at.head)
        if link is None or not link.appended:
            raise LedgerError(f"thread {head.thread!r}: no step of this run leads to item {at.count} of {head.count}.")
        digests[:0] = link.appended
        at = link.before
    return tuple(digests)
