"""What runs while the demo runs: server, mail sink, worker. The edge."""

import importlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from mainspring.cli import runs
from mainspring.cli.demo.ticket import Ticket
from mainspring.cli.lines import Line, start_run
from mainspring.cli.serving import point_to
from mainspring.core.canonical import Json
from mainspring.devserver import DevServer
from mainspring.errors import SetupError
from mainspring.serve import Project, connect, load_project, working
from mainspring.settings import Settings

GRAPH = "refund-desk"
TICKETS = "examples/tickets"


@dataclass(frozen=True)
class Stage:
    """Everything that runs. `shop` (a module) and `sink` (a running mail sink) are the application's own."""

    settings: Settings
    server: DevServer
    client: Client
    shop: Any
    sink: Any


def load_refund_desk() -> Project:
    """The project of this folder.

    Raises:
        SetupError: it is not the refund desk's.
    """
    project = load_project(Path.cwd())
    if GRAPH not in project.graphs or not Path(TICKETS).is_dir():
        raise SetupError(
            f"The demo plays the refund desk, but the project in {str(Path.cwd())!r} has no graph {GRAPH!r} or no "
            f"folder {TICKETS!r}. Run it in a clone of Mainspring; for your own project there is 'mainspring dev'."
        )
    return project


def open_shop(settings: Settings) -> Any:
    """The application's module `tools.shop`, on the demo's own shop, whatever shop was configured before."""
    os.environ["SHOP_DB"] = str(settings.state / "shop.db")
    # The application stands on the engine, so the engine may not import it by name.
    return importlib.import_module("tools.shop")


@asynccontextmanager
async def set_up(project: Project, settings: Settings) -> AsyncGenerator[Stage, None]:
    """Start all of it, and end it in the opposite order, however the block ends.

    Raises:
        SetupError: a part cannot be started.
    """
    shop, sink = open_shop(settings), importlib.import_module("tools.sink")
    async with DevServer(settings.state) as server:
        point_to(server.environment)
        with sink.MailSink(settings.state / "mail") as mails:
            # Set whatever was set before: the demo must never reach a real mail server.
            os.environ.update(SMTP_HOST=mails.host, SMTP_PORT=str(mails.port))
            client = await connect(settings)
            async with working(project, client, settings):
                yield Stage(settings, server, client, shop, mails)


async def free_id(stage: Stage, ticket: Ticket) -> str:
    """The first workflow id for this ticket that no earlier demo used: their runs are kept."""
    number = 1
    while await runs.find(stage.client, f"{GRAPH}-{ticket.name}-{number}"):
        number += 1
    return f"{GRAPH}-{ticket.name}-{number}"


def start_line(stage: Stage, ticket: Ticket, run: str) -> Line:
    """The command that starts the run, for the `temporal` CLI."""
    given: dict[str, Json] = {"input": ticket.text, "user": ticket.user}
    return start_run(GRAPH, given, task_queue=stage.settings.task_queue, address=stage.server.address, run=run)
