"""A workflow that asks people what a test wants asked: it has the query and the updates of a run, and nothing else.

The inbox speaks to runs through these alone, so each kind of request can be had without a run that leads to it.
"""

import time
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from mainspring.contracts import names
from mainspring.core.approvals import Decision, Identity, Request, Vote, settled
from mainspring.core.routes import Route

NOW = float(int(time.time()))
WAITS_FOR = SearchAttributeKey.for_keyword(names.WAITS_FOR)


@workflow.defn(name="asking")
class Asking:
    """Waits for a decision on each of its requests; `forms` are what came in, with the update's name."""

    @workflow.init
    def __init__(self, requests: list[Request]) -> None:
        self._open = {each.id: each for each in requests}
        self._settled: dict[str, tuple[Request, Decision]] = {}
        self._forms: list[list[Any]] = []

    @workflow.run
    async def run(self, requests: list[Request]) -> list[list[Any]]:
        first = requests[0]
        workflow.upsert_search_attributes([WAITS_FOR.value_set(f"{first.kind}: {first.tool}")])
        await workflow.wait_condition(lambda: not self._open)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._forms

    @workflow.query(name=names.WAITING)
    def waiting(self) -> list[Request]:
        return list(self._open.values())

    @workflow.query
    def forms(self) -> list[list[Any]]:
        return self._forms

    @workflow.update(name=names.APPROVE)
    async def approve(self, form: dict[str, Any]) -> str:
        return self._take(names.APPROVE, form)

    @workflow.update(name=names.DENY)
    async def deny(self, form: dict[str, Any]) -> str:
        return self._take(names.DENY, form)

    @workflow.update(name=names.ANSWER)
    async def answer(self, form: dict[str, Any]) -> str:
        return self._take(names.ANSWER, form)

    @workflow.update(name=names.TAKE_OVER)
    async def take_over(self, form: dict[str, Any]) -> str:
        return self._take(names.TAKE_OVER, form)

    @approve.validator
    def _check_approve(self, form: dict[str, Any]) -> None:
        self._check(form)

    @deny.validator
    def _check_deny(self, form: dict[str, Any]) -> None:
        self._check(form)

    def _check(self, form: dict[str, Any]) -> None:
        if form["request"] in self._settled:
            raise ApplicationError(settled(*self._settled[form["request"]]), type="NotAccepted", non_retryable=True)
        if form.get("comment") == "refuse me":
            raise ApplicationError("This is refused, since a test says so.", type="NotAccepted", non_retryable=True)

    def _take(self, name: str, form: dict[str, Any]) -> str:
        request = self._open[form["request"]]
        assert form["binding"] == request.binding, "a page says what it has shown"
        self._forms.append([name, {key: value for key, value in form.items() if key != "binding"}])
        vote = Vote(identity=Identity(person="bo@example.com", how="claimed", by="mainspring-inbox"), choice="approve")
        request = request.model_copy(update={"votes": (*request.votes, vote)})
        if request.route and len(request.votes) < request.route.votes:
            self._open[request.id] = request
            return f"Request {request.id} ({request.tool}): {name}. Recorded; {len(request.votes)} agreed."
        del self._open[request.id]
        self._settled[request.id] = (request, Decision(request=request.id, choice="approve", votes=request.votes))
        return f"Request {request.id} ({request.tool}): {name}. Recorded."


def asked(number: int = 1, **about: Any) -> Request:
    """A request for an approval, or what a test makes of it."""
    shared: dict[str, Any] = {
        "id": str(number),
        "kind": "approval",
        "step": "2",
        "agent": "refund-agent",
        "tool": "issue_refund",
        "about": "Pay money back to the customer of an order. This cannot be undone.",
        "args": {"order": 1042, "amount_cents": 8900, "reason": "damaged"},
        "args_digest": f"digest-{number}",
        "rule": "over-eur-50",
        "reason": "Refunds over EUR 50 need a person.",
        "asked": NOW,
        "deadline": NOW + 86_400,
        "deny_reasons": ("not enough evidence", "wrong amount"),
        "binding": f"binding-{number}",
    }
    return Request(**(shared | about))


ROUTE = Route(
    id="large-refunds", who=("finance", "cy@example.com"), need=2, verified=True, escalate=3600.0, to=("managers",)
)
SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "integer", "minimum": 1, "description": "The order number, such as 1042."},
        "amount_cents": {"type": "integer", "description": "How much to pay back, in cents."},
        "reason": {"type": "string", "enum": ["damaged", "not_arrived", "other"]},
    },
    "required": ["order", "amount_cents", "reason"],
}
