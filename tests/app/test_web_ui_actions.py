"""What may be typed into the stock Temporal Web UI, and what it says to who has to be known. In a real browser."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from agents.refund_desk import refund_agent
from mainspring import Agent
from mainspring.devserver import DevServer
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, say
from mainspring.testing.bench import Bench, TestRun
from tests.app.test_web_ui import DONE, TICKET, paid, refund
from tests.app.web_ui import CHROMIUM, Raw, WebUI, chromium, keep
from tools.shop import find_order, issue_refund

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[BrowserContext]:
    """One browser for this file."""
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="session")
async def ui(
    browser: BrowserContext, temporal_server: DevServer, request: pytest.FixtureRequest
) -> AsyncIterator[WebUI]:
    """A browser page of its own for each test, whose end is kept as a picture."""
    async with await browser.new_page() as page:
        yield WebUI(page, temporal_server.ui_url)
        await keep(page, f"web-ui-{request.node.name.removeprefix('test_')}")


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of its own for each test."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))


async def waiting(mainspring: Bench) -> tuple[TestRun, ScriptedModel]:
    """A run that waits for leave to pay back."""
    model = ScriptedModel(*refund(1042, 8900), DONE)
    run = await mainspring.start(refund_agent, TICKET, model=model)
    await run.waiting()
    return run, model


async def test_a_reason_of_ones_own_is_one_text_in_quotes(mainspring: Bench, ui: WebUI):
    """Without it, the dialog says how."""
    run, model = await waiting(mainspring)
    await ui.open_run(run.handle.id)
    dialog = await ui.choose_update("deny 1: in your own words")
    await ui.submit(dialog)
    said = dialog.get_by_role("alert").filter(has_text="reason")
    await expect(said).to_have_text('Put your reason into Data, in quotes: "The photo shows another order."')
    await ui.fill(dialog, "The photo shows a kettle.")
    await ui.submit(dialog)
    await run.result()

    assert [action for action in ui.actions if action.startswith("type ")] == ["type The photo shows a kettle."]
    assert model.requests[-1].messages[-1].text == "The photo shows a kettle."
    assert paid(1042) == []


async def test_an_edit_is_json(mainspring: Bench, ui: WebUI):
    """What is no JSON is not sent, what does not fit is refused in a sentence, and nothing typed is lost."""
    run, _ = await waiting(mainspring)
    await ui.open_run(run.handle.id)
    dialog = await ui.choose_update("approve 1: issue_refund")
    await ui.fill(dialog, Raw('{"args": {"amount_cents": 4'))
    await ui.submit(dialog)
    await expect(dialog).to_be_visible()
    assert len(await run.waiting()) == 1

    await ui.fill(dialog, {"args": {"amount_cents": "much"}})
    await ui.submit(dialog)
    said = dialog.get_by_role("alert").filter(has_text="issue_refund")
    why = "issue_refund cannot be called so: amount_cents: 'much' is not of type 'integer'."
    await expect(said).to_have_text(why)
    await expect(dialog.get_by_role("textbox", name="Data")).to_contain_text("much")

    await ui.fill(dialog, {"args": {"amount_cents": 4900}})
    await ui.submit(dialog)
    await run.result()
    await expect(dialog).to_be_hidden()


async def test_who_has_to_be_known_is_told_where(mainspring: Bench, ui: WebUI, tmp_path: Path):
    """The page says nothing of who clicks: the card and the refusal both name the inbox and the command that do."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        "approvals:\n  routes:\n    - {id: known, tool: issue_refund, who: [finance], verified: true}\n"
        'rules:\n  - {id: all, point: tool_call, tool: issue_refund, when: "true", verdict: ask, reason: Look at it.}\n'
    )
    agent = Agent("payer", instructions="Pay back.", tools=[find_order, issue_refund], rules=path)
    settings = mainspring.settings(model="test:model").model_copy(update={"inbox_url": "https://inbox.example.com"})
    model = ScriptedModel(*refund(1042, 8900), say("Done."))
    await mainspring.work(Project(agent, models={"test:model": model}), settings)
    run = await mainspring.submit("payer", TICKET, settings.task_queue)
    await run.waiting()

    await ui.open_run(run.handle.id)
    card = await ui.card()
    await expect(card).to_contain_text("Who decides: one of finance, verified.")
    link = f"https://inbox.example.com/requests/default/{run.handle.id}/1"
    await expect(card.get_by_role("link", name="in the inbox")).to_have_attribute("href", link)
    dialog = await ui.choose_update("approve 1: issue_refund")
    await ui.submit(dialog)
    said = dialog.get_by_role("alert").filter(has_text="verified")
    await expect(said).to_have_text(
        "Request 1 needs somebody whose identity is verified; you are unverified: Web UI. "
        f"Decide at {link} or with: mainspring approve {run.handle.id} 1 --key FILE"
    )
    assert len(await run.waiting()) == 1
    await run.handle.terminate()
