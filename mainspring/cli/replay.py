"""`mainspring replay`: do recorded runs get on with the code of this folder? For a user's CI. The edge."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.histories import Limit, Query, RunId, RunOrFile, Since, Wanted, asked_for, entries

if TYPE_CHECKING:
    from mainspring.replaying import Entry, Verdict


def replay(  # noqa: PLR0917 - typer's shape: each is an option
    run_or_file: RunOrFile = None,
    run_id: RunId = "",
    since: Since = "",
    limit: Limit = None,
    query: Query = "",
    save: Annotated[
        Path | None, typer.Option(help="Folder to save the histories from the server in.", show_default=False)
    ] = None,
) -> None:
    """Replay recorded runs on the code of this folder; ends with 1 where one deviates or cannot be judged."""
    from mainspring.cli import interrupt

    wanted = asked_for(run_or_file, run_id, since, limit, query, save)
    if not interrupt.run(_replay_all(wanted)):
        raise typer.Exit(1)


async def _replay_all(wanted: Wanted) -> bool:
    """Tell of each history how it gets on; whether all do."""
    from rich.console import Console

    from mainspring.replaying import judge
    from mainspring.serve import data_converter, load_project
    from mainspring.settings import read_settings

    settings = read_settings()
    project, converter = load_project(Path.cwd()), data_converter(settings, read_only=True)
    found: Counter[str] = Counter()
    with Console(stderr=True).status("Replaying …") as status:  # shows at a terminal only
        async for entry in entries(wanted, settings):
            status.update(f"Replaying {entry.name} ({found.total()} done) …")
            verdict = await judge(entry, project, converter)
            found[verdict.kind] += 1
            typer.echo(_line(entry, verdict))
    typer.echo(_summary(found))
    return found.total() > 0 and found.total() == found["ok"]


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
