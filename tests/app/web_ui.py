"""What a person does in the stock Temporal Web UI, in a headless Chromium; the selectors are those of UI 2.54."""

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import BrowserContext, Locator, Page, ViewportSize, async_playwright, expect
from playwright.async_api import TimeoutError as NotThere

from mainspring.core.canonical import Json

CHROMIUM = shutil.which(os.environ.get("CHROMIUM") or "chromium")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "ui"
INBOX = "MainspringWaitsFor IS NOT NULL AND ExecutionStatus = 'Running'"
WINDOW: ViewportSize = {"width": 1280, "height": 1000}
PATIENCE = 30_000  # milliseconds; a busy machine needs some to load a page


@asynccontextmanager
async def chromium(scale: int = 1) -> AsyncIterator[BrowserContext]:
    """The system's browser, headless; its pages share a cache. `scale` is pixels of an image per pixel of a page."""
    async with async_playwright() as playwright:
        # It shows our own pages only, and its sandbox refuses to start for root, as in a container.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield await browser.new_context(viewport=WINDOW, device_scale_factor=scale)
        await browser.close()


async def keep(page: Page, name: str) -> None:
    """Leave a picture of a whole page in `build/ui`, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


class Raw(str):
    """What is typed as it is, whether or not it is JSON."""

    __slots__ = ()


class WebUI:
    """One browser page on the Web UI of a server. Waits are for elements, `PATIENCE` long.

    `actions` are what a person has to do, each a click or a text typed; to open an address is none.
    """

    def __init__(self, page: Page, url: str) -> None:
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        self.page = page
        self.actions: list[str] = []
        self._namespace = f"{url}/namespaces/default"

    async def open_from_inbox(self, run: str) -> None:
        """Open the list of what waits for a person, and follow the link of one run."""
        await self.page.goto(f"{self._namespace}/workflows?query={quote(INBOX)}")
        link = self.page.get_by_role("link", name=run, exact=True).first
        refresh = self.page.get_by_role("button", name="Refresh")
        await refresh.wait_for()
        # The list does not change by itself, and the server's index may be a moment behind.
        for _ in range(10):
            try:
                await link.click(timeout=PATIENCE / 10)
                self.actions.append("open the run")
                break
            except NotThere:
                await refresh.click()
        await self.page.wait_for_url(re.compile(rf"/workflows/{run}/[0-9a-f-]{{36}}/timeline"))

    async def open_run(self, run: str) -> None:
        """Open a run's page by its address."""
        await self.page.goto(f"{self._namespace}/workflows/{run}")
        await self.page.wait_for_url(re.compile(rf"/workflows/{run}/[0-9a-f-]{{36}}/timeline"))

    async def card(self) -> Locator:
        """What the User Metadata tab shows as current details."""
        await self.page.get_by_test_id("user-metadata-tab").click()
        self.actions.append("read the card")
        card = self.page.frame_locator("#user-metadata-current-details").locator("main")
        await card.wait_for()
        return card

    async def choose_update(self, name: str) -> Locator:
        """Open the dialog Send an Update and pick a name; gives the dialog, nothing is sent."""
        await self.page.get_by_role("button", name="More Actions").click()
        # The menu is in the page twice, once for small screens.
        item = self.page.get_by_role("menuitem", name="Send an Update").locator("visible=true")
        await item.first.click()
        dialog = self.page.get_by_role("dialog", name="Send an Update")
        await dialog.get_by_test_id("update-select-button").click()
        words = self.page.locator(".menu-item-wrapper", has_text=re.compile(rf"^\s*{re.escape(name)}\s*$"))
        await dialog.get_by_role("option").filter(has=words).click()
        self.actions += ["More Actions", "Send an Update", "open the names", f"choose {name}"]
        await expect(dialog.get_by_test_id("update-select")).to_have_value(name)
        return dialog

    async def fill(self, dialog: Locator, data: Json) -> None:
        """Put JSON into the field Data."""
        await dialog.get_by_role("textbox", name="Data").click()
        await self.page.keyboard.press("Control+A")
        # Typed, the editor would close brackets itself.
        await self.page.keyboard.insert_text(data if isinstance(data, Raw) else json.dumps(data))
        self.actions.append(f"type {data}")

    async def submit(self, dialog: Locator) -> None:
        """Submit by keyboard: the button moves away from a mouse when the editor lays out its JSON."""
        await dialog.get_by_role("button", name="Submit").press("Enter")
        self.actions.append("Submit")

    async def send_update(self, name: str) -> None:
        """Send an update with no data, and see it taken."""
        dialog = await self.choose_update(name)
        await self.submit(dialog)
        await expect(self.page.get_by_text("Update successful").first).to_be_visible()
        await expect(dialog).to_be_hidden()
