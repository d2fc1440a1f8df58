"""Workflow side. One admitted run: its pinned definition, its state, and the steps it is made of."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from mainspring.contracts import names
from mainspring.contracts.carried import Carried, Talk, behind, moved
from mainspring.contracts.run import RunInput, Totals
from mainspring.contracts.steps import (
    Admission,
    AdmitRequest,
    Closing,
    Compaction,
    CompactWork,
    ModelAnswer,
    ModelCall,
    RunRef,
    Sealed,
    SealWork,
    StepWork,
    Stretch,
    ToolOutcome,
    ToolWork,
    Window,
)
from mainspring.core.ledger import Entry, make_item
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, Spec, ToolSpec
from mainspring.durable.approvals import Approvals
from mainspring.durable.failures import cause_of, failure, type_of
from mainspring.durable.perform import LOCAL_LIMIT, Plan, perform
from mainspring.durable.traffic import Traffic

if TYPE_CHECKING:
    from mainspring.durable.conversation import Conversation

_ONCE_TRIES = 3
"""How often a `once` call is run at most; again only after it said NotDone."""
_NOT_DONE_PAUSE = timedelta(seconds=1)
_MODEL_TRIES = 4
_MODEL_PAUSE = timedelta(seconds=20)
_TOOL_TRIES = 3
_QUICK = timedelta(seconds=10)
"""How long admission and closing may take as local activities."""
_SURELY_FITS = 1024 * 1024
"""Bytes that can be carried without a look."""

_CLOSED: Any = Closing | None
"""What `close` gives; before local activities were, it gave nothing."""
WorkT = TypeVar("WorkT", ModelCall, ToolWork)
LeanT = TypeVar("LeanT", bound=StepWork)
NewT = TypeVar("NewT", ModelCall, CompactWork, ToolWork)


class Running:
    """What every step of a run needs. Made once per execution: when the run has been admitted, or goes on."""

    def __init__(self, carried: Carried, approvals: Approvals, traffic: Traffic, *, local: bool) -> None:
        """Take up what was admitted, or what the execution before left; `local` allows local activities."""
        self.given = carried.given
        self.approvals = approvals
        self.traffic = traffic
        self.local = local
        self.ref = carried.run
        self.spec = Spec.model_validate_json(carried.spec.text)
        self.began = carried.began
        self.totals = carried.totals
        self.memo = dict(carried.memo)
        self.unknown = dict(carried.unknown)
        self.slow = set(carried.slow)
        self.notes = list(carried.notes)
        self.broken = False
        self.nodes: list[Stretch] = []
        self.agents: list[Stretch] = []
        self.talks: dict[str, Conversation] = {}
        self.restored: dict[str, Talk] = {talk.turn.thread: talk for talk in carried.talks}
        self._carried = carried
        self._recorded: set[str] = set()
        approvals.show_for(carried, self.spec.turn)

    def opening(self, text: str, label: str = "") -> tuple[Entry, ...]:
        """How a thread begins: what memory recalled (by reference), and what the user says, or another agent."""
        said = self.said(text, label)
        recalled = self._carried.recalled
        return (Entry(digest=recalled.digest), said) if recalled else (said,)

    def said(self, text: str, label: str = "") -> Entry:
        """What the user says, as it goes to the model; `label` where it is somebody else who says it."""
        return self.entry(Message(role="user", text=text, label=label))

    def entry(self, message: Message) -> Entry:
        """A message made by the workflow itself, as it goes to an activity."""
        item = make_item(message, self.ref.key)
        return Entry(digest=item.digest, text=item.text)

    async def call_model(self, agent: AgentSpec, call: ModelCall) -> ModelAnswer:
        """One reply of an agent's model.

        Raises:
            ApplicationError: ModelFailed, when every attempt failed.
        """
        summary = f"{agent.name}: {agent.models[0]}"
        fast = self.local and agent.mode == "fast" and summary not in self.slow
        call = self._by_reference(call, recorded=not fast)
        plan = Plan(
            names.CALL_MODEL,
            agent.model_timeout,
            _MODEL_TRIES,
            _MODEL_PAUSE,
            local=timedelta(seconds=agent.model_timeout) if fast else None,
            slow=self.slow,
        )
        try:
            answer = await perform(plan, self._lean(call), ModelAnswer, call.step.id, summary, self._by_value(call))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self.broken = True
            why = f"agent {agent.name!r}, step {call.step.id}: the model {agent.models[0]!r} failed: {cause_of(error)}"
            raise failure("ModelFailed", why) from None
        self._recorded.update(entry.digest for entry in call.new)
        if answer.timing.end - answer.timing.start > LOCAL_LIMIT.total_seconds() * 1e9:
            self.slow.add(summary)
        if answer.item:
            self._add(1, answer.input_tokens, answer.output_tokens, answer.cost_microusd)
        return answer

    async def compact(self, agent: AgentSpec, work: CompactWork) -> Compaction:
        """Make a thread shorter.

        Raises:
            ApplicationError: ModelFailed, when every attempt failed.
        """
        plan = Plan(names.COMPACT, agent.model_timeout, _MODEL_TRIES, _MODEL_PAUSE)
        work = self._by_reference(work)
        try:
            made = await perform(
                plan, self._lean(work), Compaction, work.step.id, f"{agent.name}: {agent.shorten} the thread"
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            why = f"agent {agent.name!r}, step {work.step.id}: the thread cannot be made shorter: {cause_of(error)}"
            raise failure("ModelFailed", why) from None
        self._add(1 if made.model else 0, made.input_tokens, made.output_tokens, made.cost_microusd)
        return made

    async def seal(self, beside: int) -> Sealed:
        """Gather the texts of every thread under way, for the next execution; `beside` is what else it gets, in bytes.

        Raises:
            ApplicationError: NotContinued, when they cannot be had or are too much.
        """
        windows = tuple(Window(agent=t.turn.agent, head=t.turn.head, behind=behind(t)) for t in self._talks())
        if not windows and beside < _SURELY_FITS:
            return Sealed()
        plan = Plan(names.SEAL, 300, _MODEL_TRIES, _MODEL_PAUSE)
        work, step = SealWork(windows=windows, beside=beside), f"seal-{self._carried.part}"
        try:
            sealed = await perform(plan, work, Sealed, step, "gather what is carried along")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            raise failure("NotContinued", cause_of(error)) from None
        self._add(sealed.model_calls, sealed.input_tokens, sealed.output_tokens, sealed.cost_microusd)
        return sealed

    def is_local(self, agent: AgentSpec, tool: ToolSpec) -> bool:
        """Whether calls of this tool may be local activities."""
        mode = tool.mode or agent.mode
        return self.local and not tool.agent and tool.effect == "read" and mode != "step"

    async def call_tool(self, tool: ToolSpec, work: ToolWork, *, local: bool = False) -> ToolOutcome:
        """One tool call; a `once` tool gets another only when it is certain that nothing happened.

        Raises:
            ActivityError: it failed, or (`once`, unless NotDone) nobody knows how it ended.
        """
        try:
            outcome = await self._until_known(tool, work, local=local)
        except ActivityError:
            self.broken = True
            raise
        if not outcome.ask:
            self.totals = self.totals.model_copy(update={"tool_calls": self.totals.tool_calls + 1})
        return outcome

    async def _until_known(self, tool: ToolSpec, work: ToolWork, *, local: bool) -> ToolOutcome:
        for _ in range(_ONCE_TRIES - 1 if tool.effect == "once" else 0):
            try:
                return await self._attempt(tool, work, local=local)
            except ActivityError as error:
                if is_cancelled_exception(error) or type_of(error) != "NotDone":
                    raise
            await workflow.sleep(_NOT_DONE_PAUSE, summary=f"{tool.name} was not done; trying again")
        return await self._attempt(tool, work, local=local)

    async def _attempt(self, tool: ToolSpec, work: ToolWork, *, local: bool) -> ToolOutcome:
        work = self._by_reference(work)
        summary = f"{tool.name} ({tool.effect})"
        once = tool.effect == "once"
        plan = Plan(
            names.CALL_TOOL,
            tool.timeout,
            1 if once else _TOOL_TRIES,
            cancellation=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
            if once
            else ActivityCancellationType.TRY_CANCEL,
            local=LOCAL_LIMIT if local and summary not in self.slow else None,
            slow=self.slow,
        )
        return await perform(plan, self._lean(work), ToolOutcome, work.step.id, summary, self._by_value(work))

    async def close(self, outcome: str, error: str = "") -> None:
        """Let the spans out that end with the run, or this execution of it. What goes wrong here fails no run."""
        info = workflow.info()
        closing = Closing.model_validate(
            {
                "run": self.ref,
                "outcome": outcome,
                "error": error,
                "nodes": self.nodes,
                "agents": self.agents,
                "totals": self.final_totals(),
                "workflow_id": info.workflow_id,
                "kind": self.spec.kind,
                "began": self.began if self.local else 0,
                "ended": workflow.time_ns() if self.local else 0,
            }
        )
        # Who decided a request, and what of a step that failed is known, stands in history alone.
        quick = self.local and outcome in ("completed", "continued") and not (self.broken or self.approvals.any_asked)
        plan = Plan(names.CLOSE, 10, 2, heartbeat=None, local=_QUICK if quick else None)
        try:
            await perform(plan, closing, _CLOSED, names.CLOSE, "close the trace")
        except ActivityError:
            workflow.logger.warning("The trace of this run was not closed; `mainspring trace` rebuilds it.")

    def final_totals(self) -> Totals:
        """What the run used up to now."""
        seconds = round((workflow.time_ns() - self.began) / 1e9, 3)
        return self.totals.model_copy(update={"seconds": seconds})

    def to_carry(self, sealed: Sealed) -> Carried:
        """The run as it stands now, for the next execution; whoever has more of its state adds that."""
        heads = {head.thread: head for head in sealed.heads}
        return self._carried.model_copy(
            update={
                "part": self._carried.part + 1,
                "totals": self.totals,
                "talks": tuple(moved(talk, heads) for talk in self._talks()),
                "questions": self.approvals.carried(),
                "paused": self.traffic.paused,
                "notes": tuple(self.notes),
                "memo": self.memo,
                "unknown": self.unknown,
                "slow": tuple(sorted(self.slow)),
            }
        )

    def _talks(self) -> tuple[Talk, ...]:
        return (*(talk.carried() for talk in self.talks.values()), *self.restored.values())

    def _lean(self, work: LeanT) -> LeanT:
        return work.lean(self.ref.name)

    def _by_reference(self, work: NewT, *, recorded: bool = True) -> NewT:
        """The work with a text only where this history has not got it; `recorded`: it will, by this request."""
        new = tuple(Entry(digest=each.digest) if each.digest in self._recorded else each for each in work.new)
        if recorded:
            self._recorded.update(each.digest for each in new)
        return work.model_copy(update={"new": new})

    def _by_value(self, work: WorkT) -> WorkT:
        return work.model_copy(update={"run": self.ref})

    def _add(self, calls: int, input_tokens: int, output_tokens: int, cost: int | None) -> None:
        known = self.totals.cost_microusd is not None and cost is not None
        self.totals = self.totals.model_copy(
            update={
                "model_calls": self.totals.model_calls + calls,
                "input_tokens": self.totals.input_tokens + input_tokens,
                "output_tokens": self.totals.output_tokens + output_tokens,
                "cost_microusd": (self.totals.cost_microusd or 0) + (cost or 0) if known else None,
            }
        )


async def admit(given: RunInput, *, local: bool) -> Admission:
    """Have the run let in (or refused by a rule).

    A worker that does not know the name is one attempt of several: a deploy may bring it.

    Raises:
        ApplicationError: UnknownName or NotAdmitted, in words.
    """
    info = workflow.info()
    request = AdmitRequest(name=info.workflow_type, first=info.first_execution_run_id, input=given)
    # About 30 s in all.
    plan = Plan(names.ADMIT, 15, 8, heartbeat=None, backoff=1.5, local=_QUICK if local else None)
    try:
        return await perform(plan, request, Admission, names.ADMIT, f"admit {info.workflow_type}")
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        kind = "UnknownName" if type_of(error) == "UnknownName" else "NotAdmitted"
        raise failure(kind, cause_of(error)) from None


def admitted(given: RunInput, admission: Admission) -> Carried:
    """A run as it begins."""
    info = workflow.info()
    name, first = info.workflow_type, info.first_execution_run_id
    run = RunRef.of(given, name=name, first=first, key=admission.key, spec=admission.spec.digest)
    return Carried(
        carried=1,
        run=run,
        given=given,
        spec=admission.spec,
        recalled=admission.recalled,
        indexed=admission.indexed,
        listed=admission.listed,
        inbox=admission.inbox,
        began=int(info.start_time.timestamp() * 1e9),
    )


def text_of(answer: str) -> str:
    """The words of a typed answer: its field `text` or `answer` where it has one, else all of it."""
    try:
        value = json.loads(answer)
    except ValueError:
        return answer
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    return next((text for text in (fields.get("text"), fields.get("answer")) if isinstance(text, str)), answer)
