"""Makes card.png beside this file: the card of a real run, in the real Web UI. Run: python -m docs.images.make_card."""  # noqa: INP001

import asyncio
import os
import tempfile
from pathlib import Path

from mainspring.cli.demo.ticket import choose
from mainspring.devserver import DevServer
from mainspring.testing.bench import Bench, connect
from tests.app.web_ui import WebUI, chromium
from workflows.refund_desk import refund_desk

ROOT = Path(__file__).parents[2]


async def main() -> None:
    """Start the damaged-grinder ticket, photograph its card, decide it."""
    ticket = choose("damaged-grinder", ROOT / "examples/tickets", set())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SHOP_DB"] = str(Path(folder, "shop.db"))  # noqa: TID251 - a shop of this script's own
        async with DevServer(Path(folder, "server"), port=0, ui_port=0) as server:
            bench = Bench(await connect(server.address), Path(folder))
            run = await bench.start(refund_desk, ticket.text)
            (request,) = await run.waiting()
            async with chromium(scale=2) as browser:
                await photograph(WebUI(await browser.new_page(), server.ui_url), run.handle.id)
            await run.approve(request)
            await run.result()
            await bench.close()


async def photograph(ui: WebUI, run: str) -> None:
    """Save the panel Current Details of a run's page."""
    await ui.page.set_viewport_size({"width": 1000, "height": 2000})  # narrow: the panel has the whole width
    await ui.open_run(run)
    await ui.card()
    panel = ui.page.locator("div", has=ui.page.locator("#user-metadata-current-details")).last
    await panel.screenshot(path=ROOT / "docs/images/card.png", animations="disabled")


if __name__ == "__main__":
    asyncio.run(main())
