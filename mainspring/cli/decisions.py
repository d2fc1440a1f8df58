"""`mainspring approve`, `deny`, `answer`, `take-over`, `reschedule`: what a person says at a terminal. The edge.

The same updates as in the Temporal Web UI and the `temporal` CLI; the run itself judges whether they fit.
"""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mainspring.cli.proofs import AsOption, KeyOption, TokenOption, proof_of
from mainspring.contracts import names
from mainspring.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

    from mainspring.cli.proofs import Proof

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
    *,
    comment: Annotated[str, typer.Option(help="Kept with the decision.")] = "",
    answer: Annotated[str, typer.Option(help="Of an answer under review: what is given instead.")] = "",
    args: Annotated[str, typer.Option(help="Of a call: other arguments, as a JSON object.")] = "",
    binding: Annotated[str, typer.Option(help="Of a call that somebody changed: that you agree to this change.")] = "",
    person: AsOption = "",
    key: KeyOption = None,
    token: TokenOption = "",
) -> None:
    """Approve a request of a run that waits."""
    form: dict[str, Any] = {"request": request, "comment": comment}
    if binding:
        form["binding"] = binding
    if answer:
        form["answer"] = answer
    if args:
        form["args"] = _object(args)
    _decide(run, names.APPROVE, form, "approve", proof_of(key, token), person)


def deny(
    run: Run,
    request: Request,
    *,
    reason: Annotated[str, typer.Option(help="What the model is told.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="Stop the run as well.")] = False,
    person: AsOption = "",
    key: KeyOption = None,
    token: TokenOption = "",
) -> None:
    """Deny a request of a run that waits."""
    form: dict[str, Any] = {"request": request, "comment": reason}
    if stop:
        form["stop"] = True
    _decide(run, names.DENY, form, "stop" if stop else "deny", proof_of(key, token), person)


def answer(
    run: Run,
    request: Request,
    outcome: Annotated[Outcome | None, typer.Argument(help="What you found out.", show_default=False)] = None,
    *,
    text: Annotated[str, typer.Option(help="Of a question that an agent asks: the answer.")] = "",
    person: AsOption = "",
    key: KeyOption = None,
    token: TokenOption = "",
) -> None:
    """Answer a question, or say how a call ended whose result is not known."""
    if (outcome is None) == (not text):
        raise typer.BadParameter(
            "give one of them: OUTCOME for a call whose result is not known, --text for a question.",
            param_hint="OUTCOME, '--text'",
        )
    if outcome is None:
        _decide(run, names.ANSWER, {"request": request, "answer": text}, "answer", proof_of(key, token), person)
    else:
        from mainspring.core.approvals import OUTCOMES

        form = {"request": request, "outcome": outcome.value}
        _decide(run, names.ANSWER, form, OUTCOMES[outcome.value], proof_of(key, token), person)


def take_over(
    run: Run,
    request: Request,
    *,
    text: Annotated[str, typer.Option(help="What is answered in the agent's place.", show_default=False)],
    person: AsOption = "",
    key: KeyOption = None,
    token: TokenOption = "",
) -> None:
    """Finish the conversation in the agent's place: it does nothing more, and your answer is given."""
    _decide(run, names.TAKE_OVER, {"request": request, "answer": text}, "take over", proof_of(key, token), person)


def reschedule(
    run: Run,
    request: Request,
    *,
    deadline: Annotated[str, typer.Option(help="How long there is from now, such as 2h.", show_default=False)],
    remind: Annotated[str, typer.Option(help="When people are told again, from now.")] = "",
    escalate: Annotated[str, typer.Option(help="When others may decide too, from now.")] = "",
    person: AsOption = "",
    key: KeyOption = None,
    token: TokenOption = "",
) -> None:
    """Give a request more time, or less."""
    form = {"request": request, "deadline": deadline, "remind": remind, "escalate": escalate}
    given = {name: value for name, value in form.items() if value}
    _decide(run, names.RESCHEDULE, given, "reschedule", proof_of(key, token), person)


async def send(client: "Client", run: str, name: str, form: dict[str, Any]) -> str:
    """Send a decision to a run; gives the sentence it is recorded with.

    Raises:
        UsageError: there is no such run, it has ended, it does not accept this, or no worker answers.
    """
    from mainspring.approving import sending
    from mainspring.cli import runs

    found = await runs.describe_running(client, run)
    return await sending.deliver(client, run, name, form, first=runs.first_of(found))


def _object(text: str) -> dict[str, Any]:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"it is not JSON: {error}.", param_hint="'--args'") from None
    if not isinstance(value, dict):
        raise typer.BadParameter('it must be an object, such as {"amount_cents": 4000}.', param_hint="'--args'")
    return cast("dict[str, Any]", value)


def _decide(  # noqa: PLR0917 - a decision, and who makes it
    run: str, name: str, form: dict[str, Any], choice: str, proof: "Proof | None", person: str
) -> None:
    """`choice` is what the form comes to, as `core.approvals` names it."""
    from mainspring.cli import interrupt, runs

    async def decide() -> str:
        client = await runs.connect_as_person(person)
        token = await proof.token(client, run, choice, form) if proof else ""
        try:
            return await send(client, run, name, {**form, "token": token} if token else form)
        except UsageError as error:
            if person or proof or "may not decide" not in str(error):
                raise
            raise UsageError(f"{error} Say who you are with --as, or prove it with --key.") from None

    typer.echo(interrupt.run(decide()))
