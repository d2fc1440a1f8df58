"""`mainspring replay`: do recorded runs get on with the code of this folder? For a user's CI. The edge."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mainspring.replaying import Entry, Verdict
    from mainspring.settings import Settings

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class _Wanted:
    """Which histories to replay. `list_query` is None where none are taken from the server's list."""

    files: list[Path]
    runs: list[str]
    run_id: str | None
    list_query: str | None
    since: timedelta | None
    limit: int | None
    save: Path | None


def replay(  # noqa: PLR0917 - typer's shape: each is an option
    run_or_file: Annotated[
        list[str] | None,
        typer.Argument(
            help="Workflow ids (the newest run of each), files with a history, folders of files.", show_default=False
        ),
    ] = None,
    run_id: Annotated[str, typer.Option(help="Which run of the one workflow id, if not its newest.")] = "",
    since: Annotated[
        str, typer.Option(help="Also the runs on the server that started since: a number and m, h, d or w.")
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Also runs on the server: only that many, the newest.", show_default="all listed"),
    ] = None,
    query: Annotated[str, typer.Option(help="Also the runs on the server that fit a list query of Temporal.")] = "",
    save: Annotated[
        Path | None, typer.Option(help="Folder to save the histories from the server in.", show_default=False)
    ] = None,
) -> None:
    """Replay recorded runs on the code of this folder; ends with 1 where one deviates or cannot be judged."""
    from mainspring.cli import interrupt

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
    wanted = _Wanted(files, runs, run_id or None, query if listing else None, _time(since), limit, save)
    if not interrupt.run(_replay_all(wanted)):
        raise typer.Exit(1)


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


async def _replay_all(wanted: _Wanted) -> bool:
    """Tell of each history how it gets on; whether all do."""
    from rich.console import Console

    from mainspring.replaying import judge
    from mainspring.serve import data_converter, load_project
    from mainspring.settings import read_settings

    settings = read_settings()
    project, converter = load_project(Path.cwd()), data_converter(settings, read_only=True)
    found: Counter[str] = Counter()
    with Console(stderr=True).status("Replaying …") as status:  # shows at a terminal only
        async for entry in _entries(wanted, settings):
            status.update(f"Replaying {entry.name} ({found.total()} done) …")
            verdict = await judge(entry, project, converter)
            found[verdict.kind] += 1
            typer.echo(_line(entry, verdict))
    typer.echo(_summary(found))
    return found.total() > 0 and found.total() == found["ok"]


async def _entries(wanted: _Wanted, settings: "Settings") -> AsyncIterator["Entry"]:
    from mainspring.replaying import read, save

    for file in wanted.files:
        for entry in read(file):
            yield entry
    if wanted.runs or wanted.list_query is not None:
        async for entry in _fetched(wanted, settings):
            if wanted.save:
                save(entry, wanted.save)
            yield entry


async def _fetched(wanted: _Wanted, settings: "Settings") -> AsyncIterator["Entry"]:
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


def _line(entry: "Entry", verdict: "Verdict") -> str:
    if verdict.kind != "ok":
        return f"FAIL  {entry.name}: {verdict}"
    return f"ok    {entry.name} ({verdict.events} events{', so far' if verdict.running else ''})"


def _summary(found: Counter[str]) -> str:
    if not found:
        return "No history was found, so nothing was shown."
    words = {"ok": "ok", "deviates": "deviating", "unusable": "not to be judged"}
    counts = ", ".join(f"{found[kind]} {said}" for kind, said in words.items() if found[kind])
    return f"{found.total()} {'history' if found.total() == 1 else 'histories'}: {counts}."
