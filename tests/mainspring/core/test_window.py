import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mainspring.core.canonical import canonical
from mainspring.core.labels import OURS
from mainspring.core.messages import Message, Status, ToolCall, count_replies, finished_calls
from mainspring.core.spec import Effect
from mainspring.core.window import READS_KEPT, choose, note, repaired, transcript

EFFECTS: dict[str, Effect] = {"look": "read", "put": "idempotent", "pay": "once"}
STATUSES: tuple[Status, ...] = ("ok", "error", "denied")


def user(text: str) -> Message:
    """What a user says."""
    return Message(role="user", text=text)


def says(text: str) -> Message:
    """What the model answers."""
    return Message(role="assistant", text=text)


def asks(*calls: str, tool: str = "look") -> Message:
    """A message with calls of these ids."""
    return Message(role="assistant", calls=tuple(ToolCall(id=each, name=tool, args={"of": each}) for each in calls))


def gives(call: str, text: str = "1", tool: str = "look") -> Message:
    """The result of a call."""
    return Message(role="tool", call=call, tool=tool, text=text)


def kept(messages: Sequence[Message], sizes: Sequence[int], room: int) -> list[Message]:
    """What is left of a thread that was made to fit."""
    cut = choose(messages, sizes, room)
    return [*messages[: cut.start], *messages[cut.end :]]


def shortened(messages: Sequence[Message], sizes: Sequence[int], room: int) -> list[Message]:
    """The thread as a compact step makes it."""
    cut = choose(messages, sizes, room)
    left_out = messages[cut.start : cut.end]
    return [*messages[: cut.start], note(left_out, EFFECTS, OURS), *messages[cut.end :]]


# Threads of every shape


@st.composite
def turns(draw: st.DrawFn, number: int) -> list[Message]:
    """A message, and the answers to its calls."""
    kind = draw(st.sampled_from(["calls", "calls", "says", "user", "note"]))
    if kind != "calls":
        role = {"says": "assistant", "user": "user", "note": "note"}[kind]
        return [Message.model_validate({"role": role, "text": f"{kind} {number}"})]
    tools = draw(st.lists(st.sampled_from(sorted(EFFECTS)), min_size=1, max_size=3))
    calls = [
        ToolCall(id=f"call_{number}_{index}", name=tool, args={"number": number}) for index, tool in enumerate(tools)
    ]
    answers = [
        Message(
            role="tool",
            text=json.dumps("x" * draw(st.integers(0, 5))),
            call=call.id,
            tool=call.name,
            status=draw(st.sampled_from(STATUSES)),
        )
        for call in calls
    ]
    return [Message(role="assistant", calls=tuple(calls)), *answers]


@st.composite
def threads(draw: st.DrawFn) -> list[Message]:
    """A thread in which every call has its answer."""
    messages = [user("the request")]
    for number in range(draw(st.integers(0, 8))):
        messages += draw(turns(number))
    return messages


@st.composite
def broken(draw: st.DrawFn) -> list[Message]:
    """A thread from which answers are missing, or in which some stand where no call is."""
    messages = [each for each in draw(threads()) if each.role != "tool" or draw(st.booleans())]
    for _ in range(draw(st.integers(0, 2))):
        messages.insert(draw(st.integers(0, len(messages))), gives("call_of_nobody"))
    return messages


@st.composite
def sized(draw: st.DrawFn) -> tuple[list[Message], list[int], int]:
    """A thread with the size of each message, and the room there is for it."""
    messages = draw(threads())
    sizes = [draw(st.integers(1, 100)) for _ in messages]
    return messages, sizes, draw(st.integers(-50, sum(sizes) + 50))


# Calls without an answer


def test_a_call_without_an_answer_gets_one() -> None:
    """A provider refuses a call that has no result, so it gets one that says so, right behind its message."""
    thread = (user("Go"), asks("a", "b"), gives("a"), user("And now?"))

    made = repaired(thread)

    assert [message.call for message in made] == ["", "", "a", "b", ""]
    assert (made[3].status, made[3].text) == ("error", "No result of this call is known: the run went on without it.")


def test_the_calls_of_the_newest_message_count_too() -> None:
    """Also where nothing comes behind it."""
    assert [message.role for message in repaired((user("Go"), asks("a")))] == ["user", "assistant", "tool"]


def test_an_answer_to_no_call_is_dropped() -> None:
    """A provider refuses that as well; so does the second answer to one call."""
    thread = (gives("a"), user("Go"), asks("b"), gives("b", "1"), gives("b", "2"), says("Done."), gives("b", "3"))

    assert [message.text for message in repaired(thread)] == ["Go", "", "1", "Done."]


@given(threads())
def test_a_whole_thread_stays_as_it_is(thread: list[Message]) -> None:
    """Nothing is changed where nothing is missing."""
    assert list(repaired(tuple(thread))) == thread


@given(broken())
def test_a_repaired_thread_has_one_answer_behind_each_call(thread: list[Message]) -> None:
    """Behind each message stand the answers to its calls, one each, and nowhere else any."""
    made = list(repaired(tuple(thread)))

    while made:
        calls = {call.id for call in made.pop(0).calls}
        answers = [made.pop(0).call for _ in calls]
        assert set(answers) == calls
    assert [each for each in repaired(tuple(thread)) if each.role != "tool"] == [
        each for each in thread if each.role != "tool"
    ]


@given(broken())
def test_repairing_twice_changes_nothing(thread: list[Message]) -> None:
    """What was repaired is whole, and every answer that was there with its call still is."""
    once = repaired(tuple(thread))

    assert repaired(once) == once
    assert {done.value for done in finished_calls(tuple(thread))} <= {done.value for done in finished_calls(once)}


# What is left out


def test_the_oldest_goes_first() -> None:
    """Of what was said after the request, the newest stays."""
    thread = [user("request"), says("one"), user("two"), says("three"), user("four")]

    assert [each.text for each in kept(thread, [1, 10, 10, 10, 10], 25)] == ["request", "three", "four"]


def test_a_call_stays_with_its_results() -> None:
    """Where a result would fit and its call would not, both go."""
    thread = [user("request"), asks("a"), gives("a"), says("one"), user("two")]

    assert [each.text for each in kept(thread, [1, 10, 1, 1, 1], 5)] == ["request", "one", "two"]


def test_an_opening_that_takes_too_much_goes_too() -> None:
    """The request stays as long as it leaves three quarters of the room to what came of it."""
    thread = [user("request"), says("one"), user("two")]

    assert [each.text for each in kept(thread, [25, 50, 50], 100)] == ["request", "two"]
    assert [each.text for each in kept(thread, [26, 50, 50], 100)] == ["one", "two"]


def test_the_newest_stays_however_large() -> None:
    """Without it there is nothing to answer; whether the model can take it is for the model call to say."""
    thread = [user("request"), says("one"), asks("a"), gives("a")]

    assert kept(thread, [1, 1, 50, 50], 10) == [thread[0], *thread[2:]]
    assert kept(thread, [9, 1, 50, 50], 10) == thread[2:]
    assert kept([user("request")], [50], 10) == [user("request")]


def test_an_earlier_note_is_not_part_of_the_opening() -> None:
    """What stands for what was left out before is left out with the rest, so notes do not pile up."""
    thread = [user("request"), *(says(f"{number}") for number in range(9))]

    for _ in range(3):
        thread = [*shortened(thread, [1] * len(thread), 5), *(says("more") for _ in range(4))]

    assert [each.role for each in thread].count("note") == 1
    assert thread[0].text == "request"
    assert count_replies(tuple(thread)) == 9 + 12


@given(sized())
def test_a_call_is_never_parted_from_its_results(given_: tuple[list[Message], list[int], int]) -> None:
    """What is kept is a whole thread, and so is what is left out."""
    messages, sizes, room = given_

    cut = choose(messages, sizes, room)

    for part in (messages[: cut.start], messages[cut.start : cut.end], messages[cut.end :]):
        assert list(repaired(tuple(part))) == part


@given(sized())
def test_the_newest_piece_stays(given_: tuple[list[Message], list[int], int]) -> None:
    """The last message, or the last calls with their results, are always there."""
    messages, sizes, room = given_
    last = max(index for index, message in enumerate(messages) if message.role != "tool")

    assert kept(messages, sizes, room)[last - len(messages) :] == messages[last:]


@given(sized())
def test_it_fits_where_more_than_the_newest_piece_is_kept(given_: tuple[list[Message], list[int], int]) -> None:
    """The rest has room, unless there is nothing but the newest piece left beside an opening of a quarter."""
    messages, sizes, room = given_
    last = max(index for index, message in enumerate(messages) if message.role != "tool")

    cut = choose(messages, sizes, room)

    left = sum(sizes[: cut.start]) + sum(sizes[cut.end :])
    assert left <= room or cut.end == last
    assert sum(sizes[: cut.start]) * 4 <= max(room, 0)


@given(sized())
def test_no_more_is_left_out_than_must_be(given_: tuple[list[Message], list[int], int]) -> None:
    """One piece more would not fit."""
    messages, sizes, room = given_

    cut = choose(messages, sizes, room)

    begins = [index for index in range(cut.start, cut.end) if messages[index].role != "tool"]
    if begins:
        assert sum(sizes[: cut.start]) + sum(sizes[begins[-1] :]) > room


# What stands in its place


def test_a_note_says_that_something_is_missing() -> None:
    """With the summary, where there is one."""
    left_out = [says("one"), user("two")]

    assert note(left_out, EFFECTS, OURS).text == "Earlier messages were left out here."
    assert note(left_out, EFFECTS, OURS, "It went well.").text == (
        "Earlier messages were left out here. A summary of them:\nIt went well."
    )


def test_old_reads_go_where_there_are_too_many() -> None:
    """Rules see the newest results of reads, as far as there is room, and all of what had effects."""
    large = json.dumps("x" * (READS_KEPT // 3))
    left_out = [
        *(each for number in range(4) for each in (asks(f"{number}"), gives(f"{number}", large))),
        asks("paid", tool="pay"),
        gives("paid", large, tool="pay"),
        asks("new"),
        gives("new"),
    ]

    done = note([asks("old", tool="pay"), gives("old", large, tool="pay"), *left_out], EFFECTS, OURS).done

    assert [each.args["of"] for each in done] == ["old", "2", "3", "paid", "new"]


def test_a_tool_that_nobody_knows_any_more_had_effects() -> None:
    """Of a tool that is not the agent's, everything is kept: it may have done anything."""
    large = json.dumps("x" * READS_KEPT)
    left_out = [asks("a", tool="gone"), gives("a", large, tool="gone"), asks("b"), gives("b", large)]

    assert [each.tool for each in note(left_out, EFFECTS, OURS).done] == ["gone"]


@given(sized(), st.integers(1, 3))
def test_what_rules_go_by_survives(given_: tuple[list[Message], list[int], int], times: int) -> None:
    """However often a thread is shortened: how often the model has spoken, and every call that had effects."""
    messages, sizes, room = given_

    thread = messages
    for _ in range(times):
        thread = shortened(thread, [*sizes, *([1] * len(thread))][: len(thread)], room)

    before, after = finished_calls(tuple(messages)), finished_calls(tuple(thread))
    assert count_replies(tuple(thread)) == count_replies(tuple(messages))
    assert [done for done in after if done.tool != "look"] == [done for done in before if done.tool != "look"]
    assert after == before  # so few reads fit


@given(st.lists(st.integers(0, READS_KEPT), max_size=8))
def test_the_reads_that_are_kept_are_the_newest_and_bounded(lengths: list[int]) -> None:
    """No more bytes of them are carried along than there is room for, and none that is older than one that is not."""
    calls = [(asks(f"{index}"), gives(f"{index}", json.dumps("x" * length))) for index, length in enumerate(lengths)]

    done = note([each for pair in calls for each in pair], EFFECTS, OURS).done

    assert sum(len(canonical(each.value)) + len(canonical(each.args)) for each in done) <= READS_KEPT
    assert [each.args["of"] for each in done] == [f"{index}" for index in range(len(lengths))][-len(done) :][
        : len(done)
    ]


def test_a_transcript_tells_who_said_what() -> None:
    """For a model that is to summarise: the speakers, what was called with what, and what came of it."""
    text = transcript([user("Go"), asks("a", tool="pay"), gives("a", '"paid"', tool="pay"), says("Done.")])

    assert text == 'user: Go\n\nassistant: \n[calls pay with {"of":"a"}]\n\ntool pay: "paid"\n\nassistant: Done.'
