"""Workflow side. The two activities around a decision: who sent it, and who is told of a request."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from mainspring.contracts import names
from mainspring.contracts.deciding import Identified, IdentifyWork, Notified, NotifyWork
from mainspring.core.approvals import Identity, Request, form_digest
from mainspring.core.canonical import Json
from mainspring.core.card import Place
from mainspring.core.deciding import why_not
from mainspring.durable.failures import cause_of, failure
from mainspring.durable.perform import Plan, perform
from mainspring.durable.updates import update_id

_IDENTIFY_TRIES = 2
_NOTIFY_TRIES = 12
"""With growing pauses of up to ten minutes: over an hour in all."""


async def identify(request: Request, choice: str, given: dict[str, Json], step: str, *, user: str) -> Identity:
    """Who sent the update in hand, where that person may decide the request.

    Raises:
        ApplicationError: NotAccepted: they may not, their token is refused, or who they are cannot be told.
    """
    work = IdentifyWork(
        update=update_id(),
        request=lean(request),
        form=form_digest(choice, given),
        token=str(given.get("token") or ""),
    )
    plan = Plan(names.IDENTIFY, 10, _IDENTIFY_TRIES, heartbeat=None)
    try:
        found = await perform(plan, work, Identified, step, f"who decides request {request.id}")
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        why = f"Who you are cannot be told: {cause_of(error)}. Nothing was changed; try again."
        raise failure("NotAccepted", why) from None
    refused = found.refusal or why_not(request, found.identity, user)
    if refused:
        raise failure("NotAccepted", f"{sentence(refused)} {_how_else(request, found)}".strip())
    return found.identity


def sentence(text: str) -> str:
    """A text that begins like a sentence; a name in quotes stays as it is."""
    return text if text.startswith(("'", '"')) else text[:1].upper() + text[1:]


def _how_else(request: Request, found: Identified) -> str:
    """How somebody who is not known, or not well enough, can decide after all."""
    needs = request.route and (request.route.verified or (request.route.asks_who and not found.identity.person))
    if not needs or found.identity.how == "verified":
        return ""
    info = workflow.info()
    page = Place(info.namespace, info.workflow_id, found.inbox).link(request.id)
    inbox = f"at {page} or " if page else ""
    proof = "--key FILE" if request.route and request.route.verified else "--as YOU@EXAMPLE.COM"
    return f"Decide {inbox}with: mainspring approve {info.workflow_id} {request.id} {proof}"


async def tell(request: Request, occasion: str, step: str, decision: str = "") -> bool:
    """Tell the channels of a request's route; whether that came to its end. What goes wrong with it fails nothing."""
    plan = Plan(names.NOTIFY, 60, _NOTIFY_TRIES, timedelta(minutes=10))
    work = NotifyWork(request=worded(request), occasion=occasion, decision=decision)
    summary = f"tell {', '.join(request.route.notify if request.route else ())}: request {request.id} {occasion}"
    try:
        done = await perform(plan, work, Notified, step, summary)
    except ActivityError as error:
        if is_cancelled_exception(error):  # the run ends, or this execution of it
            return False
        workflow.logger.warning("Nobody was told of request %s: %s", request.id, cause_of(error))
    else:
        for why in done.failed:
            workflow.logger.warning("Not told of request %s: %s", request.id, why)
    return True


def worded(request: Request) -> Request:
    """A request as channels are told of it."""
    return lean(request).model_copy(update={"reason": request.reason})


def lean(request: Request) -> Request:
    """A request as it is carried or passed on: without the arguments, and what is only shown beside them."""
    nothing: dict[str, object] = {
        "args": {},
        "about": "",
        "reason": "",
        "input_schema": {},
        "answer_schema": {},
        "choices": (),
    }
    return request.model_copy(update={**nothing, "proposed": None})
