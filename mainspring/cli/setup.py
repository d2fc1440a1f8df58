"""`mainspring setup`: makes a Temporal server ready for Mainspring, and gives the lists that it then has. The edge."""

import re
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.contracts.names import SEARCH_ATTRIBUTES
from mainspring.errors import MainspringError, SetupError

if TYPE_CHECKING:
    from temporalio.client import Client

    from mainspring.settings import Settings

_LOCAL_UI = "http://localhost:8233"
_A_GROUP = "GROUP"


def setup(
    ui: Annotated[str, typer.Option(help="Address of the Web UI, for the links.", show_default=False)] = "",
) -> None:
    """Register the search attributes by which waiting runs are found (once per namespace; again does no harm).

    Then print links to lists in the Web UI: what waits, what is due, what waits for whom, what failed.
    """
    from mainspring.cli import interrupt

    if ui and not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", ui):
        raise typer.BadParameter(f"{ui!r} is no address such as 'https://temporal.example.com'.", param_hint="'--ui'")
    interrupt.run(_set_up(ui))


async def _set_up(ui: str) -> None:
    from mainspring.serve import connect
    from mainspring.settings import read_settings

    settings = read_settings()
    client = await connect(settings)
    await _register(client)
    _print_lists(client, settings, ui or str(getattr(settings, "ui_url", "")))


async def _register(client: "Client") -> None:
    """Register what is not there yet, one attribute after the other, and say what became of each.

    Raises:
        SetupError: one is there with another type, or the server refuses; the others are registered all the same.
    """
    from temporalio.service import RPCError

    from mainspring.effects import indexing

    where = f"in namespace {client.namespace!r}"
    problems: list[str] = []
    try:
        there = await indexing.registered(client)
    except RPCError as error:
        raise SetupError(
            f"The server does not say which search attributes there are {where}: {error.message}."
        ) from None
    for name, kind in SEARCH_ATTRIBUTES.items():
        if there.get(name):
            typer.echo(f"The search attribute {name!r} ({kind}) is registered {where} already.")
        elif name in there:
            problems.append(
                f"The search attribute {name!r} is registered {where} with another type than {kind}. "
                "Remove it with 'temporal operator search-attribute remove', then run this again."
            )
        else:
            try:
                await indexing.register(client, name)
            except RPCError as error:
                problems.append(
                    f"The search attribute {name!r} could not be registered {where}: {error.message}. Whoever runs the "
                    f"server can add it: temporal operator search-attribute create --name {name} --type {kind}"
                )
            else:
                typer.echo(f"Registered the search attribute {name!r} ({kind}) {where}.")
    if problems:
        raise SetupError(f"{' '.join(problems)} Runs go on without it, only the lists of what waits stay empty.")


def _print_lists(client: "Client", settings: "Settings", ui: str) -> None:
    from mainspring.cli.links import lists

    groups, problem = _groups()
    if not ui and _is_local(client.service_client.config.target_host):
        ui = _LOCAL_UI
    typer.echo("\nLists in the Web UI, to keep as bookmarks:")
    for link in lists(groups or (_A_GROUP,), settings.task_queue, datetime.now(UTC)):
        typer.echo(f"  {link.what}\n    {link.at(ui, client.namespace)}")
    typer.echo("What is overdue and due is as of now: the links carry the time.")
    if not groups:
        typer.echo(f"Put the name of a group or role for {_A_GROUP}{problem or ': no route of this folder names one'}.")
    if not ui:
        typer.echo("Put the address of the Web UI before them, or have it there: mainspring setup --ui URL")


def _groups() -> tuple[list[str], str]:
    """The groups and roles that routes of this folder's project name, or why nobody knows.

    Persons are not among them: the search attribute holds none.
    """
    from mainspring.serve import load_project

    try:
        specs = load_project(Path.cwd()).specs()
    except MainspringError as error:
        return [], f": {error}".rstrip(".")
    routes = [route for spec in specs for route in spec.routes]
    named = (name for route in routes for name in (*route.who, *route.each, *route.to, *route.hand_to))
    return [name for name in dict.fromkeys(named) if "@" not in name], ""


def _is_local(address: str) -> bool:
    """Whether a server's address (`host:port`, with or without a scheme) is on this machine."""
    host = address.rpartition("//")[2].rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
