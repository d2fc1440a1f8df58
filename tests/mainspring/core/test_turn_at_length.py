"""The rows of the turn table for what takes long: notes of people, threads that are too long, sessions."""

from mainspring.core.ledger import Entry, Head
from mainspring.core.turn import (
    Begin,
    CallModel,
    CallTool,
    Compact,
    Compacted,
    Fail,
    Finish,
    Noted,
    Overflowed,
    Returned,
    Turn,
    Uncertain,
    with_notes,
)
from tests.mainspring.core.test_turn import after, begun, decided, entry, replied

SHORT = Head(count=1, head="shorter")


def only(state: Turn, *events: object) -> tuple[Turn, object]:
    """The state after these events, and the one command of the last."""
    state, (command,) = after(state, *events)  # type: ignore[arg-type]
    return state, command


# Notes


def test_a_note_is_read_behind_the_answers_of_the_tools() -> None:
    """What a person adds goes to the model with what it is told next, and once only."""
    state = begun()

    state, nothing = after(state, replied(state, "allow"), Noted(note=entry("hurry")))
    state, command = only(state, Returned(step="2", answer=Entry(digest="done")))
    _, later = only(state, replied(state, "deny"))

    assert nothing == ()
    assert isinstance(command, CallModel)
    assert [each.digest for each in command.new] == ["done", "digest of hurry"]
    assert isinstance(later, CallModel)
    assert "digest of hurry" not in {each.digest for each in later.new}


def test_a_note_goes_with_a_call_that_has_not_begun() -> None:
    """A model call that waited takes along what came meanwhile, and the table knows that it did."""
    state, command = only(begun(), Overflowed())
    state, command = only(state, Compacted(head=SHORT))
    state, _ = after(state, Noted(note=entry("hurry")))
    assert isinstance(command, CallModel)

    state, command = with_notes(state, command)
    _, compact = only(state, replied(state, "deny"), Overflowed())

    assert (command.head, command.new) == (SHORT, (entry("hurry"),))
    assert isinstance(compact, Compact)
    assert entry("hurry") not in compact.new


# Threads that are too long


def test_a_thread_that_is_too_long_is_made_shorter() -> None:
    """The step that makes it shorter gets all that was to be said, and the model is asked again from there."""
    state, compact = only(begun(), Overflowed())
    _, command = only(state, Compacted(head=SHORT))

    assert compact == Compact(step="2", head=Head(), new=(entry("hello"),))
    assert command == CallModel(step="3", head=SHORT, new=())


def test_a_note_during_a_compact_step_is_read_after_it() -> None:
    """What came in the meantime is not part of what was made shorter."""
    state, _ = only(begun(), Overflowed())
    _, command = only(state, Noted(note=entry("hurry")), Compacted(head=SHORT))

    assert isinstance(command, CallModel)
    assert command.new == (entry("hurry"),)


def test_a_thread_that_stays_too_long_ends_it() -> None:
    """It is made shorter once; if that does not help, the agent fails and says what to change."""
    _, end = only(begun(), Overflowed(), Compacted(head=SHORT), Overflowed())

    assert isinstance(end, Fail)
    assert end.kind == "ContextFull"
    assert end.reason.endswith(
        "Shorten the instructions or the tools' results, or choose a model with a larger window."
    )


def test_a_thread_may_become_too_long_again() -> None:
    """Each reply of the model allows for another compact step."""
    state, _ = after(begun(), Overflowed(), Compacted(head=SHORT))
    _, command = only(state, replied(state, "deny"), Overflowed())

    assert isinstance(command, Compact)


def test_making_a_thread_shorter_counts_as_no_reply() -> None:
    """The limit is on what the model says."""
    state = begun(limit=1)

    _, end = only(state, Overflowed(), Compacted(head=SHORT), replied(state, text="Done."))

    assert end == Finish(text="Done.")


# Sessions


def test_a_session_goes_on_in_the_same_thread() -> None:
    """A second message follows the answer to the first; replies are counted anew, steps are not."""
    state = begun(limit=1)
    state, end = only(state, replied(state, text="Hi."))
    _, command = only(state, Begin(new=(entry("again"),)))

    assert end == Finish(text="Hi.")
    assert command == CallModel(step="2", head=state.head, new=(entry("again"),))


def test_a_session_goes_on_after_an_exchange_that_failed() -> None:
    """Calls that were under way, mistakes and a thread too long are the old exchange's affair."""
    state = begun()
    state, _ = after(state, replied(state, "allow", "malformed"), Begin(new=(entry("again"),)))

    assert (state.calls, state.repairs, state.compacted, state.replies) == ((), 0, False, 1)


# Permits


def test_each_permit_of_a_call_has_a_number_of_its_own() -> None:
    """A call that runs again, since a person said that it did not happen, can be told from the one before."""
    state = begun()
    state, first = only(state, replied(state, "ask"), decided("2", "approve"))
    state, second = only(state, Uncertain(step="2", error="lost"), decided("2", "not happened"))
    state, third = only(state, Uncertain(step="2", error="lost"), decided("2", "not happened"))

    commands = [each for each in (first, second, third) if isinstance(each, CallTool)]
    assert [each.permit.number for each in commands] == [1, 2, 3]
