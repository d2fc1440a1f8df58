from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.approvals import Choice, Decision
from mainspring.core.ledger import Entry, Head, Item, advance, verify
from mainspring.core.messages import Message
from mainspring.core.turn import (
    CURRENT,
    REPAIRS,
    TABLES,
    AskPerson,
    Begin,
    Broke,
    CallModel,
    CallTool,
    CallVerdict,
    Command,
    Decided,
    Event,
    Fail,
    Finish,
    Replied,
    Returned,
    Turn,
    Uncertain,
    Verdict,
    step,
)

KEY = "secret"
POLICY = "policy"
LIMIT = 4
DENIALS: tuple[Choice, ...] = ("deny", "expired")
VERDICTS: tuple[Verdict, ...] = ("allow", "deny", "ask", "malformed")


def turn(thread: str = "", limit: int = LIMIT) -> Turn:
    """An invocation that has not begun."""
    return Turn(
        version=CURRENT, thread=thread, agent="desk", key=KEY, policy=POLICY, limit=limit, head=Head(thread=thread)
    )


def entry(text: str) -> Entry:
    """Something new that is said."""
    return Entry(digest=f"digest of {text}", text=text)


def verdict(kind: Verdict, number: int = 0) -> CallVerdict:
    """What the rules say of a call; each call has arguments of its own."""
    return CallVerdict(
        id=f"call_{number}", tool="refund", verdict=kind, args_digest=f"args {number}", reason=f"because {kind}"
    )


def replied(state: Turn, *kinds: Verdict, text: str = "", problem: str = "") -> Replied:
    """A message of the model with calls that were judged so."""
    digest = f"message {state.replies}"
    head = advance(state.head, (*(e.digest for e in state.new), digest))
    verdicts = tuple(verdict(kind, number) for number, kind in enumerate(kinds))
    return Replied(digest=digest, head=head, text=text, verdicts=verdicts, problem=problem)


def after(state: Turn, *events: Event) -> tuple[Turn, tuple[Command, ...]]:
    """The state after these events, and the commands of the last."""
    commands: tuple[Command, ...] = ()
    for event in events:
        state, commands = step(state, event)
    return state, commands


def begun(thread: str = "", limit: int = LIMIT) -> Turn:
    """An invocation whose first model call is under way."""
    return after(turn(thread, limit), Begin(new=(entry("hello"),)))[0]


def decided(name: str, choice: Choice, reason: str = "") -> Decided:
    """What a person said on the request that holds up a step."""
    return Decided(step=name, decision=Decision(request="1", choice=choice, reason=reason, decided=1000.0))


def said(one: Entry) -> Message:
    """The message of an entry that travels with its text."""
    return Message.model_validate_json(one.text)


# One row of the table at a time


def test_it_begins_by_asking_the_model() -> None:
    """What the user says goes to the model, as step 1."""
    _, commands = after(turn(), Begin(new=(entry("hello"),)))

    assert commands == (CallModel(step="1", head=Head(thread=""), new=(entry("hello"),)),)


def test_an_answer_without_calls_ends_it() -> None:
    """A message that asks for nothing is the answer."""
    state = begun()

    assert after(state, replied(state, text="Good day."))[1] == (Finish(text="Good day."),)


def reviewed() -> Turn:
    """An answer that waits for a person."""
    asking = begun()
    looked_at = CallVerdict(tool="answer", verdict="ask", rule="look", reason="Look.")
    waiting, commands = step(asking, replied(asking, text="Hello.").model_copy(update={"review": looked_at}))

    assert commands == (AskPerson(step="2", index=-1, kind="review", verdict=looked_at, reason="Look."),)
    return waiting


def test_an_answer_under_review_is_given_when_a_person_lets_it() -> None:
    """As it is, or in the person's words, which the model is then told."""
    _, commands = step(reviewed(), decided("2", "approve"))
    assert commands == (Finish(text="Hello."),)

    other = Decision(request="1", choice="approve", decided=1.0, answer="Good day.")
    after, commands = step(reviewed(), Decided(step="2", decision=other))
    assert commands == (Finish(text="Good day."),)
    assert [said(note).text for note in after.notes] == ["A person gave another answer than yours: Good day."]


def test_an_answer_under_review_is_written_again_or_never_given() -> None:
    """A denial goes back with its reason; where nobody came there is no answer."""
    after, commands = step(reviewed(), decided("2", "deny", "Be polite."))
    assert [type(each) for each in commands] == [CallModel]
    assert "Be polite." in after.new[-1].text
    assert after.review is None

    _, commands = step(reviewed(), decided("2", "expired", "Nobody came."))
    assert commands == (Fail(kind="NotReviewed", reason="Nobody came."),)


def test_an_allowed_call_runs_under_a_permit_of_the_rules() -> None:
    """A call that the rules allow runs at once; the permit names step, tool, arguments and policy."""
    state = begun()

    _, (command,) = after(state, replied(state, "allow"))

    assert isinstance(command, CallTool)
    assert command.permit.misfit(step="2", tool="refund", args_digest="args 0", policy=POLICY, now=1e12) == ""
    assert (command.permit.source, command.message, command.index) == ("rule", "message 1", 0)


@pytest.mark.parametrize(("kind", "status"), [("deny", "denied"), ("malformed", "error")])
def test_a_refused_call_is_told_and_never_runs(kind: Verdict, status: str) -> None:
    """A denied or malformed call is answered on the spot, with the reason."""
    state = begun()

    _, (command,) = after(state, replied(state, kind))

    assert isinstance(command, CallModel)
    told = said(command.new[0])
    assert (told.status, told.text, told.call, told.tool) == (status, f"because {kind}", "call_0", "refund")


def test_answers_of_its_own_carry_digests_that_fit() -> None:
    """What the table itself says is an item like any other, made with the run's key."""
    state = begun()

    _, (command,) = after(state, replied(state, "deny"))

    assert isinstance(command, CallModel)
    verify(Item(digest=command.new[0].digest, text=command.new[0].text), KEY)


def test_a_call_that_needs_a_person_runs_when_approved() -> None:
    """Approval gives a permit that names the request and expires."""
    state = begun()

    state, (asked,) = after(state, replied(state, "ask"))
    _, (command,) = after(state, decided("2", "approve"))

    assert isinstance(asked, AskPerson)
    assert (asked.kind, asked.reason, asked.step) == ("approval", "because ask", "2")
    assert isinstance(command, CallTool)
    assert (command.permit.source, command.permit.request, command.permit.expires) == ("person", "1", 4600.0)


@pytest.mark.parametrize("choice", DENIALS)
def test_a_call_that_a_person_refuses_is_told(choice: Choice) -> None:
    """A denial, or nobody deciding in time, is told with its reason."""
    state = begun()

    _, (command,) = after(state, replied(state, "ask"), decided("2", choice, "not today"))

    assert isinstance(command, CallModel)
    assert (said(command.new[0]).status, said(command.new[0]).text) == ("denied", "not today")


def test_a_failed_call_is_told() -> None:
    """A call that failed without effect is an error the model reads."""
    state = begun()

    _, (command,) = after(state, replied(state, "allow"), Broke(step="2", error="no line"))

    assert isinstance(command, CallModel)
    assert (said(command.new[0]).status, said(command.new[0]).text) == ("error", "no line")


@pytest.mark.parametrize(
    ("choice", "command"), [("happened", CallModel), ("not happened", CallTool), ("give up", Fail)]
)
def test_an_unknown_outcome_is_what_a_person_says(choice: Choice, command: type[Command]) -> None:
    """A call whose outcome is not known is asked about; it runs again only where a person says it did not happen."""
    state = begun()

    state, (asked,) = after(state, replied(state, "allow"), Uncertain(step="2", error="worker lost"))
    _, (next_one,) = after(state, decided("2", choice))

    assert isinstance(asked, AskPerson)
    assert (asked.kind, asked.reason) == ("outcome", "worker lost")
    assert isinstance(next_one, command)


def test_the_model_waits_for_every_call_of_its_message() -> None:
    """Answers come back together, in the message's order, whichever call ended first."""
    state = begun()

    state, _ = after(state, replied(state, "allow", "deny", "allow"))
    state, nothing = after(state, Returned(step="4", answer=Entry(digest="third")))
    _, (command,) = after(state, Returned(step="2", answer=Entry(digest="first")))

    assert nothing == ()
    assert isinstance(command, CallModel)
    assert [command.new[0].digest, said(command.new[1]).status, command.new[2].digest] == ["first", "denied", "third"]
    assert command.step == "5"


def test_an_unusable_answer_goes_back_twice() -> None:
    """The model reads what is wrong with its answer twice; the third time ends the run."""
    state = begun(limit=9)

    for _ in range(REPAIRS):
        state, (command,) = after(state, replied(state, problem="not JSON"))
        assert isinstance(command, CallModel)
        assert (said(command.new[0]).role, said(command.new[0]).text) == ("note", "not JSON")
    _, (end,) = after(state, replied(state, problem="not JSON"))

    assert isinstance(end, Fail)
    assert end.kind == "MalformedReply"
    assert end.reason.endswith("the model was shown its mistake 2 times and repeats it: not JSON")


def test_a_good_message_forgives_earlier_mistakes() -> None:
    """Only mistakes in a row count."""
    state = begun(limit=9)

    for _ in range(REPAIRS):
        state, _ = after(state, replied(state, "malformed"))
    state, _ = after(state, replied(state, "deny"))

    assert state.repairs == 0


def test_the_limit_counts_model_replies() -> None:
    """An agent that is not done after its last reply fails, naming the setting."""
    state = begun(limit=1)

    _, (end,) = after(state, replied(state, "deny"))

    assert isinstance(end, Fail)
    assert (end.kind, end.reason) == (
        "StepLimit",
        "agent 'desk' was not done after 1 model replies. Raise Agent(max_steps=…).",
    )


def test_replies_used_up_the_playbook_ends_it() -> None:
    """It has as many of its own, and then the run fails; the next message is the model's again."""
    state = turn(limit=1).model_copy(update={"has_book": True})
    state, (first,) = step(state, Begin(new=(entry("hello"),)))
    assert not first.by_book  # type: ignore[union-attr]
    state, (second,) = step(state, replied(state, problem="empty"))
    assert isinstance(second, CallModel)
    assert second.by_book
    last, (failed,) = step(state, replied(state, problem="empty"))
    assert isinstance(failed, Fail)
    assert failed.kind == "StepLimit"

    _, (again,) = step(last, Begin(new=(entry("hello again"),)))
    assert isinstance(again, CallModel)
    assert not again.by_book


def test_steps_of_a_nested_agent_lie_below_its_own() -> None:
    """The steps of an agent that is step 3 are 3.1, 3.2 and so on."""
    state = begun(thread="3")

    _, (command,) = after(state, replied(state, "allow"))

    assert isinstance(command, CallTool)
    assert command.step == "3.2"


def test_an_unknown_table_is_not_guessed_at() -> None:
    """A run admitted with a table this worker lacks is left to a worker that has it."""
    with pytest.raises(KeyError):
        step(turn().model_copy(update={"version": max(TABLES) + 1}), Begin(new=()))


# Every game that can be played


@dataclass
class Game:
    """One way through the table: what was commanded, and whether that was in order at the time."""

    data: st.DataObject
    state: Turn = field(default_factory=turn)
    open: list[Command] = field(default_factory=list[Command])
    done: list[Command] = field(default_factory=list[Command])
    verdicts: dict[str, CallVerdict] = field(default_factory=dict[str, CallVerdict])
    leave: set[str] = field(default_factory=set[str])
    messages: list[tuple[CallVerdict, ...]] = field(default_factory=list[tuple[CallVerdict, ...]])

    def play(self) -> None:
        """Go on until the agent is done, what is under way ending in any order and in any way."""
        event: Event = Begin(new=(entry("hello"),))
        while True:
            self.state, commands = step(self.state, event)
            for command in commands:
                self.check(command)
            self.done += commands
            self.open += commands
            if any(isinstance(command, Finish | Fail) for command in commands):
                return
            assert self.open, "nothing is under way, and the agent is not done"
            event = self.outcome(self.open.pop(self.data.draw(st.integers(0, len(self.open) - 1))))

    def check(self, command: Command) -> None:
        """What holds of each command at the moment it is given."""
        if isinstance(command, CallTool):
            judged = self.verdicts[command.step]
            assert (
                command.permit.misfit(
                    step=command.step, tool=judged.tool, args_digest=judged.args_digest, policy=POLICY, now=1000.0
                )
                == ""
            )
            assert judged.verdict not in ("deny", "malformed")
            assert command.step in self.leave, "a call runs for which nobody gave leave, or the same leave twice"
            self.leave.remove(command.step)
        elif isinstance(command, CallModel):
            assert self.open == [], "the model is asked before its calls are answered"

    def outcome(self, command: Command) -> Event:
        """One way in which a command may end."""
        if isinstance(command, CallModel):
            return self.reply()
        if isinstance(command, CallTool):
            return self.data.draw(
                st.sampled_from(
                    [
                        Returned(step=command.step, answer=Entry(digest=f"answer {command.index}")),
                        Broke(step=command.step, error="no line"),
                        Uncertain(step=command.step, error="worker lost"),
                    ]
                )
            )
        assert isinstance(command, AskPerson)
        leaves: Choice = "approve" if command.kind == "approval" else "not happened"
        others: tuple[Choice, ...] = DENIALS if command.kind == "approval" else ("happened", "give up")
        choice = self.data.draw(st.sampled_from((leaves, *others)))
        if choice == leaves:
            self.leave.add(command.step)
        return decided(command.step, choice, "said so")

    def reply(self) -> Replied:
        """A message of the model: calls judged in any way, or an answer that may be unusable."""
        kinds = self.data.draw(st.lists(st.sampled_from(VERDICTS), max_size=3))
        problem = "" if kinds else self.data.draw(st.sampled_from(["", "not JSON"]))
        event = replied(self.state, *kinds, text="Done.", problem=problem)
        self.messages.append(event.verdicts)
        for number, one in enumerate(event.verdicts, self.state.steps + 1):
            self.verdicts[str(number)] = one
            if one.verdict == "allow":
                self.leave.add(str(number))
        return event


def played(data: st.DataObject) -> Game:
    """A game played to its end."""
    game = Game(data)
    game.play()
    return game


@given(st.data())
def test_no_call_without_a_permit_that_fits(data: st.DataObject) -> None:
    """Whatever happens, a call runs only under a permit for it, and each leave is used once (see `Game.check`)."""
    game = played(data)

    assert len(game.done) >= 2


@given(st.data())
def test_every_call_is_answered_in_order(data: st.DataObject) -> None:
    """The model reads an answer to each call of its message, in the message's order, before it is asked again."""
    game = played(data)

    later = [command for command in game.done if isinstance(command, CallModel)][1:]
    for verdicts, command in zip(game.messages, later, strict=False):
        calls = [said(one).call if one.text else f"call_{one.digest.removeprefix('answer ')}" for one in command.new]
        assert calls == ([one.id for one in verdicts] or [""])


@given(st.data())
def test_never_more_replies_than_the_limit(data: st.DataObject) -> None:
    """The model is never asked more often than the agent allows."""
    game = played(data)

    assert sum(isinstance(command, CallModel) for command in game.done) <= LIMIT


@given(st.data())
def test_steps_are_numbered_once(data: st.DataObject) -> None:
    """No two things share a step, but a question and the call it is about, which may be made again."""
    game = played(data)

    asked = [command.step for command in game.done if isinstance(command, CallModel)]
    called = {(command.step, command.index) for command in game.done if isinstance(command, CallTool | AskPerson)}
    assert len({*asked, *(name for name, _ in called)}) == len(asked) + len(called)
