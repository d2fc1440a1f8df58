"""Decides what an agent does next.

Pure: values in, values out. `step(turn, event)` gives the new turn and the commands to perform; the
workflow side (`mainspring.durable`) performs them and feeds back what happened. This is replayed code:
its version is recorded when a run is admitted, and a changed table is a new entry of `TABLES` beside
the old one until no run needs that any more.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from mainspring.core.approvals import Decision, Kind, Permit, Routed, grant
from mainspring.core.canonical import Json, Record, Value, canonical, digest
from mainspring.core.ledger import Entry, Head, make_item
from mainspring.core.messages import Message, Status
from mainspring.errors import MainspringError

REPAIRS = 2
"""How often in a row a model may be shown its own malformed call or answer before the run fails."""

Verdict = Literal["allow", "deny", "ask", "question", "malformed"]


class CallVerdict(Record):
    """What the rules say of one call of a message, in the message's order.

    `args_digest` is over the arguments as parsed; `matched` names every rule that matched. `label` is that of what the
    arguments were made of, where another agent is to read them ("": as what a user says).
    `malformed` means that the arguments do not fit the schema (or the tool is unknown): `reason` says how. `question`
    is a call by which the agent asks a person. `routed` is the route that the request goes.
    """

    id: str = ""
    tool: str = ""
    verdict: Verdict = "allow"
    args_digest: str = ""
    rule: str = ""
    reason: str = ""
    matched: tuple[str, ...] = ()
    label: str = ""
    routed: Routed | None = None


class Call(Value):
    """One call of the newest message on its way; `answer` is set when it has ended.

    `permits` counts how often it has been let through: again only after a person said that it did not happen. `args` is
    what it runs with, where a person changed that.
    """

    step: str
    index: int
    verdict: CallVerdict
    answer: Entry | None = None
    permits: int = 0
    args: dict[str, Json] | None = None


class Turn(Value):
    """The state of one agent invocation. `thread` is the id of its step ("" at the top of a run).

    `new` is what the model has not answered yet; `said` is the part of it that the exchange under way began with.
    `answer` is under `review` by a person, where there is one. Where the model has used its replies up, an agent that
    `has_book` goes on by its playbook.
    """

    version: int
    thread: str
    agent: str
    key: str
    policy: str
    limit: int
    head: Head
    new: tuple[Entry, ...] = ()
    said: tuple[Entry, ...] = ()
    steps: int = 0
    replies: int = 0
    repairs: int = 0
    message: str = ""
    calls: tuple[Call, ...] = ()
    notes: tuple[Entry, ...] = ()
    compacted: bool = False
    answer: str = ""
    review: CallVerdict | None = None
    has_book: bool = False
    by_book: bool = False

    @property
    def unread(self) -> tuple[Entry, ...]:
        """What the model has yet to answer: on its way to it, or the answer to a call that others still wait beside."""
        return (*self.new, *(call.answer for call in self.calls if call.answer), *self.notes)


class Begin(Value):
    """The invocation starts with these items (what memory recalled, what the user says), or a session goes on."""

    new: tuple[Entry, ...]


class Noted(Value):
    """A person said something that the model is to read before its next message."""

    note: Entry


class Overflowed(Value):
    """The thread is too long for the model's context window; nothing was asked."""


class Compacted(Value):
    """The thread was made shorter; this is its new head."""

    head: Head


class Replied(Value):
    """The model gave a message: its digest and text, the head after it, the verdicts on its calls.

    `review` is why a person is to look at an answer first.
    """

    digest: str
    head: Head
    text: str = ""
    verdicts: tuple[CallVerdict, ...] = ()
    problem: str = ""
    review: CallVerdict | None = None


class Returned(Value):
    """A call has ended: its answer, which history holds already (or which travels with the next call)."""

    step: str
    answer: Entry


class Broke(Value):
    """A call failed for good without doing anything that counts; the model is told why."""

    step: str
    error: str


class Uncertain(Value):
    """A `once` call ended in a way that leaves open whether it took effect."""

    step: str
    error: str


class Reopened(Value):
    """A call was not run: what a person changed it to goes another route, so it is asked about once more."""

    step: str
    verdict: CallVerdict


class Decided(Value):
    """A person, or the deadline, decided on the request that held up this step."""

    step: str
    decision: Decision


class CallModel(Value):
    """Ask the model for the next message, or the playbook."""

    step: str
    head: Head
    new: tuple[Entry, ...]
    by_book: bool = False


class CallTool(Value):
    """Run the call at `index` of the message, under this permit."""

    step: str
    index: int
    message: str
    head: Head
    permit: Permit


class AskPerson(Value):
    """Ask a person about the call at `index` of the message (-1: the answer); `reason` says why they are asked."""

    step: str
    index: int
    kind: Kind
    verdict: CallVerdict
    reason: str


class Compact(Value):
    """Make the thread shorter, so that it fits the model's context window."""

    step: str
    head: Head
    new: tuple[Entry, ...]


class Finish(Value):
    """The agent is done; `text` is its answer (JSON of the result type, where it has one)."""

    text: str


class Fail(Value):
    """The run cannot go on; `kind` is the error's type and `reason` says what to do."""

    kind: Literal["StepLimit", "MalformedReply", "UnknownOutcome", "ContextFull", "NotReviewed", "Stopped"]
    reason: str


Event = Begin | Noted | Overflowed | Compacted | Replied | Returned | Broke | Uncertain | Reopened | Decided
Command = CallModel | Compact | CallTool | AskPerson | Finish | Fail
Move = tuple[Turn, tuple[Command, ...]]


def step(turn: Turn, event: Event) -> Move:
    """The next state, and what to do now.

    Raises:
        KeyError: this worker does not know the table version the run was admitted with (see `check_version`).
    """
    return TABLES[turn.version][type(event)](turn, event)


def check_version(version: int) -> None:
    """Refuse a run that goes by another table than this release has.

    Raises:
        MainspringError: with what the operator does about it.
    """
    if version not in TABLES:
        known = ", ".join(map(str, sorted(TABLES)))
        raise MainspringError(
            f"This run goes by version {version} of the turn table, and this release of mainspring has {known}. "
            "The run waits: keep a worker of the release that admitted it until it has ended."
        )


def with_notes(turn: Turn, command: CallModel) -> tuple[Turn, CallModel]:
    """A model call that begins only now, with the notes that came since it was commanded."""
    new = (*command.new, *turn.notes)
    return _with(turn, new=new, notes=()), command.model_copy(update={"new": new})


def _begin(turn: Turn, event: Begin) -> Move:
    # Calls of an exchange that failed are done all the same: without their results the model, and the rules, would
    # take it that nothing was. What the user said then is not answered: they were told that it failed.
    left = tuple(entry for entry in turn.new if entry not in turn.said)
    left = left or tuple(call.answer for call in turn.calls if call.answer)
    return _ask_model(
        _with(turn, new=(*left, *event.new), said=event.new, replies=0, repairs=0, compacted=False, by_book=False),
    )


def _noted(turn: Turn, event: Noted) -> Move:
    return _with(turn, notes=(*turn.notes, event.note)), ()


def _overflowed(turn: Turn, event: Overflowed) -> Move:
    del event
    if turn.compacted:
        reason = (
            f"agent {turn.agent!r}: what the model must read does not fit its context window, even made as short as "
            "can be. Shorten the instructions or the tools' results, or choose a model with a larger window."
        )
        return turn, (Fail(kind="ContextFull", reason=reason),)
    turn, name = _next_step(_with(turn, compacted=True))
    return turn, (Compact(step=name, head=turn.head, new=turn.new),)


def _compacted(turn: Turn, event: Compacted) -> Move:
    return _ask_model(_with(turn, head=event.head, new=(), replies=turn.replies - 1))


def _ask_model(turn: Turn) -> Move:
    if turn.replies >= turn.limit and turn.has_book and not turn.by_book:
        turn = _with(turn, by_book=True, replies=0)
    if turn.replies >= turn.limit:
        reason = f"agent {turn.agent!r} was not done after {turn.limit} model replies. Raise Agent(max_steps=…)."
        return turn, (Fail(kind="StepLimit", reason=reason),)
    new = (*turn.new, *turn.notes)
    turn, name = _next_step(_with(turn, new=new, notes=(), replies=turn.replies + 1, calls=()))
    return turn, (CallModel(step=name, head=turn.head, new=turn.new, by_book=turn.by_book),)


def _replied(turn: Turn, event: Replied) -> Move:
    malformed = [v for v in event.verdicts if v.verdict == "malformed"]
    wrong = event.problem or (malformed[0].reason if malformed else "")
    repairs = turn.repairs + 1 if wrong else 0
    turn = _with(turn, head=event.head, new=(), message=event.digest, repairs=repairs, compacted=False)
    if turn.repairs > REPAIRS:
        reason = f"agent {turn.agent!r}: the model was shown its mistake {REPAIRS} times and repeats it: {wrong}"
        return turn, (Fail(kind="MalformedReply", reason=reason),)
    if event.verdicts:
        return _dispatch(turn, event.verdicts)
    if event.problem:
        return _ask_model(_with(turn, new=(_entry(turn, Message(role="note", text=event.problem)),)))
    if turn.notes and turn.replies < turn.limit:  # said while the model answered: it has not read them
        return _ask_model(turn)
    if event.review:
        turn, name = _next_step(_with(turn, answer=event.text, review=event.review))
        asked = AskPerson(step=name, index=-1, kind="review", verdict=event.review, reason=event.review.reason)
        return turn, (asked,)
    return turn, (Finish(text=event.text),)


def _dispatch(turn: Turn, verdicts: tuple[CallVerdict, ...]) -> Move:
    """The one gate: every call of a message leaves here allowed, refused or waiting for a person."""
    commands: list[Command] = []
    calls: list[Call] = []
    for index, verdict in enumerate(verdicts):
        turn, name = _next_step(turn)
        call = Call(step=name, index=index, verdict=verdict)
        if verdict.verdict == "allow":
            commands.append(_run(turn, call, _permit(turn, call)))
            call = _permitted(call)
        elif verdict.verdict == "ask":
            commands.append(AskPerson(step=name, index=index, kind="approval", verdict=verdict, reason=verdict.reason))
        elif verdict.verdict == "question":
            commands.append(AskPerson(step=name, index=index, kind="question", verdict=verdict, reason=verdict.reason))
        else:
            status: Status = "denied" if verdict.verdict == "deny" else "error"
            call = _with_answer(call, _answer(turn, call, verdict.reason, status))
        calls.append(call)
    return _settle(_with(turn, calls=tuple(calls)), tuple(commands))


def _returned(turn: Turn, event: Returned) -> Move:
    return _end_call(turn, event.step, event.answer)


def _broke(turn: Turn, event: Broke) -> Move:
    return _end_call(turn, event.step, _answer(turn, _call(turn, event.step), event.error, "error"))


def _uncertain(turn: Turn, event: Uncertain) -> Move:
    call = _call(turn, event.step)
    asked = AskPerson(step=call.step, index=call.index, kind="outcome", verdict=call.verdict, reason=event.error)
    return turn, (asked,)


def _reopened(turn: Turn, event: Reopened) -> Move:
    old = _call(turn, event.step)
    verdict = event.verdict.model_copy(update={"label": old.verdict.label})
    call = old.model_copy(update={"verdict": verdict})
    calls = tuple(call if each.step == call.step else each for each in turn.calls)
    asked = AskPerson(step=call.step, index=call.index, kind="approval", verdict=verdict, reason=verdict.reason)
    return _with(turn, calls=calls), (asked,)


def _decided(turn: Turn, event: Decided) -> Move:
    decision = event.decision
    if decision.choice in ("stop", "give up"):
        kind = "Stopped" if decision.choice == "stop" else "UnknownOutcome"
        return _with(turn, answer="", review=None), (Fail(kind=kind, reason=decision.reason),)
    if decision.choice == "playbook" and turn.has_book:
        turn = _with(turn, by_book=True, replies=0)
    if turn.review:
        return _reviewed(turn, decision)
    call = _call(turn, event.step)
    if decision.choice in ("approve", "not happened"):
        return _let_go(turn, call, decision)
    if decision.choice == "take over":
        told = f"A person took over, and answered in your place: {decision.answer}"
        notes = (*turn.notes, _entry(turn, Message(role="note", text=told)))
        return _with(turn, notes=notes), (Finish(text=decision.answer),)
    return _end_call(turn, call.step, _answer(turn, call, *_said(decision)))


def _said(decision: Decision) -> tuple[str, Status]:
    """What the model reads in the place of a result."""
    if decision.choice == "happened":
        return '{"happened":true,"note":"A person confirmed that this took effect."}', "ok"
    return (canonical(decision.answer), "ok") if decision.choice == "answer" else (decision.reason, "denied")


def _let_go(turn: Turn, call: Call, decision: Decision) -> Move:
    """Run a call with a person's leave, or again since it did not happen."""
    if decision.args is not None:
        told = f"A person changed what {call.verdict.tool} is called with, to {canonical(decision.args)}"
        turn = _with(turn, notes=(*turn.notes, _entry(turn, Message(role="note", text=told))))
        call = call.model_copy(update={"args": decision.args})
    calls = tuple(_permitted(call) if each.step == call.step else each for each in turn.calls)
    return _with(turn, calls=calls), (_run(turn, call, _permit(turn, call, decision)),)


def _reviewed(turn: Turn, decision: Decision) -> Move:
    answer, turn = turn.answer, _with(turn, answer="", review=None)
    if decision.choice == "approve":
        if not decision.answer:
            return turn, (Finish(text=answer),)
        told = f"A person gave another answer than yours: {decision.answer}"
        notes = (*turn.notes, _entry(turn, Message(role="note", text=told)))
        return _with(turn, notes=notes), (Finish(text=decision.answer),)
    if decision.choice in ("deny", "playbook"):
        told = f"A person did not let your answer be given: {decision.reason} Answer again."
        return _ask_model(_with(turn, new=(_entry(turn, Message(role="note", text=told)),)))
    return turn, (Fail(kind="NotReviewed", reason=decision.reason),)


def _end_call(turn: Turn, name: str, answer: Entry) -> Move:
    calls = tuple(_with_answer(call, answer) if call.step == name else call for call in turn.calls)
    return _settle(_with(turn, calls=calls), ())


def _settle(turn: Turn, commands: tuple[Command, ...]) -> Move:
    """Once every call of the message has an answer, the model reads them, in the message's order."""
    answers = [call.answer for call in turn.calls if call.answer]
    if len(answers) < len(turn.calls):
        return turn, commands
    return _ask_model(_with(turn, new=tuple(answers)))


def _run(turn: Turn, call: Call, permit: Permit) -> CallTool:
    return CallTool(step=call.step, index=call.index, message=turn.message, head=turn.head, permit=permit)


def _permit(turn: Turn, call: Call, decision: Decision | None = None) -> Permit:
    verdict = call.verdict
    route = verdict.routed.route if verdict.routed else ""
    return grant(
        step=call.step,
        tool=verdict.tool,
        args_digest=verdict.args_digest if call.args is None else digest(canonical(call.args), turn.key),
        policy=turn.policy,
        decision=decision,
        number=call.permits + 1,
        args=call.args,
        route=route if decision and turn.version >= ASKED_AGAIN else None,
    )


def _call(turn: Turn, name: str) -> Call:
    return next(call for call in turn.calls if call.step == name)


def _answer(turn: Turn, call: Call, text: str, status: Status) -> Entry:
    verdict = call.verdict
    return _entry(turn, Message(role="tool", text=text, call=verdict.id, tool=verdict.tool, status=status))


def _entry(turn: Turn, message: Message) -> Entry:
    item = make_item(message, turn.key)
    return Entry(digest=item.digest, text=item.text)


def _with(turn: Turn, **changes: Any) -> Turn:
    return turn.model_copy(update=changes)


def _with_answer(call: Call, answer: Entry) -> Call:
    return call.model_copy(update={"answer": answer})


def _permitted(call: Call) -> Call:
    return call.model_copy(update={"permits": call.permits + 1})


def _next_step(turn: Turn) -> tuple[Turn, str]:
    number = turn.steps + 1
    return _with(turn, steps=number), f"{turn.thread}.{number}" if turn.thread else str(number)


def _replied_unseen(turn: Turn, event: Replied) -> Move:
    """Before answers could be reviewed."""
    return _replied(turn, event.model_copy(update={"review": None}))


ASKED_AGAIN = 4
"""From this version on, who may decide is also asked of what a person changed, and of a call that may run again."""

Handler = Callable[[Turn, Any], Move]
_TABLE: Mapping[type[Event], Handler] = {
    Begin: _begin,
    Noted: _noted,
    Overflowed: _overflowed,
    Compacted: _compacted,
    Replied: _replied,
    Returned: _returned,
    Broke: _broke,
    Uncertain: _uncertain,
    Reopened: _reopened,
    Decided: _decided,
}
TABLES: Mapping[int, Mapping[type[Event], Handler]] = {
    1: {**_TABLE, Replied: _replied_unseen},
    2: _TABLE,
    3: _TABLE,  # questions, and decisions that end more than their call: a release with 2 has never heard of them
    4: _TABLE,  # a call that a person changed may be asked about once more, and whoever lets a call go lets it go again
}
CURRENT = 4
