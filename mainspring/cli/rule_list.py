"""The rules, limits and routes of a folder, listed by file. The edge."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from mainspring.core.limits import Limit
from mainspring.core.policy import Role, Rule
from mainspring.core.routes import Route
from mainspring.core.rule_file import assemble
from mainspring.core.spec import AgentSpec

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 1000
"""Columns where nobody looks: a line for each rule, for whatever reads them."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_ROLES: dict[Role, str] = {"included": "included by", "overlay": "a tenant's, for"}


@dataclass
class Page:
    """One rule file: whose it is, its rules, limits and routes."""

    source: str
    role: Role
    owners: list[str] = field(default_factory=list[str])
    rules: list[Rule] = field(default_factory=list[Rule])
    limits: list[Limit] = field(default_factory=list[Limit])
    routes: list[Route] = field(default_factory=list[Route])

    @property
    def heading(self) -> str:
        """The file, and whom it is for."""
        return f"{self.source} ({f'{_ROLES[self.role]} ' if self.role in _ROLES else ''}{', '.join(self.owners)})"

    @property
    def table(self) -> "Table":
        """A line for each rule, limit and route."""
        from rich.table import Table

        table = Table("line", "rule", "point", "tool", "verdict", "severity", "owner", box=None, pad_edge=False)
        for rule in self.rules:
            verdict = f"{rule.verdict}, shadow" if rule.shadow else rule.verdict
            cells = (rule.id, rule.point, rule.tool or "every", verdict, rule.severity, rule.owner or "-")
            table.add_row(str(rule.at[0]), *cells)
        for limit in self.limits:
            per = f" per {', '.join(limit.per)}" if limit.per else ""
            tool = limit.tool or ("every" if limit.point == "tool_call" else "-")
            said = f"{limit.at_most} in {_time(limit.every)}{per}"
            table.add_row(str(limit.at[0]), limit.id, limit.point, tool, said, "-", "-")
        for route in self.routes:
            whom = route.whom(route.each or route.who) or "anybody"
            then = f"; after {_time(route.deadline)} {route.then}" if route.deadline else ""
            table.add_row(str(route.at[0]), route.id, route.point, route.tool or "every", f"{whom}{then}", "-", "-")
        for column in table.columns:
            column.overflow = "fold"
        return table


def pages(specs: Iterable[AgentSpec]) -> Iterator[Page]:
    """Every rule file of the application once, in the order of its agents."""
    found: dict[str, Page] = {}
    for spec in specs:
        policy = assemble(spec.rule_texts)
        for text in spec.rule_texts:
            if text.role == "base":
                continue
            page = found.setdefault(text.source, Page(text.source, text.role))
            if spec.name not in page.owners:
                page.owners.append(spec.name)
            page.rules = page.rules or [rule for rule in policy.rules if rule.source == text.source]
            page.limits = page.limits or [limit for limit in policy.limits if limit.source == text.source]
            page.routes = page.routes or [route for route in policy.routes if route.source == text.source]
    yield from found.values()


def print_table(table: "Table") -> None:
    """Print a table: as wide as the terminal, or a line for each row where there is none."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip())


def counted(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _time(seconds: float) -> str:
    return next(f"{seconds / unit:g}{letter}" for unit, letter in _UNITS if seconds >= unit and not seconds % unit)
