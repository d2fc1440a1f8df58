"""What was decided over many runs, from their histories: a table, or lines of JSON. The edge."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from mainspring.cli.approvals_listed import Wanted, moment, plain, stamp
from mainspring.core.canonical import canonical

if TYPE_CHECKING:
    from rich.table import Table
    from temporalio.client import Client

    from mainspring.replaying import Decided, Entry


async def histories(client: "Client", task_queue: str, wanted: Wanted) -> AsyncGenerator["Entry"]:
    """The histories of the task queue's runs that are meant, the newest first."""
    from mainspring.replaying import fetch, listed

    async for run, run_id in listed(client, task_queue, None, wanted.where, None):
        yield await fetch(client, run, run_id)


def fits(wanted: Wanted, each: "Decided") -> bool:
    """Whether such a decision is meant."""
    return wanted.tool in ("", each.tool) and wanted.agent in ("", each.agent) and wanted.kind in (None, each.kind)


def table(found: "list[Decided]", *, args: bool) -> "Table":
    """A line for each decision; what was proposed and typed only where it is wanted."""
    from rich.table import Table

    heads = ["run", "request", "kind", "tool", "agent", "decision", "changed", "by", "at (UTC)"]
    shown = Table(*heads, *(["proposed", "decided", "comment"] if args else []), box=None, pad_edge=False)
    for each in found:
        cells = [each.run, each.request, each.kind, each.tool, each.agent, each.choice, ", ".join(each.edited)]
        cells += [each.by, moment(each.at)]
        if args:
            cells += [canonical(each.proposed), canonical(each.decided), each.comment]
        shown.add_row(*map(plain, cells))
    for column in shown.columns:
        column.overflow = "fold"
    return shown


def line(each: "Decided") -> dict[str, Any]:
    """The same for a program: what a model proposed and what a person made of it, to train or evaluate with."""
    place = {"run": each.run, "request": each.request, "kind": each.kind, "tool": each.tool, "agent": each.agent}
    said = {"choice": each.choice, "proposed": each.proposed, "decided": each.decided, "comment": each.comment}
    return {**place, **said, "by": each.by, "at": stamp(each.at)}
