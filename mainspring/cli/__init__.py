"""The command `mainspring`: options and one call each, one module per group of commands.

The edge that talks to a person: an error of the engine becomes one sentence on stderr and exit code 1.
Whatever is heavy is imported by the command that needs it, so that `--help` answers at once.
"""

import os
import sys
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from mainspring.cli import approvals, decisions, demo, doctor, guards, inbox, keys, replay, serving, setup, tracing
from mainspring.errors import MainspringError

INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands, with the way they end when something is wrong."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an expected error is told in words, without a traceback."""
        try:
            return super().invoke(ctx)
        except MainspringError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("Stopped; nothing is left running.", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="mainspring",
    cls=Commands,
    help="Durable, guarded, audited LLM agents on Temporal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(serving.dev)
app.command()(serving.worker)
app.command()(setup.setup)
app.command()(approvals.approvals)
app.command()(decisions.approve)
app.command()(decisions.deny)
app.command()(decisions.answer)
app.command()(decisions.take_over)
app.command()(decisions.reschedule)
app.command()(inbox.inbox)
app.command()(tracing.trace)
app.command()(replay.replay)
app.command()(doctor.doctor)
app.add_typer(guards.guards, name="guards")
app.add_typer(keys.keys, name="keys")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mainspring {version('mainspring')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version and exit.")
    ] = False,
) -> None:
    """Durable, guarded, audited LLM agents on Temporal."""


def main() -> None:
    """Run the command line; the entry point of the package. Never returns."""
    try:
        app()
    except SystemExit as end:  # how click ends every command
        _leave(end.code if isinstance(end.code, int) else int(end.code is not None))


def _leave(code: int) -> NoReturn:
    """End the process without winding Python down.

    Threads of the Temporal SDK still call into it then, and one in five short commands that had done
    their work was aborted for it, with code 134.
    """
    with suppress(OSError):  # whoever reads the output may have gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
