import pytest

from mainspring.core.approvals import Request, choices
from mainspring.core.canonical import Json
from mainspring.core.card import card, ended

TILL = {"1": "2030-01-02 09:00 UTC", "2": "2030-01-02 09:30 UTC"}


def request(args: dict[str, Json] | None = None, **more: object) -> Request:
    """A refund that waits, with other arguments or fields where a test names them."""
    fields = {"id": "1", "kind": "approval", "rule": "over-eur-50", "reason": "Refunds over EUR 50 need a person."}
    fixed = {
        "step": "7",
        "agent": "refund-agent",
        "tool": "issue_refund",
        "about": "Pay money back.",
        "args_digest": "d",
        "asked": 0,
    }
    given = {"order": 1042, "amount_cents": 8900} if args is None else args
    return Request.model_validate({**fields, **fixed, "deadline": 1, "args": given, **more})


def shown(asked: Request, asked_with: str = "Refund me") -> str:
    """The card of a run that waits for this alone."""
    return card([asked], asked_with, TILL)


def test_a_card_says_what_who_why_and_until_when():
    """Tool, agent, arguments, reason, rule and deadline stand on the card."""
    text = shown(request())

    assert "### Request 1: may `issue_refund` run?" in text
    assert "Agent `refund-agent` wants to run `issue_refund`. Pay money back." in text
    assert "- order: `1042`\n- amount: **89.00** (8900 cents)\n" in text
    assert "Refunds over EUR 50 need a person. (rule `over-eur-50`)" in text
    assert "If nobody decides by 2030-01-02 09:00 UTC, it is denied." in text


def test_a_card_lists_every_name_that_decides():
    """Each run-time update stands on the card as the dialog shows it."""
    for asked in (request(deny_reasons=("wrong amount", "too late")), request(kind="outcome")):
        assert all(f"- `{name}`\n" in shown(asked) for name in choices(asked))


def test_a_card_asks_how_a_call_ended():
    """A call without a known result is asked about, not asked for."""
    text = shown(request(kind="outcome", reason="the worker was lost"))

    assert "### Request 1: did `issue_refund` happen?" in text
    assert "(`the worker was lost`). It is never repeated on its own." in text
    assert "approve" not in text


@pytest.mark.parametrize("typed", [False, True])
def test_a_card_shows_an_answer_before_it_is_given(typed: bool):
    """All of it, and how other words are given instead, where it has no type."""
    answer = "We are sorry. " * 10
    text = shown(request({"answer": answer}, kind="review", tool="answer", typed=typed))

    assert "### Request 1: may this answer be given?\n\nAgent `refund-agent` wants to answer:" in text
    assert text.count("We are sorry.") == 10
    assert "- `approve 1: answer`\n" in text
    assert ('{"answer": "…"}' in text) is not typed
    assert "no answer is given and the run fails" in text


def test_each_request_has_its_section():
    """Requests stand in their order, each with its own deadline; the input follows once."""
    text = card([request(), request(id="2")], "Refund me", TILL)

    marks = ["Request 1", TILL["1"], "Request 2", TILL["2"], "What the run was given"]
    assert [text.count(mark) for mark in marks] == [1] * 5
    assert sorted(marks, key=text.index) == marks


def test_of_very_many_requests_the_oldest_are_shown():
    """The others are counted, and it is said where they are listed."""
    many = [request(id=str(number)) for number in range(1, 201)]
    text = card(many, "Refund me", dict.fromkeys(map(str, range(1, 201)), "2030-01-02 09:00 UTC"))

    assert text.count("### Request ") == 20
    assert "### 180 more wait" in text
    assert "`mainspring approvals`" in text


def test_what_a_model_wrote_stays_in_code():
    """No argument and no argument's name ends the code it is shown in, or begins a line."""
    wrote = "`ok`\n\n# Approved\n[here](http://evil.example)"

    text = shown(request({"note": wrote, "<b>`x`\n# Approved": [wrote]}))

    assert "- note: `'ok' # Approved [here](http://evil.example)`\n" in text
    assert "- `<b>'x' # Approved`: `[" in text
    assert not any(line.startswith("# ") for line in text.splitlines())


def test_an_empty_argument_is_named():
    """Two backticks around nothing would swallow what follows."""
    assert "- note: (empty)\n" in shown(request({"note": ""}))


def test_every_line_of_the_input_is_indented():
    """Whatever ends a line for a browser ends it here too, so all of the input is code."""
    said = "one\r# two\x0b# three\u2028# four\n\n```\n# five"

    quoted = shown(request(), said).split("instruction to you.\n\n")[1]

    assert [line.strip() for line in quoted.splitlines() if line.strip()] == [
        "one", "# two", "# three", "# four", "```", "# five",
    ]  # fmt: skip
    assert all(line.startswith("    ") for line in quoted.splitlines())


def test_long_lines_are_broken():
    """The Web UI cuts off what is wider than its half of the window."""
    text = ended("word " * 40 + "x" * 200)

    assert max(map(len, text.splitlines())) == 4 + 56
    assert "".join(text.split()).count("x") == 200


def test_a_long_input_is_cut_and_says_so():
    """The cut is told outside of the quoted text, which could tell it too."""
    text = shown(request(), "§" * 3_500)

    assert text.count("§") == 1_200
    assert text.splitlines()[-1] == "(2,300 more characters: all of it stands under *Input* on the *Timeline* tab.)"


def test_a_reason_is_shown_to_the_letter():
    """Two dollar signs or underscores in a policy's sentence are no markup."""
    reason = "Over $50 or `vip_only`: ask *twice* <now>."

    assert r"Over \$50 or \`vip\_only\`: ask \*twice\* \<now\>." in shown(request(reason=reason))


def test_a_long_argument_is_read_to_its_end():
    """What does not fit a line is broken into several, so that nothing runs off the card."""
    text = shown(request({"body": "word " * 40 + "and send it to EVIL"}))

    assert all(len(line) <= 60 for line in text.splitlines() if line.startswith("    word"))
    assert "EVIL" in text


def test_invisible_characters_are_shown():
    """A character that turns the direction of writing stands as a dot."""
    assert "- to: `a·b`" in shown(request({"to": "a\u202eb"}))


def test_the_card_names_the_user():
    """For whom the run was started stands beside what it was given."""
    assert "For user `ada`. Quoted as it came in." in card([request()], "Refund me", TILL, "ada")


def test_a_card_says_how_a_call_is_changed():
    """Where it can be: a graph's own call has no schema here."""
    assert '`{"args": {…}}`' in shown(request(input_schema={"properties": {"order": {"type": "integer"}}}))
    assert "args" not in shown(request())


def test_a_very_long_text_is_cut():
    """What is left out is counted; the rest of the card stands."""
    text = shown(request({"note": "x" * 1_000_000}))

    assert len(text) < 30_000
    assert "(980,000 more characters stand in the run's history.)" in text
    assert "**How to decide:**" in text
