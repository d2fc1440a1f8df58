"""What the arguments of a call were made of. Pure; the labels are those of `core.labels`.

Conservative: an argument is as grave as everything the model had read when it wrote the call, unless its value is
shown to come from a better place. It is shown where it stands word for word, as whole words, in a better message of
the thread or in the agent's instructions; a number or a short text may stand there by chance, and needs more (see
`_Places`). Each text and number of a list or an object is looked at for itself; what is empty, or what the tool's
schema gives by default, says nothing.
"""

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import NamedTuple, cast

from mainspring.core.canonical import Json, Value, scalars
from mainspring.core.labels import FROM_USER, OURS, Label, join, meet, read_label
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, ToolSpec

CALL = "the call itself"
"""Stands for the arguments where these say nothing: that the call is made at all says something then."""

_ANYTHING = Label(integrity="external", secrecy="secret")
_GAPS = re.compile(r"\s+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_TIES = "\u0300-\u036f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
"""What nobody sees, or stands on the character before: it parts nothing."""
_BEFORE, _AFTER = re.compile(rf"[\w@.+/:#%&=~{_TIES}-]"), re.compile(rf"[\w@+/:#%&=~{_TIES}-]|\.\w")
"""What may not stand beside a value that is to be whole: a part of an address, a path or a name is another value."""
_WORD = re.compile(r"[a-z]+")
_TELLING, _TELLING_NAME = 5, 3
"""Characters from which a text tells something; one with a capital is a name."""
_NEAR = 2
"""How many words before a value may name it."""
_LOOKED_BACK = 80
"""Characters that these have at most."""
_MOST = 1000
"""Different texts and numbers of one call that are looked for; those behind them are as grave as the thread."""
_LONGEST = 40
"""Characters of a number that is looked for."""
_PILED = 50
"""Marks on one character, from which a text is compared as it is: to bring them in order takes their square."""
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

    Not `exact`, only what the tool does not accept is told: to look for better places costs time.
    """
    limit = read_label(tool.accepts, _ANYTHING)
    if not exact and limit == _ANYTHING:
        return Flow()
    read = [(label_of(agent, message), message) for message in messages if message.role != "assistant"]
    thread = join((read_label(agent.input, FROM_USER), *(label for label, _ in read)))
    if not exact and thread.fits(limit):
        return Flow(label=thread, thread=thread)
    better = [(OURS, agent.instructions), *((label, _text(message)) for label, message in read if label != thread)]
    given = {name: value for name, value in args.items() if value != _default(tool, name)}
    places = _Places(better, thread, given.values())
    labels = {name: _label(value, places, _words(f"{tool.name} {name}")) for name, value in given.items()}
    said = {name: label for name, label in labels.items() if label} or {CALL: thread}
    return Flow(
        label=join(said.values()),
        thread=thread,
        untrusted=tuple(name for name, label in said.items() if label.is_less_trusted_than(limit)),
        uncleared=tuple(name for name, label in said.items() if label.is_more_secret_than(limit)),
    )


class _Place(NamedTuple):
    """A better message: its label, its words, and its numbers as they are written there."""

    label: Label
    words: str
    numbers: dict[Decimal, set[str]]
    is_about: bool
    """Whether something telling of the call stands there too."""


class _Places:
    """Where a value may stand that is better than the thread as a whole.

    Short values and numbers stand in many a text by chance. So they count only where another value of the call, which
    tells more, stands in the same message, or right after a word that names the argument or the tool ("file 13").
    """

    def __init__(self, texts: Iterable[tuple[Label, str]], thread: Label, call: Iterable[Json]) -> None:
        self.thread = thread
        said = dict.fromkeys(each for value in call for each in scalars(value) if isinstance(each, str))
        telling = [each for each in said if _is_telling(each)][:_MOST]
        self._places = [self._place(label, prepared(text), telling) for label, text in texts]
        self._known: dict[tuple[type, str | float, frozenset[str]], Label] = {}

    @staticmethod
    def _place(label: Label, words: str, telling: list[str]) -> _Place:
        return _Place(label, words, _numbers(words), any(_whole(prepared(each), words) for each in telling))

    def label(self, value: str | float, names: frozenset[str]) -> Label:
        """The most harmless label that is shown for a value, on each ladder; the thread's where none is."""
        key = (type(value), value, names)
        if key not in self._known:
            if len(self._known) >= _MOST:
                return self.thread
            places = (place.label for place in self._places if _stands(value, place, names))
            self._known[key] = meet((self.thread, *places))
        return self._known[key]


def prepared(text: str) -> str:
    """A text as it is compared: canonical characters (Unicode NFC), one space for each gap.

    No more is evened out: what looks alike, or differs in case, may be another address.
    """
    if not text.isascii() and not _is_piled(text):
        text = unicodedata.normalize("NFC", text)
    return _GAPS.sub(" ", text).strip()


def _is_piled(text: str) -> bool:
    """Whether more marks stand on one character than anybody writes."""
    return _marks().search(text) is not None


@cache
def _marks() -> re.Pattern[str]:
    marks = "".join(one for one in map(chr, range(0x300, 0x1F000)) if unicodedata.combining(one))
    return re.compile(rf"[{marks}]{{{_PILED}}}")


def _label(value: Json, places: _Places, names: frozenset[str]) -> Label | None:
    """The label of an argument; None where it says nothing."""
    said = [each for each in scalars(value) if each != ""]
    labels = [places.thread if isinstance(each, bool) else places.label(each, names) for each in said]
    return join(labels) if labels else None


def _default(tool: ToolSpec, name: str) -> Json:
    properties = cast("dict[str, dict[str, Json]]", tool.input_schema.get("properties") or {})
    return properties.get(name, {}).get("default")


def _is_telling(value: str) -> bool:
    """Whether a text is hardly found somewhere by chance: it has some length, or is a name."""
    return not value.isdecimal() and len(value) >= (_TELLING_NAME if value[:1].isupper() else _TELLING)


def _stands(value: str | float, place: _Place, names: frozenset[str]) -> bool:
    if isinstance(value, str):
        sought = prepared(value)
        if _is_telling(sought):
            return _whole(sought, place.words)
        forms = {sought}
    else:
        forms = place.numbers.get(Decimal(str(value)), set[str]())
    if place.is_about:
        return any(_whole(form, place.words) for form in forms)
    return any(_is_named(form, place.words, names) for form in forms)


def _is_named(value: str, words: str, names: frozenset[str]) -> bool:
    """Whether a value stands right after a word that names it, with one word between at most, or after such a key."""
    for at in _found(value, words):
        before = _BETWEEN.join(words[max(0, at - _LOOKED_BACK) : at].split(_BETWEEN)[-2:])
        if not names.isdisjoint(_WORD.findall(before.lower())[-_NEAR:]):
            return True
    return False


def _whole(sought: str, words: str) -> bool:
    return next(_found(sought, words), None) is not None


def _found(sought: str, words: str) -> Iterator[int]:
    """Where a value stands as a whole. The search is given up where the value goes on and on within itself."""
    at = words.find(sought) if sought else -1
    left = 2 * len(words)  # what does not overlap itself takes no more than one length of the text
    while at >= 0 and left >= 0:
        if not (at and _BEFORE.match(words, at - 1)) and not _AFTER.match(words, at + len(sought)):
            yield at
        left -= len(sought)
        at = words.find(sought, at + 1)


def _numbers(text: str) -> dict[Decimal, set[str]]:
    """Every number in a text, each way in which its points and commas may be meant, as it is written."""
    found: dict[Decimal, set[str]] = {}
    for form in _NUMBER.findall(text):
        if len(form) > _LONGEST:
            continue
        for written in {form.replace(",", ""), form.replace(".", "").replace(",", ".")}:
            with contextlib.suppress(InvalidOperation):  # such as 1.2.3
                found.setdefault(Decimal(written), set()).add(form)
    return found


def _words(name: str) -> frozenset[str]:
    """The words that a name is made of."""
    return frozenset(_WORD.findall(name.lower()))


def _text(message: Message) -> str:
    """What a message says; of a tool's, the values of its JSON."""
    if message.role != "tool":
        return message.text
    return _BETWEEN.join(str(each) for each in scalars(message.value) if not isinstance(each, bool))
