"""Which histories a command works on: files, folders, runs by their ids, and what the server lists. The edge."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mainspring.replaying import Entry
    from mainspring.settings import Settings

RunOrFile = Annotated[
    list[str] | None,
    typer.Argument(
        help="Workflow ids (the newest run of each), files with a history, folders of files.", show_default=False
    ),
]
RunId = Annotated[str, typer.Option(help="Which run of the one workflow id, if not its newest.")]
Since = Annotated[str, typer.Option(help="Also the runs on the server that started since: a number and m, h, d or w.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Also runs on the server: only that many, the newest.", show_default="all listed"),
]
Query = Annotated[str, typer.Option(help="Also the runs on the server that fit a list query of Temporal.")]
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Wanted:
    """Which histories are meant. `list_query` is None where none are taken from the server's list."""

    files: list[Path]
    runs: list[str]
    run_id: str | None
    list_query: str | None
    since: timedelta | None
    limit: int | None
    save: Path | None


def asked_for(  # noqa: PLR0917 - each is an option of a command
    run_or_file: list[str] | None, run_id: str, since: str, limit: int | None, query: str, save: Path | None = None
) -> Wanted:
    """What the options of a command ask for.

    Raises:
        typer.BadParameter: they ask for nothing, or contradict one another.
    """
    named = run_or_file or []
    files = [Path(each) for each in named if _means_file(each)]
    runs = [each for each in named if not _means_file(each)]
    if run_id and (len(runs) != 1 or files):
        raise typer.BadParameter("it goes with exactly one workflow id.", param_hint="'--run-id'")
    listing = bool(since or limit or query)
    if not (files or runs or listing):
        raise typer.BadParameter(
            "name a run, file or folder, or list runs of the server with --since, --limit, --query."
        )
    if save and not (runs or listing):
        raise typer.BadParameter("it keeps histories from the server; name a run.", param_hint="'--save'")
    return Wanted(files, runs, run_id or None, query if listing else None, _time(since), limit, save)


async def entries(wanted: Wanted, settings: "Settings") -> AsyncIterator["Entry"]:
    """The histories, one after the other; those of the server are kept in a folder where that is wanted."""
    from mainspring.replaying import read, save

    for file in wanted.files:
        for entry in read(file):
            yield entry
    if wanted.runs or wanted.list_query is not None:
        async for entry in _fetched(wanted, settings):
            if wanted.save:
                save(entry, wanted.save)
            yield entry


async def _fetched(wanted: Wanted, settings: "Settings") -> AsyncIterator["Entry"]:
    from mainspring.cli import runs
    from mainspring.replaying import fetch, listed
    from mainspring.serve import connect

    client = await connect(settings)
    for run in wanted.runs:
        run_id = wanted.run_id or (await runs.describe(client, run)).run_id
        yield await fetch(client, run, run_id)
    if wanted.list_query is not None:
        async for run, run_id in listed(client, settings.task_queue, wanted.since, wanted.list_query, wanted.limit):
            yield await fetch(client, run, run_id)


def _means_file(name: str) -> bool:
    """Whether a file or folder is meant; where it looks like one and is none, that is said."""
    if Path(name).exists():
        return True
    if name.endswith(".json"):
        raise typer.BadParameter(f"there is no file {name!r}.")
    return False


def _time(text: str) -> timedelta | None:
    match = re.fullmatch(r"(\d+)([mhdw])", text)
    if text and not match:
        raise typer.BadParameter(f"{text!r} is no time; write one such as '30d'.", param_hint="'--since'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
