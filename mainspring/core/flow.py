"""What the arguments of a call were made of. Pure; the labels are those of `core.labels`.

Conservative: an argument is as grave as everything the model had read when it wrote the call, unless its value is
shown to come from a better place. It is shown where it stands word for word, as whole words, in a better message of
the thread or in the agent's instructions. Each text and number of a list or an object is looked at for itself; what
is empty, or what the tool's schema gives by default, says nothing.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import cast

from mainspring.core.canonical import Json, Value
from mainspring.core.labels import FROM_USER, OURS, Label, join, read_label
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, ToolSpec

CALL = "the call itself"
"""Stands for the arguments where these say nothing: that the call is made at all says something then."""

_ANYTHING = Label(integrity="external", secrecy="secret")
_GAPS = re.compile(r"\s+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_BEFORE, _AFTER = re.compile(r"[\w@.+/:#%&=~-]"), re.compile(r"[\w@+/:#%&=~-]|\.\w")
"""What may not stand beside a value that is to be whole: a part of an address, a path or a name is another value."""
_BETWEEN = "\0"
"""Separates the values of a JSON text, so that nothing is found across two."""


class Flow(Value):
    """Of a call: the label of its arguments together, and of the whole thread.

    `untrusted` and `uncleared` name the arguments that are less trusted, or more secret, than the tool accepts.
    """

    label: Label = OURS
    thread: Label = OURS
    untrusted: tuple[str, ...] = ()
    uncleared: tuple[str, ...] = ()


def label_of(agent: AgentSpec, message: Message) -> Label:
    """The label of a message that is not the model's own."""
    if message.label:
        return read_label(message.label)
    if message.role == "user":
        return read_label(agent.input, FROM_USER)
    tool = agent.tool(message.tool) if message.role == "tool" and message.status != "denied" else None
    return read_label(tool.returns) if tool else OURS


def label_of_thread(agent: AgentSpec, messages: Iterable[Message]) -> Label:
    """The label of whatever the agent's model says after these messages."""
    said = (label_of(agent, message) for message in messages if message.role != "assistant")
    return join((read_label(agent.input, FROM_USER), *said))


def flow(
    agent: AgentSpec, tool: ToolSpec, args: dict[str, Json], messages: Iterable[Message], *, exact: bool = True
) -> Flow:
    """What the arguments of a call were made of, by a model that had read these messages.

    Not `exact`, the label is the thread's where nothing in the thread is graver than the tool accepts: to look for
    better places costs time.
    """
    read = [(label_of(agent, message), message) for message in messages if message.role != "assistant"]
    thread = join((read_label(agent.input, FROM_USER), *(label for label, _ in read)))
    limit = read_label(tool.accepts, _ANYTHING)
    if not exact and thread.fits(limit):
        return Flow(label=thread, thread=thread)
    places = _Places(agent, [(label, message) for label, message in read if label != thread], thread)
    labels = {name: _label(value, _default(tool, name), places) for name, value in args.items()}
    said = {name: label for name, label in labels.items() if label} or {CALL: thread}
    return Flow(
        label=join(said.values()),
        thread=thread,
        untrusted=tuple(name for name, label in said.items() if label.is_less_trusted_than(limit)),
        uncleared=tuple(name for name, label in said.items() if label.is_more_secret_than(limit)),
    )


class _Places:
    """Where a value may stand that is better than the thread as a whole. Texts are prepared when first looked into."""

    def __init__(self, agent: AgentSpec, better: list[tuple[Label, Message]], thread: Label) -> None:
        self.thread = thread
        self._unread: Iterator[tuple[Label, str]] = iter(
            [(OURS, agent.instructions), *((label, _text(message)) for label, message in better)]
        )
        self._read: list[tuple[Label, str, set[Decimal]]] = []

    def label(self, value: str | float) -> Label:
        """The most harmless label that is shown for a value, on each ladder; the thread's where none is."""
        found = [label for label, words, numbers in self._all() if _stands(value, words, numbers)]
        best = self.thread
        for label in found:
            best = Label(
                integrity=label.integrity if best.is_less_trusted_than(label) else best.integrity,
                secrecy=label.secrecy if best.is_more_secret_than(label) else best.secrecy,
            )
        return best

    def _all(self) -> Iterator[tuple[Label, str, set[Decimal]]]:
        yield from self._read
        for label, text in self._unread:
            place = (label, prepared(text), set(_numbers(text)))
            self._read.append(place)
            yield place


def prepared(text: str) -> str:
    """A text as it is compared: canonical characters (Unicode NFC), one space for each gap.

    No more is evened out: what looks alike, or differs in case, may be another address.
    """
    return _GAPS.sub(" ", unicodedata.normalize("NFC", text)).strip()


def _label(value: Json, default: Json, places: _Places) -> Label | None:
    """The label of an argument; None where it says nothing."""
    if value == default:
        return None
    labels = [places.thread if isinstance(each, bool) else places.label(each) for each in _scalars(value) if each != ""]
    return join(labels) if labels else None


def _default(tool: ToolSpec, name: str) -> Json:
    properties = cast("dict[str, dict[str, Json]]", tool.input_schema.get("properties") or {})
    return properties.get(name, {}).get("default")


def _stands(value: str | float, words: str, numbers: set[Decimal]) -> bool:
    if not isinstance(value, str):
        return Decimal(str(value)) in numbers
    sought = prepared(value)
    at = words.find(sought) if sought else -1
    while at >= 0:
        if not (at and _BEFORE.match(words, at - 1)) and not _AFTER.match(words, at + len(sought)):
            return True
        at = words.find(sought, at + 1)
    return False


def _numbers(text: str) -> Iterator[Decimal]:
    """Every number in a text, each way in which its points and commas may be meant."""
    for found in _NUMBER.findall(text):
        for written in {found.replace(",", ""), found.replace(".", "").replace(",", ".")}:
            try:
                yield Decimal(written)
            except InvalidOperation:  # such as 1.2.3
                continue


def _text(message: Message) -> str:
    """What a message says; of a result in JSON, its values."""
    if message.role != "tool":
        return message.text
    try:
        value: Json = json.loads(message.text)
    except (ValueError, RecursionError):
        return message.text
    return _BETWEEN.join(str(each) for each in _scalars(value) if not isinstance(each, bool))


def _scalars(value: Json) -> Iterator[str | int | float]:
    """Every text, number and boolean in a value, and the keys of its objects. However deep it is."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(reversed(each.values()))
            yield from each
        elif isinstance(each, list):
            waiting.extend(reversed(each))
        elif each is not None:
            yield each
