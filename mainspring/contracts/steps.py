"""Payloads of the activities: `admit`, `call_model`, `call_tool`, `compact`, `seal`, `close`.

They are records: what has its default value is not written, so defaults here never change. Every result
carries when the work began and ended (nanoseconds since 1970), so that the span a worker exports live and
the one rebuilt from history years later are the same. The arguments of a local activity are not in history:
what of them a trace needs stands in its result, as `work`.
"""

from typing import Any, Literal, Self, cast

from pydantic import model_serializer, model_validator

from mainspring.contracts.run import RunInput, Totals
from mainspring.core.approvals import Permit
from mainspring.core.canonical import Record
from mainspring.core.ledger import Entry, Head, Item, Link
from mainspring.core.messages import Status
from mainspring.core.turn import CallVerdict


class Timing(Record):
    """Start and end of the work itself, without queueing; nanoseconds since 1970. Recorded as start and length."""

    start: int
    end: int

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            start, took = cast("tuple[int, int]", value)
            return {"start": start, "end": start + took}
        return value

    @model_serializer
    def _as_pair(self) -> tuple[int, int]:
        return self.start, self.end - self.start


class RunRef(Record):
    """Which run a step belongs to. `first` is the first execution run id, the root of all ids.

    `key` makes digests, `spec` is the digest of the run's spec; `traceparent` as the caller gave it. An activity
    finds it in the history of its run; what was scheduled before that was so, and local activities, carry it.
    """

    name: str
    first: str
    key: str
    spec: str
    user: str = ""
    tenant: str = ""
    session: str = ""
    traceparent: str = ""
    roles: tuple[str, ...] = ()
    channel: str = ""
    locale: str = ""

    @classmethod
    def of(cls, given: RunInput, *, name: str, first: str, key: str = "", spec: str = "") -> Self:
        """The run that was started with this input."""
        shared = given.model_dump(include=set(cls.model_fields))
        return cls(name=name, first=first, key=key, spec=spec, **shared)


class Step(Record):
    """Where a step stands. `id` is a path of ordinals (`2.1.3`: third step of the agent that is step 2.1).

    The parent span is the step one level up; `node` names the graph node of a top-level step.
    """

    id: str = ""
    agent: str = ""
    node: str = ""


class StepWork(Record):
    """What a step is asked to do.

    Histories leave out what they say already: the id is that of the activity, and the agent is the one that the
    run was started as, unless another is named.
    """

    step: Step = Step()

    def lean(self, run: str) -> Self:
        """As it is recorded in a run of this name."""
        agent = "" if self.step.agent == run else self.step.agent
        return self.model_copy(update={"step": Step(agent=agent, node=self.step.node)})

    def full(self, step: str, run: str) -> Self:
        """As it was meant: recorded by the activity with this id, in a run of this name."""
        known = Step(id=self.step.id or step, agent=self.step.agent or run, node=self.step.node)
        return self.model_copy(update={"step": known})


class AdmitRequest(Record):
    """Ask that a run of `name` be let in."""

    name: str
    first: str
    input: RunInput


class Admission(Record):
    """The run's own definition, pinned: `spec` is an item holding a `core.spec.Spec`.

    `refusal` is the reason and `rule` the rule, where an input rule denied the run; `matched` are all input rules that
    matched. `recalled` holds what memory knows of the user, as a message item; `notes` how many. `indexed` tells
    whether the search attribute that says what waits may be set on this server, `listed` whether all of ours may.
    `inbox` is the address of the web inbox.
    """

    key: str
    spec: Item
    recalled: Item | None = None
    notes: int = 0
    refusal: str = ""
    rule: str = ""
    matched: tuple[str, ...] = ()
    indexed: bool = False
    listed: bool = False
    inbox: str = ""
    timing: Timing


class ModelCall(StepWork):
    """Ask the model of an agent for the next message: the thread up to `head`, then `new`.

    `judge` has the input rules asked about the user's message in `new` first (a session's messages come
    after the admission). `by_book` has the playbook asked, since the model has used its replies up.
    """

    run: RunRef | None = None
    head: Head = Head(thread="")
    new: tuple[Entry, ...] = ()
    judge: bool = False
    by_book: bool = False


class ModelAnswer(Record):
    """One message of a model, in `item`.

    `link` chains it and everything new before it, where the request that says so is not recorded beside it.

    `problem` says why the message is not usable as the agent's result ("" when it is, or has calls).
    Without an item nothing was asked: the thread was too long (`overflow`, in tokens), or a rule refused
    the user's message (`refusal`, `rule`). `matched` names every rule that matched what the user said (where it was
    judged) or the answer. `instead` says why the playbook answered in the model's place, `review` why a person looks at
    the answer first. A verdict leaves out what its call says already.
    """

    work: ModelCall | None = None
    item: Item | None = None
    link: Link | None = None
    verdicts: tuple[CallVerdict, ...] = ()
    problem: str = ""
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    why: tuple[str, ...] = ()
    overflow: int = 0
    refusal: str = ""
    rule: str = ""
    matched: tuple[str, ...] = ()
    instead: str = ""
    review: CallVerdict | None = None
    timing: Timing


class CallRef(Record):
    """A call by reference: which message of the thread (its digest), and which of its calls."""

    message: str
    index: int = 0


class ToolWork(StepWork):
    """Run one tool call, found by reference in its thread (or in `new`, where a graph node made it).

    Without a permit the rules are asked at the door, and the call runs only if they allow it.
    """

    run: RunRef | None = None
    tool: str
    head: Head = Head(thread="")
    new: tuple[Entry, ...] = ()
    call: CallRef = CallRef(message="")
    permit: Permit | None = None


class ToolOutcome(Record):
    """How a tool call ended. `item` holds the tool message; `status` is the message's own.

    `ask` is set, and nothing was run, where the rules want a person and no permit was given.
    `rule` names the rule that denied the call at the door, or withheld its result ("" when none did); `matched` all
    that matched the result.
    """

    work: ToolWork | None = None
    item: Item | None = None
    status: Status = "ok"
    ask: CallVerdict | None = None
    rule: str = ""
    matched: tuple[str, ...] = ()
    timing: Timing


class CompactWork(StepWork):
    """Make a thread shorter, so that it fits the context window of the agent's model."""

    head: Head = Head(thread="")
    new: tuple[Entry, ...] = ()


class Compaction(Record):
    """A thread made shorter: `link` begins it anew, with `item` (a note) where `left` messages are left out.

    Tokens are counted here, not by a provider; `input_tokens`, `output_tokens` and the cost are those of a
    summary, where a model made one.
    """

    item: Item
    link: Link
    left: int = 0
    before: int = 0
    after: int = 0
    model: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    timing: Timing


class Window(Record):
    """A thread under way: the agent that reads it, its head, and the digests of what is to come behind it."""

    agent: str
    head: Head = Head(thread="")
    behind: tuple[str, ...] = ()


class SealWork(Record):
    """Gather every text that these threads need, so that the next execution needs no older history.

    `beside` is how many bytes the run carries beside them.
    """

    windows: tuple[Window, ...] = ()
    beside: int = 0


class Chunk(Record):
    """Items of one thread, in order; its chunks follow one another. `loose` ones are of no chain yet."""

    thread: str = ""
    items: tuple[Item, ...]
    loose: bool = False


class Sealed(Record):
    """The windows of all threads, as they are carried into the next execution.

    `heads` are those of threads that were made shorter for it, by `left` messages in all; tokens and cost are those
    of summaries, where a model made any.
    """

    chunks: tuple[Chunk, ...] = ()
    heads: tuple[Head, ...] = ()
    left: int = 0
    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    timing: Timing = Timing(start=0, end=0)


class Stretch(Record):
    """A graph node, or an agent used as a tool, as it ran. Times are nanoseconds since 1970."""

    step: str
    node: str = ""
    agent: str = ""
    timing: Timing


class Closing(Record):
    """Everything about a run that only the workflow knows, for the spans that end with it.

    `outcome` is `continued` where the run goes on in another execution; `began` and `ended` are 0 and `local`
    is missing in what was recorded before local activities were.
    """

    run: RunRef
    outcome: Literal["completed", "failed", "cancelled", "continued"]
    error: str = ""
    nodes: tuple[Stretch, ...] = ()
    agents: tuple[Stretch, ...] = ()
    totals: Totals = Totals()
    workflow_id: str = ""
    kind: Literal["agent", "graph"] = "agent"
    began: int = 0
    ended: int = 0
