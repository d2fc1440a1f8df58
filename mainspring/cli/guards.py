"""`mainspring guards`: work with the rules of this folder. The edge."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.histories import Limit, Query, RunId, RunOrFile, Since, Wanted, asked_for, entries
from mainspring.errors import RunError, SetupError, did_you_mean

if TYPE_CHECKING:
    from mainspring.cli.rule_list import Page
    from mainspring.cli.tally import Tally
    from mainspring.replaying import Judged, Today

guards = typer.Typer(no_args_is_help=True, help="Check, test, try and explain rules.")


@guards.command()
def check() -> None:
    """Check every rule file of this folder against its agents and tools; ends with 1 where something is wrong."""
    from mainspring.cli.rule_list import counted, pages, print_table
    from mainspring.core.rule_review import idle, strangers
    from mainspring.serve import check_rules, load_project
    from mainspring.settings import read_settings

    project = load_project(Path.cwd())
    check_rules(project, read_settings())
    specs = project.specs()
    files = list(pages(specs))
    if not files:
        typer.echo("No agent has a rule file; calls that cannot be undone ask a person.")
        return
    for number, page in enumerate(files):
        typer.echo("\n" * bool(number) + page.heading)
        print_table(page.table)
    useless = idle(specs)
    typer.echo("")
    for rule, why in useless:
        typer.echo(f"note  {rule.source}:{rule.at[0]}:{rule.at[1]}: rule {rule.id!r} {why}")
    for route, name, _ in strangers(specs):
        who = f"names {name!r}, which is no group here: a role, for which a token has to vouch."
        typer.echo(f"note  {route.source}:{route.at[0]}:{route.at[1]}: route {route.id!r} {who}")
    said = ", ".join(counted(n, what) for n, what in _sums(files) if n)
    typer.echo(f"{said or 'No rules'} in {counted(len(files), 'file')}, nothing wrong.")


@guards.command()
def test() -> None:
    """Run the tables of tests in the rule files; ends with 1 where a line fails."""
    from mainspring.cli.rule_list import counted
    from mainspring.core.rule_tests import half_tested, try_rules
    from mainspring.serve import load_project

    tried, untested = try_rules(load_project(Path.cwd()).specs())
    rules = {(each.rule.source, each.rule.id): each.rule for each in tried}
    failed = [each for each in tried if each.problem]
    for each in failed:
        typer.echo(f"FAIL  {each.place}: rule {each.rule.id!r} {each.problem}")
    for rule in untested:
        typer.echo(f"note  {rule.source}:{rule.at[0]}:{rule.at[1]}: rule {rule.id!r} has no tests")
    for rule, side in half_tested(rules.values()):
        typer.echo(f"note  {rule.source}:{rule.at[0]}:{rule.at[1]}: rule {rule.id!r} has no test that it is to {side}")
    if not (tried or untested):
        typer.echo("There is no rule with a condition to test.")
        return
    with_tests = f"{len(rules)} of {counted(len(rules) + len(untested), 'rule')}"
    result = f"{len(failed)} failed" if failed else "all as they should be"
    typer.echo(f"{counted(len(tried), 'test')}, of {with_tests}: {result if tried else 'nothing was shown'}.")
    if failed:
        raise typer.Exit(1)


@guards.command()
def schema() -> None:
    """Print the JSON Schema of a rule file, with the tools of this folder, for an editor."""
    from mainspring.core.rule_schema import rule_schema
    from mainspring.serve import check_rules, load_project
    from mainspring.settings import read_settings

    project = load_project(Path.cwd())
    tools = {tool.name for spec in project.specs() for tool in spec.tools}
    typer.echo(json.dumps(rule_schema(tools, check_rules(project, read_settings())), indent=2))


@guards.command("dry-run")
def dry_run(  # noqa: PLR0917 - typer's shape: each is an option
    run_or_file: RunOrFile = None,
    run_id: RunId = "",
    since: Since = "",
    limit: Limit = None,
    query: Query = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line; the sums come last.")] = False,
) -> None:
    """Ask the rules of this folder about what recorded runs did; ends with 1 where a verdict would be another."""
    from mainspring.cli import interrupt

    if not interrupt.run(_dry_run(asked_for(run_or_file, run_id, since, limit, query), as_json=as_json)):
        raise typer.Exit(1)


@guards.command()
def explain(
    run: Annotated[str, typer.Argument(help="Workflow id of a run, or a file with its history.", show_default=False)],
    step: Annotated[str, typer.Argument(help="Step id; everything of the run without it.", show_default=False)] = "",
) -> None:
    """Show what rules said in a run, oldest first: every rule that matched, and why."""
    from mainspring.cli import interrupt

    interrupt.run(_explain(asked_for([run], "", "", None, ""), step))


async def _dry_run(wanted: Wanted, *, as_json: bool) -> bool:
    from mainspring.cli.rule_list import pages
    from mainspring.cli.tally import Tally
    from mainspring.replaying import Today
    from mainspring.serve import check_rules, load_project, open_guards
    from mainspring.settings import read_settings

    settings = read_settings()
    project = load_project(Path.cwd())
    check_rules(project, settings)
    today = Today(project, open_guards(project, settings, read_only=True), settings.model)
    rules = [rule for page in pages(project.specs()) for rule in page.rules]
    tally = Tally(rules)
    try:
        await _count(wanted, today, tally, as_json=as_json)
    except asyncio.CancelledError:  # whoever stops a long list still wants to know what was found
        _tell(tally, as_json=as_json, ended=False)
        raise
    _tell(tally, as_json=as_json, ended=True)
    return tally.is_fine


def _tell(tally: "Tally", *, as_json: bool, ended: bool) -> None:
    from mainspring.cli.rule_list import print_table

    if as_json:
        typer.echo(json.dumps({**tally.sums(), "ended": ended}))
        return
    if tally.runs:
        print_table(tally.table())
    typer.echo(("" if ended else "Stopped before the end. ") + tally.summary())


async def _count(wanted: Wanted, today: "Today", tally: "Tally", *, as_json: bool) -> None:
    from rich.console import Console

    from mainspring.replaying import read_past, rejudge
    from mainspring.serve import data_converter
    from mainspring.settings import read_settings

    settings = read_settings()
    converter = data_converter(settings, read_only=True)
    with Console(stderr=True).status("Reading …") as status:  # shows at a terminal only
        async for entry in entries(wanted, settings):
            status.update(f"Asking about {entry.name} ({tally.runs} done) …")
            await asyncio.sleep(0)  # files are read without waiting for anything, so nobody could stop it
            found: list[Judged] = []
            try:
                past = await read_past(entry, converter)
                found = [judged async for judged in rejudge(past, today)] if past else []
            except RunError as error:
                tally.unread += 1
                said = json.dumps({"run": entry.name, "problem": str(error)})
                typer.echo(said if as_json else f"FAIL  {entry.name}: not to be judged: {error}")
                continue
            tally.runs += 1
            for change in filter(None, (tally.count(entry.name, judged) for judged in found)):
                typer.echo(json.dumps(change.plain()) if as_json else str(change))


async def _explain(wanted: Wanted, step: str) -> None:
    from mainspring.cli.explaining import explained, has_rules
    from mainspring.replaying import asked_about, read_past
    from mainspring.serve import data_converter
    from mainspring.settings import read_settings

    settings = read_settings()
    async for entry in entries(wanted, settings):
        past = await read_past(entry, data_converter(settings, read_only=True))
        if past is None:
            typer.echo(f"{entry.name}: the run was not let in, and no rule was asked.")
            continue
        every = [each for each in asked_about(past) if has_rules(each, past.spec)]
        chosen = [each for each in every if step in ("", each.step)]
        if step and not chosen:
            near = did_you_mean(step, dict.fromkeys(each.step for each in every))
            raise SetupError(f"rules were asked of nothing in step {step!r} of run {entry.name!r}.{near}")
        typer.echo(
            "\n\n".join(explained(each, past.spec) for each in chosen) or "No rule has been asked in this run yet."
        )


def _sums(files: "list[Page]") -> list[tuple[int, str]]:
    each = [(len(page.rules), len(page.limits), len(page.routes)) for page in files]
    return list(zip(map(sum, zip(*each, strict=True)), ("rule", "limit", "route"), strict=True))
