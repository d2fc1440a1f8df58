"""Small random agents as data, and the plain model of the rules: what must come of a run that follows such a plan.

A plan says what the model will say, how each attempt at a call ends and what a person answers. `foretell` follows it
without any engine; nothing here knows how a run is made durable.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from hypothesis import strategies as st

from mainspring.core.spec import Mode, Shortening
from mainspring.core.turn import REPAIRS

Outcome = Literal["ok", "error", "raise", "not done"]
Tool = Literal["look", "send", "launch", "helper", "wrong", "absent"]
Line = tuple[str, ...]
"""One message of a thread as the model reads it: role, and what tells it from others."""

TRIES = 3
HELPER_LIMIT = 20
HAPPENED = '{"happened":true,"note":"A person confirmed that this took effect."}'


@dataclass(frozen=True)
class Call:
    """One call of the model, and all that will come of it. `number` tells it from every other call of the run.

    `outcomes` are its attempts, one by one (those beyond are "ok"); `answers` what a person says of those that nobody
    knows of (beyond: it happened). `wrong` has arguments that do not fit, `absent` is no tool.
    """

    tool: Tool
    verdict: Literal["allow", "ask", "deny", "silent"] = "allow"
    approved: bool = True
    outcomes: tuple[Outcome, ...] = ()
    answers: tuple[str, ...] = ()
    pause: float = 0.0
    clicks: Literal["one", "twice", "late"] = "one"
    steer: bool = False
    helper: tuple["Reply", ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Reply:
    """One message of the model: calls, or else a text (which is no answer where it is empty).

    `fails` attempts fail before it comes. Where it `breaks`, the model fails for good, unless the user has just spoken.
    """

    calls: tuple[Call, ...] = ()
    text: str = ""
    tokens: tuple[int, int] = (1, 1)
    priced: bool = True
    fails: int = 0
    breaks: bool = False
    forget: bool = False


@dataclass(frozen=True)
class Plan:
    """A run: the agent's definition, the messages of the user, and the model's messages in their order.

    `cold` is served by a worker that keeps nothing from step to step. In a run with `nobody`, no person ever answers.
    """

    mode: Mode
    helper_mode: Mode
    limit: int
    replies: tuple[Reply, ...]
    messages: int
    session: bool
    cold: bool
    nobody: bool
    quick_tasks: bool
    shorten: Shortening | None


@dataclass
class Foretold:
    """What must come of a run. `effects` has, for each call, the fence of every attempt at it."""

    exchanges: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    effects: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    threads: dict[str, list[list[Line]]] = field(default_factory=dict[str, list[list[Line]]])
    replies: int = 0
    calls: int = 0
    tokens: tuple[int, int] = (0, 0)
    cost: int | None = 0

    def spend(self, reply: Reply) -> None:
        """Count one message of the model."""
        self.replies += 1
        self.tokens = (self.tokens[0] + reply.tokens[0], self.tokens[1] + reply.tokens[1])
        self.cost = None if self.cost is None or not reply.priced else self.cost + sum(reply.tokens)


class FailedExchange(Exception):  # noqa: N818 - a way for an exchange to end
    """An exchange ends without an answer; it says with which kind of failure."""


@dataclass
class Thread:
    """One agent's conversation, as the plain model follows it."""

    plan: Plan
    told: Foretold
    name: str
    replies: tuple[Reply, ...]
    limit: int
    lines: list[Line] = field(default_factory=list[Line])
    unread: list[Line] = field(default_factory=list[Line])
    notes: list[Line] = field(default_factory=list[Line])
    spoken: int = 0
    top: "Thread | None" = None

    def exchange(self, text: str) -> str:
        """Answer one message of the user.

        Raises:
            FailedExchange: it has no answer.
        """
        said = ("user", text)
        self.unread.append(said)
        try:
            return self._until_answered(text)
        except FailedExchange:
            self.unread = [line for line in self.unread if line != said]
            raise

    def _until_answered(self, text: str) -> str:
        wrong = 0
        for _ in range(self.limit):
            reply = self.next_reply()
            self.unread, self.notes = [*self.unread, *self.notes], []
            self.told.threads.setdefault(self.name, []).append([*self.lines, *self.unread])
            if reply.breaks and ("user", text) not in self.unread:
                raise FailedExchange("ModelFailed")
            asked = ("assistant", reply.text, *(str(call.number) for call in reply.calls))
            self.lines, self.unread = [*self.lines, *self.unread, asked], []
            self.told.spend(reply)
            self.spoken += 1
            bad = any(call.tool in ("wrong", "absent") for call in reply.calls) or not (reply.calls or reply.text)
            wrong = wrong + 1 if bad else 0
            if wrong > REPAIRS:
                self.unread = [("tool", "error", "")] * len(reply.calls)
                raise FailedExchange("MalformedReply")
            if reply.text and not reply.calls:
                return reply.text
            self.unread = self.answers(reply.calls) if reply.calls else [("note", "empty")]
        raise FailedExchange("StepLimit")

    def next_reply(self) -> Reply:
        """What the model says next in this thread."""
        return reply_at(self.replies, self.spoken, self.name)

    def answers(self, calls: Sequence[Call]) -> list[Line]:
        """What the model reads of its calls; where one fails the exchange, of those that ended, then of the others."""
        ended: list[Line] = []
        failed = ""
        for call in calls:
            try:
                ended.append(self.answer(call))
            except FailedExchange as error:
                failed = str(error)
        if failed:
            self.unread = [*ended, *[("tool", "error", "")] * (len(calls) - len(ended))]
            raise FailedExchange(failed)
        return ended

    def answer(self, call: Call) -> Line:
        """What comes of one call."""
        effects = self.told.effects.setdefault(call.number, [])
        if call.tool in ("wrong", "absent"):
            return ("tool", "error", "")
        if call.tool == "helper":
            name = f"helper {call.number}"
            below = Thread(self.plan, self.told, name, call.helper, HELPER_LIMIT, top=self.top or self)
            return ("tool", "ok", json.dumps(below.exchange(str(call.number)), ensure_ascii=False))
        if call.verdict == "deny":
            return ("tool", "denied", "")
        if asks(call):
            self.steered(call)
            if self.plan.nobody or not call.approved:
                return ("tool", "denied", "")
        return self.attempts(call, effects)

    def attempts(self, call: Call, effects: list[int]) -> Line:
        """What comes of a call that may run: in each attempt, and in what a person says of those nobody knows of."""
        outcomes, answers, fence, first = list(call.outcomes), list(call.answers), 1, not asks(call)
        while True:
            how = "raise"
            for _ in range(TRIES):
                how = outcomes.pop(0) if outcomes else "ok"
                effects.append(fence)
                if how in ("ok", "error") or (call.tool == "launch" and how == "raise"):
                    break
            if how in ("ok", "error"):
                self.told.calls += 1
                return ("tool", how, result(call, self.plan) if how == "ok" else "")
            if call.tool != "launch" or how == "not done":
                return ("tool", "error", "")
            if first:
                first = False
                self.steered(call)
            said = "give up" if self.plan.nobody else answers.pop(0) if answers else "happened"
            if said == "give up":
                raise FailedExchange("UnknownOutcome")
            if said == "happened":
                return ("tool", "ok", HAPPENED)
            fence += 1

    def steered(self, call: Call) -> None:
        """A person may add something while they are asked for the first time; the run's own agent reads it."""
        if call.steer and not self.plan.nobody:
            (self.top or self).notes.append(("note", f"note {call.number}"))


def reply_at(replies: Sequence[Reply], spoken: int, thread: str) -> Reply:
    """What a model says in a thread where it has spoken so often; beyond its plan it just answers."""
    return replies[spoken] if spoken < len(replies) else Reply(text=f"That is all of {thread}, after {spoken}.")


def asks(call: Call) -> bool:
    """Whether a person is asked before the call runs."""
    return call.verdict == "ask" or (call.verdict == "silent" and call.tool == "launch")


def result(call: Call, plan: Plan) -> str:
    """What a call gives when it is done, as JSON; it is long where the thread is to outgrow its context."""
    return json.dumps(f"{call.tool} {call.number}" + (" and so on" * 150 if plan.shorten else ""))


def foretell(plan: Plan) -> Foretold:
    """Follow a plan, with nothing but the rules."""
    told = Foretold()
    thread = Thread(plan, told, "", plan.replies, plan.limit)
    for number in range(plan.messages):
        try:
            told.exchanges.append(("answered", thread.exchange(f"message {number}")))
        except FailedExchange as error:
            told.exchanges.append(("failed", str(error)))
            if not plan.session:
                break
    return told


def asks_somebody(plan: Plan) -> bool:
    """Whether a person may be asked something in a run."""
    unsure = (call.tool == "launch" and "raise" in call.outcomes for call in every_call(plan.replies))
    return any(unsure) or any(asks(call) for call in every_call(plan.replies))


def every_call(replies: Sequence[Reply]) -> list[Call]:
    """All calls of a plan, those of helpers too."""
    calls = [call for reply in replies for call in reply.calls]
    return calls + [below for call in calls for below in every_call(call.helper)]


# Plans, drawn

OUTCOMES = st.lists(st.sampled_from(["ok", "error", "raise", "raise", "not done"]), max_size=4).map(tuple)
ANSWERS = st.lists(st.sampled_from(["happened", "not happened", "not happened", "give up"]), max_size=2).map(tuple)
TOKENS = st.tuples(st.integers(0, 50), st.integers(0, 50))


def drawn_calls(tools: Sequence[Tool], helper: st.SearchStrategy[tuple[Reply, ...]]) -> st.SearchStrategy[Call]:
    """Any call of one of these tools."""
    return st.builds(
        Call,
        tool=st.sampled_from(tools),
        verdict=st.sampled_from(["allow", "allow", "ask", "deny", "silent"]),
        approved=st.booleans(),
        outcomes=OUTCOMES,
        answers=ANSWERS,
        pause=st.sampled_from([0.0, 0.0, 0.05]),
        clicks=st.sampled_from(["one", "twice", "late"]),
        steer=st.booleans(),
        helper=helper,
        number=st.just(0),
    )


def drawn_replies(calls: st.SearchStrategy[Call], size: int) -> st.SearchStrategy[tuple[Reply, ...]]:
    """Messages of the model: mostly calls, now and then a text, or nothing."""
    return st.lists(
        st.builds(
            Reply,
            calls=st.one_of(*[st.lists(calls, min_size=1, max_size=3).map(tuple)] * 6, st.just(())),
            text=st.sampled_from(["", "Done.", "Größe 🙂"]),
            tokens=TOKENS,
            priced=st.sampled_from([True, True, True, False]),
            fails=st.sampled_from([0, 0, 0, 1]),
            breaks=st.sampled_from([False] * 7 + [True]),
            forget=st.booleans(),
        ),
        min_size=1,
        max_size=size,
    ).map(tuple)


ONLY_OWN: tuple[Tool, ...] = (*["look", "send", "launch"] * 3, "wrong", "absent")
BELOW = drawn_replies(drawn_calls(ONLY_OWN, st.just(())), 2)
REPLIES = drawn_replies(drawn_calls((*ONLY_OWN, "helper", "helper"), BELOW), 5)


def settled(plan: Plan) -> Plan:
    """The plan with numbered calls, and without what would make its end a matter of who is faster.

    A call that fails the exchange cuts off those beside it wherever they are, so it stands alone; and a note goes to
    whichever message comes next, so it is added only while nothing else is under way.
    """
    numbers = iter(range(1, 1000))
    replies = tuple(_settled(reply, plan, numbers, alone=True) for reply in plan.replies)
    return replace(plan, replies=replies, messages=plan.messages if plan.session else 1)


def _settled(reply: Reply, plan: Plan, numbers: Iterator[int], *, alone: bool) -> Reply:
    single = alone and len(reply.calls) == 1
    calls = tuple(_numbered(call, plan, numbers, alone=single) for call in reply.calls)
    fatal = next((call for call in calls if _fails(call, plan)), None)
    text = f"{reply.text} {next(numbers)}" if reply.text else ""  # equal messages are one item, which is recorded twice
    return replace(reply, calls=(fatal,) if fatal else calls, text=text)


def _numbered(call: Call, plan: Plan, numbers: Iterator[int], *, alone: bool) -> Call:
    number = next(numbers)
    below = tuple(_settled(reply, plan, numbers, alone=alone) for reply in call.helper) if call.tool == "helper" else ()
    return replace(call, number=number, helper=below, steer=call.steer and alone)


def _fails(call: Call, plan: Plan) -> bool:
    try:
        Thread(plan, Foretold(), "", (), 1).answer(call)
    except FailedExchange:
        return True
    return False


PLANS = st.builds(
    Plan,
    mode=st.sampled_from(["step", "turn", "fast"]),
    helper_mode=st.sampled_from(["step", "turn", "fast"]),
    limit=st.sampled_from([1, 3, 6, 6, 6]),
    replies=REPLIES,
    messages=st.integers(1, 3),
    session=st.booleans(),
    cold=st.booleans(),
    nobody=st.sampled_from([False, False, False, True]),
    quick_tasks=st.booleans(),
    shorten=st.sampled_from([None, None, "trim", "summarise"]),
).map(settled)
