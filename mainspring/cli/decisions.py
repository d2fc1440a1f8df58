"""`mainspring approve`, `deny`, `answer`: what an approver says at a terminal. The edge.

The same updates as in the Temporal Web UI and the `temporal` CLI; the run itself judges whether they fit.
"""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mainspring.contracts import names
from mainspring.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

Run = Annotated[str, typer.Argument(help="Workflow id of the run.", show_default=False)]
Request = Annotated[str, typer.Argument(help="Number of the request, as its card says.", show_default=False)]


class Outcome(StrEnum):
    """What a person found out about a call that ended without a known result."""

    HAPPENED = "happened"
    NOT_HAPPENED = "not-happened"
    GIVE_UP = "give-up"


def approve(
    run: Run,
    request: Request,
    comment: Annotated[str, typer.Option(help="Kept with the decision.")] = "",
    answer: Annotated[str, typer.Option(help="Of an answer under review: what is given instead.")] = "",
    args: Annotated[str, typer.Option(help="Of a call: other arguments, as a JSON object.")] = "",
) -> None:
    """Approve a request of a run that waits."""
    form: dict[str, Any] = {"request": request, "comment": comment}
    if answer:
        form["answer"] = answer
    if args:
        form["args"] = _object(args)
    _decide(run, names.APPROVE, form)


def deny(run: Run, request: Request, reason: Annotated[str, typer.Option(help="What the model is told.")] = "") -> None:
    """Deny a request of a run that waits."""
    _decide(run, names.DENY, {"request": request, "comment": reason})


def answer(
    run: Run,
    request: Request,
    outcome: Annotated[Outcome, typer.Argument(help="What you found out.", show_default=False)],
) -> None:
    """Say how a call ended whose result is not known."""
    _decide(run, names.ANSWER, {"request": request, "outcome": outcome.value})


async def send(client: "Client", run: str, name: str, form: dict[str, Any]) -> str:
    """Send a decision to a run; gives the sentence it is recorded with.

    Raises:
        UsageError: there is no such run, it has ended, it does not accept this, or no worker answers.
    """
    from mainspring.cli import runs, sending

    found = await runs.describe(client, run)
    if found.status is not None and found.status.name != "RUNNING":
        raise UsageError(f"Run {run!r} has ended ({found.status.name.lower()}), so nothing waits for a decision.")
    return await sending.deliver(client, run, name, form, first=runs.first_of(found))


def _object(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is not JSON: {error}.", param_hint="'--args'") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('it must be an object, such as {"amount_cents": 4000}.', param_hint="'--args'")
    return cast("dict[str, Any]", value)


def _decide(run: str, name: str, form: dict[str, Any]) -> None:
    from mainspring.cli import interrupt, runs

    async def decide() -> str:
        return await send(await runs.connect_as_person(), run, name, form)

    typer.echo(interrupt.run(decide()))
