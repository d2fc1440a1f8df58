"""What a playbook refuses at load, and what it answers."""

import json

import pytest
from pydantic import BaseModel

from mainspring.core.canonical import Json
from mainspring.core.messages import Message, Status
from mainspring.core.playbook import Reply, Table, parse
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError, PolicyError


class Line(BaseModel):
    """A line of a test order."""

    price: int


class Box(BaseModel):
    """What the test tool gives: scalars, a list, a nested object and a float."""

    total: int
    weight: float
    lines: list[Line]
    first: Line
    label: str | None = None


def spec(name: str, arguments: dict[str, str], result: object = None, required: list[str] | None = None) -> ToolSpec:
    """A tool as a run carries it, without a function."""
    schema: dict[str, Json] = {
        "properties": {key: {"type": kind} for key, kind in arguments.items()},
        "required": list(required if required is not None else arguments),
    }
    return ToolSpec(name=name, description="d", input_schema=schema, result_schema=result, effect="read")


WEIGH = spec("weigh", {"box": "integer", "unit": "string"}, Box.model_json_schema(), required=["box"])
ASK = spec("ask_desk", {"request": "string"}, {"type": "string"})

HEAD = """\
languages:
  de: ['(?i)kiste']
  en: []
intents:
  weigh: ['(?i)weigh|wiege']
slots:
  box:
    type: integer
    patterns: ['(?i)(?:box|kiste) (\\w+)']
    question: {de: 'Welche Kiste?', en: 'Which box?'}
    several: {de: 'Welche: {found}?', en: 'Which of {found}?'}
  price:
    type: money
    patterns: ['EUR (\\S+)']
  colour:
    choices: {red: ['(?i)red|crimson'], blue: ['blue']}
    question: Which colour is it?
rows:
"""
LAST = "  - {id: last, when: true, hand_over: A person will read it.}\n"
ROWS = """\
  - {id: which, when: '!known.box', ask: box}
  - {id: weigh, when: '!called.weigh', call: weigh, args: {box: slots.box}}
  - id: heavy
    when: ok.weigh && weigh.total > 100
    answer: {de: 'Kostet {weigh.total|money_de}.', en: 'Costs {weigh.total|money}.'}
  - {id: no, when: denied.weigh, answer: 'No: {reason.weigh}'}
"""


def table(rows: str = ROWS, head: str = HEAD) -> Table:
    """The test playbook with these rows before the last one."""
    return Table(parse(head + rows + LAST, "p.yaml"), [WEIGH, ASK], None, "packer")


def said(*texts: str) -> list[Message]:
    """What the user said, in as many messages."""
    return [Message(role="user", text=text) for text in texts]


def ended(reply: Reply, result: object, status: Status = "ok") -> list[Message]:
    """The reply that asks for a call, and how the call ended."""
    (call,) = reply.calls
    answer = Message(role="tool", call=call.id, tool=call.name, text=json.dumps(result), status=status)
    return [Message(role="assistant", calls=reply.calls), answer]


def line_of(text: str, part: str) -> int:
    """The line `part` first stands in."""
    return text[: text.index(part)].count("\n") + 1


BOX = Box(total=124900, weight=2, lines=[Line(price=5)], first=Line(price=5)).model_dump(mode="json")

WRONG_FILES = {
    "rows: [": "not YAML",
    "- a": "a playbook is a mapping",
    "": "a playbook is a mapping",
    "rows: &a [*a]": "contains itself",
    "slots: {}": "has no 'rows'",
    "rows: []": "at least 1 item",
    "rwos: []\nrows: []": "Did you mean 'rows'?",
    f"source: x\nrows:\n{LAST}": "unknown key 'source'",
    f"rows:\n{LAST}rows: []": "'rows' is written twice",
    f"slots: {{a: {{question: A}}}}\nrows:\n{LAST}": "either 'patterns' or 'choices'",
    f"slots: {{a: {{patern: [x]}}}}\nrows:\n{LAST}": "Did you mean 'patterns'?",
    f"slots: {{a: {{patterns: ['(x'], question: A}}}}\nrows:\n{LAST}": "is not RE2: missing )",
    f"slots: {{a: {{patterns: ['x'], question: A}}}}\nrows:\n{LAST}": "exactly one group",
    f"intents: {{a: ['(?<=x)y']}}\nrows:\n{LAST}": "is not RE2",
    "rows:\n  - {id: a, when: 'false', hand_over: x}": "must have 'when: true'",
    "rows:\n  - {id: a, when: true, call: weigh}": "must have 'when: true' and answer",
}
WRONG_ROWS = {
    "{id: a, wehn: x, ask: box}": "Did you mean 'when'?",
    "{id: a, when: x}": "exactly one of 'ask', 'call', 'answer', 'hand_over'",
    "{id: a, when: x, ask: box, answer: x}": "exactly one of",
    "{id: a, when: 'true', answer: x, args: {b: c}}": "'args' belongs to 'call'",
    "{id: last, when: 'true', answer: x}": "a second row is called 'last'",
    "{id: a, when: 'true', ask: bx}": "unknown slot 'bx'. Did you mean 'box'?",
    "{id: a, when: 'true', ask: price}": "slot 'price' has no 'question'",
    "{id: a, when: known.bx, ask: box}": "undeclared reference to 'known.bx'",
    "{id: a, when: called.wiegh, ask: box}": "Did you mean 'called.weigh'?",
    "{id: a, when: weigh.totl > 1, ask: box}": "Did you mean 'weigh.total'?",
    "{id: a, when: !known.box , ask: box}": "Put it in quotes",
    "{id: a, when: slots.box, ask: box}": "gives INT, but must give bool",
    "{id: a, when: 'slots.box == \"x\"', ask: box}": "no matching overload",
    "{id: a, when: 'intent == \"wiegh\"', ask: box}": "'wiegh' is no value of 'intent'. Did you mean 'weigh'?",
    "{id: a, when: 'slots.colour == \"rd\"', ask: box}": "'rd' is no value of 'slots.colour'",
    "{id: a, when: 'true', call: wiegh}": "agent 'packer' has no tool 'wiegh'. Did you mean 'weigh'?",
    "{id: a, when: 'true', call: weigh, args: {bx: '1'}}": "'bx' is no argument of tool 'weigh'. Did you mean 'box'?",
    "{id: a, when: 'true', call: weigh, args: {unit: '\"g\"'}}": "'box' is missing",
    "{id: a, when: 'true', call: weigh, args: {box: text}}": "gives STRING, but must give int",
    "{id: a, when: 'true', answer: 'a {slots.bx}'}": "Did you mean 'slots.box'?",
    "{id: a, when: 'true', answer: 'a { b'}": "a single '{'",
    "{id: a, when: 'true', answer: '{slots.price|mony}'}": "unknown filter 'mony'. Did you mean 'money'?",
    "{id: a, when: 'true', answer: '{text|money}'}": "gives STRING, but must give int",
    "{id: a, when: 'true', answer: {en: x}}": "'de' is not",
}


class TestLoading:
    """A playbook that cannot work is refused with file, line and reason."""

    @pytest.mark.parametrize("text", WRONG_FILES)
    def test_wrong_file(self, text: str):
        """A file that is wrong by itself says what is wrong with it."""
        with pytest.raises(PolicyError) as caught:
            Table(parse(text, "p.yaml"), [WEIGH, ASK], None, "packer")

        assert WRONG_FILES[text] in caught.value.problem
        assert caught.value.source == "p.yaml"

    @pytest.mark.parametrize("row", WRONG_ROWS)
    def test_wrong_row(self, row: str):
        """A wrong row names the nearest known thing, and the line it stands in."""
        text = f"  - {row}\n"
        with pytest.raises(PolicyError) as caught:
            table(text)

        assert WRONG_ROWS[row] in caught.value.problem
        expected = {"ask: price": "  price:", "id: last": "- {id: last"}
        place = next((mark for part, mark in expected.items() if part in row), text)
        assert caught.value.line in (line_of(HEAD + text + LAST, place), (HEAD + text + LAST).count("\n"))

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            ("Just text", "give each of its fields"),
            ("{outcom: done, text: x}", "Did you mean 'outcome'?"),
            ("{outcome: done}", "'text' is missing"),
            ("{outcome: doen, text: x}", "'doen' is no value of this field. Did you mean 'done'?"),
            ("{outcome: done, text: x, boxes: '\"a\"'}", "gives STRING, but must give int"),
        ],
    )
    def test_result_type(self, answer: str, problem: str):
        """An answer must fill the agent's result type, with values that fit its fields."""
        rows = f"rows:\n  - {{id: a, when: 'false', answer: {answer}}}\n  - {{id: b, when: true, answer: {GOOD}}}\n"

        with pytest.raises(PolicyError, match=r"p\.yaml:2") as caught:
            Table(parse(rows, "p.yaml"), [], RESULT, "packer")
        assert problem in caught.value.problem

    def test_result_of_a_hand_over(self):
        """With a result type the file must say how a hand-over fills it."""
        with pytest.raises(PolicyError, match=r"'results\.hand_over' must say"):
            Table(parse(f"rows:\n{LAST}", "p.yaml"), [], RESULT, "packer")


GOOD = "{outcome: done, text: x}"
RESULT: dict[str, Json] = {
    "properties": {
        "outcome": {"enum": ["done", "failed"], "type": "string"},
        "text": {"type": "string"},
        "boxes": {"type": "integer"},
    },
    "required": ["outcome", "text"],
}


class TestReading:
    """What is understood of the user's words."""

    def test_missing_slot(self):
        """A slot nobody filled is asked for, in the user's language."""
        assert table().reply(said("weigh it")).text == "Which box?"
        assert table().reply(said("Wiege meine Kiste")).text == "Welche Kiste?"

    def test_disputed_slot(self):
        """Two different values in one message are both named in the question; the same twice is one."""
        assert table().reply(said("box 7 and box 8")).text == "Which of 7, 8?"
        assert table().reply(said("box 7, I repeat: box 7")).calls[0].args == {"box": 7}

    def test_newest_message_settles(self):
        """The answer to a question back decides what an earlier message left open."""
        assert table().reply(said("box 7 and box 8", "box 8 please")).calls[0].args == {"box": 8}

    def test_validated_type(self):
        """What is no integer does not fill an integer slot, however long it is."""
        assert table().reply(said("box seven")).text == "Which box?"
        assert table().reply(said("box " + "9" * 400)).text == "Which box?"

    @pytest.mark.parametrize(
        ("words", "cents"),
        [("89", 8900), ("89.5", 8950), ("89,00", 8900), ("1,249.00", 124900), ("1.249,00", 124900), ("5.000", 500000)],
    )
    def test_money(self, words: str, cents: int):
        """An amount becomes integer cents, with a point or a comma as people write it."""
        shown = table("  - {id: a, when: known.price, answer: '{slots.price}'}\n").reply(said(f"EUR {words}"))

        assert shown.text == str(cents)

    def test_choices_are_ordered(self):
        """A slot with choices takes the first that matches."""
        shown = table("  - {id: a, when: known.colour, answer: '{slots.colour}'}\n").reply(said("blue or crimson"))

        assert shown.text == "red"

    def test_intent(self):
        """The intent is the first with a matching pattern, else 'other'."""
        rows = "  - {id: a, when: 'true', answer: '{intent}'}\n"

        assert [table(rows).reply(said(t)).text for t in ("Weigh it", "hello")] == ["weigh", "other"]

    def test_hostile_text(self):
        """A pattern with nested repetition reads a long hostile text in linear time."""
        head = HEAD.replace("'(?i)weigh|wiege'", "'(a+)+$'")

        assert table(head=head).reply(said("a" * 50_000 + "!")).text == "Which box?"


class TestReplying:
    """The first row whose condition is true acts."""

    def test_call(self):
        """A call row asks for its tool, and says why without any value of the conversation."""
        reply = table().reply(said("weigh box 4711"))

        assert (reply.text, reply.calls[0].name, reply.calls[0].args) == ("", "weigh", {"box": 4711})
        assert reply.why == ("row 'weigh': call weigh", "intent 'weigh'", "filled: box")
        assert "4711" not in " ".join(reply.why)

    def test_answer(self):
        """A template shows a tool's result; an amount is written as the template's language does."""
        for words, text in (("box 7", "Costs 1,249.00."), ("Kiste 7", "Kostet 1.249,00.")):
            thread = said(words)
            thread += ended(table().reply(thread), BOX)

            assert table().reply(thread).text == text

    def test_denied(self):
        """A denial is told apart from an error, and its reason is at hand."""
        asked = table().reply(said("box 7"))

        assert table().reply(said("box 7") + ended(asked, "too late", "denied")).text == "No: too late"
        assert table().reply(said("box 7") + ended(asked, "too late", "error")).text == "A person will read it."

    def test_newest_call_counts(self):
        """`ok`, `failed` and the result are those of the newest call and the newest good result."""
        rows = "  - {id: again, when: turn < 2, call: weigh, args: {box: '1'}}\n"
        rows += "  - {id: a, when: failed.weigh && !ok.weigh, answer: '{reason.weigh} {weigh.total}'}\n"
        thread = said("x")
        thread += ended(table(rows).reply(thread), BOX)
        thread += ended(table(rows).reply(thread), "broken", "error")

        assert table(rows).reply(thread).text == "broken 124900"

    @pytest.mark.parametrize(
        "condition",
        ["weigh.first.price == 5", "weigh.lines[0].price == 5", "weigh.weight + 1.5 == 3.5", "weigh.label == null"],
    )
    def test_result_shapes(self, condition: str):
        """Nested objects, lists, numbers and absent values of a result can be asked about."""
        asked = table().reply(said("box 7"))
        rows = f"  - {{id: a, when: '{condition}', answer: yes}}\n"

        assert table(rows).reply(said("box 7") + ended(asked, BOX)).text == "yes"

    def test_result_that_is_no_object(self):
        """A tool that gives plain text, such as another agent, is read as `T.value`."""
        rows = "  - {id: a, when: '!called.ask_desk', call: ask_desk, args: {request: text}}\n"
        rows += "  - {id: b, when: 'ask_desk.value.contains(\"lost\")', answer: gone}\n"
        thread = said("x")
        thread += ended(table(rows).reply(thread), "it is lost")

        assert table(rows).reply(thread).text == "gone"

    def test_recalled(self):
        """Notes before the first reply are memory; a later one, which asks for a repair, is not."""
        rows = "  - {id: a, when: 'true', answer: '<{recalled}>'}\n"
        notes = [Message(role="note", text="knows boxes"), *said("x"), Message(role="assistant", text="y")]

        assert table(rows).reply([*notes, Message(role="note", text="repair")]).text == "<knows boxes>"

    def test_braces(self):
        """Two braces stand for one."""
        assert table("  - {id: a, when: 'true', answer: 'a {{b}}'}\n").reply(said("x")).text == "a {b}"

    def test_result_type(self):
        """With a result type the reply is its JSON object, also for a question and a hand-over."""
        text = HEAD.replace("rows:", "results: {ask: {outcome: failed, text: '<{message}>', boxes: turn + 1}}\nrows:")
        rows = text + f"  - {{id: a, when: '!known.box', ask: box}}\n  - {{id: b, when: true, answer: {GOOD}}}\n"
        typed = Table(parse(rows, "p.yaml"), [], RESULT, "packer")

        assert json.loads(typed.reply(said("x")).text) == {"outcome": "failed", "text": "<Which box?>", "boxes": 1}
        assert json.loads(typed.reply(said("box 1")).text) == {"outcome": "done", "text": "x"}

    @pytest.mark.parametrize("condition", ["weigh.total > 1", "slots.box > 1", "1 / turn > 1", "text.matches(text)"])
    def test_run_time_error(self, condition: str):
        """A row that cannot be evaluated names itself and the cause, never what was said."""
        with pytest.raises(ModelError, match=r"row 'a' of the playbook 'p\.yaml'") as caught:
            table(f"  - {{id: a, when: '{condition}', answer: x}}\n").reply(said("(secret"))

        assert not caught.value.retryable
        assert "secret" not in str(caught.value)

    def test_same_thread_same_reply(self):
        """Two tables of one file give equal replies."""
        assert table().reply(said("weigh box 7")) == table().reply(said("weigh box 7"))
