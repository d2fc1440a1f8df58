"""Workflow side. Requests that wait for a person: handlers, card, moments, search attributes.

For each request, updates are set at run time whose names say what they do, so that the stock Web UI
needs no JSON; they are gone once it is decided, and `refuse_late` answers clicks that come after.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, cast

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from mainspring.contracts import names
from mainspring.contracts.carried import Carried, Questions, Settled, Unsaid
from mainspring.contracts.run import RunInput
from mainspring.core import card
from mainspring.core.approvals import (
    BUTTON,
    OWN_WORDS,
    Choice,
    Decision,
    Identity,
    Kind,
    Request,
    Vote,
    binding,
    changed,
    choices,
    is_answer,
    settled,
    told,
    unseen,
)
from mainspring.core.canonical import Json, canonical, digest
from mainspring.core.deciding import (
    AGREEING,
    agreed,
    counted,
    deciders,
    dropped,
    is_enough,
    missing,
    next_moment,
    passed,
    why_not,
)
from mainspring.core.spec import AgentSpec
from mainspring.core.turn import CallVerdict
from mainspring.core.words import when
from mainspring.durable.asking import new_request
from mainspring.durable.deciders import identify, lean, sentence, tell, worded
from mainspring.durable.failures import failure
from mainspring.durable.forms import answer_of, check_form, edited, read_form, reason_of
from mainspring.durable.updates import Updates, update_id

_WAITS_FOR = SearchAttributeKey.for_keyword(names.WAITS_FOR)
_DECIDERS = SearchAttributeKey.for_keyword_list(names.DECIDERS)
_DUE = SearchAttributeKey.for_datetime(names.DUE)
_REMEMBERED = 100
"""How many decided requests are carried along, to answer late clicks in words."""
_LISTED = 1500
"""How many bytes of names of deciders the list of runs knows of one: the server ends a run that sets 2,048."""
_LAST_WORDS = timedelta(seconds=10)
"""How long a run that ends waits until people are told what was decided."""


class Approvals:
    """All requests of one run."""

    def __init__(self, updates: Updates) -> None:
        """Nothing is asked yet."""
        self._updates = updates
        self._paused = self._drawing = False
        self._carried: Carried | None = None
        self._table = 0
        self._asked = self._checked = 0
        self._open: dict[str, Request] = {}
        self._settled: dict[str, tuple[Request, Decision]] = {}
        self._untold: dict[tuple[str, Kind], Decision] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._unsaid: dict[str, Unsaid] = {}

    @property
    def waiting(self) -> list[Request]:
        """What waits for a person now, oldest first."""
        return list(self._open.values())

    @property
    def _given(self) -> RunInput:
        """What the run was given, as far as that is known yet."""
        return self._carried.given if self._carried else RunInput()

    @property
    def any_asked(self) -> bool:
        """Whether a person was asked anything in this execution."""
        return bool(self._open or self._settled)

    def restore(self, carried: Carried) -> None:
        """Take up the requests of the execution before, each with its number and deadline: updates come at once."""
        questions, self._carried = carried.questions, carried
        self._paused = carried.paused
        self._asked, self._checked = questions.asked, questions.checked
        self._settled = {each.request.id: (each.request, each.decision) for each in questions.settled}
        self._untold = {(each.request.step, each.request.kind): each.decision for each in questions.fresh}
        first = workflow.info().first_execution_run_id
        for request in questions.open:
            bound = request.binding or binding(first, request.id, request.args_digest)  # of before there were any
            self._offer(request.model_copy(update={"binding": bound}))
        for each in questions.unsaid:
            self._tell(each.request, each.decision)

    def show_for(self, carried: Carried, table: int) -> None:
        """Show what waits on the run's page, with what the run was given; `table` is the version of its turn table."""
        self._carried, self._table = carried, table
        self._paused = self._paused or carried.paused
        if self._open or carried.questions.open:
            self._show()
        else:
            self._describe()

    def show_paused(self, *, paused: bool) -> None:
        """Show on the run's page whether it is paused."""
        self._paused = paused
        self._describe()

    def carried(self) -> Questions:
        """The requests as they stand now, for the next execution."""
        settled = tuple(
            Settled(request=lean(request), decision=decision) for request, decision in self._settled.values()
        )
        untold = {decision.request for decision in self._untold.values()}
        return Questions(
            asked=self._asked,
            checked=self._checked,
            open=tuple(self._open.values()),
            settled=settled[-_REMEMBERED:],
            fresh=tuple(each for each in settled if each.request.id in untold),
            unsaid=tuple(self._unsaid.values()),
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
        request = next((each for each in self._open.values() if (each.step, each.kind) == (step, kind)), None)
        if request is None:
            self._asked += 1
            request = new_request(
                str(self._asked), kind, agent, step, verdict, args, reason, table=self._table, editable=editable
            )
            self._offer(request)
            self._show()
        try:
            while request.id not in self._settled:
                self._tell(self._open[request.id])
                await self._wait(self._open[request.id])
        except BaseException:  # the run is cancelled, or has failed elsewhere: there is nothing left to decide
            if request.id not in self._settled:
                self._close(request)
            raise
        return self._settled[request.id][1]

    def told(self, step: str, kind: Kind) -> None:
        """The call that asked has taken the decision in; until then it is carried along."""
        self._untold.pop((step, kind), None)

    async def last_words(self) -> None:
        """Wait a moment until people have been told: the run, or this execution of it, is about to end."""
        if self._telling:
            await workflow.wait(list(self._telling.values()), timeout=_LAST_WORDS.total_seconds())
        for task in self._telling.values():
            task.cancel()

    async def _wait(self, request: Request) -> None:
        """Until it is decided, its moments are changed, or the next of them has come."""
        at, moment = next_moment(request)

        def is_over() -> bool:
            return request.id in self._settled or next_moment(self._open[request.id]) != (at, moment)

        left = max(0.0, round(at - workflow.time(), 3))
        what = f"waiting for a person: {request.tool} (request {request.id}, step {request.step})"
        then = {"remind": ", then a reminder", "escalate": ", then it is escalated", "deadline": ""}[moment]
        try:
            await workflow.wait_condition(is_over, timeout=timedelta(seconds=left), timeout_summary=what + then)
        except TimeoutError:
            if not is_over():
                self._pass(self._open[request.id])

    def _pass(self, request: Request) -> None:
        """A moment has come."""
        after = passed(request, next_moment(request).moment, workflow.time())
        if isinstance(after, Request):
            self._change(after.model_copy(update={"told": ""}))  # also where it is not the first of its kind
            return
        late = {
            "approval": f"Nobody decided in time, so {request.tool} was not allowed.",
            "question": "Nobody answered in time.",
            "review": f"Nobody reviewed the answer of agent {request.agent!r} in time, so it is not given.",
            "outcome": f"Nobody said in time whether {request.tool} took effect, so its outcome is not known.",
        }[request.kind]
        reason = "Nobody decided in time, and then the policy approves." if after == "approve" else late
        self._settle(request, Decision(request=request.id, choice=after, reason=reason))

    def _offer(self, request: Request) -> None:
        """Have the request open, with an update for each thing a person may say."""
        self._open[request.id] = request
        for name, (choice, said) in choices(request).items():
            handle, validate = self._handlers(request.id, choice, said, wordy=name.endswith(OWN_WORDS))
            _set_handler(name, handle, validate)

    def _change(self, request: Request) -> None:
        self._open[request.id] = request
        self._show()

    async def decide(self, number: str, choice: Choice, said: str, form: Any) -> str:
        """Take what a person says to a request; gives the sentence they read.

        Raises:
            ApplicationError: NotAccepted; nothing is changed.
        """
        given = read_form(form, choice, said)
        request = self._must_be_open(number, given)
        identity = await self._who(request, choice, given)
        if identity:
            request = self._still(request, given, identity)
        reason = reason_of(request, choice, said, given)
        after = self._edited(request, edited(request, choice, given))
        if identity:
            vote = Vote(identity=identity, choice=choice, update=update_id(), at=workflow.time())
            after = counted(after, vote)
            if not is_enough(after):
                self._change(after)
                return _so_far(after)
        return self._decided(request, after, choice, reason, answer_of(given))

    def _still(self, before: Request, given: dict[str, Json], identity: Identity) -> Request:
        """The request after it was looked into who decides: somebody may have been faster.

        Raises:
            ApplicationError: NotAccepted, where it is not what they said something to any more, or they have meanwhile.
        """
        request = self._must_be_open(before.id, given)
        if (request.binding, request.route) != (before.binding, before.route):
            raise failure("NotAccepted", f"Request {request.id} was changed meanwhile. Look at it again, then decide.")
        if refused := why_not(request, identity, self._given.user):
            raise failure("NotAccepted", sentence(refused))
        return request

    def _decided(self, request: Request, after: Request, choice: Choice, reason: str, answer: str) -> str:
        is_review = is_answer(request)
        other = after.args if after.proposed is not None else None
        if is_review and other and choice == "approve":
            answer, other = str(other["answer"]), None
        decision = Decision(
            request=request.id,
            choice=choice,
            reason=reason,
            update=update_id(),
            answer=answer,
            args=other,
            votes=after.votes,
        )
        edit = changed(after.proposed or {}, other) if other and choice == "approve" else ""
        self._settle(after, decision)
        more = ", with another answer" if is_review and answer else f", changed ({edit})" if edit else ""
        still = " The rules are asked once more before it runs." if edit and not is_review else ""
        return f"Request {request.id} ({request.tool}): {choice}{more}. Recorded.{still}"

    def _edited(self, request: Request, args: dict[str, Json]) -> Request:
        """The request with other arguments; whoever agreed to those before agreed to something else."""
        if args == request.args:
            return request
        proposed = request.args if request.proposed is None else request.proposed
        made = digest(canonical(args), self._carried.run.key if self._carried else "")
        bound = binding(request.minted or workflow.info().first_execution_run_id, request.id, made)
        change = {"args": args, "proposed": proposed, "args_digest": made, "binding": bound}
        return dropped(request).model_copy(update=change)

    async def _who(self, request: Request, choice: str, given: dict[str, Json]) -> Identity | None:
        """Who decides, where that is asked or said.

        Raises:
            ApplicationError: NotAccepted, where they may not.
        """
        if not (request.route or given.get("token")):
            return None
        self._checked += 1
        return await identify(request, choice, given, f"identify-{self._checked}", user=self._given.user)

    async def reschedule(self, form: Any, moments: dict[str, float]) -> str:
        """Move the moments of a request, each to as many seconds from now; gives the sentence the person reads.

        Raises:
            ApplicationError: NotAccepted; nothing is changed.
        """
        number = self.number_in(form, names.RESCHEDULE)
        request = self._must_be_open(number, form)
        if identity := await self._who(request, names.RESCHEDULE, form):
            request = self._still(request, form, identity)
            request = request.model_copy(update={"spent": (*request.spent, *filter(None, [identity.token]))})
        now = workflow.time()
        self._change(request.model_copy(update={name: now + seconds for name, seconds in moments.items()}))
        return f"Request {number} ({request.tool}): {_times(self._open[number])}."

    def check_reschedule(self, form: Any, moments: dict[str, float]) -> None:
        """Refuse moments that would not come in their order.

        Raises:
            ApplicationError: NotAccepted.
        """
        request = self._must_be_open(self.number_in(form, names.RESCHEDULE), {})
        now = workflow.time()
        at = {"remind": request.remind, "escalate": request.escalate, "deadline": request.deadline}
        at.update({name: now + seconds for name, seconds in moments.items()})
        if not moments:
            raise failure("NotAccepted", 'reschedule needs a time, such as {"request": "1", "deadline": "2h"}.')
        if moments.get("escalate") and not (request.route and request.route.to):
            raise failure("NotAccepted", f"Request {request.id} has nobody to be escalated to.")
        if max(at["remind"], at["escalate"]) >= at["deadline"]:
            raise failure("NotAccepted", "To remind or escalate comes before the deadline.")
        sooner = [name for name in ("escalate", "deadline") if name in moments and at[name] < getattr(request, name)]
        if request.route and sooner:  # else one person could have it handed over to others at once
            why = f"{sooner[0]!r} can only be moved to a later time: a route says what comes then."
            raise failure("NotAccepted", why)

    def check(self, number: str, choice: Choice, form: Any, said: str = "", *, wordy: bool = False) -> None:
        """Refuse a decision that does not fit, in words; `wordy` ones need some of the person's own.

        Raises:
            ApplicationError: NotAccepted; nothing is recorded.
        """
        given = read_form(form, choice, said)
        request = self._must_be_open(number, given)
        check_form(request, choice, given)
        if choice in AGREEING and not (given.get("binding") or given.get("token")) and (why := unseen(request)):
            raise failure("NotAccepted", why)
        if wordy and choice == "deny" and not given.get("comment"):
            raise failure("NotAccepted", 'Put your reason into Data, in quotes: "The photo shows another order."')

    def _must_be_open(self, number: str, given: dict[str, Json]) -> Request:
        if given.get("request") is not None and str(given["request"]) != number:
            raise failure("NotAccepted", f"This is request {number}, but Data names request {given['request']}.")
        if number in self._settled:
            raise failure("NotAccepted", settled(*self._settled[number]))
        request = self._open.get(number)
        if request is None:
            raise failure("NotAccepted", f"There is no request {number}. {self._what_waits()}")
        if given.get("binding") not in (None, "", request.binding):
            raise failure("NotAccepted", f"Request {number} was changed meanwhile. Look at it again, then decide.")
        return request

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
        button = BUTTON.fullmatch(name)
        if button and button["request"] in self._settled:
            raise failure("NotAccepted", settled(*self._settled[button["request"]]))
        raise failure("NotAccepted", f"There is no update {name!r} here. {self._what_waits()}")

    def _settle(self, request: Request, decision: Decision) -> None:
        decision = decision.model_copy(update={"decided": workflow.time()})
        self._settled[request.id] = (request, decision)
        self._untold[request.step, request.kind] = decision
        self._close(request)
        self._tell(request, told(request, decision))

    def _close(self, request: Request) -> None:
        del self._open[request.id]
        for name in choices(request):
            _set_handler(name)
        self._show()

    def _tell(self, request: Request, decision: str = "") -> None:
        """Tell the channels of its route how far it has come, once; on what came of it those that know of it."""
        occasion = "decided" if decision else request.stage
        step = f"tell-{request.id}-{occasion.replace(' ', '-')}"
        if not (request.route and request.route.notify) or request.told == occasion or step in self._telling:
            return

        if decision:
            self._unsaid[step] = Unsaid(request=worded(request), decision=decision)

        async def telling() -> None:
            if await tell(request, occasion, step, decision):
                self._unsaid.pop(step, None)
            if (still := self._open.get(request.id)) and still.stage == occasion:
                self._open[request.id] = still.model_copy(update={"told": occasion})

        self._telling[step] = asyncio.create_task(telling())
        self._telling[step].add_done_callback(lambda _: self._telling.pop(step, None))

    def _describe(self) -> None:
        """Say on the run's page what it waits for, once all that happens now has happened: a card takes its time."""
        if not self._drawing:
            self._drawing = True
            asyncio.get_running_loop().call_soon(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        if requests := self.waiting:
            given = self._given
            info, inbox = workflow.info(), self._carried.inbox if self._carried else ""
            place = card.Place(info.namespace, info.workflow_id, inbox)
            details = card.card(requests, given.input or "", given.user, place)
        elif self._paused:
            details = card.paused()
        else:
            is_session = self._carried is not None and self._given.input is None
            details = card.session() if is_session else card.working(workflow.info().workflow_type)
        workflow.set_current_details(details)

    def _show(self) -> None:
        """Likewise, and in the list of runs."""
        self._describe()
        if not (self._carried and self._carried.indexed):
            return
        first = next(iter(self._open.values()), None)
        update: list[SearchAttributeUpdate[Any]] = [
            _WAITS_FOR.value_set(f"{first.kind}: {first.tool}") if first else _WAITS_FOR.value_unset()
        ]
        if self._carried.listed:
            everybody = {name for request in self._open.values() for name in deciders(request) if "@" not in name}
            due = min((request.deadline for request in self._open.values()), default=None)
            listed = _listed(sorted(everybody))
            update.append(_DECIDERS.value_set(listed) if listed else _DECIDERS.value_unset())
            update.append(_DUE.value_set(datetime.fromtimestamp(due, UTC)) if due else _DUE.value_unset())
        workflow.upsert_search_attributes(update)  # pyright: ignore[reportUnknownMemberType] - theirs

    def _what_waits(self) -> str:
        if not self._open:
            return "Nothing waits for a person now."
        return "Waiting: " + ", ".join(f"request {r.id} ({r.tool})" for r in self.waiting) + "."

    def _handlers(
        self, number: str, choice: Choice, said: str, *, wordy: bool
    ) -> tuple[Callable[..., Coroutine[Any, Any, str]], Callable[..., None]]:
        async def handle(form: Any = None) -> str:
            return await self._updates.once_after(lambda: self.decide(number, choice, said, form))

        def validate(form: Any = None) -> None:
            if not self._updates.is_known:
                self.check(number, choice, form, said, wordy=wordy)

        return handle, validate


def _listed(everybody: list[str]) -> list[str]:
    """As many as the list of runs may know."""
    sizes = accumulate(len(json.dumps(each)) + 1 for each in everybody)
    return [each for each, size in zip(everybody, sizes, strict=True) if size <= _LISTED]


def _times(request: Request) -> str:
    """The moments of a request, in words."""
    at = {"reminder": request.remind, "escalated": request.escalate, "deadline": request.deadline}
    return ", ".join(f"{name} {when(time)}" for name, time in at.items() if time)


def _so_far(request: Request) -> str:
    """What somebody reads whose vote alone is not enough."""
    wanted, given = request.route.votes if request.route else 1, agreed(request)
    still = f" Still needed: {', '.join(missing(request))}." if missing(request) else ""
    return f"Request {request.id} ({request.tool}): recorded, {given} of {wanted} who must agree.{still}"


def _set_handler(name: str, handle: Any = None, validate: Any = None) -> None:
    """Set an update by name at run time; without a handler it is gone."""
    workflow.set_update_handler(name, handle, validator=validate)  # pyright: ignore[reportUnknownMemberType] - theirs
