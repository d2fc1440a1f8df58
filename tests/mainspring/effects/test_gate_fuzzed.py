"""Calls and texts that nobody would write, at the gate and in redaction: always a verdict, and nothing hidden stays."""

import asyncio
import json
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring import tool
from mainspring.adapters.recognisers import KINDS, open_recognisers
from mainspring.contracts.steps import RunRef
from mainspring.core.base_rules import TEXT
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.ledger import make_item
from mainspring.core.messages import Message, ToolCall
from mainspring.core.policy import Rule, Way
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.core.turn import CallVerdict
from mainspring.effects.gate import judge_calls
from mainspring.effects.guards import Guards
from mainspring.effects.ledger import Thread
from mainspring.effects.redaction import Redactor
from mainspring.errors import ToolError
from mainspring.ports.recogniser import Recogniser

RULES = """
rules:
  - {id: many, point: tool_call, tool: pay, when: args.cents > 5000, verdict: deny, reason: Too much.}
  - {id: ours, point: tool_call, when: size(ungrounded) > 0 || risk > 90, verdict: ask, reason: From nowhere.}
  - {id: found, point: tool_call, when: size(found) > 9, verdict: ask, reason: Personal.}
  - {id: cards, point: tool_call, verdict: redact, redact: card, reason: Cards.}
"""
RECOGNISER = open_recognisers()
KEY = "key of the run"


@tool("idempotent")
def pay(to: str, cents: int = 0, rate: float = 0.0, more: Any = None) -> str:
    """Pay."""
    return f"{to} {cents} {rate} {more}"


HELPER = ToolSpec(name="helper", description="Helps.", input_schema={}, effect="read", agent="helper", accepts="user")
CLERK = AgentSpec(
    name="clerk",
    instructions="Pay.",
    models=("m",),
    tools=(pay.spec, HELPER),
    rules=RULES,
    rules_source="r.yaml",
    base=TEXT,
)
THREAD = Thread(
    digests=("a", "b"),
    messages=(
        Message(role="user", text="Pay 5"),
        Message(role="tool", tool="x", text='"hi"', label="external internal"),
    ),
)


def judged(
    *asked: ToolCall, recogniser: Recogniser = RECOGNISER
) -> tuple[tuple[ToolCall, ...], tuple[CallVerdict, ...]]:
    """What the gate says of calls."""
    run = RunRef(name="r", first="f", key=KEY, spec="s")
    guards = Guards({"pay": pay}, open_recogniser=lambda: recogniser)
    return asyncio.run(judge_calls(guards, run, CLERK, THREAD, asked))


def call(name: str, args: Any) -> ToolCall:
    """A call that no check has seen."""
    return ToolCall.model_construct(id="1", name=name, args=args)


def nested(depth: int, what: type) -> Any:
    """Something nested so deep."""
    value: Any = "x"
    for _ in range(depth):
        value = [value] if what is list else {"a": value}
    return value


NASTY: list[Any] = [
    *("\ud800", "\0", "a" * 1_000_000, "\u202e", "nan", "4111 1111 1111 1111", 4111111111111111),
    *(2**70, 10**4200, float("nan"), float("inf"), -0.0, 1e308, None, True, [], {}, {"\ud800": 1}, {"": "\ud800"}),
    *(nested(depth, what) for depth in (99, 101, 300) for what in (list, dict)),
    *([1] * 50_000, {str(number): number for number in range(5_000)}),
]
JSON: st.SearchStrategy[Any] = st.sampled_from(NASTY) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["pay", "pay", "helper", "", "\ud800", "pay\u200b", "\uff50ay", "p" * 100_000]) | st.text()
ARGS = st.dictionaries(
    st.sampled_from(["to", "cents", "rate", "more", "request"]) | st.text(st.characters()), JSON, max_size=3
)


@given(st.lists(st.builds(call, NAMES, ARGS), max_size=3))
@example([call("pay", {"to": "\ud800", "more": {"\ud800": [float("inf")]}})])
@example([call("pay", {"to": "x", "rate": "nan"})])
@example([call("pay", {"to": "x", "cents": 10**4200})])
@example([call("helper", {"request": "\ud800"}), call("helper", {"request": ["x"]})])
@example([call("pay", {"to": "x", "more": each}) for each in NASTY])
@example([call("pay", {"to": each}) for each in NASTY])
@settings(max_examples=60)
def test_every_call_gets_a_verdict_on_what_is_recorded(asked: list[ToolCall]) -> None:
    """Whatever a model calls is judged, can be written down, and is bound by a digest of what stands there then."""
    calls, verdicts = judged(*asked)
    item = make_item(Message(role="assistant", calls=calls), KEY)
    recorded = Message.model_validate_json(item.text).calls

    assert len(recorded) == len(verdicts) == len(asked)
    for kept, verdict in zip(recorded, verdicts, strict=True):
        assert verdict.model_dump_json()
        if verdict.verdict != "malformed":
            assert verdict.args_digest == digest(canonical(kept.args), KEY)
            assert kept.name in ("pay", "helper")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-Infinity", 10**5000], ids=range(5))
def test_a_number_that_json_has_not_makes_a_call_malformed(value: Json) -> None:
    """It would be recorded as nothing: the permit would be for other arguments than those that are read again."""
    ((kept,), (verdict,)) = judged(call("pay", {"to": "x", "rate": value}))

    assert verdict.verdict == "malformed"
    assert kept.args == {}


@pytest.mark.parametrize("name", ["pay", "helper", "nobody"])
@pytest.mark.parametrize("what", [list, dict])
def test_what_is_nested_too_deeply_is_malformed(name: str, what: type) -> None:
    """The model is told; nothing of it is kept, since nothing could read it again."""
    ((kept,), (verdict,)) = judged(call(name, {"to": nested(5_000, what)}))

    assert verdict.verdict == "malformed"
    assert kept.args == {}
    assert "nested deeper than 100 levels" in verdict.reason


def test_a_worker_that_cannot_redact_withholds_a_request_too() -> None:
    """Where it lacks what a rule needs, another agent is asked nothing; the model is told."""
    _, (verdict,) = judged(call("helper", {"request": "Hello"}), recogniser=open_recognisers_without_cards())

    assert verdict.verdict == "malformed"


def open_recognisers_without_cards() -> Recogniser:
    """Finds no kind that is built in."""
    from mainspring.adapters.recognisers.patterns import Patterns

    return Patterns({"ticket": "T-[0-9]+"})


# What is hidden in a text

HIDDEN = {
    "card": ["4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111"],
    "iban": ["DE89 3704 0044 0532 0130 00", "DE89370400440532013000"],
    "email": ["ana.b@mail.example.com"],
}
UNSEEN = [*"\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2061\u2066\ufeff\u034f\ufe0f\u180e", "\U000e0061"]
SPACES = [*"\u00a0\u2002\u2007\u2009\u202f\u3000"]
DASHES = [*"\u2010\u2011\u2012\u2013\u2212\uff0d"]
DIGITS = [0xFF10, 0x660, 0x6F0, 0x966, 0x1D7CE]


@st.composite
def hidden(draw: st.DrawFn) -> tuple[str, str]:
    """A kind, and something of it in a form that people read and programs may not."""
    kind = draw(st.sampled_from(sorted(HIDDEN)))
    zero = draw(st.sampled_from([ord("0"), *DIGITS]))
    made: list[str] = []
    for one in draw(st.sampled_from(HIDDEN[kind])):
        if one.isdigit() and draw(st.booleans()):
            one = chr(zero + int(one))  # noqa: PLW2901 - what stands in its place
        elif one == " ":
            one = draw(st.sampled_from([" ", *SPACES]))  # noqa: PLW2901
        elif one == "-":
            one = draw(st.sampled_from(["-", *DASHES]))  # noqa: PLW2901
        elif one in "@." and draw(st.booleans()):
            one = chr(ord(one) + 0xFEE0)  # noqa: PLW2901
        made.append(one + "".join(draw(st.lists(st.sampled_from(UNSEEN), max_size=2))))
    return kind, "".join(made).rstrip("".join(UNSEEN))


def without(value: Json, way: Way = "remove") -> Json:
    """A value, redacted of all kinds."""
    rule = Rule(id="r", point="input", verdict="redact", way=way, reason="Because.")
    return Redactor(RECOGNISER, b"secret of the worker", "run").redacted(value, [rule])


@given(
    hidden(),
    st.sampled_from(["", "See ", "\u200b", "\n", "(", "\u202e"]),
    st.sampled_from(["", " soon", ",", "\u200b\n"]),
)
@settings(max_examples=150)
def test_what_is_hidden_is_found(something: tuple[str, str], before: str, after: str) -> None:
    """Nothing that is not seen, and no other way to write a digit, a space or a dash, hides what is to be redacted."""
    kind, words = something

    assert without(f"{before}{words}{after}") == f"{before}[{kind}]{after}"
    assert without({"text": [words]}) == {"text": [f"[{kind}]"]}


@given(st.sampled_from(sorted(HIDDEN)), st.data())
@settings(max_examples=150)
def test_a_token_opens_as_it_was_made_or_not_at_all(kind: str, data: st.DataObject) -> None:
    """One that was changed in any character, made longer or shorter, or given another kind shows nothing."""
    words = HIDDEN[kind][0]
    token = str(without(words, "token"))
    at = data.draw(st.integers(0, len(token) - 1))
    new = data.draw(st.text(st.sampled_from("AQgw_-0z<>#\u200b\uff21card"), max_size=2))
    changed = token[:at] + new + token[at + data.draw(st.integers(0, 2)) :]
    redactor = Redactor(RECOGNISER, b"secret of the worker", "run")

    assert redactor.opened(token) == (words, {words: token})
    if changed != token and token not in changed:
        try:
            opened = str(redactor.opened(changed))
        except ToolError:
            opened = ""
        assert words not in opened


@pytest.mark.parametrize("words", [each for some in HIDDEN.values() for each in some])
def test_a_token_has_one_spelling(words: str) -> None:
    """Its last character may have bits that stand for nothing; changed in those alone it opens nothing either."""
    token = str(without(words, "token"))
    redactor = Redactor(RECOGNISER, b"secret of the worker", "run")
    spellings = {f"{token[:-2]}{one}>" for one in string.ascii_letters + string.digits + "-_"} - {token}

    for other in spellings:
        with pytest.raises(ToolError):
            redactor.opened(other)


def test_another_run_worker_or_kind_opens_no_token() -> None:
    """What a token was made with is what opens it."""
    token = str(without("4111 1111 1111 1111", "token"))

    for other in (Redactor(RECOGNISER, b"secret of the worker", "another"), Redactor(RECOGNISER, b"other", "run")):
        with pytest.raises(ToolError):
            other.opened(token)
    with pytest.raises(ToolError):
        Redactor(RECOGNISER, b"secret of the worker", "run").opened(token.replace("card", "email"))
    with pytest.raises(ToolError):
        Redactor(RECOGNISER, b"secret of the worker", "run").opened(json.loads(json.dumps([token.swapcase().lower()])))


def test_many_values_are_redacted_in_no_time() -> None:
    """A list of thousands of equal or short values is not looked at one by one."""
    assert without([1] * 100_000) == [1] * 100_000
    assert without([4111111111111111] * 100_000) == ["[card]"] * 100_000
    assert Redactor(RECOGNISER, b"", "").kinds({str(number): "ab" for number in range(99_000)}) == ()
    assert {"card", "iban", "email"} <= KINDS


@pytest.mark.parametrize(
    "text", ["\\" * 1_000_000, "\\u" * 300_000, "\\\\n" * 100_000, "\u200b\\" * 100_000], ids=range(4)
)
def test_backslashes_are_folded_in_no_time(text: str) -> None:
    """An escape is looked for once in a run of backslashes."""
    assert without(text) == text
    assert str(without(text + " 4111 1111 1111 1111")).endswith("[card]")
