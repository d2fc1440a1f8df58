"""Decisions taken in the inbox, on real runs and on runs that ask what a test wants."""

import asyncio
from pathlib import Path

import pytest

from agents.refund_desk import refund_agent
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from tests.inbox.asked import ROUTE, SCHEMA, asked
from tests.inbox.conftest import Ask, local
from tests.inbox.visitor import Visitor, hidden, visiting, words
from tools.shop import refunds

TICKET = "My grinder, order 1042, arrived broken. I paid EUR 89.00 and would like a refund."
DONE = say({"outcome": "informed", "text": "That is settled."})
REFUND = (call("find_order", order=1042), call("issue_refund", order=1042, amount_cents=8900, reason="damaged"))


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of its own for each test."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))


def paid() -> list[int]:
    """What was paid back for the order, in cents."""
    return [each.amount_cents for each in refunds() if each.order == 1042]


async def test_the_page_shows_what_led_to_a_request(mainspring: Bench, ada: Visitor):
    """What the customer wrote, what the tools gave, the rule and its reason, and what was used stand on one page."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()

    page = await ada.open(f"/requests/default/{run.handle.id}/1")

    await run.handle.terminate()
    said = words(page)
    for each in (
        TICKET,
        "&#34;total_cents&#34;: 8900",
        "find_order gave",
        "Refunds over EUR 50 need a person.",
        "policies/refund_desk.yaml",
        "89.00 (8900 cents)",
        "then it is denied",
        "2 model and 1 tool call",
    ):
        assert each in said, each


async def test_an_approval_runs_the_call(mainspring: Bench, ada: Visitor):
    """Approved in the inbox, the refund is paid; the page says what was recorded."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()

    page = await ada.open(f"/requests/default/{run.handle.id}/1")
    after = await ada.press(page, "approve", comment="checked with the shop")
    await run.result()

    assert after.status_code == 200
    assert "Request 1 (issue_refund): approve. Recorded." in words(after)
    assert paid() == [8900]


async def test_a_change_is_looked_at_before_it_is_sent(mainspring: Bench, ada: Visitor):
    """An edited argument shows old and new first, with nothing sent; confirmed, the call runs with it."""
    model = ScriptedModel(*REFUND, DONE)
    run = await mainspring.start(refund_agent, TICKET, model=model)
    await run.waiting()

    page = await ada.open(f"/requests/default/{run.handle.id}/1")
    look = await ada.press(page, "approve", arg__reason="wrong_item", comment="it is the wrong one")
    waits = len(await run.waiting())
    typed = {name: text for name, text in hidden(look).items() if name in ("arg.reason", "comment")}
    after = await ada.press(look, "approve changed")
    await run.result()

    assert "Check what you change" in look.text
    assert "<del>damaged</del> → <ins>wrong_item</ins>" in look.text
    assert waits == 1
    assert typed == {"arg.reason": "wrong_item", "comment": "it is the wrong one"}
    assert "changed (reason: &#34;damaged&#34; → &#34;wrong_item&#34;)" in words(after)
    assert model.requests[-1].messages[-2].args == {"order": 1042, "amount_cents": 8900, "reason": "wrong_item"}


async def test_a_value_that_does_not_fit_is_not_sent(ask: Ask, ada: Visitor):
    """What does not fit the tool is said beside its field, and everything typed is still there."""
    run = await ask(asked(input_schema=SCHEMA))

    page = await ada.open(f"/requests/default/{run.id}/1")
    again = await ada.press(page, "approve", arg__amount_cents="ninety", comment="my comment")

    assert again.status_code == 422
    assert "is no whole number, such as 4000." in words(again)
    assert 'value="ninety"' in again.text
    assert "my comment</textarea>" in again.text
    assert await run.query("forms") == []


async def test_the_model_reads_the_reason_of_a_denial(mainspring: Bench, ada: Visitor):
    """A listed reason is one click, one's own is typed; the agent is told it word for word."""
    model = ScriptedModel(*REFUND, DONE)
    run = await mainspring.start(refund_agent, TICKET, model=model)
    await run.waiting()

    page = await ada.open(f"/requests/default/{run.handle.id}/1")
    empty = await ada.press(page, "deny")
    await ada.press(empty, "deny", reason="1")
    await run.result()

    assert "Say why: pick a reason, or write one." in words(empty)
    answer = model.requests[-1].messages[-1]
    assert (answer.status, answer.text) == ("denied", "not enough evidence")


async def test_who_comes_second_reads_who_won(mainspring: Bench, ada: Visitor):
    """Of two people at once the second changes nothing, reads who decided, and gets back what they typed."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()
    mainspring.client.service_client.config.identity = "mainspring-inbox:bo@example.com"

    mine = await ada.open(f"/requests/default/{run.handle.id}/1")
    theirs = await ada.open(f"/requests/default/{run.handle.id}/1")
    await ada.press(theirs, "deny", reason="2")
    late = await ada.press(mine, "approve", comment="so carefully written")
    await run.result()

    assert late.status_code == 409
    assert "claimed: mainspring-inbox:bo@example.com" in words(late)
    assert "wrong amount" in words(late)
    assert "so carefully written" in words(late)
    assert paid() == []


async def test_a_form_that_is_sent_twice_counts_once(ask: Ask, ada: Visitor):
    """A double click is one vote, and both pages say that it was recorded."""
    run = await ask(asked(route=ROUTE))

    page = await ada.open(f"/requests/default/{run.id}/1")
    first, second = await ada.press(page, "approve"), await ada.press(page, "approve")

    assert "1 of 2 have agreed" in words(first)
    assert words(first) == words(second)
    assert len(await run.query("forms")) == 1


async def test_a_refusal_is_shown_with_nothing_lost(ask: Ask, ada: Visitor):
    """The sentence of a refused update stands on the same page, with every field as it was."""
    run = await ask(asked(input_schema=SCHEMA))

    page = await ada.open(f"/requests/default/{run.id}/1")
    look = await ada.press(page, "approve", arg__reason="other", comment="refuse me", own="a draft")
    again = await ada.press(look, "approve changed", comment="refuse me", own="a draft", arg__reason="other")

    assert again.status_code == 409
    assert "This is refused, since a test says so." in words(again)
    assert '<option value="other" selected>' in again.text
    assert "a draft</textarea>" in again.text


async def test_a_request_that_is_another_now_is_not_decided(ask: Ask, ada: Visitor):
    """A page that shows other arguments than the run now asks about decides nothing."""
    run = await ask(asked())

    page = await ada.open(f"/requests/default/{run.id}/1")
    again = await ada.press(page, "approve", seen="digest-9-1.000")

    assert again.status_code == 409
    assert "This is not the request that you had before you." in words(again)
    assert await run.query("forms") == []


@pytest.mark.parametrize(
    ("about", "do", "typed", "update", "form"),
    [
        ({"kind": "outcome"}, "outcome", {"outcome": "not-happened"}, "answer", {"outcome": "not-happened"}),
        (
            {"kind": "question", "choices": ("send it again", "pay it back")},
            "answer",
            {"choice": "2"},
            "answer",
            {"answer": "pay it back"},
        ),
        ({"kind": "question"}, "answer", {"own answer": "ask the shop"}, "answer", {"answer": "ask the shop"}),
        ({}, "deny", {"own": "he is known", "stop": "yes"}, "deny", {"comment": "he is known", "stop": True}),
        (
            {},
            "deny",
            {"reason": "2", "own": "EUR 40 were agreed"},
            "deny",
            {"comment": "wrong amount. EUR 40 were agreed"},
        ),
        (
            {"kind": "review", "tool": "answer", "args": {"answer": "Soon."}},
            "approve changed",
            {"other": "On Monday."},
            "approve",
            {"answer": "On Monday."},
        ),
    ],
)
async def test_each_kind_of_request_has_its_form(  # noqa: PLR0917 - the parts of a case
    ask: Ask, ada: Visitor, about: dict, do: str, typed: dict, update: str, form: dict
):
    """What is asked, answered or put otherwise goes to the run in the form of its update."""
    run = await ask(asked(**about))

    page = await ada.open(f"/requests/default/{run.id}/1")
    after = await ada.press(page, do, **typed)

    assert after.status_code == 200, words(after)
    assert await run.result() == [[update, {"request": "1", **form}]]


async def test_fifty_people_decide_fifty_requests_at_once(ask: Ask, mainspring: Bench):
    """Nobody reads an error, and each run gets its one decision."""
    runs = [await ask(asked()) for _ in range(50)]
    app = local(mainspring.client)

    async def decide(number: int) -> int:
        async with visiting(app) as person:
            page = await person.open(f"/requests/default/{runs[number].id}/1")
            return (await person.press(page, "approve", comment=f"by person {number}")).status_code

    assert set(await asyncio.gather(*map(decide, range(50)))) == {200}
    forms = await asyncio.gather(*(run.result() for run in runs))
    assert [form["comment"] for ((_, form),) in forms] == [f"by person {number}" for number in range(50)]
