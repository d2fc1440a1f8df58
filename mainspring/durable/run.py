"""Workflow side. The one workflow class behind every agent and graph: its type name says which."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from mainspring.contracts import names
from mainspring.contracts.carried import Carried, Exchange, Mail
from mainspring.contracts.run import RunInput, RunResult, read_input
from mainspring.contracts.steps import Sealed
from mainspring.core import card
from mainspring.core.answers import read_answer
from mainspring.core.approvals import Choice, Request
from mainspring.core.turn import check_version
from mainspring.durable.approvals import Approvals
from mainspring.durable.continuing import FAST_TASK, continue_as_new, is_full, is_too_slow, read_carried
from mainspring.durable.conversation import Conversation
from mainspring.durable.failures import failure
from mainspring.durable.forms import read_choice, read_moments
from mainspring.durable.graph import hold_graph
from mainspring.durable.running import Running, admit, admitted, text_of
from mainspring.durable.session import Session, check_text, taken
from mainspring.durable.traffic import Traffic
from mainspring.durable.updates import Updates
from mainspring.errors import InputError


@workflow.defn(dynamic=True)
class AnyRun:
    """A run of the agent or graph that has the workflow type's name."""

    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        """Updates may come before the first step, so what answers them is there first."""
        self._carried = read_carried(args)
        self._is_session = _is_session(self._carried, args)
        self._traffic = Traffic(lambda: is_full(self._updates.count))
        self._updates = Updates(self._carried.updates if self._carried else (), self._traffic.look)
        self._session = Session(self._carried.mail if self._carried else Mail())
        self._approvals = Approvals(self._updates)
        self._notes: list[str] = []
        self._running: Running | None = None
        if self._carried:
            self._traffic.paused = self._carried.paused
            self._approvals.restore(self._carried)

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        """Admit, hold the conversation or graph, close; gives a `RunResult`."""
        carried, refusal = self._carried, ""
        given = None if carried else _read(args)
        local = workflow.patched(names.LOCAL)
        workflow.set_current_details(card.working(workflow.info().workflow_type))
        if given:
            admission = await admit(given, local=local)
            refusal = admission.refusal and f"The rule {admission.rule!r} refused the input: {admission.refusal}"
            carried = admitted(given, admission)
        self._running = running = Running(cast("Carried", carried), self._approvals, self._traffic, local=local)
        running.notes += self._notes
        try:
            _let_in(refusal)
            if given and local and is_too_slow(running.spec):
                self._move_over(running)
            result = await self._see_through(running)
        except BaseException as error:
            if isinstance(error, ApplicationError):
                await self._approvals.last_words()
            if is_cancelled_exception(error):
                workflow.set_current_details(card.stopped("Cancelled"))
                await running.close("cancelled")
            elif isinstance(error, ApplicationError):
                workflow.set_current_details(card.stopped("Failed"))
                await running.close("failed", error.type or "")
            raise
        workflow.set_current_details(card.ended(result.answer))
        await self._approvals.last_words()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await running.close("completed")
        return result

    async def _see_through(self, running: Running) -> RunResult:
        """Hold the conversation or graph to its end, or up to where the run continues as new."""
        task = asyncio.create_task(self._hold(running))
        try:
            while True:
                await workflow.wait_condition(lambda: task.done() or self._is_still())
                if task.done():
                    return task.result()
                await self._continue(running, task)
        except BaseException as error:
            if not isinstance(error, workflow.ContinueAsNewError):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            raise

    def _is_still(self) -> bool:
        return self._traffic.draining and self._traffic.quiet

    async def _continue(self, running: Running, task: "asyncio.Task[RunResult]") -> None:
        beside = self._to_carry(running, Sealed()).model_dump_json(exclude_defaults=True)
        sealed = await running.seal(len(beside.encode()))
        if running.nodes or running.agents or self._approvals.any_asked:
            await running.close("continued")
        await self._approvals.last_words()
        await workflow.wait_condition(workflow.all_handlers_finished)
        if not task.done():  # whatever came in meanwhile is in the state that is carried along
            continue_as_new(self._to_carry(running, sealed), sealed)

    def _move_over(self, running: Running) -> None:
        continue_as_new(self._to_carry(running, Sealed()), Sealed(), task_timeout=FAST_TASK)

    def _to_carry(self, running: Running, sealed: Sealed) -> Carried:
        own = {"mail": self._session.carried(), "updates": self._updates.carried()}
        return running.to_carry(sealed).model_copy(update=own)

    async def _hold(self, running: Running) -> RunResult:
        check_version(running.spec.turn)  # not a failure of the run: it waits for a worker that has the table
        given = running.given.input
        if running.spec.kind == "graph":
            if given is None:
                raise failure(
                    "BadInput", f"{running.spec.name!r} is a graph, which needs an input; agents have sessions."
                )
            answer, result = await hold_graph(running)
            return RunResult(answer=answer, result=result, totals=running.final_totals())
        agent = running.spec.agent(running.spec.name)
        talk = Conversation(running, agent, "")
        answer = await (self._session.serve(talk) if given is None else talk.hold(given))
        typed = read_answer(answer) if agent.result_schema and answer else None
        return RunResult(answer=text_of(answer), result=typed, totals=running.final_totals())

    @workflow.query(name=names.WAITING, description="What waits for a person, oldest first")
    def waiting(self) -> list[Request]:
        """What waits for a person, oldest first."""
        return self._approvals.waiting

    @workflow.query(name=names.MESSAGES, description="A session's newest messages, oldest first, with their answers")
    def messages(self) -> list[Exchange]:
        """A session's newest messages with what came of them."""
        return self._session.messages

    @workflow.update(
        name=names.APPROVE, description='For programs, with Data {"request": "1"}. Without Data choose "approve 1: …".'
    )
    async def approve(self, form: Any = None) -> str:
        """Approve the request that the form names."""
        return await self._decide(*self._meant(names.APPROVE, form))

    @approve.validator
    def _check_approve(self, form: Any = None) -> None:
        self._check(names.APPROVE, form)

    @workflow.update(
        name=names.DENY,
        description=(
            'For programs, with Data {"request": "1", "comment": "why"}, and "stop": true to stop the run. '
            'Without Data choose "deny 1: …".'
        ),
    )
    async def deny(self, form: Any = None) -> str:
        """Deny the request that the form names; the comment is the reason the model reads."""
        return await self._decide(*self._meant(names.DENY, form))

    @deny.validator
    def _check_deny(self, form: Any = None) -> None:
        self._check(names.DENY, form)

    @workflow.update(
        name=names.ANSWER,
        description=(
            'For programs, with Data {"request": "1", "answer": "…"}, or for a call whose outcome is not known '
            '{"request": "1", "outcome": "happened" | "not-happened" | "give-up"}. Else choose "answer 1: …".'
        ),
    )
    async def answer(self, form: Any = None) -> str:
        """Answer a question of an agent's, or say how a call ended whose outcome is not known."""
        return await self._decide(*self._meant(names.ANSWER, form))

    @answer.validator
    def _check_answer(self, form: Any = None) -> None:
        self._check(names.ANSWER, form)

    @workflow.update(
        name=names.TAKE_OVER,
        description='Finish the conversation in the agent\'s place, with Data {"request": "1", "answer": "…"}.',
    )
    async def take_over(self, form: Any = None) -> str:
        """Give the answer in the place of the agent that asked."""
        return await self._decide(*self._meant(names.TAKE_OVER, form))

    @take_over.validator
    def _check_take_over(self, form: Any = None) -> None:
        self._check(names.TAKE_OVER, form)

    @workflow.update(
        name=names.RESCHEDULE,
        description='Move the deadline, counted from now: {"request": "1", "deadline": "2h"}; or "remind", "escalate".',
    )
    async def reschedule(self, form: Any = None) -> str:
        """Move the moments of a request."""
        return await self._updates.once_after(lambda: self._approvals.reschedule(form, read_moments(form)))

    @reschedule.validator
    def _check_reschedule(self, form: Any = None) -> None:
        if not self._updates.is_known:
            self._approvals.check_reschedule(form, read_moments(form))

    @workflow.update(name=names.SEND, description='A message for a session: "…" or {"message": "…"}. Read it by reply.')
    async def send(self, form: Any = None) -> Exchange:
        """Take a message; gives its number at once, and `reply` its answer."""
        return Exchange.model_validate(self._updates.once(lambda: self._session.take(form)))

    @send.validator
    def _check_send(self, form: Any = None) -> None:
        if not self._updates.is_known:
            self._must_be_session("send")
            self._session.check(form)

    @workflow.update(name=names.REPLY, description='The answer to a message, once it is there: {"message": 1}')
    async def reply(self, form: Any = None) -> Exchange:
        """Wait for the answer to a message; it comes back unanswered where the run continues as new meanwhile."""
        self._updates.add()
        number = self._session.number_in(form)
        await workflow.wait_condition(lambda: not self._session.is_open(number) or self._traffic.draining)
        return self._session.exchange(number)

    @reply.validator
    def _check_reply(self, form: Any = None) -> None:
        self._must_be_session("reply")
        self._session.number_in(form)

    @workflow.update(name=names.STEER, description='A note that the model reads before its next message: "…"')
    async def steer(self, form: Any = None) -> str:
        """Have the agents that are at work read a note before their next message."""
        return self._updates.once(lambda: self._steer(taken(form, "note")))

    @steer.validator
    def _check_steer(self, form: Any = None) -> None:
        check_text(form, "note", "steer")

    @workflow.update(name=names.PAUSE, description="Let no further step begin, until resume")
    async def pause(self) -> str:
        """Let no further step begin; what has begun goes on to its end."""
        return self._updates.once(lambda: self._pause(paused=True))

    @workflow.update(name=names.RESUME, description="Go on after pause")
    async def resume(self) -> str:
        """Go on."""
        return self._updates.once(lambda: self._pause(paused=False))

    @workflow.update(name=names.FINISH, description="End a session, once the messages that wait are answered")
    async def finish(self) -> str:
        """End a session once its messages are answered."""
        return self._updates.once(self._finish)

    @finish.validator
    def _check_finish(self) -> None:
        self._must_be_session("finish")

    @workflow.update(dynamic=True)
    async def late(self, name: str, args: Sequence[RawValue]) -> Any:  # noqa: ARG002 - its shape is given
        """Refuse an update that is not there; the validator already did, but for one that was handled before."""
        return self._updates.once(lambda: self._approvals.refuse_late(name))

    @late.validator
    def _check_late(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - likewise
        if not self._updates.is_known:
            self._approvals.refuse_late(name)

    def _meant(self, verb: str, form: Any) -> tuple[str, Choice, Any]:
        """The request that a form names, what is said to it, and the rest of the form."""
        number = self._approvals.number_in(form, verb)
        choice, rest = read_choice(verb, form)
        return number, choice, rest

    async def _decide(self, number: str, choice: Choice, form: Any) -> str:
        return await self._updates.once_after(lambda: self._approvals.decide(number, choice, "", form))

    def _check(self, verb: str, form: Any) -> None:
        if not self._updates.is_known:
            self._approvals.check(*self._meant(verb, form))

    def _must_be_session(self, verb: str) -> None:
        if not self._is_session:
            raise failure("NotAccepted", f"This run is no session, so there is no {verb}. Start one without an input.")

    def _steer(self, note: str) -> str:
        running = self._running
        talks = list(running.talks.values()) if running else []
        if running and not talks:
            raise failure("NotAccepted", "No agent is at work now.")
        own = [talk for talk in talks if not talk.head.thread] or talks
        for talk in own:
            talk.note(note)
        if not running:
            self._notes.append(note)
        return "The model reads it before its next message."

    def _pause(self, *, paused: bool) -> str:
        self._traffic.paused = paused
        self._approvals.show_paused(paused=paused)
        return "Paused: no step begins until resume. What had begun goes on to its end." if paused else "Goes on."

    def _finish(self) -> str:
        self._session.finishing = True
        return "The session ends once the messages that wait are answered."


def _is_session(carried: Carried | None, args: Sequence[RawValue]) -> bool:
    """Whether messages may come: known from the start, since they may come with it."""
    try:
        return (carried.given if carried else _read(args)).input is None
    except ApplicationError:  # the run is about to fail of it
        return False


def _let_in(refusal: str) -> None:
    if refusal:
        raise failure("Refused", refusal)


def _read(args: Sequence[RawValue]) -> RunInput:
    """What the run was started with.

    Raises:
        ApplicationError: BadInput, in words.
    """
    name = workflow.info().workflow_type
    convert = workflow.payload_converter().from_payload
    try:
        values: list[Any] = [convert(each.payload) for each in args]
        return read_input(values, name)
    except InputError as error:
        raise failure("BadInput", str(error)) from None
    except Exception as error:  # noqa: BLE001 - an encoding this worker cannot read
        raise failure("BadInput", f"{name!r}: the input cannot be decoded: {error}") from None
