"""`mainspring trace`: a run's steps as a tree, rebuilt from its history. The edge."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.errors import MainspringError

if TYPE_CHECKING:
    from rich.tree import Tree
    from temporalio.client import Client

    from mainspring.telemetry.trace import Trace


def trace(run: Annotated[str, typer.Argument(help="Workflow id of the run.", show_default=False)]) -> None:
    """Show every step of a run, also while it waits; from the local trace file where the history is gone."""
    from rich.console import Console

    from mainspring.cli import interrupt

    Console(highlight=False).print(interrupt.run(_tree(run)))


async def read_trace(client: "Client", run: str) -> "Trace":
    """The trace of a run that the server knows, as far as it has come.

    Raises:
        UsageError: there is no such run.
    """
    from mainspring.cli import runs
    from mainspring.telemetry.chain import project_run

    newest = await runs.describe(client, run)
    return await project_run(client, run, newest.run_id)


def draw(trace: "Trace") -> "Tree":
    """The trace as a tree, as of now."""
    from mainspring.telemetry.tree import render

    return render(trace, time.time_ns())


async def _remarks(client: "Client", run: str) -> list[str]:
    """What the tree cannot hold, since spans carry no words: why the run failed, or which attempt just did."""
    from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
    from temporalio.exceptions import FailureError

    from mainspring.cli import runs

    newest = await runs.describe(client, run)
    if newest.status == WorkflowExecutionStatus.FAILED:
        try:
            await client.get_workflow_handle(run, run_id=newest.run_id).result()
        except WorkflowFailureError as error:
            return [f"failed: {error.cause.message if isinstance(error.cause, FailureError) else error.cause}"]
    return [
        f"step {each.activity_id} failed and is tried again: {each.last_failure.message}"
        for each in newest.raw_description.pending_activities
        if each.attempt > 1
    ]


async def _tree(run: str) -> "Tree":
    from rich.text import Text

    from mainspring.serve import connect
    from mainspring.settings import read_settings
    from mainspring.telemetry import trace_file

    settings = read_settings()
    try:
        client = await connect(settings)
        tree = draw(await read_trace(client, run))
    except MainspringError as error:
        kept = trace_file.read_trace(settings.trace_file, run)
        if not kept.spans:
            raise
        typer.echo(f"{error}\nThis is what {str(settings.trace_file)!r} has of it:", err=True)
        return draw(kept)
    for remark in await _remarks(client, run):
        tree.add(Text(remark, "yellow"))
    return tree
