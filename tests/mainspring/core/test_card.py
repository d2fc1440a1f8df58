import pytest

from mainspring.core.approvals import Identity, Request, Vote, choices
from mainspring.core.canonical import Json
from mainspring.core.card import Place, card, ended
from mainspring.core.routes import Route

NINE = 1893574800.0
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
    return Request.model_validate({**fields, **fixed, "deadline": NINE, "args": given, **more})


def shown(asked: Request, asked_with: str = "Refund me") -> str:
    """The card of a run that waits for this alone."""
    return card([asked], asked_with)


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
    """All of it, and how another is given instead."""
    answer = "We are sorry. " * 10
    text = shown(request({"answer": answer}, kind="review", tool="answer", typed=typed))

    assert "### Request 1: may this answer be given?\n\nAgent `refund-agent` wants to answer:" in text
    assert text.count("We are sorry.") == 10
    assert "- `approve 1: answer`\n" in text
    assert ("of its type is given instead" in text) is typed
    assert "no answer is given and the run fails" in text


ROUTE = Route(
    id="large",
    each=("finance", "risk"),
    verified=True,
    remind=1,
    escalate=2,
    to=("managers",),
    deadline=3,
    then="hand over",
    hand_to=("board",),
)


def test_a_card_says_who_decides_and_how_where_it_matters():
    """No button of the Web UI, which knows nobody; the moments, who agreed, and what they made of it."""
    agreed = Vote(identity=Identity(person="ada@example.com", how="verified", by="keys"), choice="approve")
    more = {"remind": NINE - 7200, "escalate": NINE - 3600, "votes": (agreed,), "proposed": {"order": 1042}}
    text = card([request(route=ROUTE, **more)], "", place=Place("default", "run/1", "https://inbox.example.com/"))

    assert (
        "**Who decides:** one of each of finance, risk (verified). `verified: ada@example.com via keys`: appr" in text
    )
    assert "Changed by whoever agreed: `amount_cents: null → 8900`." in text
    assert "Reminder: 2030-01-02 07:00 UTC. Escalated to managers: 2030-01-02 08:00 UTC." in text
    assert "[in the inbox](https://inbox.example.com/requests/default/run%2F1/1), or with `mainspring appr" in text
    assert "If nobody decides by 2030-01-02 09:00 UTC, it is handed over to board." in text
    assert "More Actions" not in text


@pytest.mark.parametrize(
    ("then", "said"),
    [("approve", "it is approved"), ("playbook", "the agent goes on by its playbook"), ("deny", "it is denied")],
)
def test_a_card_says_what_the_deadline_brings(then: str, said: str):
    """As the route has it."""
    assert f"If nobody decides by {TILL['1']}, {said}." in shown(
        request(route=Route.model_validate({"id": "r", "then": then}))
    )


def test_a_card_asks_what_an_agent_wants_to_know():
    """The choices are counted as the updates' names count them, which hold no words of the agent's."""
    asked = request(
        {"question": "Which # one?", "choices": ["Ada"]}, kind="question", tool="ask_human", choices=("Ada",)
    )

    assert "Agent `refund-agent` asks you:\n\n    Which # one?\n\n- choice 1: `Ada`\n" in shown(asked)
    assert "- `answer 1: choice 1`\n" in shown(asked)
    assert not any("Ada" in name for name in choices(asked))


def test_each_request_has_its_section():
    """Requests stand in their order, each with its own deadline; the input follows once."""
    text = card([request(), request(id="2", deadline=NINE + 1800)], "Refund me")

    marks = ["Request 1", TILL["1"], "Request 2", TILL["2"], "What the run was given"]
    assert [text.count(mark) for mark in marks] == [1] * 5
    assert sorted(marks, key=text.index) == marks


def test_of_very_many_requests_the_oldest_are_shown():
    """The others are counted, and it is said where they are listed."""
    many = [request(id=str(number)) for number in range(1, 201)]
    text = card(many, "Refund me")

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
    assert "For user `ada`. Quoted as it came in." in card([request()], "Refund me", "ada")


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
