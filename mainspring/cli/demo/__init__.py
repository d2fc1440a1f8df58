"""`mainspring demo`: one ticket of the refund desk, on a real server, from start to trace. The edge.

All it does, a person could do with `mainspring dev`, the `temporal` CLI and the Web UI; it shows how.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.serving import Model

if TYPE_CHECKING:
    from mainspring.serve import Project
    from mainspring.settings import Settings


def demo(
    model: Model = None,
    ticket: Annotated[
        str, typer.Option(help="A mail of examples/tickets, without '.eml'.", show_default="one that needs an approval")
    ] = "",
) -> None:
    """Run one ticket of the refund desk: server, worker, approval, answer, trace."""
    from mainspring.cli import interrupt
    from mainspring.cli.demo.stage import load_refund_desk
    from mainspring.settings import read_settings

    settings = read_settings(model=model)
    # Loaded before anything is started: it takes a while, and Ctrl-C still ends it at once.
    project = load_refund_desk()
    if not interrupt.run(_play(settings, project, ticket)):
        raise typer.Exit(1)


async def _play(settings: "Settings", project: "Project", name: str) -> bool:
    """The whole piece; whether it ended as it should."""
    from mainspring.cli.demo.follow import Follower
    from mainspring.cli.demo.screen import Screen
    from mainspring.cli.demo.stage import TICKETS, free_id, open_shop, set_up, start_line
    from mainspring.cli.demo.ticket import choose
    from mainspring.cli.tracing import read_trace
    from mainspring.serve import check_models

    screen = Screen(person=sys.stdin.isatty())
    check_models(project, settings)
    before = open_shop(settings).refunds()
    ticket = choose(name, Path(TICKETS), {refund.order for refund in before})
    typer.echo("Starting a Temporal server, the worker and a mail sink …")
    async with set_up(project, settings) as stage:
        mails = len(stage.sink.mails)
        run = await free_id(stage, ticket)
        line = start_line(stage, ticket, run)
        screen.opening(stage, ticket, line)
        await line.run()
        went_well = await Follower(stage, run, screen).follow(asks=ticket.asks)
        ours = [mail for mail in stage.sink.mails[mails:] if ticket.user in str(mail["To"])]
        screen.effects(before, stage.shop.refunds(), ours)
        screen.closing(await read_trace(stage.client, run), run, stage.sink.folder, went_well=went_well)
    return went_well
