"""`mainspring guards`: work with the rules of this folder. The edge."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mainspring.cli.histories import Limit, Query, RunId, RunOrFile, Since, Wanted, asked_for, entries
from mainspring.cli.tally import Tally, explained
from mainspring.errors import SetupError, did_you_mean

if TYPE_CHECKING:
    from mainspring.core.policy import Rule
    from mainspring.core.spec import AgentSpec
    from mainspring.serve import Project

guards = typer.Typer(no_args_is_help=True, help="Check, test, try and explain rules.")


@guards.command()
def check() -> None:
    """Check every rule file of this folder against its agents and tools."""
    from rich.console import Console
    from rich.table import Table

    from mainspring.serve import load_project

    project = load_project(Path.cwd())
    rules = _rules(specs_of(project))
    if not rules:
        typer.echo("No agent has a rule file; calls that cannot be undone ask a person.")
        return
    files = list(dict.fromkeys(rule.source for rule in rules))
    for file in files:
        table = Table("line", "rule", "point", "tool", "verdict", "severity", "owner", box=None, pad_edge=False)
        for rule in (rule for rule in rules if rule.source == file):
            verdict = f"{rule.verdict}, shadow" if rule.shadow else rule.verdict
            cells = (rule.id, rule.point, rule.tool or "every", verdict, rule.severity, rule.owner or "-")
            table.add_row(str(rule.at[0]), *cells)
        for column in table.columns:
            column.overflow = "fold"
        typer.echo(file)
        Console(highlight=False).print(table)
    typer.echo(f"{_count(len(rules), 'rule')} in {_count(len(files), 'file')}, nothing wrong.")


@guards.command()
def test() -> None:
    """Run the tables of tests in the rule files; ends with 1 where a line fails."""
    from mainspring.core.rule_tests import try_rules
    from mainspring.serve import load_project

    tried, untested = try_rules(specs_of(load_project(Path.cwd())))
    failed = [each for each in tried if each.problem]
    for each in failed:
        typer.echo(f"FAIL  {each.place}: rule {each.rule.id!r} {each.problem}")
    for rule in untested:
        typer.echo(f"      {rule.source}:{rule.at[0]}: rule {rule.id!r} has no tests")
    said = f"{_count(len(tried), 'test')} of {_count(len({each.rule.id for each in tried}), 'rule')}"
    typer.echo(f"{said}: {f'{len(failed)} failed' if failed else 'all as they should be'}.")
    if failed:
        raise typer.Exit(1)


@guards.command()
def schema() -> None:
    """Print the JSON Schema of a rule file, with the tools of this folder, for an editor."""
    from mainspring.core.rule_schema import rule_schema
    from mainspring.serve import load_project

    typer.echo(json.dumps(rule_schema(load_project(Path.cwd()).tools), indent=2))


@guards.command("dry-run")
def dry_run(
    run_or_file: RunOrFile = None, run_id: RunId = "", since: Since = "", limit: Limit = None, query: Query = ""
) -> None:
    """Ask the rules of this folder about what recorded runs did; ends with 1 where a verdict would be another."""
    from mainspring.cli import interrupt

    if not interrupt.run(_dry_run(asked_for(run_or_file, run_id, since, limit, query))):
        raise typer.Exit(1)


@guards.command()
def explain(
    run: Annotated[str, typer.Argument(help="Workflow id of a run, or a file with its history.", show_default=False)],
    step: Annotated[str, typer.Argument(help="Step id of a call; every call without it.", show_default=False)] = "",
) -> None:
    """Show what the rules said of a run's calls: every rule that matched, and why."""
    from mainspring.cli import interrupt

    if not interrupt.run(_explain(asked_for([run], "", "", None, ""), step)):
        raise typer.Exit(1)


async def _dry_run(wanted: Wanted) -> bool:
    from rich.console import Console

    from mainspring.errors import LedgerError
    from mainspring.replaying import Today, read_past, rejudge
    from mainspring.serve import data_converter, load_project, open_guards
    from mainspring.settings import read_settings

    settings = read_settings()
    project, converter = load_project(Path.cwd()), data_converter(settings, read_only=True)
    today = Today(project, open_guards(project, settings), settings.model)
    tally = Tally([rule.id for rule in _rules(specs_of(project))])
    with Console(stderr=True).status("Reading …") as status:  # shows at a terminal only
        async for entry in entries(wanted, settings):
            status.update(f"Asking about {entry.name} ({tally.runs} done) …")
            try:
                past = await read_past(entry, converter)
                async for judged in rejudge(past, today):
                    if line := tally.count(entry.name, judged):
                        typer.echo(line)
                tally.runs += 1
            except LedgerError as error:
                tally.unread += 1
                typer.echo(f"      {entry.name}: not to be judged: {error}")
    Console(highlight=False).print(tally.table())
    typer.echo(tally.summary())
    return tally.changed == 0 and tally.runs > 0


async def _explain(wanted: Wanted, step: str) -> bool:
    from mainspring.core.rule_file import assemble
    from mainspring.replaying import asked_calls, read_past
    from mainspring.serve import data_converter
    from mainspring.settings import read_settings

    settings = read_settings()
    async for entry in entries(wanted, settings):
        past = await read_past(entry, data_converter(settings, read_only=True))
        calls = asked_calls(past)
        chosen = [each for each in calls if step in ("", each.step)]
        if step and not chosen:
            raise SetupError(
                f"no call of run {entry.name!r} is step {step!r}.{did_you_mean(step, [c.step for c in calls])}"
            )
        for each in chosen:
            rules = {rule.id: rule for rule in assemble(past.spec.agent(each.agent).rule_texts).rules}
            typer.echo(explained(each, rules))
        if not chosen:
            typer.echo("No agent of this run has called a tool yet.")
    return True


def specs_of(project: "Project") -> "list[AgentSpec]":
    """Every agent and graph, and once more with the rules of each tenant that has its own."""
    found: list[AgentSpec] = []
    for agent in project.agents.values():
        found += [agent.spec("", tenant) for tenant in ("", *agent.tenants())]
    for graph in project.graphs.values():
        found += [graph.spec(tenant) for tenant in ("", *graph.tenants())]
    return found


def _rules(specs: "Iterable[AgentSpec]") -> "list[Rule]":
    """Every rule of the application's own files once."""
    from mainspring.core.rule_file import assemble

    rules = (rule for spec in specs for rule in assemble(spec.rule_texts).rules if rule.role != "base")
    return list({(rule.source, rule.id): rule for rule in rules}.values())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
