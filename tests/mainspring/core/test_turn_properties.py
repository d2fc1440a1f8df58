"""The turn table in any interleaving: sessions, decisions, unknown outcomes, notes, compaction, continue-as-new.

A state machine stands in for the workflow side, with what that guarantees: each command under way gives one event and
no more, a request is decided once, an exchange that failed sends nothing any longer, and all state may go through JSON.
It keeps its own books of what was said, allowed and done, and checks each command against them as it is given.
"""

from dataclasses import dataclass
from typing import get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mainspring.contracts.carried import Talk
from mainspring.core.approvals import PERMIT_SECONDS, Choice, Decision, Permit
from mainspring.core.ledger import Entry, Head, Link, advance, make_item, unroll
from mainspring.core.messages import Message, Status
from mainspring.core.turn import (
    CURRENT,
    REPAIRS,
    AskPerson,
    Begin,
    Broke,
    CallModel,
    CallTool,
    CallVerdict,
    Command,
    Compact,
    Compacted,
    Decided,
    Event,
    Fail,
    Finish,
    Noted,
    Overflowed,
    Replied,
    Returned,
    Turn,
    Uncertain,
    Verdict,
    step,
)
from mainspring.durable.conversation import _hold as hold

KEY = "secret"
POLICY = "policy"
WORDS = st.sampled_from(["yes", "no", "Größe 🙂"])
"""Few, so that equal messages come up as well."""
CHOICES: dict[str, tuple[Choice, ...]] = {
    "approval": ("approve", "deny", "expired", "stop", "take over", "playbook"),
    "question": ("answer", "deny", "expired", "stop", "take over"),
    "outcome": ("happened", "not happened", "give up"),
}


@dataclass
class Said:
    """One item that the model has not read yet; `asks` where it is a message of the user."""

    entry: Entry
    asks: bool = False


@dataclass
class Book:
    """What the machine knows of one call: who gave leave, how often it was let through, how it ended."""

    step: str
    index: int
    verdict: CallVerdict
    leave: Decision | None = None
    may_run: bool = False
    permits: int = 0
    asked: int = 0
    unknown: bool = False
    answer: Entry | None = None


@dataclass
class Question:
    """A request to a person, and what was decided."""

    asked: AskPerson
    decision: Decision | None = None


class Invocation(RuleBasedStateMachine):
    """One agent invocation, held by the workflow side for as many messages as come."""

    @initialize(thread=st.sampled_from(["", "3", "2.1"]), limit=st.integers(1, 4))
    def admit(self, thread: str, limit: int) -> None:
        """The invocation is there, and nothing was said."""
        self.turn = Turn(
            version=CURRENT, thread=thread, agent="desk", key=KEY, policy=POLICY, limit=limit, head=Head(thread=thread)
        )
        self.running = False
        self.open: dict[str, Command] = {}
        self.steps = self.replies = self.wrong = self.made = 0
        self.compacted = False
        self.clock = 1000.0
        self.chain: list[str] = []
        self.links: dict[str, Link] = {}
        self.unread: list[Said] = []
        self.notes: list[Entry] = []
        self.books: list[Book] = []
        self.questions: list[Question] = []
        self.late: list[CallTool] = []
        self.ended, self.taken_over = "", False

    # What people do

    @precondition(lambda self: not self.running)
    @rule(words=WORDS, recalled=st.booleans())
    def say(self, words: str, *, recalled: bool) -> None:
        """A person says something; what came of an exchange that failed, and nobody has read, goes before it."""
        said = [Said(item(Message(role="user", text=words)), asks=True)]
        if recalled and not self.chain:
            said.insert(0, Said(Entry(digest="what memory recalled"), asks=True))
        self.unread = [each for each in self.left_over() if not each.asks] + said
        self.books, self.late = [], []
        self.running, self.replies, self.wrong, self.compacted = True, 0, 0, False
        self.feed(Begin(new=tuple(each.entry for each in said)))

    @rule(words=WORDS)
    def note(self, words: str) -> None:
        """A person adds something at any time."""
        entry = item(Message(role="note", text=words))
        self.notes.append(entry)
        assert self.feed(Noted(note=entry)) == ()

    @precondition(lambda self: self.questions)
    @rule(data=st.data())
    def click(self, data: st.DataObject) -> None:
        """A person decides on any request there ever was; only one that is open takes a decision, and only one."""
        number = data.draw(st.integers(0, len(self.questions) - 1))
        question = self.questions[number]
        choice = data.draw(st.sampled_from([choice for each in CHOICES.values() for choice in each]))
        under_way = self.running and self.open.get(question.asked.step) is question.asked
        if not under_way or question.decision or choice not in CHOICES[question.asked.kind]:
            return
        self.clock += 1
        said = {"reason": "said so", "answer": "it is 7"}
        question.decision = Decision(request=str(number + 1), choice=choice, decided=self.clock, **said)
        self.decide(question.asked.step, question.decision)

    def decide(self, name: str, decision: Decision) -> None:
        """Put a decision in the books, and tell the table."""
        book, choice = self.book(name), decision.choice
        if choice in ("approve", "not happened"):
            book.may_run, book.leave = True, decision
        elif choice in ("deny", "expired", "playbook"):
            book.answer = self.answer_of(book, "denied", "said so")
        elif choice == "answer":
            book.answer = self.answer_of(book, "ok", '"it is 7"')
        elif choice == "take over":
            told = "A person took over, and answered in your place: it is 7"
            self.notes.append(item(Message(role="note", text=told)))
            self.ended, self.taken_over = "Finish", True
        elif choice == "happened":
            book.answer = self.answer_of(
                book, "ok", '{"happened":true,"note":"A person confirmed that this took effect."}'
            )
        else:
            self.ended = "Stopped" if choice == "stop" else "UnknownOutcome"
        book.unknown = False
        self.done(name)
        self.feed(Decided(step=name, decision=decision))

    # What comes of steps

    @precondition(lambda self: self.asking_model)
    @rule(kinds=st.lists(st.sampled_from(get_args(Verdict)), min_size=1, max_size=3), words=WORDS)
    def reply_with_calls(self, kinds: list[Verdict], words: str) -> None:
        """The model calls tools, on which the rules have their say."""
        verdicts = tuple(self.judged(number, kind) for number, kind in enumerate(kinds))
        malformed = "malformed" in kinds
        self.reply(Message(role="assistant", text=words), verdicts, wrong=malformed)

    @precondition(lambda self: self.asking_model)
    @rule(problem=st.sampled_from(["", "", "not JSON"]), words=WORDS)
    def reply_without_calls(self, problem: str, words: str) -> None:
        """The model answers, and that may be unusable."""
        self.reply(Message(role="assistant", text=words), (), problem=problem, wrong=bool(problem))

    def reply(
        self, message: Message, verdicts: tuple[CallVerdict, ...], *, problem: str = "", wrong: bool = False
    ) -> None:
        """A message of the model comes in: it is at the end of the chain, and all before it was read."""
        asked = self.the_open(CallModel)
        digest = item(message).digest
        link = Link(before=asked.head, appended=(*(entry.digest for entry in asked.new), digest))
        head = self.linked(link)
        self.chain = [*self.chain, *(each.entry.digest for each in self.unread), digest]
        self.unread, self.compacted = [], False
        self.wrong = self.wrong + 1 if wrong else 0
        first = self.steps + 1
        self.books = [Book(self.name_of(first + n), n, each) for n, each in enumerate(verdicts)]
        if self.wrong > REPAIRS:
            self.ended, self.books = "MalformedReply", []
        elif verdicts:
            self.steps += len(verdicts)
            for book in self.books:
                self.judge(book)
        elif problem:
            self.unread = [Said(item(Message(role="note", text=problem)))]
        elif not self.notes or self.replies >= self.turn.limit:  # else the model is to read what it was told meanwhile
            self.ended = "Finish"
        self.done(asked.step)
        self.feed(Replied(digest=digest, head=head, text=message.text, verdicts=verdicts, problem=problem))

    def judge(self, book: Book) -> None:
        """What the verdict on a call means: it may run, or it has its answer already."""
        kind = book.verdict.verdict
        book.may_run = kind == "allow"
        if kind in ("deny", "malformed"):
            book.answer = self.answer_of(book, "denied" if kind == "deny" else "error", book.verdict.reason)

    @precondition(lambda self: self.calling)
    @rule(data=st.data(), how=st.sampled_from([Returned, Broke, Uncertain]))
    def end_call(self, data: st.DataObject, how: type[Event]) -> None:
        """A call ends, whichever of those under way, with an answer, for good without one, or nobody knows how."""
        command = data.draw(st.sampled_from(self.calling))
        event = self.end_of(command, how)
        self.done(command.step)
        self.feed(event)

    def end_of(self, command: CallTool, how: type[Event]) -> Event:
        """Put the end of a call in the books; the event that tells of it."""
        book = self.book(command.step)
        if how is Returned:
            self.made += 1
            book.answer = Entry(digest=f"result {self.made}")
            return Returned(step=command.step, answer=book.answer)
        if how is Broke:
            book.answer = self.answer_of(book, "error", "no line")
            return Broke(step=command.step, error="no line")
        book.unknown = True
        return Uncertain(step=command.step, error="worker lost")

    @precondition(lambda self: self.asking_model)
    @rule()
    def overflow(self) -> None:
        """The thread has become too long for the model."""
        asked = self.the_open(CallModel)
        self.replies -= 1  # nothing was asked
        self.ended = "ContextFull" if self.compacted else ""
        self.compacted = True
        self.done(asked.step)
        self.feed(Overflowed())

    @precondition(lambda self: any(isinstance(each, Compact) for each in self.open.values()))
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        """The thread is made shorter: a new chain, with a note where something was left out."""
        command = self.the_open(Compact)
        whole = [*self.chain, *(each.entry.digest for each in self.unread)]
        end = data.draw(st.integers(0, len(whole)))
        start = data.draw(st.integers(0, end))
        self.chain = [*whole[:start], "note on what was left out", *whole[end:]]
        head = self.linked(Link(before=Head(thread=self.turn.thread), appended=tuple(self.chain)))
        self.unread = []
        self.done(command.step)
        self.feed(Compacted(head=head))

    @precondition(lambda self: self.running)
    @rule()
    def break_down(self) -> None:
        """The model fails for good, or an agent below does: the exchange fails, and all that is under way with it."""
        self.stop()

    @precondition(lambda self: self.late)
    @rule(data=st.data(), how=st.sampled_from([Returned, Broke]))
    def end_late(self, data: st.DataObject, how: type[Event]) -> None:
        """A call that was under way when its exchange failed is seen to its end; that commands nothing any more."""
        command = data.draw(st.sampled_from(self.late))
        self.late.remove(command)
        self.turn, _ = step(self.turn, self.end_of(command, how))
        if all(book.answer for book in self.books):
            self.steps = self.turn.steps
            if self.replies < self.turn.limit:
                self.unread = self.left_over() + [Said(entry) for entry in self.notes]
                self.notes, self.books = [], []

    @rule()
    def continue_as_new(self) -> None:
        """Everything goes through JSON, as it does between two executions, and is what it was."""
        held = tuple(hold(command) for command in self.open.values())
        text = Talk(turn=self.turn, held=held).model_dump_json(exclude_defaults=True)
        talk = Talk.model_validate_json(text)
        assert (talk.turn, talk.held) == (self.turn, held)
        self.turn = talk.turn

    # The books

    def feed(self, event: Event) -> tuple[Command, ...]:
        """Tell the table what happened; what it commands is checked against the books, one by one."""
        ended = self.ended
        self.turn, commands = step(self.turn, event)
        for command in commands:
            assert self.running, "something is commanded, and nobody has asked"
            self.check(command)
        assert not (ended and self.running), f"it should have ended with {ended}"
        return commands

    def check(self, command: Command) -> None:
        """What holds of each command at the moment it is given."""
        if isinstance(command, Finish | Fail):
            self.check_end(command)
            return
        assert command.step not in self.open, "two things are under way as one step"
        self.open[command.step] = command
        if isinstance(command, CallModel | Compact):
            self.check_thread(command)
        elif isinstance(command, CallTool):
            self.check_call(command)
        else:
            self.check_question(command)

    def check_thread(self, command: CallModel | Compact) -> None:
        """The model reads all that came since its last message: each answer, in the message's order, then notes."""
        assert list(self.open) == [command.step], "the model is asked while something is under way"
        assert all(book.answer for book in self.books), "the model is asked before its calls are answered"
        self.steps += 1
        assert command.step == self.name_of(self.steps), "a step's number is not new"
        if isinstance(command, CallModel):
            self.unread = self.left_over() + [Said(entry) for entry in self.notes]
            self.notes, self.books = [], []
            self.replies += 1
            assert self.replies <= self.turn.limit, "the model is asked more often than the agent allows"
        assert command.new == tuple(each.entry for each in self.unread)
        assert command.head == advance(Head(thread=self.turn.thread), self.chain)
        assert list(unroll(command.head, self.links.get)) == self.chain

    def check_call(self, command: CallTool) -> None:
        """No permit, no call: leave was given, once, by the rules or by a person, and for exactly this."""
        book, permit = self.book(command.step), command.permit
        assert book.may_run, "a call runs for which nobody gave leave, or the same leave twice"
        book.may_run = False
        assert (command.index, command.message) == (book.index, self.chain[-1])
        assert command.head == advance(Head(thread=self.turn.thread), self.chain)
        assert misfit(permit, book) == ""
        for other in self.books:
            assert (misfit(permit, other) == "") == (other is book)
        assert misfit(permit, book, policy="another") == "the permit is for another policy"
        book.permits += 1
        assert permit.number == book.permits, "the fence does not grow by one"
        if book.leave is None:
            assert (permit.source, book.verdict.verdict) == ("rule", "allow")
        else:
            assert (permit.source, permit.request) == ("person", book.leave.request)
            assert permit.expires == book.leave.decided + PERMIT_SECONDS
            assert misfit(permit, book, now=permit.expires + 1) == "the permit has expired"

    def check_question(self, command: AskPerson) -> None:
        """A person is asked once whether a call may run, and after each end that nobody knows."""
        book = self.book(command.step)
        assert (command.index, command.verdict) == (book.index, book.verdict)
        if command.kind in ("approval", "question"):
            assert book.verdict.verdict == ("ask" if command.kind == "approval" else "question")
            assert not book.asked, "a person is asked twice for the same leave"
        else:
            assert book.unknown, "a person is asked how something ended that has not"
        book.asked += 1
        self.questions.append(Question(command))

    def check_end(self, command: Finish | Fail) -> None:
        """It ends where the books say that it must, and where the limit of replies is reached."""
        kind = "Finish" if isinstance(command, Finish) else command.kind
        if kind == "StepLimit":
            assert self.replies == self.turn.limit
            assert all(book.answer for book in self.books)
            assert not self.open
        else:
            assert kind == self.ended
        if isinstance(command, Finish) and not self.taken_over:
            assert not self.open
            assert not self.books
        self.taken_over = False
        self.stop()

    def stop(self) -> None:
        """The exchange is over: what was under way is cancelled, or seen to its end."""
        self.late = self.calling
        self.running, self.ended = False, ""
        self.open.clear()

    @invariant()
    def it_is_never_stuck(self) -> None:
        """While it runs, what has not ended is under way: the model's message, or each call without an answer."""
        if not getattr(self, "running", False):
            return
        waiting = {book.step for book in self.books if book.answer is None}
        if waiting:
            assert set(self.open) == waiting
            assert all(isinstance(each, CallTool | AskPerson) for each in self.open.values())
        else:
            (command,) = self.open.values()
            assert isinstance(command, CallModel | Compact)

    def teardown(self) -> None:
        """Whatever is under way, it comes to an end once each of it does."""
        if not getattr(self, "running", False):
            return
        for _ in range(2 * self.turn.limit + 8):
            self.end_something()
            if not self.running:
                return
        raise AssertionError("it does not come to an end")

    def end_something(self) -> None:
        """Have one thing under way end, in the simplest way."""
        command = next(iter(self.open.values()))
        if isinstance(command, CallModel):
            self.reply(Message(role="assistant", text="done"), ())
        elif isinstance(command, Compact):
            self.chain = ["note on everything"]
            head = self.linked(Link(before=Head(thread=self.turn.thread), appended=tuple(self.chain)))
            self.unread = []
            self.done(command.step)
            self.feed(Compacted(head=head))
        elif isinstance(command, CallTool):
            event = self.end_of(command, Broke)
            self.done(command.step)
            self.feed(event)
        else:
            choice: Choice = "happened" if command.kind == "outcome" else "deny"
            self.decide(command.step, Decision(request="0", choice=choice, reason="said so", decided=self.clock))

    @property
    def asking_model(self) -> bool:
        """Whether a message of the model is under way."""
        return any(isinstance(each, CallModel) for each in self.open.values())

    @property
    def calling(self) -> list[CallTool]:
        """The calls under way."""
        return [each for each in self.open.values() if isinstance(each, CallTool)]

    def the_open(self, kind: type[Command]) -> Command:
        """The one command of this kind under way."""
        return next(each for each in self.open.values() if isinstance(each, kind))

    def done(self, name: str) -> None:
        """A command gives its one event, and is not under way any more."""
        del self.open[name]

    def left_over(self) -> list[Said]:
        """What is to be read: what was on its way to the model, and the answers to its calls, in their order."""
        return self.unread + [Said(book.answer) for book in self.books if book.answer]

    def linked(self, link: Link) -> Head:
        """Record a link, as a result does; the head it leads to."""
        head = advance(link.before, link.appended)
        self.links[head.head] = link
        return head

    def book(self, name: str) -> Book:
        """The call that is this step."""
        return next(each for each in self.books if each.step == name)

    def judged(self, number: int, kind: Verdict) -> CallVerdict:
        """A verdict on a call; every second call in the machine's life has equal arguments."""
        tool = "refund" if number % 2 else "look"
        args = f"args {self.steps % 2}"
        return CallVerdict(id=f"call {number}", tool=tool, verdict=kind, args_digest=args, reason=f"because {kind}")

    def answer_of(self, book: Book, status: Status, text: str) -> Entry:
        """What the table itself answers a call with."""
        return item(Message(role="tool", text=text, call=book.verdict.id, tool=book.verdict.tool, status=status))

    def name_of(self, number: int) -> str:
        """The step with this number."""
        return f"{self.turn.thread}.{number}" if self.turn.thread else str(number)


def item(message: Message) -> Entry:
    """A message as it travels, with its text."""
    made = make_item(message, KEY)
    return Entry(digest=made.digest, text=made.text)


def misfit(permit: Permit, book: Book, *, policy: str = POLICY, now: float = 1000.0) -> str:
    """Why a permit does not cover a call."""
    verdict = book.verdict
    return permit.misfit(step=book.step, tool=verdict.tool, args_digest=verdict.args_digest, policy=policy, now=now)


def test_whatever_happens_the_table_keeps_its_rules() -> None:
    """No permit, no call; every answer is read, in order; the chain closes; it never hangs, in any interleaving."""
    run_state_machine_as_test(Invocation, settings=settings(max_examples=200, stateful_step_count=40))
