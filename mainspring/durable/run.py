"""Workflow side. The one workflow class behind every agent and graph: its type name says which."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from mainspring.contracts import names
from mainspring.contracts.run import RunResult, read_input
from mainspring.core import card
from mainspring.core.answers import read_answer
from mainspring.core.approvals import Choice, Request
from mainspring.durable.approvals import Approvals
from mainspring.durable.conversation import Conversation
from mainspring.durable.failures import failure
from mainspring.durable.graph import hold_graph
from mainspring.durable.running import Running, admit, text_of
from mainspring.errors import InputError

_ANSWERS: dict[str, Choice] = {"happened": "happened", "not-happened": "not happened", "give-up": "give up"}


@workflow.defn(dynamic=True)
class AnyRun:
    """A run of the agent or graph that has the workflow type's name."""

    def __init__(self) -> None:
        """Updates may come before the first step, so what answers them is there first."""
        self._approvals = Approvals()

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        """Admit, hold the conversation or graph, close; gives a `RunResult`."""
        name = workflow.info().workflow_type
        convert = workflow.payload_converter().from_payload
        try:
            values: list[Any] = [convert(each.payload) for each in args]
            given = read_input(values, name)
        except InputError as error:
            raise failure("BadInput", str(error)) from None
        except Exception as error:  # noqa: BLE001 - an encoding this worker cannot read
            raise failure("BadInput", f"{name!r}: the input cannot be decoded: {error}") from None
        workflow.set_current_details(card.working(name))
        running = Running(given, await admit(given), self._approvals)
        try:
            result = await self._hold(running)
        except BaseException as error:
            if is_cancelled_exception(error):
                workflow.set_current_details(card.stopped("Cancelled"))
                await running.close("cancelled")
            elif isinstance(error, ApplicationError):
                workflow.set_current_details(card.stopped("Failed"))
                await running.close("failed", error.type or "")
            raise
        workflow.set_current_details(card.ended(result.answer))
        await running.close("completed")
        return result

    async def _hold(self, running: Running) -> RunResult:
        if running.refusal:
            raise failure("Refused", running.refusal)
        if running.spec.kind == "graph":
            answer, result = await hold_graph(running)
            return RunResult(answer=answer, result=result, totals=running.final_totals())
        agent = running.spec.agent(running.spec.name)
        answer = await Conversation(running, agent, "").hold(running.given.input)
        typed = read_answer(answer) if agent.result_schema else None
        return RunResult(answer=text_of(answer), result=typed, totals=running.final_totals())

    @workflow.query(name=names.WAITING, description="What waits for a person, oldest first")
    def waiting(self) -> list[Request]:
        """What waits for a person, oldest first."""
        return self._approvals.waiting

    @workflow.update(
        name=names.APPROVE, description='For programs, with Data {"request": "1"}. Without Data choose "approve 1: …".'
    )
    async def approve(self, form: Any = None) -> str:
        """Approve the request that the form names."""
        return self._approvals.decide(self._approvals.number_in(form, "approve"), "approve", "", form)

    @approve.validator
    def _check_approve(self, form: Any = None) -> None:
        self._approvals.check(self._approvals.number_in(form, "approve"), "approve", form)

    @workflow.update(
        name=names.DENY,
        description='For programs, with Data {"request": "1", "comment": "why"}. Without Data choose "deny 1: …".',
    )
    async def deny(self, form: Any = None) -> str:
        """Deny the request that the form names; the comment is the reason the model reads."""
        return self._approvals.decide(self._approvals.number_in(form, "deny"), "deny", "", form)

    @deny.validator
    def _check_deny(self, form: Any = None) -> None:
        self._approvals.check(self._approvals.number_in(form, "deny"), "deny", form)

    @workflow.update(
        name=names.ANSWER,
        description=(
            'For programs, with Data {"request": "1", "outcome": "happened" | "not-happened" | "give-up"}. '
            'Without Data choose "answer 1: …".'
        ),
    )
    async def answer(self, form: Any = None) -> str:
        """Say how a call ended whose outcome is not known."""
        choice, rest = self._outcome(form)
        return self._approvals.decide(self._approvals.number_in(rest, "answer"), choice, "", rest)

    @answer.validator
    def _check_answer(self, form: Any = None) -> None:
        choice, rest = self._outcome(form)
        self._approvals.check(self._approvals.number_in(rest, "answer"), choice, rest)

    @workflow.update(dynamic=True)
    async def late(self, name: str, args: Sequence[RawValue]) -> str:  # noqa: ARG002 - its shape is given
        """Refuse an update that is not there; the validator already did."""
        self._approvals.refuse_late(name)
        return ""

    @late.validator
    def _check_late(self, name: str, args: Sequence[RawValue]) -> None:  # noqa: ARG002 - likewise
        self._approvals.refuse_late(name)

    def _outcome(self, form: Any) -> tuple[Choice, dict[str, Any]]:
        self._approvals.number_in(form, "answer")
        rest = dict(form)
        outcome = rest.pop("outcome", None)
        if outcome not in _ANSWERS:
            raise failure("NotAccepted", f"outcome is {outcome!r}; it must be one of {', '.join(map(repr, _ANSWERS))}.")
        return _ANSWERS[outcome], rest
