"""Whether what is said stands in what was read: the numbers of an answer or a call, and quotations. Pure.

A number is grounded where it stands in a message of the thread that is not the model's own, in a result, or in the
instructions; an amount with two decimals also where its hundredfold does, as money is kept in minor units. A quotation
is written `[source: "words"]`; it is found where its words stand in a result of the tool of that name, or in one that
has the source among its values.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from mainspring.core.canonical import Json, scalars
from mainspring.core.facts import Citation
from mainspring.core.flow import prepared
from mainspring.core.messages import Message

_NUMBER = re.compile(r"\d+(?:[.,'\N{NO-BREAK SPACE}]\d+)*")
_COUNTED = re.compile(r"^[^\S\n]*\d{1,3}[.)]\s", re.MULTILINE)
"""The number of an item in a list says nothing."""
_CITATION = re.compile(r"\[([^\[\]:\n]{1,200}):\s*[\"“„]([^\[\]\"“”]{1,2000})[\"”“]\s*\]")
_APART = "\0\n"
"""A gap becomes one space where texts are compared, so this stands in none of them."""
_CENTS = Decimal(100)
_LONGEST = 40
"""Characters of a number that is looked at; a longer one stands nowhere."""
_MOST = 500
"""Quotations of one answer that are looked for; those behind them are not found."""


def ungrounded_numbers(text: str, read: Iterable[str]) -> tuple[str, ...]:
    """The numbers of a text that stand in nothing that was read, as they are written."""
    said = _numbers(text)
    return _unknown(said, _known(read)) if said else ()


def ungrounded_arguments(args: dict[str, Json], read: Iterable[str]) -> tuple[str, ...]:
    """The arguments with a number in them that stands in nothing that was read."""
    said = {name: numbers for name, value in args.items() if (numbers := _numbers(_words(value)))}
    known = _known(read) if said else frozenset[Decimal]()
    return tuple(name for name, numbers in said.items() if _unknown(numbers, known))


def citations(text: str, messages: Sequence[Message]) -> tuple[Citation, ...]:
    """What a text quotes, and whether the words stand where it says."""
    quoted = [(source.strip(), quote) for source, quote in _CITATION.findall(text)]
    looked_for = dict.fromkeys(quoted[:_MOST])
    sources = _sources(messages) if quoted else ()
    found = {each for each in looked_for if _is_found(*each, sources)}
    return tuple(Citation(source=source, quote=quote, found=(source, quote) in found) for source, quote in quoted)


def what_was_read(instructions: str, messages: Iterable[Message]) -> tuple[str, ...]:
    """The texts that the model had, but its own."""
    return (instructions, *(_words(m.value) if m.role == "tool" else m.text for m in messages if m.role != "assistant"))


def _sources(messages: Sequence[Message]) -> tuple[tuple[str, frozenset[str], str], ...]:
    """Of each result its tool, its values, and these as they are compared, kept apart by what no text has in it."""
    found: list[tuple[str, frozenset[str], str]] = []
    for message in messages:
        if message.role == "tool" and message.status == "ok":
            values = [str(each) for each in scalars(message.value)]
            found.append((message.tool, frozenset(values), _APART.join(prepared(each) for each in values)))
    return tuple(found)


def _is_found(source: str, quote: str, sources: Iterable[tuple[str, frozenset[str], str]]) -> bool:
    words = prepared(quote)
    told = (said for tool, values, said in sources if source == tool or source in values)
    return bool(words) and any(words in said for said in told)


def _numbers(text: str) -> tuple[str, ...]:
    """The numbers of a text as they are written, but for those that count the items of a list."""
    return tuple(dict.fromkeys(_NUMBER.findall(_COUNTED.sub("", text))))


def _known(read: Iterable[str]) -> frozenset[Decimal]:
    return frozenset(value for words in read for form in _NUMBER.findall(words) for value in _values(form))


def _unknown(said: Iterable[str], known: frozenset[Decimal]) -> tuple[str, ...]:
    return tuple(form for form in said if known.isdisjoint(_with_cents(form)))


def _words(value: Json) -> str:
    """The texts and numbers of a value, each on a line of its own."""
    return "\n".join(str(each) for each in scalars(value) if not isinstance(each, bool))


def _with_cents(form: str) -> set[Decimal]:
    values = _values(form)
    return values | {value * _CENTS for value in values if value.as_tuple().exponent == -2}  # noqa: PLR2004 - cents


def _values(form: str) -> set[Decimal]:
    """Each value that a number may have, its points and commas being what they may be."""
    if len(form) > _LONGEST:
        return set()
    plain = re.sub("['\N{NO-BREAK SPACE}]", "", form)
    found: set[Decimal] = set()
    for written in (plain.replace(",", ""), plain.replace(".", "").replace(",", ".")):
        try:
            found.add(Decimal(written))
        except InvalidOperation:  # such as 1.2.3
            continue
    return found
