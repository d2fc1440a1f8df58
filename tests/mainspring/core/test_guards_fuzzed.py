"""Rule files, facts and texts that nobody would write: what is wrong is refused in words, and nothing slips through."""

import json
import unicodedata
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainspring.adapters.chat_model.messages import _object
from mainspring.core.answers import unfenced
from mainspring.core.base_rules import TEXT
from mainspring.core.canonical import Json, is_too_deep
from mainspring.core.facts import FACTS, Facts
from mainspring.core.flow import Flow, flow
from mainspring.core.grounding import citations, ungrounded_arguments, ungrounded_numbers
from mainspring.core.messages import Done, Message, ToolCall, finished_calls
from mainspring.core.rule_file import parse
from mainspring.core.rules import Judge
from mainspring.core.spec import AgentSpec, ToolSpec
from mainspring.errors import PolicyError

PAY = ToolSpec(
    name="pay",
    description="Pay.",
    input_schema={"type": "object", "properties": {"to": {"type": "string"}, "cents": {"type": "integer"}, "more": {}}},
    result_schema={"type": "string"},
    effect="once",
    returns="trusted",
    accepts="user",
)
MAIL = ToolSpec(name="mail", description="Mail.", input_schema={}, effect="read", returns="external")
MB = 1_000_000

# Rule files

SCALARS = st.one_of(
    st.text(),
    st.sampled_from(["true", "false", "", "~", "deny", "ask", "redact", "tool_call", "input", "output", "pay", "30m"]),
    st.sampled_from(["args.cents > 5", "1", "user", "size(", "args.nobody", "has(args.to)", '"\\ud800" == user']),
    st.sampled_from([".inf", "1e999", "9" * 5000, "-0", "0x1F", "1_0", "2026-11-26", "\u0663m", "card", "mask"]),
)
KEYS = st.sampled_from(
    [
        *("include", "tenants", "approvals", "limits", "rules", "deadline", "deny_reasons", "id", "title", "point"),
        *("tool", "when", "check", "verdict", "redact", "with", "reason", "severity", "owner", "shadow", "tests"),
        *("match", "miss", "per", "at_most", "every", "rule", "ID", "args", "args.cents"),
    ]
)
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
RULES = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "A", "base.a", ""]) | TREES,
        "point": st.sampled_from(["input", "tool_call", "tool_result", "output"]) | TREES,
        "verdict": st.sampled_from(["allow", "deny", "ask", "redact", "playbook"]) | TREES,
        "reason": st.just("Because.") | TREES,
    },
    optional={
        "when": st.sampled_from(["true", "args.cents > 5", "user == 'x'", "size(found) > 0"]) | TREES,
        "tool": st.sampled_from(["pay", "mail", "gone"]) | TREES,
        **dict.fromkeys(("check", "redact", "with", "severity", "owner", "shadow", "tests", "title"), TREES),
    },
)
FILES = st.fixed_dictionaries(
    {"rules": st.lists(RULES, max_size=3) | TREES}, optional={"limits": TREES, "tenants": TREES}
)
SIGNS = st.lists(
    st.sampled_from(
        [*"&*!|>%@`{}[],:?-#'\"\\ \n\t~", "&a", "*a", "!!str ", "<<: ", "---\n", "rules:", "- ", "\\U00110000"]
    )
    | st.text(max_size=3)
).map("".join)


def check_file(text: str) -> None:
    """Hold that a file is read and compiled, or refused in words, with a place that is in it."""
    error = refusal(text)
    if error:
        assert str(error).startswith("f.yaml:")
        assert 0 <= error.line <= len(text.splitlines()) + 1
        assert error.column == 0 or error.line
        assert error.problem


def refusal(text: str) -> PolicyError | None:
    """How a file is refused, if it is."""
    try:
        Judge(parse(text, "f.yaml"), (PAY, MAIL), "clerk")
    except PolicyError as error:
        return error
    return None


@given(st.one_of(st.text(), SIGNS, TREES.map(yaml.safe_dump), FILES.map(yaml.safe_dump)))
@example('rules: "\\UFFFFFFFF"')
@example("rules: [" * 3000)
@example("? [a]\n: b")
@example("tenants: {? [a] : b}")
@example("rules: [{id: a, point: input, when: \"user == '\\ud800'\", verdict: deny, reason: r}]")
@example("rules: []\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else 'x')}]\n" for n in range(9)))
@example("rules: [{id: a, point: input, when: '" + "(" * 5000 + "', verdict: deny, reason: r}]")
@example("a" * MB)
@settings(max_examples=200)
def test_a_rule_file_is_read_or_refused_with_a_place(text: str) -> None:
    """Whatever a file says there is a policy or a `PolicyError` that names the file; nothing else is raised."""
    check_file(text)


@given(FILES, st.data())
@settings(max_examples=150)
def test_a_broken_rule_file_is_refused_with_a_place(file: Any, data: st.DataObject) -> None:
    """Likewise for a file out of which something was cut, or into which something was put."""
    text = str(yaml.safe_dump(file))
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(len(text), at + 9)))

    check_file(text[:at] + data.draw(SIGNS) + text[end:])


# Facts

DEEP: Json = "x"
for _ in range(10_000):
    DEEP = [DEEP]
NASTY: list[Json] = [
    *("\ud800", "\0", "a" * MB, "\u200b", "\u202e", 2**70, -(2**70), 10**5000, float("nan"), float("inf"), -0.0),
    *(DEEP, {"a": DEEP}, {"\ud800": 1}, {"": ""}, [[]] * 1000, None, True, 2**63, -(2**63) - 1),
]
JSON: st.SearchStrategy[Json] = st.sampled_from(NASTY) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.text(st.characters()) | st.sampled_from([each for each in NASTY if isinstance(each, str)])
DONE = st.builds(
    Done,
    tool=st.just("pay"),
    args=st.just(dict[str, Json]()),
    value=JSON.filter(lambda value: not is_too_deep(value)),  # as no result is kept
    status=st.sampled_from(["ok", "error", "denied"]),
)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    """Facts with anything in them, as no check has seen them."""
    names = ("agent", "model", "prompt", "user", "tenant", "session", "channel", "locale", "recalled", "text")
    update: dict[str, Any] = {name: draw(TEXTS) for name in names}
    update["args"] = draw(st.dictionaries(st.sampled_from(["to", "cents", "more"]) | TEXTS, JSON, max_size=4))
    update["result"] = draw(JSON)
    update["results"] = tuple(draw(st.lists(DONE, max_size=2)))
    update["found"] = tuple(draw(st.lists(TEXTS, max_size=2)))
    update["roles"] = tuple(draw(st.lists(TEXTS, max_size=2)))
    update["flow"] = Flow(untrusted=tuple(draw(st.lists(TEXTS, max_size=2))))
    tool, effect = draw(st.sampled_from([("pay", "once"), ("mail", "read"), ("gone", "once")]))
    return Facts(agent="").model_copy(update={**update, "tool": tool, "effect": effect})


def judge_of(*rules: str) -> Judge:
    """A judge over rules that are written on one line each."""
    return Judge(parse("rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules), "f.yaml"), (PAY, MAIL), "clerk")


def rule(name: str, point: str, when: str, verdict: str = "deny", tool: str = "") -> str:
    """A rule on one line."""
    named = f"tool: {tool}, " if tool else ""
    return f"id: {name}, point: {point}, {named}when: {json.dumps(when)}, verdict: {verdict}, reason: Because."


READS = {
    point: [
        rule(f"{point.replace('_', '-')}-{number}", point, f"{name} == {name} && false", "allow")
        for number, (name, fact) in enumerate(FACTS.items())
        if point in fact.points
    ]
    for point in ("input", "tool_call", "tool_result", "output")
}
OPEN = judge_of(*(each for rules in READS.values() for each in rules), rule("args", "tool_call", "size(args) > 9"))
SHUT = judge_of(
    *(rule(f"open-{point.replace('_', '-')}", point, "true", "allow") for point in READS),
    *(each for rules in READS.values() for each in rules),
    *(rule(f"shut-{point.replace('_', '-')}", point, "true") for point in READS),
)


@given(any_facts())
@settings(max_examples=30)
def test_any_facts_get_a_verdict_and_none_passes_a_deny(facts: Facts) -> None:
    """At every point judging raises nothing, and a rule that always denies does, whatever else is read and allowed."""
    for point in ("input", "tool_call", "tool_result", "output"):
        assert OPEN.judge(point, facts).verdict in ("allow", "ask", "deny")
        assert SHUT.judge(point, facts).verdict == "deny"


TYPED = judge_of(
    rule("to", "tool_call", "args.to == 'x'", "allow", "pay"),
    rule("cents", "tool_call", "args.cents > 5", "allow", "pay"),
)


@given(JSON, JSON)
def test_a_rule_that_reads_what_is_wrong_denies(to: Json, cents: Json) -> None:
    """An argument that is not what the tool declares, or not there, fails the rule that reads it."""
    facts = Facts(agent="", tool="pay", effect="once")
    right = isinstance(to, str) and isinstance(cents, int) and not isinstance(cents, bool) and abs(cents) < 2**63
    judged = TYPED.judge("tool_call", facts.model_copy(update={"args": {"to": to, "cents": cents}}))

    assert right or judged.verdict == "deny"
    assert TYPED.judge("tool_call", facts.model_copy(update={"args": {"cents": 1}})).verdict == "deny"
    assert TYPED.judge("tool_call", facts.model_copy(update={"args": {"to": "x"}})).verdict == "deny"


# What looks alike

LISTED = ("ana@shop.example", "Müller & Söhne", "DE89370400440532013000", "/srv/data/in")
HOMOGLYPHS = str.maketrans("aeopcxyiDEs", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u13a0\u0395\u0455")
UNSEEN = [*"\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\ufeff\u00ad\u034f\ufe0f\0", "\U000e0061", "\u0332"]
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@st.composite
def look_alikes(draw: st.DrawFn) -> tuple[str, str]:
    """A listed value, and another one that may look the same."""
    value = draw(st.sampled_from(LISTED))
    at = draw(st.integers(0, len(value)))
    other = draw(
        st.sampled_from(
            [
                value.translate(HOMOGLYPHS),
                value[:at] + value[at:].translate(HOMOGLYPHS),
                value[:at] + draw(st.sampled_from(UNSEEN)) + value[at:],
                value[:at] + value[at:].translate(WIDE),
                value.swapcase(),
                value + draw(st.sampled_from([".", "/", "\0", "\0x", "\u3002", "\ud800", "%20", ";", "x"])),
                draw(st.sampled_from(["x", ".", "-", "//", "\u202e"])) + value,
                value[::-1],
            ]
        )
    )
    return value, other


ONLY_LISTED = judge_of(rule("only-listed", "tool_call", f"!(args.to in {json.dumps(list(LISTED))})", tool="pay"))


@given(look_alikes())
@example((LISTED[1], unicodedata.normalize("NFD", LISTED[1])))
@example((LISTED[0], LISTED[0] + " "))
@settings(max_examples=200)
def test_no_look_alike_passes_a_list(pair: tuple[str, str]) -> None:
    """A rule that denies all but a list lets what is on it pass, and nothing that only looks like it."""
    value, other = pair
    facts = Facts(agent="", tool="pay", effect="once")

    assert ONLY_LISTED.judge("tool_call", facts.model_copy(update={"args": {"to": value}})).verdict == "allow"
    expected = "allow" if other == value else "deny"
    assert ONLY_LISTED.judge("tool_call", facts.model_copy(update={"args": {"to": other}})).verdict == expected


CLERK = AgentSpec(name="clerk", instructions="Pay what you are told.", models=("m",), tools=(PAY, MAIL), base=TEXT)


def untrusted(value: Json, said: str, words: str = "anything") -> tuple[str, ...]:
    """The arguments that are less trusted than the tool takes, once a mail was read."""
    read = Message(role="tool", tool="mail", text=json.dumps(words))
    return flow(CLERK, PAY, {"to": value}, (Message(role="user", text=said), read)).untrusted


@given(look_alikes())
@settings(max_examples=200)
def test_no_look_alike_is_shown_to_come_from_the_user(pair: tuple[str, str]) -> None:
    """A value is the user's where it stands in their words as it is, and not where something like it does."""
    value, other = pair

    assert untrusted(value, f"Pay {value} today") == ()
    if unicodedata.normalize("NFC", other).strip() != value:
        assert untrusted(other, f"Pay {value} today") == ("to",)


@pytest.mark.parametrize("tie", ["\u200b", "\u00ad", "\u2060", "\u202e", "\ufeff", "-", ".", "@"])
def test_a_part_that_is_tied_to_more_is_no_whole(tie: str) -> None:
    """Nothing that is not seen parts a word: what stands behind it is a part of another value."""
    assert untrusted("bank.example", f"Pay evil{tie}bank.example") == ("to",)
    assert untrusted("bank.example", f"Pay bank.example{tie}evil") == ("to",)


# Texts made to be slow. Each of these took the square of its length, or more: minutes or days.

SLOW_TEXTS = ["\n" * MB, " \n" * MB, "a\u0316\u0301" + "\u0316\u0301" * MB, "1." * MB, "[a: " * (MB // 4), "`" * MB]


@pytest.mark.parametrize("text", SLOW_TEXTS, ids=range(len(SLOW_TEXTS)))
def test_no_text_is_slow_to_ground(text: str) -> None:
    """A megabyte made to be slow is looked at in no time."""
    assert ungrounded_numbers(f"{text}1", [text]) in ((), ("1",), (f"{text}1",))
    assert citations(text, (Message(role="tool", tool="mail", text=json.dumps(text)),)) == ()
    assert untrusted("EVIL-1", text, text) == ("to",)
    assert untrusted(text, "Pay", text) == ("to",)


@pytest.mark.parametrize("value", ["a" * (MB // 2), "ab " * (MB // 6) + "a", "aaaaaa", "a a a"])
def test_a_value_that_goes_on_within_itself(value: str) -> None:
    """It is looked for in a text of the same kind, at whose every place it nearly stands."""
    assert untrusted(value, "x" + value * 2 + "x") == ("to",)


def test_many_values_and_quotations() -> None:
    """Many things to look for in a long text; those beyond what anybody writes count as not found."""
    long = "y " * (MB // 8)
    names = [f"z{number:06}" for number in range(20_000)]
    cited = citations("".join(f'[mail: "{name}"]' for name in names), (Message(role="tool", tool="mail", text=long),))

    assert untrusted([*names, *range(20_000)], long) == ("to",)
    assert untrusted([names[-1]] * 20_000, f"Pay {names[-1]}.") == ()
    assert len(cited) == 20_000
    assert not any(each.found for each in cited)
    assert len(ungrounded_arguments(dict.fromkeys(names, 7), ["1 2 3 " * 50_000])) == 20_000


def test_the_newest_quotation_beyond_the_many_is_not_found() -> None:
    """A quotation that is not looked for is not said to stand there."""
    read = (Message(role="tool", tool="mail", text='"the very words"'),)
    many = "".join(f'[mail: "{number}"]' for number in range(600))

    assert citations('[mail: "very words"]' + many, read)[0].found
    assert not citations(many + '[mail: "very words"]', read)[-1].found


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("```json\n{}\n```", "{}"),
        ("```\n{}\n```", "{}"),
        (" ```json \n\n {}\n \n``` ", " {}\n "),
        ("```json\n```\n```", "```"),
        ("```json\n\n```", ""),
        ("```json\n```", None),
        ("```{}```", None),
        ("```\n{}", None),
        ("``````", None),
        ("`````", None),
        ("x ```\n{}\n```", None),
        ("```python\n{}\n```", None),
        ("```json" + "\n" * MB, None),
        ("```\n" + "\n```" * MB + "x", None),
    ],
)
def test_a_fence_is_taken_off(text: str, inner: str | None) -> None:
    """What stands in a Markdown fence is found without trying each blank line as the fence's own."""
    assert unfenced(text) == (text if inner is None else inner)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "[" * 200 + "]" * 200 + "}", "1" * 5000])
def test_arguments_that_are_no_json_object(text: str) -> None:
    """What a model gives as arguments and nobody can read is kept as its text, however deep it is."""
    assert _object(text) is None


def test_a_truth_value_is_shown_nowhere() -> None:
    """It stands in many a text; and a number that is equal to it is another value."""
    assert untrusted([True], "Pay True 1 true") == ("to",)
    assert untrusted([True, 1], "Pay to 1") == ("to",)


@pytest.mark.parametrize("depth", [102, 300, 900, 5_000])
def test_an_error_that_looks_like_deep_json_is_a_text(depth: int) -> None:
    """A tool's error may quote anybody; what would be nested deeper than any result stays the text that it is."""
    asked = Message(role="assistant", calls=(ToolCall(id="1", name="pay", args={}),))
    text = "[" * depth + "]" * depth
    (done,) = finished_calls((asked, Message(role="tool", call="1", tool="pay", text=text, status="error")))

    assert done.value == text
