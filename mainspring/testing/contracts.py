"""Conformance suites: what every implementation of a port must do, as tests to inherit.

    class TestRedisMemory(MemoryContract):
        @pytest.fixture
        async def memory(self):
            async with open_redis() as memory:
                yield memory

Test side only. The suites need pytest with pytest-asyncio in its automatic mode (`asyncio_mode = "auto"`).
"""

# ruff: noqa: S101 - a suite is made of assertions

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from mainspring.core.canonical import canonical
from mainspring.core.limits import Allowance
from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import ToolSpec
from mainspring.ports.limiter import Limiter
from mainspring.ports.memory import Memory, Note
from mainspring.ports.model import Model, ModelReply, ModelRequest
from mainspring.ports.recogniser import Found, Recogniser
from mainspring.testing.notifier_contract import NotifierContract
from mainspring.testing.verifier_contract import VerifierContract

__all__ = [
    "LimiterContract",
    "MemoryContract",
    "ModelContract",
    "NotifierContract",
    "RecogniserContract",
    "VerifierContract",
]

FIND_ORDER = ToolSpec(
    name="find_order",
    description="Look up an order by its number.",
    input_schema={"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
    effect="read",
)


class ModelContract:
    """What every `Model` must do. Override `model`, and `first` where the model needs a request of its own.

    The threads have up to two messages of the agent in them, so a scripted model needs three steps.
    """

    @pytest.fixture
    def model(self) -> Model:
        """The model to test."""
        raise NotImplementedError("override the fixture `model` with the model to test")

    @pytest.fixture
    def first(self) -> ModelRequest:
        """A request that opens a thread: one user message, and tools the model may call."""
        return ModelRequest(
            agent="desk",
            instructions="Look the order up with the tool, then answer the customer.",
            messages=(Message(role="user", text="Where is my order 1042?"),),
            tools=(FIND_ORDER,),
        )

    async def test_says_or_calls(self, model: Model, first: ModelRequest) -> None:
        """A reply says something or asks for a call."""
        reply = await model.reply(first)
        assert reply.text or reply.calls

    async def test_names_itself(self, model: Model, first: ModelRequest) -> None:
        """A reply names the model and its provider."""
        reply = await model.reply(first)
        assert reply.model
        assert reply.provider

    async def test_counts(self, model: Model, first: ModelRequest) -> None:
        """Tokens are counted from zero up."""
        reply = await model.reply(first)
        assert min(reply.input_tokens, reply.output_tokens) >= 0

    async def test_only_offered_tools(self, model: Model, first: ModelRequest) -> None:
        """Calls name tools that were offered."""
        reply = await model.reply(first)
        assert {call.name for call in reply.calls} <= {tool.name for tool in first.tools}

    async def test_own_call_answered(self, model: Model, first: ModelRequest) -> None:
        """With an answer to each call it made itself, the model goes on."""
        thread = _answered(first, await model.reply(first), '{"status":"shipped"}')
        assert _usable(await model.reply(thread))

    async def test_arguments_are_json(self, model: Model, first: ModelRequest) -> None:
        """Arguments of calls survive the way through JSON."""
        reply = await model.reply(first)
        assert [json.loads(canonical(call.args)) for call in reply.calls] == [call.args for call in reply.calls]

    async def test_ids_differ(self, model: Model, first: ModelRequest) -> None:
        """Each call of one message has an id of its own, and it is not empty."""
        ids = [call.id for call in (await model.reply(first)).calls]
        assert len({one for one in ids if one}) == len(ids)

    async def test_again(self, model: Model, first: ModelRequest) -> None:
        """The same request can be made twice, as a repeated attempt does."""
        assert _usable(await model.reply(first))
        assert _usable(await model.reply(first))

    async def test_at_once(self, model: Model, first: ModelRequest) -> None:
        """One instance answers several runs at the same time."""
        replies = await asyncio.gather(*(model.reply(first) for _ in range(5)))
        assert all(_usable(reply) for reply in replies)

    @pytest.mark.parametrize("status", ["ok", "error", "denied"])
    async def test_goes_on(self, model: Model, first: ModelRequest, status: str) -> None:
        """After a tool result of any status the model goes on."""
        thread = _with(first, _asked("call_1"), _result("call_1", status))
        assert _usable(await model.reply(thread))

    async def test_ids_come_again(self, model: Model, first: ModelRequest) -> None:
        """Ids of calls are unique in their message only, so a thread may hold one id twice."""
        twice = (_asked("call_1"), _result("call_1", "ok"))
        assert _usable(await model.reply(_with(first, *twice, *twice)))

    async def test_malformed_call(self, model: Model, first: ModelRequest) -> None:
        """A thread may hold a call of a tool that does not exist, with arguments that fit nothing."""
        wrong = Message(role="assistant", calls=(ToolCall(id="a", name="no such tool!", args={"__unparsed__": "{"}),))
        assert _usable(await model.reply(_with(first, wrong, _result("a", "error"))))

    async def test_notes(self, model: Model, first: ModelRequest) -> None:
        """The engine's own notes may stand before, between and after what is said."""
        note = Message(role="note", text="Known of this customer: prefers short answers.")
        between = (Message(role="assistant", text="One moment."), note, Message(role="user", text="Order 1042."), note)
        thread = first.model_copy(update={"messages": (note, *first.messages, *between)})
        assert _usable(await model.reply(thread))


class MemoryContract:
    """What every `Memory` must do. Override `memory` with an empty one."""

    @pytest.fixture
    def memory(self) -> Memory:
        """The memory to test, with nothing in it."""
        raise NotImplementedError("override the fixture `memory` with an empty memory to test")

    async def test_nothing_known(self, memory: Memory) -> None:
        """Of a user nobody wrote about there is nothing."""
        assert await memory.recall("shop", "ana@example.com") == ()

    async def test_newest_first(self, memory: Memory) -> None:
        """Notes come newest first by their time, in whatever order they were written."""
        for minute in (2, 3, 1):
            await memory.remember("shop", "ana", _note(minute), f"key {minute}")
        assert await memory.recall("shop", "ana") == (_note(3), _note(2), _note(1))

    async def test_limit(self, memory: Memory) -> None:
        """Of many notes the newest 20 are recalled."""
        for minute in range(25):
            await memory.remember("shop", "ana", _note(minute), str(minute))
        assert await memory.recall("shop", "ana") == tuple(_note(minute) for minute in range(24, 4, -1))

    async def test_same_key(self, memory: Memory) -> None:
        """The same key again replaces the note, so a repeated attempt keeps it once."""
        await memory.remember("shop", "ana", _note(1), "run/3")
        await memory.remember("shop", "ana", _note(2), "run/3")
        assert await memory.recall("shop", "ana") == (_note(2),)

    async def test_same_key_of_others(self, memory: Memory) -> None:
        """The same key of another user is another note."""
        await memory.remember("shop", "ana", _note(1), "run/3")
        await memory.remember("shop", "bob", _note(2), "run/3")
        assert await memory.recall("shop", "ana") == (_note(1),)

    @pytest.mark.parametrize("other", [("", "ana"), ("-", "ana"), ("shop.eu", "ana"), ("shop", "an"), ("sho", "pana")])
    async def test_apart(self, memory: Memory, other: tuple[str, str]) -> None:
        """Tenants and users are apart, however much their names look alike."""
        await memory.remember(*other, _note(1), "key")
        assert await memory.recall("shop", "ana") == ()
        assert await memory.recall(*other) == (_note(1),)

    async def test_any_text(self, memory: Memory) -> None:
        """Text, users and tenants may hold any character."""
        note = Note(text="Größe 42, 靴 'x' \"y\"\n" + "long " * 2000, run="run/1 ü", at="2026-01-01T00:00:00+00:00")
        await memory.remember("läden/eu.*", "o'hara+ü@example.com", note, "a/b.c:'")
        assert await memory.recall("läden/eu.*", "o'hara+ü@example.com") == (note,)

    async def test_writers_at_once(self, memory: Memory) -> None:
        """Of notes written at the same time none is lost."""
        await asyncio.gather(*(memory.remember("shop", "ana", _note(m), str(m)) for m in range(10)))
        assert await memory.recall("shop", "ana") == tuple(_note(minute) for minute in range(9, -1, -1))


class LimiterContract:
    """What every `Limiter` must do. Override `limiter` with one that has counted nothing.

    Override `later` where the limiter's clock can be moved: without it one test waits for a second.
    """

    @pytest.fixture
    def limiter(self) -> Limiter:
        """The limiter to test, with nothing taken."""
        raise NotImplementedError("override the fixture `limiter` with one that has counted nothing")

    @pytest.fixture
    def later(self) -> Callable[[float], Awaitable[None]]:
        """Lets so many seconds pass for the limiter."""
        return asyncio.sleep

    async def test_up_to_the_limit(self, limiter: Limiter) -> None:
        """As many are taken as there may be; the next one is told to wait, for no longer than the window."""
        for _ in range(3):
            assert await limiter.take([_allowance("a", 3)]) == {}
        waits = await limiter.take([_allowance("a", 3)])
        assert list(waits) == ["a"]
        assert 0 < waits["a"] <= _HOUR

    async def test_refused_takes_nothing(self, limiter: Limiter) -> None:
        """Who is refused and asks again does not wait longer for it."""
        await limiter.take([_allowance("a", 1)])
        before = await limiter.take([_allowance("a", 1)])
        after = await limiter.take([_allowance("a", 1)])
        assert after["a"] <= before["a"]

    async def test_once(self, limiter: Limiter) -> None:
        """What a step has taken it does not take again, nor is it refused; another step is."""
        for _ in range(3):
            assert await limiter.take([_allowance("a", 1), _allowance("b", 1)], once="step 1") == {}
        assert list(await limiter.take([_allowance("a", 1)], once="step 2")) == ["a"]
        assert list(await limiter.take([_allowance("a", 1)])) == ["a"]
        assert await limiter.take([_allowance("c", 1)], once="step 2") == {}

    async def test_keys_apart(self, limiter: Limiter) -> None:
        """Each key has its own count, however much they look alike."""
        for key in ("a", "A", "a/", "a b", "ä", "%", "a:*"):
            assert await limiter.take([_allowance(key, 1)]) == {}

    async def test_all_or_nothing(self, limiter: Limiter) -> None:
        """Where one of several has no room none is taken, wherever it stands among them."""
        await limiter.take([_allowance("full", 1)])
        for wanted in (["full", "a"], ["a", "full"], ["a", "full", "b"]):
            assert list(await limiter.take([_allowance(key, 1) for key in wanted])) == ["full"]
        assert await limiter.take([_allowance("a", 1), _allowance("b", 1)]) == {}

    async def test_every_wait_is_told(self, limiter: Limiter) -> None:
        """Of several without room each says how long it takes."""
        both = [_allowance("a", 1), _allowance("b", 1, every=_MINUTE)]
        await limiter.take(both)
        waits = await limiter.take(both)
        assert set(waits) == {"a", "b"}
        assert waits["b"] <= _MINUTE < waits["a"]

    async def test_same_allowance_twice(self, limiter: Limiter) -> None:
        """The same allowance twice in one call is one."""
        assert await limiter.take([_allowance("a", 2), _allowance("a", 2)]) == {}
        assert await limiter.take([_allowance("a", 2)]) == {}

    async def test_nothing_wanted(self, limiter: Limiter) -> None:
        """Where nothing is wanted nothing is in the way."""
        assert await limiter.take([]) == {}

    async def test_smaller_and_larger(self, limiter: Limiter) -> None:
        """A limit that is made smaller or larger goes on with what was taken."""
        for _ in range(2):
            await limiter.take([_allowance("a", 2)])
        assert await limiter.take([_allowance("a", 1)])
        assert await limiter.take([_allowance("a", 3)]) == {}
        assert await limiter.take([_allowance("a", 3)])

    async def test_at_once(self, limiter: Limiter) -> None:
        """Of many at once no more get through than may."""
        few, many = _allowance("a", 4), _allowance("b", 9)
        found = await asyncio.gather(*(limiter.take([few, many]) for _ in range(20)))
        assert found.count({}) == few.at_most

    async def test_room_again(self, limiter: Limiter, later: Callable[[float], Awaitable[None]]) -> None:
        """After the time it was told, whoever waited gets through."""
        one = Allowance(key="a", at_most=1, every=1)
        await limiter.take([one])
        for _ in range(100):  # the end of a window may be a moment later than was said
            waits = await limiter.take([one])
            if not waits:
                return
            assert 0 < waits["a"] <= 1
            await later(waits["a"])
        pytest.fail("there was never room again")


_MINUTE, _HOUR = 60, 3_600


def _allowance(key: str, at_most: int, *, every: int = _HOUR) -> Allowance:
    return Allowance(key=key, at_most=at_most, every=every)


class RecogniserContract:
    """What every `Recogniser` must do. Override `recogniser`, and `examples` with what it finds.

    An example is a text with one find in it, between `[[` and `]]`; each kind needs one.
    """

    @pytest.fixture
    def recogniser(self) -> Recogniser:
        """The recogniser to test."""
        raise NotImplementedError("override the fixture `recogniser` with the recogniser to test")

    @pytest.fixture
    def examples(self) -> dict[str, str]:
        """For each kind a text with one find in it: `{"card": "paid with [[4111 1111 1111 1111]]"}`."""
        raise NotImplementedError("override the fixture `examples` with a text for each kind")

    def test_kinds(self, recogniser: Recogniser) -> None:
        """Kinds have lower-case names that can stand in a file of rules."""
        assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,31}", kind) for kind in recogniser.kinds)

    def test_finds(self, recogniser: Recogniser, examples: dict[str, str]) -> None:
        """What is in a text is found, from its first character to its last."""
        for kind, example in examples.items():
            text, start, end = _marked(example)
            assert list(recogniser.find(text)) == [Found(kind, start, end)], kind

    def test_only_own_kinds(self, recogniser: Recogniser, examples: dict[str, str]) -> None:
        """A find is of one of the kinds that are said."""
        assert examples.keys() <= recogniser.kinds

    def test_places_in_the_original(self, recogniser: Recogniser, examples: dict[str, str]) -> None:
        """Places count the characters of the text as given, also behind those that nobody sees or of more bytes."""
        for kind, example in examples.items():
            text, start, end = _marked(f"Gr\u00fc\u00dfe \U0001f600\u200b\u200d \u00e9\n{example}\n\u200b\U0001f600")
            assert Found(kind, start, end) in recogniser.find(text), kind

    def test_several(self, recogniser: Recogniser, examples: dict[str, str]) -> None:
        """Several finds come in order, and none overlaps another."""
        text = "\n\n".join(_marked(example)[0] for example in examples.values()) * 2
        finds = list(recogniser.find(text))
        assert finds == sorted(finds, key=lambda find: find.start)
        assert all(one.end <= other.start for one, other in pairwise(finds))
        assert all(0 <= find.start < find.end <= len(text) for find in finds)

    def test_again(self, recogniser: Recogniser, examples: dict[str, str]) -> None:
        """The same text again gives the same finds."""
        for example in examples.values():
            assert list(recogniser.find(example)) == list(recogniser.find(example))

    @pytest.mark.parametrize(
        "text", ["", " ", "\0", "\ud800", "\u200b" * 9, "\\", "\\u0", "%4", "[](){}*+?.^$|\\u0030"]
    )
    def test_any_text(self, recogniser: Recogniser, text: str) -> None:
        """No text is too strange, and where there is nothing, nothing is found."""
        assert list(recogniser.find(text)) == []

    def test_ordinary_text(self, recogniser: Recogniser) -> None:
        """In an ordinary text nothing is found."""
        text = "Order 1042-7781 of 2025-03-14, 10:11:12, 2 pieces at 19.90 EUR, version 3.11.7. It never arrived."
        assert list(recogniser.find(text)) == []


def _marked(example: str) -> tuple[str, int, int]:
    """The text of an example, and from where to where its find goes."""
    before, _, rest = example.partition("[[")
    inside, _, after = rest.partition("]]")
    return before + inside + after, len(before), len(before) + len(inside)


def _usable(reply: ModelReply) -> bool:
    return bool(reply.text or reply.calls)


def _with(request: ModelRequest, *more: Message) -> ModelRequest:
    return request.model_copy(update={"messages": (*request.messages, *more)})


def _answered(request: ModelRequest, reply: ModelReply, result: str) -> ModelRequest:
    """The thread after `reply`, with `result` for each call it asks for."""
    said = Message(role="assistant", text=reply.text, calls=reply.calls)
    results = tuple(Message(role="tool", text=result, call=call.id, tool=call.name) for call in reply.calls)
    return _with(request, said, *(results or (Message(role="user", text="Go on."),)))


def _asked(call: str) -> Message:
    return Message(role="assistant", calls=(ToolCall(id=call, name="find_order", args={"order": 1042}),))


def _result(call: str, status: str) -> Message:
    text = '{"order":1042,"status":"shipped"}' if status == "ok" else "there is no order 1042"
    return Message.model_validate({"role": "tool", "text": text, "call": call, "tool": "find_order", "status": status})


def _note(minute: int) -> Note:
    return Note(text=f"note {minute}", run="run", at=f"2026-01-01T10:{minute:02}:00+00:00")
