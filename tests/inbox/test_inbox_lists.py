"""The lists: what waits over all runs, with filters, and what was decided."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from agents.refund_desk import refund_agent
from mainspring.core.approvals import Identity, Vote
from mainspring.core.routes import Delegation, People
from mainspring.errors import PayloadError
from mainspring.inbox.pages import Desk
from mainspring.inbox.people import Local, Person
from mainspring.inbox.waiting import Filter, Waiting
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from tests.inbox.asked import NOW, ROUTE, asked
from tests.inbox.conftest import Ask, local
from tests.inbox.visitor import Visitor, visiting, words

TICKET = "My grinder, order 1042, arrived broken. I paid EUR 89.00 and would like a refund."
DONE = say({"outcome": "informed", "text": "That is settled."})
REFUND = (call("find_order", order=1042), call("issue_refund", order=1042, amount_cents=8900, reason="damaged"))


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of its own for each test."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))


async def until(read: Callable[[], Awaitable[httpx.Response]], text: str) -> httpx.Response:
    """The page, once it says this: the server's index is a moment behind."""
    for _ in range(60):
        page = await read()
        if text in page.text:
            return page
    raise AssertionError(f"{text!r} never came: {words(page)[:2000]}")


async def test_what_waits_is_listed_and_filtered(ada: Visitor, ask: Ask):
    """Each request of each run is listed with its deadline, and filters leave those that fit."""
    run = await ask(asked(), asked(2, tool="send_email", agent="mail-agent", deadline=NOW + 600))

    every = await until(lambda: ada.open("/"), run.id)
    mail = await ada.open("/?tool=send_email")
    others = await ada.open("/?tool=send_email&agent=refund-agent")
    soon = await ada.open("/?soon=yes")

    assert every.text.index(f"/{run.id}/2") < every.text.index(f"/{run.id}/1")
    assert f"{run.id} , request 1" in words(every)
    assert "then it is denied" in words(every)
    assert "send_email" in mail.text
    assert f"/{run.id}/1" not in mail.text
    assert f"/{run.id}/" not in others.text
    assert f"/{run.id}/2" in soon.text
    assert f"/{run.id}/1" not in soon.text


async def test_a_run_whose_worker_is_gone_is_listed(mainspring: Bench, ada: Visitor, monkeypatch: pytest.MonkeyPatch):
    """A run that cannot say what it asks is there all the same, and says why."""
    from mainspring.inbox import waiting

    monkeypatch.setattr(waiting, "ANSWERS_WITHIN", 0.5)
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()
    await mainspring.close()

    page = await until(lambda: ada.open("/"), run.handle.id)
    card = await ada.open(f"/requests/default/{run.handle.id}/1")
    await run.handle.terminate()

    assert "no worker answers" in words(page)
    assert card.status_code == 503
    assert "No worker answers for this run" in words(card)


async def test_the_list_goes_on(mainspring: Bench, ask: Ask, monkeypatch: pytest.MonkeyPatch):
    """A long list has a page that follows, and together they have every run once."""
    from mainspring.inbox import waiting

    monkeypatch.setattr(waiting, "_PAGE", 2)
    runs = {(await ask(asked(tool="many"))).id for _ in range(3)}
    found: list[str] = []

    async with visiting(local(mainspring.client)) as ada:
        for _ in range(60):
            path, found = "/?tool=many", []
            while path:
                page = await ada.open(path)
                found += [run for run in runs if run in page.text]
                onwards = page.text.partition("Go on")[0].rpartition('href="')[2].partition('"')[0]
                path = onwards.replace("&amp;", "&") if "Go on" in page.text else ""
            if len(found) == 3:
                break

    assert sorted(found) == sorted(runs)


async def test_decisions_are_read_from_histories(mainspring: Bench, ada: Visitor):
    """Who decided, how that is known, when, why and what they changed stand in the list of decisions."""
    mainspring.client.service_client.config.identity = "mainspring-inbox:ada@example.com"
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    (request,) = await run.waiting()
    await run.approve(request, "it is the wrong one", args={"reason": "wrong_item"})
    await run.result()

    page = await until(lambda: ada.open(f"/decisions?run={run.handle.id}"), "issue_refund")

    said = words(page)
    for each in ("approve", "claimed: mainspring-inbox:ada@example.com", "it is the wrong one", "1 changed: reason"):
        assert each in said, each
    assert "<del>damaged</del> → <ins>wrong_item</ins>" in page.text


async def test_plain_words_of_the_web_ui_are_in_the_list(mainspring: Bench, ada: Visitor):
    """A reason in quotes, in the place of a form, is what was said."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()
    await run.update("deny 1: in your own words", "The photo shows another order.")
    await run.result()

    page = await until(lambda: ada.open(f"/decisions?run={run.handle.id}"), "issue_refund")

    assert "The photo shows another order." in words(page)


async def test_a_query_is_not_written_by_visitors(ada: Visitor, ask: Ask):
    """A run's name that would end a query's text finds nothing."""
    run = await ask(asked())
    await until(lambda: ada.open("/"), run.id)

    page = await ada.open("/decisions?run=x' OR WorkflowId != '")

    assert page.status_code == 200
    assert "Read from the histories of 0 runs" in words(page)


@pytest.mark.parametrize("page", ["%00", "x", "AAAA", "=%C3%A9"])
async def test_a_made_up_place_in_the_list_is_answered_in_words(
    ada: Visitor, page: str, monkeypatch: pytest.MonkeyPatch
):
    """An address with a page that never was is the first page, or an error in words."""
    from mainspring.inbox import waiting

    monkeypatch.setattr(waiting, "_LISTS_WITHIN", 0.5)
    answer = await ada.open(f"/?page={page}")

    assert answer.status_code in (200, 502)


async def test_for_me_means_my_names_and_that_i_have_not_voted(mainspring: Bench):
    """A request is somebody's by name, role, group, or for whom they stand in, until they have said something."""
    people = People(
        groups={"finance": ("farah@example.com",)},
        delegations=(Delegation(giver="cy@example.com", taker="dee@example.com", until="2099-12-31"),),
    )
    desk = Desk(mainspring.client, Local("ada"), url="", session=1.0, people={"refund-agent": people})
    routed = asked(route=ROUTE)
    voted = routed.model_copy(update={"votes": (Vote(identity=Identity(person="cy@example.com"), choice="approve"),)})
    escalated = routed.model_copy(update={"stage": "escalated"})

    assert desk.is_for(Person("ada"), asked())
    assert not desk.is_for(Person("ada", ("finance",)), routed)
    assert desk.is_for(Person("ada", ("finance",)), routed.model_copy(update={"agent": "another"}))
    assert desk.is_for(Person("Cy@example.com"), routed)
    assert desk.is_for(Person("farah@example.com"), routed)
    assert desk.is_for(Person("dee@example.com"), routed)
    assert not desk.is_for(Person("farah@example.com"), routed.model_copy(update={"agent": "another"}))
    assert not desk.is_for(Person("finance"), routed)
    assert not desk.is_for(Person("ada", ("managers",)), routed)
    assert desk.is_for(Person("ada", ("managers",)), escalated)
    assert not desk.is_for(Person("cy@example.com", ("finance",)), voted)


def test_a_run_that_does_not_answer_fits_every_filter():
    """Nobody knows what it asks, so no filter hides it."""
    assert Filter(tool="x", mine=lambda _: False, soon=True).fits(Waiting("run", "id", "agent"), NOW)


async def test_a_run_whose_payloads_are_elsewhere_is_counted(
    mainspring: Bench, ada: Visitor, monkeypatch: pytest.MonkeyPatch
):
    """It hides no decision of other runs, and the page says that it cannot be read."""
    from mainspring.inbox import decided

    async def elsewhere(*_: object) -> None:
        raise PayloadError("it is not there")

    monkeypatch.setattr(decided, "read_decisions", elsewhere)
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.deny((await run.waiting())[0])
    await run.result()

    page = await until(lambda: ada.open(f"/decisions?run={run.handle.id}"), "of them cannot be read here")
    assert page.status_code == 200
