from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.messages import Message, ToolCall
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.effects import gauge
from mainspring.effects.gauge import ROOM, UNKNOWN_WINDOW, Gauge, estimated_tokens

LOOK = ToolSpec(name="look", description="Look.", input_schema={"type": "object"}, effect="read")


def agent(*, model: str = "test:model", context: int = 0, tools: tuple[ToolSpec, ...] = ()) -> AgentSpec:
    """An agent with so much room and these tools."""
    return AgentSpec(name="clerk", instructions="Work hard.", models=(model,), tools=tools, context=context)


def user(text: str) -> Message:
    """What a user says."""
    return Message(role="user", text=text)


class Words:
    """Counts words, and how often it was asked about each text."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, text: str) -> int:
        self.asked[text] += 1
        return len(text.split())


def test_a_message_is_counted_once() -> None:
    """However often a thread is measured, each of its messages is looked at once, and so is what is always sent."""
    words = Words()
    measure = Gauge(counter=lambda _: words)
    thread = (user("one two"), user("three"))

    found = [measure.tokens(agent(), ("a", "b"), thread) for _ in range(3)]
    longer = measure.tokens(agent(), ("a", "b", "c"), (*thread, user("four five six")))

    assert set(words.asked.values()) == {1}
    assert found == [2 + (2 + 4) + (1 + 4)] * 3  # the instructions, and what it takes to send each message
    assert longer == found[0] + 3 + 4


def test_each_model_counts_for_itself() -> None:
    """A text has other tokens for another model."""
    measure = Gauge(counter=lambda model: len if model == "letters" else Words())

    counted = [measure.each(agent(model=model), ("a",), (user("one two"),)) for model in ("letters", "words")]

    assert counted == [[7 + 4], [2 + 4]]


def test_what_a_model_calls_counts() -> None:
    """The arguments of calls are sent too, and the id that ties a result to its call."""
    measure = Gauge(counter=lambda _: len)
    call = ToolCall(id="call_1", name="look", args={"at": "x" * 50})
    calls, result = Message(role="assistant", calls=(call,)), Message(role="tool", text="1", call="call_1")

    counted = measure.each(agent(), ("a", "b"), (calls, result))

    assert counted[0] > 50
    assert counted[1] == len("1call_1") + 4


def test_tools_and_the_form_of_the_answer_count() -> None:
    """They are part of every request."""
    measure = Gauge(counter=lambda _: len)
    typed = agent(tools=(LOOK,)).model_copy(update={"name": "typed", "result_schema": {"type": "object"}})

    assert measure.fixed(agent()) < measure.fixed(agent(tools=(LOOK,))) < measure.fixed(typed)


def test_counts_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are forgotten when there are too many, and made again where they are needed."""
    monkeypatch.setattr(gauge, "_REMEMBERED", 3)
    measure = Gauge(counter=lambda _: len)
    names = [f"{number}" for number in range(20)]

    for number in range(20):
        measure.each(agent(), (names[number],), (user("x" * number),))
    again = measure.each(agent(), tuple(names), tuple(user("x" * number) for number in range(20)))

    assert again == [number + 4 for number in range(20)]
    assert len(measure._counts) <= 3 + 20


@pytest.mark.parametrize(
    ("context", "window", "limit"),
    [(5000, 1_000_000, 5000), (0, 200_000, int(200_000 * ROOM)), (0, None, int(UNKNOWN_WINDOW * ROOM))],
)
def test_how_much_a_model_may_be_given(context: int, window: int | None, limit: int) -> None:
    """What the agent says counts; else a part of the model's window; else of what nearly every model takes."""
    assert Gauge(window=lambda _: window).limit(agent(context=context)) == limit


@given(st.text())
def test_the_estimate_never_falls_short_of_a_third_of_the_bytes(text: str) -> None:
    """Where no tokenizer is known, three bytes are a token at least, in every alphabet."""
    assert estimated_tokens(text) * 3 >= len(text.encode())


@given(st.lists(st.text(max_size=20), max_size=6))
def test_a_thread_is_the_sum_of_its_parts(texts: list[str]) -> None:
    """What every request begins with, and each message by itself."""
    measure = Gauge()
    digests, messages = tuple(f"{number}" for number in range(len(texts))), tuple(map(user, texts))

    whole = measure.tokens(agent(), digests, messages)

    assert whole == measure.fixed(agent()) + sum(measure.each(agent(), digests, messages))
