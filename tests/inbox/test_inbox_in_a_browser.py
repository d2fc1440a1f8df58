"""The inbox as people see and use it: in a real browser, at a desk and on a phone, by day and by night."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect
from starlette.applications import Starlette

from agents.refund_desk import refund_agent
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from tests.app.web_ui import CHROMIUM, keep
from tests.inbox.asked import NOW, ROUTE, SCHEMA, asked
from tests.inbox.conftest import Ask, local

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
TICKET = "My grinder, order 1042, arrived broken. I paid EUR 89.00 and would like a refund."
DONE = say({"outcome": "informed", "text": "That is settled."})
REFUND = (call("find_order", order=1042), call("issue_refund", order=1042, amount_cents=8900, reason="damaged"))
ATTACK = '</div><h1>APPROVED</h1><script>document.title = "taken"</script><a href="//evil.example">ok</a>\u202eevil'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for this file."""
    async with async_playwright() as playwright:
        # It shows our own pages only, and its sandbox refuses to start for root, as in a container.
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop of its own for each test."""
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """The application on a port of its own; gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign] - they are pytest's
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def opened(
    browser: Browser, size: dict[str, int], scheme: str = "light", *, scripts: bool = False
) -> AsyncIterator[Page]:
    """A page of a browser of its own. Scripts are off, but for the checker of accessible pages."""
    context = await browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def check(page: Page, name: str) -> None:
    """See that a page is accessible and fits its window, by day and on a phone by night; keep pictures."""
    for device, size, scheme, axe, options in (
        ("desk", DESK, "light", Axe(), {}),
        # The checker is in the page already, and a narrow and dark page has the same elements in other colours.
        (
            "phone",
            PHONE,
            "dark",
            Axe("0"),
            {"runOnly": ["color-contrast", "target-size", "scrollable-region-focusable"]},
        ),
    ):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        await page.emulate_media(color_scheme=scheme)
        await keep(page, f"inbox-{name}-{device}")
        found = await axe.run(page, options={"resultTypes": ["violations"]} | options)
        assert found.violations_count == 0, found.generate_report()
        width = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], f"{name}: the page has to be scrolled sideways"


async def test_an_approver_reads_changes_and_approves(browser: Browser, mainspring: Bench):
    """From the list to the recorded change, by mouse, with no script."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()

    async with served(local(mainspring.client)) as url, opened(browser, DESK) as page:
        await _open_from_list(page, url, run.handle.id)
        await expect(page.get_by_text(TICKET)).to_be_visible()
        await page.get_by_text("Change values").click()
        await page.get_by_label("amount (in cents)").fill("4000")
        await page.get_by_role("button", name="Approve", exact=True).click()
        await expect(page.get_by_role("heading", name="Check what you change")).to_be_visible()
        await page.get_by_role("button", name="Approve with this change").click()
        await expect(page.get_by_role("status")).to_contain_text("changed (amount_cents: 8900 → 4000)")
        await run.result()
        await page.get_by_role("link", name="Decided").click()
        changed = page.get_by_text("1 changed: amount")
        await page.goto(f"{url}/decisions?run={run.handle.id}")  # others may have decided as much since
        while not await changed.count():  # the server's index may be a moment behind
            await page.reload()
        await changed.first.click()
        await keep(page, "inbox-decided-open")


async def test_enter_in_a_field_decides_nothing(browser: Browser, ask: Ask, mainspring: Bench):
    """Enter, pressed in a field, presses no button: an approval takes a click."""
    run = await ask(asked(input_schema=SCHEMA))

    async with served(local(mainspring.client)) as url, opened(browser, DESK) as page:
        await page.goto(f"{url}/requests/default/{run.id}/1")
        await page.get_by_text("Change values").click()
        await page.get_by_label("order").press("Enter")
        await page.get_by_label("order").press("Tab")
        await expect(page.get_by_role("heading", name="Decide", exact=True)).to_be_visible()

    assert await run.query("forms") == []


async def test_text_of_others_stays_text(browser: Browser, mainspring: Bench):
    """What a ticket or a model wrote makes no heading, link or script, and turns no line around."""
    model = ScriptedModel(
        call("find_order", order=1042),
        call("issue_refund", order=1042, amount_cents=8900, reason=ATTACK),
        DONE,
    )
    run = await mainspring.start(refund_agent, TICKET + ATTACK, model=model)
    await run.waiting()

    async with served(local(mainspring.client)) as url, opened(browser, PHONE, scripts=True) as page:
        await page.goto(f"{url}/requests/default/{run.handle.id}/1")
        assert await page.locator("h1").count() == 1
        assert await page.locator("a[href*=evil]").count() == 0
        assert await page.title() == "Request 1, issue_refund · Mainspring inbox"
        await expect(page.locator(".quoted").filter(has_text="APPROVED")).to_have_count(2)
        assert "\u202e" not in await page.content()
    await run.handle.terminate()


async def test_every_page_is_accessible(browser: Browser, ask: Ask, mainspring: Bench):
    """Each page passes axe-core's rules and fits its window, wide and bright, and narrow and dark."""
    question = await ask(
        asked(kind="question", tool="ask_person", args={"question": "Which parcel?"}, choices=("the first", "both")),
        asked(2, kind="review", tool="answer", args={"answer": "Dear customer,\n\nit will come soon."}, rule=""),
        asked(3, kind="outcome"),
        asked(4, route=ROUTE, stage="reminded", input_schema=SCHEMA, escalate=NOW + 7200),
    )

    async with served(local(mainspring.client)) as url, opened(browser, DESK, scripts=True) as page:
        for at, path in {
            "empty": "/?tool=nothing",
            "question": f"/requests/default/{question.id}/1",
            "review": f"/requests/default/{question.id}/2",
            "outcome": f"/requests/default/{question.id}/3",
            "routed": f"/requests/default/{question.id}/4",
            "not-there": "/nothing",
        }.items():
            await page.goto(url + path)
            await check(page, at)


async def test_each_page_of_a_decision_is_accessible(browser: Browser, mainspring: Bench):
    """So does each page on the way from the list to what was decided."""
    run = await mainspring.start(refund_agent, TICKET, model=ScriptedModel(*REFUND, DONE))
    await run.waiting()

    async with served(local(mainspring.client)) as url, opened(browser, DESK, scripts=True) as page:
        await _open_from_list(page, url, run.handle.id, picture="list")
        await check(page, "request")
        await page.get_by_text("Change values").click()
        await page.get_by_label("amount (in cents)").fill("ninety")
        await page.get_by_role("button", name="Approve", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("no whole number")
        await check(page, "refused")
        await page.get_by_label("amount (in cents)").fill("4000")
        await page.get_by_role("button", name="Approve", exact=True).click()
        await check(page, "change")
        await page.get_by_role("button", name="Approve with this change").click()
        await check(page, "recorded")
        await run.result()
        await page.goto(f"{url}/decisions?run={run.handle.id}")
        await page.get_by_text("1 changed").click()
        await check(page, "decided")
        await page.goto(f"{url}/requests/default/{run.handle.id}/1")
        await check(page, "over")


async def _open_from_list(page: Page, url: str, run: str, picture: str = "") -> None:
    """Follow the link of a run in the list; the server's index may be a moment behind."""
    link = page.get_by_role("listitem").filter(has_text=run).get_by_role("link").first
    for _ in range(20):
        await page.goto(url)
        if await link.count():
            break
    if picture:
        await check(page, picture)
    await link.click()
    await page.wait_for_url(re.compile(rf"/requests/default/{run}/\d+"))
