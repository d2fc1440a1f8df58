"""Payloads of the four activities: `admit`, `call_model`, `call_tool`, `close`.

Every result carries when it began and ended (nanoseconds since 1970), so that the span a worker
exports live and the one rebuilt from history years later are the same.
"""

from typing import Literal

from mainspring.contracts.run import RunInput, Totals
from mainspring.core.approvals import Permit
from mainspring.core.canonical import Value
from mainspring.core.ledger import Entry, Head, Item, Link
from mainspring.core.messages import Status
from mainspring.core.turn import CallVerdict


class Timing(Value):
    """Start and end of the work itself, without queueing; nanoseconds since 1970."""

    start: int
    end: int


class RunRef(Value):
    """Which run a step belongs to. `first` is the first execution run id, the root of all ids.

    `key` makes digests, `spec` is the digest of the run's spec; `traceparent` as the caller gave it.
    """

    name: str
    first: str
    key: str
    spec: str
    user: str = ""
    tenant: str = ""
    session: str = ""
    traceparent: str = ""


class Step(Value):
    """Where a step stands. `id` is a path of ordinals (`2.1.3`: third step of the agent that is step 2.1).

    The parent span is the step one level up; `node` names the graph node of a top-level step.
    """

    id: str
    agent: str = ""
    node: str = ""


class AdmitRequest(Value):
    """Ask that a run of `name` be let in."""

    name: str
    first: str
    input: RunInput


class Admission(Value):
    """The run's own definition, pinned: `spec` is an item holding a `core.spec.Spec`.

    `refusal` is the reason and `rule` the rule, where an input rule denied the run. `recalled` holds
    what memory knows of the user, as a message item; `notes` how many. `indexed` tells whether the
    search attribute may be set on this server.
    """

    key: str
    spec: Item
    recalled: Item | None = None
    notes: int = 0
    refusal: str = ""
    rule: str = ""
    indexed: bool = False
    timing: Timing


class ModelCall(Value):
    """Ask the model of an agent for the next message: the thread up to `head`, then `new`."""

    run: RunRef
    step: Step
    head: Head
    new: tuple[Entry, ...]


class ModelAnswer(Value):
    """One message of a model. `item` holds it; `link` chains it and everything new before it.

    `problem` says why the message is not usable as the agent's result ("" when it is, or has calls).
    """

    item: Item
    link: Link
    verdicts: tuple[CallVerdict, ...] = ()
    problem: str = ""
    model: str
    provider: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    why: tuple[str, ...] = ()
    timing: Timing


class CallRef(Value):
    """A call by reference: which message of the thread (its digest), and which of its calls."""

    message: str
    index: int


class ToolWork(Value):
    """Run one tool call, found by reference in its thread (or in `new`, where a graph node made it).

    Without a permit the rules are asked at the door, and the call runs only if they allow it.
    """

    run: RunRef
    step: Step
    tool: str
    head: Head
    new: tuple[Entry, ...] = ()
    call: CallRef
    permit: Permit | None = None


class ToolOutcome(Value):
    """How a tool call ended. `item` holds the tool message; `status` is the message's own.

    `ask` is set, and nothing was run, where the rules want a person and no permit was given.
    `rule` names the rule that denied the call at the door ("" when none did).
    """

    item: Item | None = None
    status: Status = "ok"
    ask: CallVerdict | None = None
    rule: str = ""
    timing: Timing


class NodeSpan(Value):
    """A graph node as it ran: times in nanoseconds since 1970, workflow time."""

    step: str
    node: str
    timing: Timing


class Closing(Value):
    """Everything about a run that only the workflow knows, for the spans that end with it."""

    run: RunRef
    outcome: Literal["completed", "failed", "cancelled"]
    error: str = ""
    nodes: tuple[NodeSpan, ...] = ()
    totals: Totals = Totals()
