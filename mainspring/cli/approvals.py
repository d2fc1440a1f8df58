"""`mainspring approvals`: what waits over many runs, to list and to decide, and what was decided. The edge."""

import asyncio
import json
import sys
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.cli.approvals_listed import Mute, Waiting, Wanted
from mainspring.cli.proofs import AsOption
from mainspring.contracts import names
from mainspring.core.approvals import Kind
from mainspring.errors import UsageError

if TYPE_CHECKING:
    from mainspring.cli.approvals_sent import Order, Tally, Told
    from mainspring.replaying import Decided

JOBS = 32


@dataclass(frozen=True)
class Shown:
    """How things are shown: arguments and words of persons too (`args`), as JSON, and how many at a time."""

    args: bool
    as_json: bool
    jobs: int


def approvals(  # noqa: PLR0917 - typer's shape: each is an option
    where: Annotated[str, typer.Option(help="Only runs that fit this list query of Temporal, too.")] = "",
    tool: Annotated[str, typer.Option(help="Only requests about this tool.")] = "",
    agent: Annotated[str, typer.Option(help="Only requests of this agent.")] = "",
    kind: Annotated[Kind | None, typer.Option(help="Only such requests.", show_default=False)] = None,
    decider: Annotated[
        str, typer.Option("--for", help="Only requests that this group, role or person may decide by their route.")
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most that many.", show_default="all")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Approve them, after a list and a question.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="Deny them, likewise; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="With --deny: what the model is told.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="With --deny: stop the runs, too.")] = False,
    comment: Annotated[str, typer.Option(help="With --approve: kept with each decision.")] = "",
    person: AsOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deciding.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="How many runs to ask, and decisions to send, at a time.")] = JOBS,
    decided: Annotated[bool, typer.Option("--decided", help="List what was decided instead, from histories.")] = False,
    args: Annotated[bool, typer.Option("--args", help="Show arguments, and what persons typed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """List what waits for a person over all runs, and approve or deny it; ends with 1 unless all went through."""
    wanted = Wanted(where, tool, agent, kind, decider, limit, **_groups(decider))
    shown = Shown(args, as_json, jobs)
    order = _order(approve=approve, deny=deny, reason=reason, stop=stop, comment=comment)
    if person and not order:
        raise typer.BadParameter(
            "it goes with --approve or --deny; --for lists what somebody may decide.", param_hint="'--as'"
        )
    if decided and (order or decider):
        raise typer.BadParameter("it lists what is over, so it goes with neither --approve, --deny nor --for.")
    if yes and not order:
        raise typer.BadParameter("it goes with --approve or --deny.", param_hint="'--yes'")
    if decided:
        is_fine = _tell_decided(wanted, shown)
    elif order:
        is_fine = _decide(wanted, replace(order, person=person), shown, yes=yes)
    else:
        is_fine = _tell_waiting(wanted, shown)
    if not is_fine:
        raise typer.Exit(1)


def _groups(decider: str) -> dict[str, Any]:
    """What says by which names a person is known; a group or a role has its own alone."""
    from mainspring.cli.people import people_here

    if "@" not in decider:
        return {}
    return {"people": people_here() or {}, "day": datetime.now(UTC).date().isoformat()}


def _order(*, approve: bool, deny: bool, reason: str, stop: bool, comment: str) -> "Order | None":
    """What is to be said to each request; nothing where they are only listed."""
    from mainspring.cli.approvals_sent import Order

    if approve and deny:
        raise typer.BadParameter("choose --approve or --deny.")
    if (reason or stop) and not deny:
        raise typer.BadParameter("it goes with --deny.", param_hint="'--reason'" if reason else "'--stop'")
    if comment and not approve:
        raise typer.BadParameter("it goes with --approve; a denial has its --reason.", param_hint="'--comment'")
    if approve:
        return Order(names.APPROVE, {"comment": comment} if comment else {})
    if deny and not reason:
        raise typer.BadParameter("say what the models are told.", param_hint="'--reason'")
    return Order(names.DENY, {"comment": reason, **({"stop": True} if stop else {})}) if deny else None


def _tell_waiting(wanted: Wanted, shown: Shown) -> bool:
    from mainspring.cli.approvals_listed import summary

    found, mute = _find(wanted, shown)
    _list(found, mute, shown)
    if not shown.as_json:
        typer.echo(summary(found, mute))
    return True


def _find(wanted: Wanted, shown: Shown) -> tuple[list[Waiting], list[Mute]]:
    from mainspring.cli import interrupt, runs
    from mainspring.cli.approvals_listed import find

    async def search() -> tuple[list[Waiting], list[Mute]]:
        from rich.console import Console

        client = await runs.connect_as_person()
        with Console(stderr=True).status("Asking …") as status:  # shows at a terminal only
            return await find(client, wanted, shown.jobs, lambda n: status.update(f"Asking ({n} runs answered) …"))

    return interrupt.run(search())


def _list(found: list[Waiting], mute: list[Mute], shown: Shown) -> None:
    from mainspring.cli import approvals_listed
    from mainspring.cli.rule_list import print_table

    if shown.as_json:
        for each in (*found, *mute):
            typer.echo(json.dumps(approvals_listed.line(each, args=shown.args)))
    elif found or mute:
        from rich.console import Console

        console = Console()
        wide = not console.is_terminal or console.width >= approvals_listed.WIDE
        print_table(approvals_listed.table(found, mute, args=shown.args, wide=wide))
        if not wide:
            typer.echo("A wider terminal shows more, and --json all of it.")


def _decide(wanted: Wanted, order: "Order", shown: Shown, *, yes: bool) -> bool:
    """List, ask, send, and tell what came of it; whether all that was asked for went through."""
    from mainspring.cli import interrupt
    from mainspring.cli.approvals_listed import summary
    from mainspring.cli.approvals_sent import Tally
    from mainspring.cli.rule_list import counted

    found, mute = _find(wanted, shown)
    meant = [each for each in found if order.fits(each)]
    these = "This request" if len(meant) == 1 else f"These {len(meant)} requests"
    if not shown.as_json:
        if meant:
            typer.echo(f"{these} would be {order.done}:")
        _list(meant, mute, shown)
        if left := len(found) - len(meant):
            typer.echo(f"Left out: {counted(left, 'request')} of a kind that is not {order.done}; decide each alone.")
        if mute or not meant:
            typer.echo(summary(meant, mute))
    if meant and not yes:
        _ask(f"{order.name.capitalize()} {these[0].lower()}{these[1:]}?")
    tally = Tally(order, len(meant))
    if meant:
        interrupt.run(_send(meant, tally, shown))
    return tally.is_fine and not mute


def _ask(question: str) -> None:
    """Have the person at the terminal agree.

    Raises:
        UsageError: there is no terminal.
        Exit: they do not.
    """
    if not sys.stdin.isatty():
        raise UsageError("Nothing was decided: there is no terminal to ask at. Add --yes to decide without a question.")
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was decided.", err=True)
        raise typer.Exit(1)


async def _send(meant: list[Waiting], tally: "Tally", shown: Shown) -> None:
    from mainspring.cli import runs
    from mainspring.cli.approvals_sent import Sending

    client = await runs.connect_as_person(tally.order.person)
    try:
        with _progress(tally, shown) as tell:
            await Sending(client, tally.order, shown.jobs, tell).through(meant)
    finally:  # whoever stops it wants to know how far it came
        sums = json.dumps(tally.sums()) if shown.as_json else "\n".join(tally.lines())
        typer.echo(sums)


@contextmanager
def _progress(tally: "Tally", shown: Shown) -> "Generator[Callable[[Told], None]]":
    """Keeps what came of each decision, and shows it: a bar at a terminal, else a line for each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mainspring.cli.approvals_sent import json_line

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    quiet = shown.as_json or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("Deciding …", total=tally.count)

        def tell(each: "Told") -> None:
            tally.told.append(each)
            bar.advance(task)
            if shown.as_json:
                typer.echo(json_line(each, tally.order))
            elif quiet:
                typer.echo(str(each))
            elif each.how != "done":
                bar.console.print(str(each), markup=False, highlight=False)

        yield tell


def _tell_decided(wanted: Wanted, shown: Shown) -> bool:
    from mainspring.cli import approvals_decided, interrupt
    from mainspring.cli.rule_list import counted, print_table

    found: list[Decided] = []
    unread = interrupt.run(_read(wanted, found, shown))
    if shown.as_json:
        return unread == 0
    if found:
        print_table(approvals_decided.table(found, args=shown.args))
    said = f"{counted(len(found), 'decision')}." if found else "Nothing that is asked for was decided."
    typer.echo(said + (f" {counted(unread, 'run')} could not be read." if unread else ""))
    return unread == 0


async def _read(wanted: Wanted, found: "list[Decided]", shown: Shown) -> int:
    """Read decisions from histories; gives how many could not be read."""
    from rich.console import Console

    from mainspring.cli.approvals_decided import fits, histories, line
    from mainspring.errors import RunError
    from mainspring.replaying import read_decisions
    from mainspring.serve import connect
    from mainspring.settings import read_settings

    settings = read_settings()
    client = await connect(settings)
    unread = number = 0
    with Console(stderr=True).status("Reading …") as status:
        async with aclosing(histories(client, settings.task_queue, wanted)) as entries:
            async for entry in entries:
                number += 1
                status.update(f"Reading {entry.name} ({number} done) …")
                await asyncio.sleep(0)
                try:
                    decisions = await read_decisions(entry, client.data_converter)
                except RunError as error:
                    unread += 1
                    typer.echo(f"{entry.name} cannot be read: {error}", err=True)
                    continue
                for each in [each for each in decisions if fits(wanted, each)]:
                    found.append(each)
                    if shown.as_json:
                        typer.echo(json.dumps(line(each)))
                    if len(found) == wanted.limit:
                        return unread
    return unread
