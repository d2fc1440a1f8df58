"""Workflow side. Requests that wait for a person: handlers, card, deadline, search attribute.

For each request, updates are set at run time whose names say what they do, so that the stock Web UI
needs no JSON; they are gone once it is decided, and `refuse_late` answers clicks that come after.
"""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from mainspring.contracts import names
from mainspring.contracts.carried import Carried, Questions, Settled
from mainspring.core import card
from mainspring.core.approvals import Choice, Decision, Kind, Request, changed, choices, settled
from mainspring.core.canonical import Json
from mainspring.core.spec import AgentSpec
from mainspring.core.turn import CallVerdict
from mainspring.durable.failures import failure
from mainspring.durable.fitting import misfit
from mainspring.durable.updates import Updates

_WAITS_FOR = SearchAttributeKey.for_keyword(names.WAITS_FOR)
_FIELDS = ("request", "comment", "answer", "args")
_REMEMBERED = 100
"""How many decided requests are carried along, to answer late clicks in words."""


class Approvals:
    """All requests of one run. `indexed` is whether the server knows our search attribute."""

    def __init__(self, updates: Updates) -> None:
        """Nothing is asked yet."""
        self._updates = updates
        self._paused = self._is_session = False
        self._indexed = False
        self._asked_with = self._asked_by = ""
        self._asked = 0
        self._open: dict[str, Request] = {}
        self._settled: dict[str, tuple[Request, Decision]] = {}
        self._untold: dict[tuple[str, Kind], Decision] = {}

    @property
    def waiting(self) -> list[Request]:
        """What waits for a person now, oldest first."""
        return list(self._open.values())

    @property
    def any_asked(self) -> bool:
        """Whether a person was asked anything in this execution."""
        return bool(self._open or self._settled)

    def restore(self, questions: Questions) -> None:
        """Take up the requests of the execution before, each with its number and deadline."""
        self._asked = questions.asked
        self._settled = {each.request.id: (each.request, each.decision) for each in questions.settled}
        self._untold = {(each.request.step, each.request.kind): each.decision for each in questions.fresh}
        for request in questions.open:
            self._offer(request)

    def show_for(self, carried: Carried) -> None:
        """Show what waits on the run's page, with what the run was given."""
        self._indexed = carried.indexed
        self._asked_with, self._asked_by = carried.given.input or "", carried.given.user
        self._paused = self._paused or carried.paused
        self._is_session = carried.given.input is None
        if self._open:
            self._show()
        self._describe()

    def show_paused(self, *, paused: bool) -> None:
        """Show on the run's page whether it is paused."""
        self._paused = paused
        self._describe()

    def carried(self) -> Questions:
        """The requests as they stand now, for the next execution."""
        settled = tuple(
            Settled(request=_lean(request), decision=decision) for request, decision in self._settled.values()
        )
        untold = {decision.request for decision in self._untold.values()}
        return Questions(
            asked=self._asked,
            open=tuple(self._open.values()),
            settled=settled[-_REMEMBERED:],
            fresh=tuple(each for each in settled if each.request.id in untold),
        )

    async def ask(  # noqa: PLR0917 - each is a part of the question
        self,
        kind: Kind,
        agent: AgentSpec,
        step: str,
        verdict: CallVerdict,
        args: dict[str, Json],
        reason: str,
        *,
        editable: bool = False,
    ) -> Decision:
        """Wait until a person decides, or the deadline does; a question of the execution before goes on.

        An `editable` call may be let go with other arguments.
        """
        if (step, kind) in self._untold:
            return self._untold[step, kind]
        request = self._about(step, kind) or self._new(kind, agent, step, verdict, args, reason, editable)
        number = request.id
        left = max(0.0, round(request.deadline - workflow.time(), 3))
        try:
            await workflow.wait_condition(
                lambda: number in self._settled,
                timeout=timedelta(seconds=left),
                timeout_summary=f"waiting for a person: {request.tool} (request {number}, step {step})",
            )
        except TimeoutError:
            if number not in self._settled:
                self._expire(request)
        except BaseException:  # the run is cancelled, or has failed elsewhere: there is nothing left to decide
            if number not in self._settled:
                self._close(request)
            raise
        return self._settled[number][1]

    def told(self, step: str, kind: Kind) -> None:
        """The call that asked has taken the decision in; until then it is carried along."""
        self._untold.pop((step, kind), None)

    def _about(self, step: str, kind: Kind) -> Request | None:
        return next((each for each in self._open.values() if (each.step, each.kind) == (step, kind)), None)

    def _new(  # noqa: PLR0917 - likewise
        self,
        kind: Kind,
        agent: AgentSpec,
        step: str,
        verdict: CallVerdict,
        args: dict[str, Json],
        reason: str,
        editable: bool,
    ) -> Request:
        self._asked += 1
        tool = agent.tool(verdict.tool)
        now = workflow.time()
        request = Request(
            id=str(self._asked),
            kind=kind,
            step=step,
            agent=agent.name,
            tool=verdict.tool,
            about=tool.description.partition("\n\n")[0] if tool else "",
            args=args,
            args_digest=verdict.args_digest,
            rule=verdict.rule,
            reason=reason,
            asked=now,
            deadline=now + agent.deadline,
            deny_reasons=agent.deny_reasons,
            typed=kind == "review" and agent.result_schema is not None,
            input_schema=tool.input_schema if tool and editable and kind == "approval" else {},
        )
        self._offer(request)
        self._show()
        return request

    def _offer(self, request: Request) -> None:
        """Have the request open, with an update for each thing a person may say."""
        self._open[request.id] = request
        for name, (choice, said) in choices(request).items():
            handle, validate = self._handlers(request.id, choice, said)
            _set_handler(name, handle, validate)

    def decide(self, number: str, choice: Choice, said: str, form: Any) -> str:
        """Take a decision; gives the sentence the person reads."""
        self.check(number, choice, form)
        comment = str(cast("dict[str, Any]", form).get("comment") or "") if isinstance(form, dict) else ""
        tool = self._open[number].tool
        reason = ". ".join(part for part in (said if said != "no reason given" else "", comment) if part)
        if choice == "deny":
            denied = (
                "did not say why" if self._open[number].kind == "review" else "denied this call without giving a reason"
            )
            reason = reason or f"A person {denied}."
        elif choice == "give up":
            reason = f"A person gave up on {tool}, whose outcome is not known" + (f": {reason}" if reason else ".")
        update = workflow.current_update_info()
        answer = cast("dict[str, Any]", form).get("answer") if choice == "approve" and isinstance(form, dict) else ""
        args = _edited(self._open[number], choice, form)
        edit = changed(self._open[number].args, args) if args else ""
        self._settle(self._open[number], choice, reason, update.id if update else "", answer or "", args)
        other = ", with another answer" if answer else f", changed ({edit})" if edit else ""
        return f"Request {number} ({tool}): {choice}{other}. Recorded."

    def check(self, number: str, choice: Choice, form: Any) -> None:
        """Refuse a decision that does not fit, in words.

        Raises:
            ApplicationError: NotAccepted; nothing is recorded.
        """
        if form is not None and not isinstance(form, dict):
            raise failure(
                "NotAccepted", 'Data must be empty or an object such as {"comment": "checked with the shop"}.'
            )
        given = cast("dict[str, Any]", form or {})
        unknown = sorted(set(given) - set(_FIELDS))
        if unknown:
            raise failure(
                "NotAccepted", f"Unknown field {unknown[0]!r}; there are 'request', 'comment', 'answer' and 'args'."
            )
        if given.get("request") is not None and str(given["request"]) != number:
            raise failure("NotAccepted", f"This is request {number}, but Data names request {given['request']}.")
        if number in self._settled:
            raise failure("NotAccepted", settled(*self._settled[number]))
        request = self._open.get(number)
        if request is None:
            raise failure("NotAccepted", f"There is no request {number}. {self._what_waits()}")
        if (request.kind == "outcome") != (choice in ("happened", "not happened", "give up")):
            right = "answer" if request.kind == "outcome" else "approve or deny"
            raise failure("NotAccepted", f"Request {number} is decided with {right}, not with {choice!r}.")
        if given.get("answer") is not None:
            self._check_answer(request, choice, given["answer"])
        if given.get("args") is not None:
            self._check_args(request, choice, given["args"])

    def _check_answer(self, request: Request, choice: Choice, answer: object) -> None:
        if request.kind != "review" or choice != "approve":
            raise failure("NotAccepted", "'answer' goes with the approval of an answer only.")
        if not isinstance(answer, str) or not answer.strip():
            raise failure("NotAccepted", "'answer' must be the text that is given instead.")
        if request.typed:
            raise failure(
                "NotAccepted",
                "This answer has a type, so it cannot be replaced by a text. Deny it, and say what to change.",
            )

    def _check_args(self, request: Request, choice: Choice, args: object) -> None:
        """Refuse arguments that the tool cannot be called with. Only when a decision comes, never in a replay."""
        if request.kind != "approval" or choice != "approve":
            raise failure("NotAccepted", "'args' goes with the approval of a call only.")
        if not request.input_schema:
            raise failure("NotAccepted", "This call cannot be changed: a graph makes it. Approve it or deny it.")
        if not isinstance(args, dict):
            raise failure("NotAccepted", "'args' must be an object, such as {\"amount_cents\": 4000}.")
        together = {**request.args, **cast("dict[str, Json]", args)}
        if wrong := misfit(together, request.input_schema):
            raise failure("NotAccepted", f"{request.tool} cannot be called so: {wrong}")

    def number_in(self, form: Any, verb: str) -> str:
        """The request id of a form sent to a stable update; it is never guessed.

        Raises:
            ApplicationError: NotAccepted, when there is none.
        """
        number = cast("dict[str, Any]", form).get("request") if isinstance(form, dict) else None
        if not isinstance(number, str | int):
            raise failure("NotAccepted", f'{verb} needs the request id: {{"request": "1"}}. {self._what_waits()}')
        return str(number)

    def refuse_late(self, name: str) -> None:
        """Answer an update that is not (or no longer) there.

        Raises:
            ApplicationError: NotAccepted, always.
        """
        for request, decision in self._settled.values():
            if name in choices(request):
                raise failure("NotAccepted", settled(request, decision))
        raise failure("NotAccepted", f"There is no update {name!r} here. {self._what_waits()}")

    def _expire(self, request: Request) -> None:
        if request.kind == "approval":
            self._settle(request, "expired", f"Nobody decided in time, so {request.tool} was not allowed.", "")
        elif request.kind == "review":
            reason = f"Nobody reviewed the answer of agent {request.agent!r} in time, so it is not given."
            self._settle(request, "expired", reason, "")
        else:
            reason = f"Nobody said in time whether {request.tool} took effect, so its outcome is not known."
            self._settle(request, "give up", reason, "")

    def _settle(  # noqa: PLR0917 - each is a part of the decision
        self,
        request: Request,
        choice: Choice,
        reason: str,
        update: str,
        answer: str = "",
        args: dict[str, Json] | None = None,
    ) -> None:
        decision = Decision(
            request=request.id,
            choice=choice,
            reason=reason,
            update=update,
            decided=workflow.time(),
            answer=answer,
            args=args,
        )
        self._settled[request.id] = (request, decision)
        self._untold[request.step, request.kind] = decision
        self._close(request)

    def _close(self, request: Request) -> None:
        del self._open[request.id]
        for name in choices(request):
            _set_handler(name)
        self._show()

    def _describe(self) -> None:
        """Say on the run's page what it waits for."""
        requests = self.waiting
        deadlines = {r.id: f"{datetime.fromtimestamp(r.deadline, UTC):%Y-%m-%d %H:%M} UTC" for r in requests}
        if requests:
            details = card.card(requests, self._asked_with, deadlines, self._asked_by)
        elif self._paused:
            details = card.paused()
        else:
            details = card.session() if self._is_session else card.working(workflow.info().workflow_type)
        workflow.set_current_details(details)

    def _show(self) -> None:
        """Likewise, and in the list of runs."""
        self._describe()
        if self._indexed:
            first = next(iter(self._open.values()), None)
            update = _WAITS_FOR.value_set(f"{first.kind}: {first.tool}") if first else _WAITS_FOR.value_unset()
            workflow.upsert_search_attributes([update])  # pyright: ignore[reportUnknownMemberType] - theirs

    def _what_waits(self) -> str:
        if not self._open:
            return "Nothing waits for a person now."
        return "Waiting: " + ", ".join(f"request {r.id} ({r.tool})" for r in self.waiting) + "."

    def _handlers(
        self, number: str, choice: Choice, said: str
    ) -> tuple[Callable[..., Coroutine[Any, Any, str]], Callable[..., None]]:
        async def handle(form: Any = None) -> str:
            return self._updates.once(lambda: self.decide(number, choice, said, form))

        def validate(form: Any = None) -> None:
            if not self._updates.is_known:
                self.check(number, choice, form)

        return handle, validate


def _lean(request: Request) -> Request:
    """A settled request as it is carried: what a late click is answered with, without the arguments."""
    return request.model_copy(update={"args": {}, "about": "", "reason": "", "input_schema": {}})


def _edited(request: Request, choice: Choice, form: Any) -> dict[str, Json] | None:
    """The arguments that a call runs with, where a person changed any."""
    given = cast("dict[str, Any]", form).get("args") if choice == "approve" and isinstance(form, dict) else None
    together = {**request.args, **cast("dict[str, Json]", given)} if given else request.args
    return together if together != request.args else None


def _set_handler(name: str, handle: Any = None, validate: Any = None) -> None:
    """Set an update by name at run time; without a handler it is gone."""
    workflow.set_update_handler(name, handle, validator=validate)  # pyright: ignore[reportUnknownMemberType] - theirs
