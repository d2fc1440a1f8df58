"""What the demo shows. The edge; decides nothing."""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mainspring.cli.lines import Line, callable_as
from mainspring.cli.tracing import draw
from mainspring.contracts.run import RunResult
from mainspring.core.approvals import Request
from mainspring.core.canonical import Json
from mainspring.telemetry import attributes as a
from mainspring.telemetry.spans import Span
from mainspring.telemetry.trace import Trace
from mainspring.telemetry.tree import lasted, money

if TYPE_CHECKING:
    from mainspring.cli.demo.stage import Stage
    from mainspring.cli.demo.ticket import Ticket

WIDTH = 110
"""Columns where the output goes to no terminal."""
GOES_ON = "the run goes on"
VERDICTS = {"allow": ("allowed", "green"), "ask": ("asks a person", "yellow"), "deny": ("denied", "red")}


class Screen:
    """Writes the demo to stdout. `person` tells whether somebody sits there to press keys."""

    def __init__(self, *, person: bool) -> None:
        """Colours and live lines only where stdout is a terminal."""
        self.person = person
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
        self._status = self._console.status(GOES_ON)

    def opening(self, stage: "Stage", ticket: "Ticket", line: Line) -> None:
        """What is about to happen, and the command that makes it happen."""
        self._title(f"Mainspring: the refund desk gets the mail {ticket.name!r}")
        if ticket.remark:
            self._console.print(ticket.remark, style="yellow")
        self._console.print(Panel(Text(ticket.text), style="dim", width=min(self._console.width, 90)))
        model = stage.settings.model
        honest = " (rules in a file, no language model; --model takes one)" if model == "playbook" else ""
        self._console.print(f"Temporal {stage.server.address} · Web UI {stage.server.ui_url} · model {model}{honest}\n")
        self._command(line)
        self._console.print()

    @contextmanager
    def busy(self) -> Generator[None, None, None]:
        """Show that the run goes on, where the screen can."""
        with self._status:
            yield

    def step(self, span: Span) -> None:
        """One finished step: its number, what it was, how it ended, how long it took."""
        if span.text(a.STEP) != "admit" and not {a.MODEL, a.TOOL} & set(span.attributes):
            return  # runs, graph nodes and agents only hold steps; the tree at the end shows them
        line = Text()
        line.append(f"{'' if a.ASKED in span.attributes else span.text(a.STEP):<8}", "dim")
        line.append(f"{_what(span):<44}", "red" if span.error else None)
        for word, style in _ended(span):
            line.append(f"{word}  ", style)
        line.append(lasted((span.end or span.start) - span.start), "dim")
        self._console.print(line)

    def card(self, request: Request, page: str, mainspring: str, temporal: Line) -> None:
        """What a person is asked, and the ways to decide."""
        facts = Table.grid(padding=(0, 2))
        for name, value in request.args.items():
            facts.add_row(name, Text(_shown(name, value), style="bold"))
        title = f"Request {request.id}: may {request.tool} run?"
        if request.kind == "outcome":
            title = f"Request {request.id}: did {request.tool} happen?"
        why = Text(f"\n{request.reason}" + (f" (rule {request.rule})" if request.rule else ""))
        body = Table.grid()
        body.add_row(facts)
        body.add_row(why)
        self._console.print()
        self._console.print(
            Panel(body, title=title, title_align="left", border_style="yellow", width=min(self._console.width, 90))
        )
        self._console.print("Decide it one of these ways:")
        self._out(f"  in the browser   {page}")
        self._out(f"  with Mainspring  {mainspring}")
        self._out(f"  with Temporal    {temporal}")
        if self.person and request.kind == "approval":
            self._console.print("  here             press [bold]a[/] to approve, [bold]d[/] to deny")
        self._console.print()
        self._status.update("waiting for your decision")

    def decided(self) -> None:
        """The request of the last card is decided."""
        self._status.update(GOES_ON)

    def note(self, said: str) -> None:
        """Something the reader should know."""
        self._console.print(Text(said, style="yellow"))

    def trouble(self, said: str) -> None:
        """An attempt that failed and is made again."""
        self._console.print(Text(said, style="red"))

    def problem(self, said: str) -> None:
        """Why the demo did not end as it should."""
        self._console.print(Text(said, style="bold red"))

    def answer(self, result: RunResult) -> None:
        """What the run ended with, and what it used."""
        self._title("The answer")
        self._console.print(Text(result.answer))
        used = result.totals
        cost = "cost not known" if used.cost_microusd is None else f"cost {money(used.cost_microusd)}"
        tokens = used.input_tokens + used.output_tokens
        self._console.print(
            f"\n{used.model_calls} model calls, {used.tool_calls} tool calls, {tokens} tokens, {cost}, "
            f"{used.seconds:.1f} s with the wait",
            style="dim",
        )

    def effects(self, before: Sequence[Any], after: Sequence[Any], mails: Sequence[EmailMessage]) -> None:
        """What the run changed in the world: rows in the shop, mails."""
        self._title("What it did")
        self._console.print(f"Refunds in the shop: {len(before)} before, {len(after)} now")
        for refund in after:
            if refund not in before:
                amount = f"{refund.amount_cents / 100:,.2f}"
                self._console.print(f"  refund {refund.refund}: EUR {amount} for order {refund.order}", style="green")
        self._console.print(f"Mails sent: {len(mails)}")
        for mail in mails:
            text = f"To: {mail['To']}\nSubject: {mail['Subject']}\n\n{str(mail.get_content()).strip()}"
            self._console.print(Panel(Text(text), style="dim", width=min(self._console.width, 90)))

    def closing(self, trace: Trace, run: str, mail: Path, *, went_well: bool) -> None:
        """The trace, and what to do next."""
        self._title("The trace")
        self._console.print(draw(trace))
        mainspring, python = callable_as("mainspring"), callable_as("python")
        self._title("What to try next" if went_well else "What to look at")
        lines = {
            f"{mainspring} trace {run}": "this tree again, at any time",
            f"{mainspring} dev": "server, Web UI and worker to keep; this run is still there",
            f"{python} -m tools.sink {mail}": "beside it: takes the mails that the desk sends",
            f"{mainspring} demo --ticket talk-out-of-rules": "or any other of examples/tickets",
            f"{mainspring} demo --model openai:gpt-5.2": "a language model: same tools, rules and approvals",
        }
        for line, what in lines.items():
            self._out(f"  {line:<{max(map(len, lines))}}  {what}")

    def _title(self, text: str) -> None:
        self._console.print()
        self._console.rule(Text(text, style="bold"), align="left", style="dim")

    def _command(self, line: Line) -> None:
        self._console.print(Text(f"$ {line}", style="bold"), soft_wrap=True)

    def _out(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)  # never broken, so that it can be copied


def _what(span: Span) -> str:
    if a.ASKED in span.attributes:
        return f"waited for a person: {span.text(a.TOOL)}"
    if span.text(a.OPERATION) == "chat":
        return f"{span.text(a.AGENT)} asks {span.text(a.MODEL) or 'its model'}"
    if span.text(a.OPERATION) == "execute_tool":
        return f"{span.text(a.AGENT) or span.text(a.NODE)} uses {span.text(a.TOOL)}".strip()
    return "the run is let in"


def _ended(span: Span) -> list[tuple[str, str]]:
    ended = [_verdict(event.attributes) for event in span.events if a.VERDICT in event.attributes]
    if span.text(a.DECISION):
        ended.append((f"{span.text(a.DECISION)}, {span.text(a.DECIDED_BY)}", "yellow"))
    if span.text(a.STATUS) == "denied":
        ended.append((f"denied by rule {span.text(a.RULE)}", "red"))
    if span.error:
        ended.append((span.error, "red"))
    return ended


def _verdict(said: Any) -> tuple[str, str]:
    word, style = VERDICTS.get(str(said.get(a.VERDICT)), ("malformed", "red"))
    rule = f" (rule {said[a.RULE]})" if said.get(a.RULE) else ""
    return f"→ {said.get(a.VERDICT_TOOL)} {word}{rule}", style


def _shown(name: str, value: Json) -> str:
    if name.endswith("_cents") and isinstance(value, int):
        return f"{value / 100:,.2f} ({value} cents)"
    return str(value)
