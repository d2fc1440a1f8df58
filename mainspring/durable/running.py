"""Workflow side. One admitted run: its pinned definition, and the activities its steps become."""

import json
from datetime import timedelta
from typing import cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from mainspring.contracts import names
from mainspring.contracts.run import RunInput, Totals
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    Closing,
    ModelAnswer,
    ModelCall,
    NodeSpan,
    RunRef,
    ToolOutcome,
    ToolWork,
)
from mainspring.core.ledger import Entry, make_item
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, Spec, ToolSpec
from mainspring.durable.approvals import Approvals
from mainspring.durable.failures import cause_of, failure, type_of

HEARTBEAT = timedelta(seconds=5)
"""How soon a lost worker is noticed: measured 5 s to the next attempt at this setting."""

_ADMIT_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1.5, maximum_attempts=8)
"""About 30 s in all, so that a rolling deploy can bring the name that is asked for."""
_MODEL_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20), maximum_attempts=4
)
_TOOL_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=3
)
_ONCE = RetryPolicy(maximum_attempts=1)
_ONCE_TRIES = 3
"""How often a `once` call is run at most; again only after it said NotDone."""
_SEE_TO_THE_END = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
_NOT_DONE_PAUSE = timedelta(seconds=1)
_GRACE = timedelta(seconds=5)
"""The effects side ends a call by its own time-out first; Temporal's is behind it."""


class Running:
    """What every step of a run needs. Made once, when the run has been admitted."""

    def __init__(self, given: RunInput, admission: Admission, approvals: Approvals) -> None:
        """Pin the definition that `admit` recorded."""
        info = workflow.info()
        self.given = given
        self.approvals = approvals
        self.spec = Spec.model_validate_json(admission.spec.text)
        self.recalled = admission.recalled
        self.refusal = admission.refusal and f"The rule {admission.rule!r} refused the input: {admission.refusal}"
        self.totals = Totals()
        self.nodes: list[NodeSpan] = []
        self._recorded: set[str] = set()
        self.started = workflow.time()
        self.ref = RunRef(
            name=info.workflow_type,
            first=info.first_execution_run_id,
            key=admission.key,
            spec=admission.spec.digest,
            user=given.user,
            tenant=given.tenant,
            session=given.session,
            traceparent=given.traceparent,
        )
        approvals.indexed = admission.indexed
        approvals.asked_with, approvals.asked_by = given.input, given.user

    def opening(self, text: str) -> tuple[Entry, ...]:
        """How a thread begins: what memory recalled (by reference), and what the user says."""
        item = make_item(Message(role="user", text=text), self.ref.key)
        said = Entry(digest=item.digest, text=item.text)
        return (Entry(digest=self.recalled.digest), said) if self.recalled else (said,)

    async def call_model(self, agent: AgentSpec, call: ModelCall) -> ModelAnswer:
        """One reply of an agent's model, as one activity.

        Raises:
            ApplicationError: ModelFailed, when every attempt failed.
        """
        try:
            answer = await workflow.execute_activity(
                names.CALL_MODEL,
                call,
                result_type=ModelAnswer,
                activity_id=call.step.id,
                summary=f"{agent.name}: {agent.models[0]}",
                start_to_close_timeout=timedelta(seconds=agent.model_timeout) + _GRACE,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=_MODEL_RETRY,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            why = f"agent {agent.name!r}, step {call.step.id}: the model {agent.models[0]!r} failed: {cause_of(error)}"
            raise failure("ModelFailed", why) from None
        self.totals = _add_model(self.totals, answer)
        return answer

    async def call_tool(self, tool: ToolSpec, work: ToolWork) -> ToolOutcome:
        """One tool call, as one activity; a `once` tool gets another only when it is certain that nothing happened.

        Raises:
            ActivityError: it failed, or (`once`, unless NotDone) nobody knows how it ended.
        """
        outcome = await self._until_known(tool, work)
        if not outcome.ask:
            self.totals = self.totals.model_copy(update={"tool_calls": self.totals.tool_calls + 1})
        return outcome

    async def _until_known(self, tool: ToolSpec, work: ToolWork) -> ToolOutcome:
        for _ in range(_ONCE_TRIES - 1 if tool.effect == "once" else 0):
            try:
                return await self._attempt(tool, work)
            except ActivityError as error:
                if is_cancelled_exception(error) or type_of(error) != "NotDone":
                    raise
            await workflow.sleep(_NOT_DONE_PAUSE, summary=f"{tool.name} was not done; trying again")
        return await self._attempt(tool, work)

    async def _attempt(self, tool: ToolSpec, work: ToolWork) -> ToolOutcome:
        # A call that is run again finds its text in history, where the first attempt has put it.
        new = tuple(Entry(digest=each.digest) if each.digest in self._recorded else each for each in work.new)
        self._recorded.update(each.digest for each in new)
        work = work.model_copy(update={"new": new})
        return await workflow.execute_activity(
            names.CALL_TOOL,
            work,
            result_type=ToolOutcome,
            activity_id=work.step.id,
            summary=f"{tool.name} ({tool.effect})",
            start_to_close_timeout=timedelta(seconds=tool.timeout) + _GRACE,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=_ONCE if tool.effect == "once" else _TOOL_RETRY,
            cancellation_type=_SEE_TO_THE_END if tool.effect == "once" else ActivityCancellationType.TRY_CANCEL,
        )

    async def close(self, outcome: str, error: str = "") -> None:
        """Let the spans out that only end with the run. Nothing that goes wrong here fails the run."""
        closing = Closing.model_validate(
            {"run": self.ref, "outcome": outcome, "error": error, "nodes": self.nodes, "totals": self.final_totals()}
        )
        try:
            await workflow.execute_activity(
                names.CLOSE,
                closing,
                activity_id=names.CLOSE,
                summary="close the trace",
                start_to_close_timeout=timedelta(seconds=10),
                schedule_to_close_timeout=timedelta(seconds=30),
                retry_policy=RetryPolicy(maximum_attempts=2),
            )
        except ActivityError:
            workflow.logger.warning("The trace of this run was not closed; `mainspring trace` rebuilds it.")

    def final_totals(self) -> Totals:
        """What the run used up to now."""
        return self.totals.model_copy(update={"seconds": round(workflow.time() - self.started, 3)})


async def admit(given: RunInput) -> Admission:
    """Have the run let in (or refused by a rule), as one activity.

    Raises:
        ApplicationError: UnknownName or NotAdmitted, in words.
    """
    info = workflow.info()
    try:
        admission = await workflow.execute_activity(
            names.ADMIT,
            AdmitRequest(name=info.workflow_type, first=info.first_execution_run_id, input=given),
            result_type=Admission,
            activity_id=names.ADMIT,
            summary=f"admit {info.workflow_type}",
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=_ADMIT_RETRY,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        kind = "UnknownName" if type_of(error) == "UnknownName" else "NotAdmitted"
        raise failure(kind, cause_of(error)) from None
    return admission


def text_of(answer: str) -> str:
    """The words of a typed answer: its field `text` or `answer` where it has one, else all of it."""
    try:
        value = json.loads(answer)
    except ValueError:
        return answer
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return next((text for text in (fields.get("text"), fields.get("answer")) if isinstance(text, str)), answer)


def _add_model(totals: Totals, answer: ModelAnswer) -> Totals:
    known = totals.cost_microusd is not None and answer.cost_microusd is not None
    return totals.model_copy(
        update={
            "model_calls": totals.model_calls + 1,
            "input_tokens": totals.input_tokens + answer.input_tokens,
            "output_tokens": totals.output_tokens + answer.output_tokens,
            "cost_microusd": (totals.cost_microusd or 0) + (answer.cost_microusd or 0) if known else None,
        }
    )
