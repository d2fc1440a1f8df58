"""`mainspring guards`: work with the rules of this folder. The edge."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

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
