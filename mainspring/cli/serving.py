"""`mainspring worker` and `mainspring dev`: what keeps running until it is told to end. The edge."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.links import Link
from mainspring.contracts.names import WAITING_RUNS

if TYPE_CHECKING:
    from mainspring.serve import Project
    from mainspring.settings import Settings

Model = Annotated[
    str | None,
    typer.Option("--model", help="'playbook', or 'provider:name' such as 'openai:gpt-5.2'.", show_default=False),
]


def worker(model: Model = None) -> None:
    """Run the worker of the project in this folder, on the Temporal server that is configured."""
    from mainspring.cli import interrupt
    from mainspring.serve import load_project, serve
    from mainspring.settings import read_settings

    settings = read_settings(model=model)
    interrupt.run(serve(load_project(Path.cwd()), settings))


def dev(model: Model = None) -> None:
    """Run a Temporal server with its Web UI, and the worker of the project in this folder, until Ctrl-C.

    Runs are kept in the state folder, whatever process is killed. A power cut may take the last moments.
    """
    from mainspring.cli import interrupt
    from mainspring.serve import load_project
    from mainspring.settings import read_settings

    settings = read_settings(model=model)
    interrupt.run(_serve_all(load_project(Path.cwd()), settings))


def point_to(variables: dict[str, str]) -> None:
    """Make this process, and what it starts, use this Temporal server and none that was configured before."""
    for name in [each for each in os.environ if each.startswith("TEMPORAL_")]:
        del os.environ[name]
    os.environ.update(variables)


async def _serve_all(project: "Project", settings: "Settings") -> None:
    from mainspring.cli.lines import start_run
    from mainspring.devserver import PORT, DevServer
    from mainspring.serve import check_models, connect, working

    check_models(project, settings)
    typer.echo("Starting a Temporal server and the worker …")
    async with DevServer(settings.state) as server:
        point_to(server.environment)
        name = next(iter([*project.graphs, *project.agents]), "YOUR-AGENT")
        start = start_run(name, "Order 1120 arrived broken", task_queue=settings.task_queue, address=server.address)
        async with working(project, await connect(settings), settings):
            typer.echo(f"Temporal server  {server.address}")
            typer.echo(f"Web UI           {server.ui_url}")
            typer.echo(f"Waiting runs     {Link('what waits', WAITING_RUNS).at(server.ui_url)}")
            typer.echo(f"Start a run      {start}")
            if not server.address.endswith(f":{PORT}"):
                typer.echo(f"Elsewhere first  export TEMPORAL_ADDRESS={server.address}")
            typer.echo("Ctrl-C ends it; runs are kept, and go on with the next start.")
            await asyncio.Event().wait()
