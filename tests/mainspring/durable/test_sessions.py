"""Sessions on a real server: messages in and answers out, what is refused and in which words, what is kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from mainspring import Agent, Context, tool
from mainspring.core.canonical import Json
from mainspring.core.tool import Tool
from mainspring.durable import session
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, fail, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step
from tests.mainspring.durable.conftest import WithStart
from tests.mainspring.durable.echo import Echo
from tests.mainspring.durable.reading import messages

RULES = """
rules:
  - {id: brief, point: input, when: input.length > 20, verdict: deny, reason: Be brief.}
"""


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


def pilot(*tools: Tool, **more: Any) -> Agent[str]:
    """An agent that talks."""
    return Agent("pilot", instructions="Fly.", tools=[launch, *tools], **more)


# Messages and answers


async def test_a_session_answers_one_message_after_the_other(mainspring: Bench) -> None:
    """Each message is taken at once, answered in the thread of those before it, and the last answer is the run's."""
    run = await mainspring.start(pilot(), model=Echo())

    first = await run.send("Hello")
    answers = [await run.reply(1), await run.reply((await run.send("And now?")).message)]
    await run.update("finish")
    result = await run.result()

    assert (first.message, first.status) == (1, "waiting")
    assert [(each.status, each.answer) for each in answers] == [("answered", "Hello (1)"), ("answered", "And now? (2)")]
    assert result.answer == "And now? (2)"
    assert result.totals.model_calls == 2


async def test_a_session_may_be_about_a_user(mainspring: Bench) -> None:
    """What a run is given beside its input holds for a session too: here, whom it is about."""

    @tool(effect="read", returns="trusted")
    def whose(context: Context) -> str:
        """Tell whom this is about."""
        return context.user

    model = ScriptedModel(call("whose"), say("Hello Ada."))
    run = await mainspring.start(pilot(whose), {"user": "ada"}, model=model)

    await run.send("Who am I?")
    answer = await run.reply(1)

    assert answer.answer == "Hello Ada."
    assert model.requests[-1].messages[-1].value == "ada"


async def test_messages_are_answered_in_their_order(mainspring: Bench) -> None:
    """What comes while a message is answered waits its turn; the query shows how far each has come."""
    model = Echo()
    model.go.clear()
    run = await mainspring.start(pilot(), model=model)

    numbers = [(await run.send(text)).message for text in ("one", "two", "three")]
    await model.asked.wait()
    before = await messages(run)
    model.go.set()
    await run.reply(3)
    after = await messages(run)

    assert numbers == [1, 2, 3]
    assert [each.status for each in before] == ["working", "waiting", "waiting"]
    assert [each.answer for each in after] == ["one (1)", "two (2)", "three (3)"]


async def test_an_update_with_start_brings_the_first_message(with_start: WithStart) -> None:
    """One request starts the session, where it does not run yet, and sends it a message."""
    agent, model = pilot(), Echo()

    run, first = await with_start(agent, model, "send", "Hello")
    _, second = await with_start(agent, model, "send", "Again")

    assert [first["message"], second["message"]] == [1, 2]
    assert (await run.reply(2)).answer == "Again (2)"


async def test_the_same_update_twice_is_one_message(mainspring: Bench) -> None:
    """A client that repeats a request, not knowing how it went, gets the same answer and sends nothing twice."""
    model = Echo()
    run = await mainspring.start(pilot(), model=model)

    sent = [await run.send("Hello", update_id="once") for _ in range(2)]
    await run.reply(1)
    await run.send("Bye")
    await run.reply(2)

    assert sent[0] == sent[1]
    assert [message.text for message in model.heard() if message.role == "user"] == ["Hello", "Bye"]


async def test_a_session_asks_a_person_as_any_run_does(mainspring: Bench) -> None:
    """An exchange waits for an approval; messages are taken meanwhile."""
    run = await mainspring.start(pilot(), model=ScriptedModel(call("launch", pad=3), say("Gone."), say("Yes.")))

    await run.send("Go")
    (request,) = await run.waiting()
    await run.send("Is it gone?")
    await run.approve(request)

    assert [(await run.reply(number)).answer for number in (1, 2)] == ["Gone.", "Yes."]


async def test_a_cancelled_session_ends(mainspring: Bench) -> None:
    """A session that waits for messages can be cancelled like any run."""
    run = await mainspring.start(pilot(), model=Echo())
    await run.send("Hello")
    await run.reply(1)

    await run.handle.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert "cancelled" in str(failed.value.cause).lower()


async def test_finishing_answers_what_waits_first(mainspring: Bench) -> None:
    """Messages that came before the end are answered; none comes after."""
    model = Echo()
    model.go.clear()
    run = await mainspring.start(pilot(), model=model)
    await run.send("one")
    await run.send("two")

    await run.update("finish")
    refusal = await run.refusal_of("send", "three")
    model.go.set()

    assert (await run.result()).answer == "two (2)"
    assert refusal == "This session is finishing and takes no more messages. Start another."


async def test_a_session_that_was_never_used_ends_without_an_answer(mainspring: Bench) -> None:
    """To finish at once is no failure."""
    run = await mainspring.start(pilot(), model=Echo())

    await run.update("finish")

    assert (await run.result()).answer == ""


# What goes wrong


async def test_a_failed_exchange_does_not_end_the_session(mainspring: Bench) -> None:
    """The reason is the answer, and the next message is answered as ever."""

    def answer(request: ModelRequest) -> Step:
        return fail("no such model", retryable=False) if request.messages[-1].text == "Hello" else say("Here I am.")

    run = await mainspring.start(pilot(), model=ScriptedModel(answer))

    await run.send("Hello")
    failed = await run.reply(1)
    await run.send("Still there?")
    answered = await run.reply(2)

    assert failed.status == "failed"
    assert failed.answer == "agent 'pilot', step 1: the model 'test:model' failed: no such model"
    assert (answered.status, answered.answer) == ("answered", "Here I am.")


async def test_a_refused_message_is_told_as_the_answer(mainspring: Bench, tmp_path: Path) -> None:
    """An input rule is asked about each message; what it refuses reaches no model, now or later."""
    (tmp_path / "rules.yaml").write_text(RULES)
    model = Echo()
    run = await mainspring.start(pilot(rules=tmp_path / "rules.yaml"), model=model)

    await run.send("This message is far too long.")
    refused = await run.reply(1)
    await run.send("Hello")
    answered = await run.reply(2)

    assert (refused.status, refused.answer) == ("failed", "The rule 'brief' refused the input: Be brief.")
    assert answered.answer == "Hello (1)"
    assert len(model.requests) == 1


async def test_an_inner_agents_input_rule_refuses_a_message_too(mainspring: Bench, tmp_path: Path) -> None:
    """As with a run's input, the rules of every agent within reach are asked, before anything is spent."""
    (tmp_path / "rules.yaml").write_text(RULES)
    inner: Agent[str] = Agent("inner", instructions="Help.", description="Helps.", rules=tmp_path / "rules.yaml")
    model = Echo()
    run = await mainspring.start(Agent("outer", instructions="Lead.", tools=[inner]), model=model)

    await run.send("This message is far too long.")
    refused = await run.reply(1)

    assert (refused.status, refused.answer) == ("failed", "The rule 'brief' refused the input: Be brief.")
    assert not model.requests


@pytest.mark.parametrize(
    ("update", "form", "sentence"),
    [
        ("send", None, 'send needs a text: "…" or {"message": "…"}.'),
        ("send", "  ", 'send needs a text: "…" or {"message": "…"}.'),
        ("send", {"text": "Hello"}, "Unknown field 'text'; send takes 'message'."),
        ("send", "é" * 40_000, "The text has 80000 bytes; send takes at most 65536."),
        ("reply", {"message": 7}, 'reply needs the number of a message: {"message": 1}. There is: 1 to 1.'),
        ("reply", None, 'reply needs the number of a message: {"message": 1}. There is: 1 to 1.'),
        ("steer", {"text": "Hurry"}, "Unknown field 'text'; steer takes 'note'."),
        ("steer", "", 'steer needs a text: "…" or {"note": "…"}.'),
    ],
)
async def test_what_cannot_be_used_is_refused_in_words(
    mainspring: Bench, update: str, form: Json, sentence: str
) -> None:
    """An update that is refused says what would be right, and the session goes on."""
    run = await mainspring.start(pilot(), model=Echo())
    await run.send("Hello")

    refusal = await run.refusal_of(update, form)

    assert refusal == sentence
    assert (await run.reply(1)).answer == "Hello (1)"


async def test_a_session_without_messages_has_no_reply(mainspring: Bench) -> None:
    """The refusal says so before any message has come."""
    run = await mainspring.start(pilot(), model=Echo())

    assert (await run.refusal_of("reply", 1)).endswith("There is: none yet.")


@pytest.mark.parametrize("form", [None, {}])
async def test_an_empty_form_is_no_data(mainspring: Bench, form: Json) -> None:
    """The Web UI may send an empty object with an update that takes nothing."""
    run = await mainspring.start(pilot(), model=Echo())

    for update in ("pause", "resume", "finish"):
        await run.update(update, form)

    assert (await run.result()).answer == ""


@pytest.mark.parametrize("update", ["send", "reply", "finish"])
async def test_a_run_with_an_input_is_no_session(mainspring: Bench, update: str) -> None:
    """It takes no messages, and says how a session is started."""
    run = await mainspring.start(pilot(), "Go", model=ScriptedModel(call("launch", pad=3), say("Gone.")))
    await run.waiting()

    refusal = await run.refusal_of(update, None if update == "finish" else "Hello")

    assert refusal == f"This run is no session, so there is no {update}. Start one without an input."


async def test_a_run_with_an_input_takes_no_message_before_it_is_admitted_either(with_start: WithStart) -> None:
    """A message that comes with the start is refused, not taken and forgotten."""
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await with_start(pilot(), Echo(), "send", "Hello", given="Go")

    assert "This run is no session" in str(refused.value.cause)


# The backlog


async def test_a_full_backlog_refuses_one_more(mainspring: Bench) -> None:
    """A hundred messages may wait; the next is refused until one of them is answered."""
    model = Echo()
    model.go.clear()
    run = await mainspring.start(pilot(), model=model)
    for begin in range(0, 100, 5):
        await asyncio.gather(*(run.send(f"{number}") for number in range(begin, begin + 5)))

    refusal = await run.refusal_of("send", "one more")
    model.go.set()
    await run.reply(1)

    assert refusal == "100 messages wait already. Send this one once some are answered."
    assert (await run.send("one more")).message == 101


async def test_an_answer_can_be_read_while_many_messages_wait(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait, the newest answers stay; the oldest go first, and asking for one of those is refused."""
    monkeypatch.setattr(session, "KEPT", 2)
    model = Echo()
    model.go.clear()
    run = await mainspring.start(pilot(), model=model)
    for number in range(1, 6):
        await run.send(f"{number}")

    first = asyncio.create_task(run.reply(1))
    await model.asked.wait()
    model.go.set()
    answers = [await first, await run.reply(5)]
    kept = await messages(run)

    assert [each.answer for each in answers] == ["1 (1)", "5 (5)"]
    assert [each.message for each in kept] == [4, 5]
    assert (await run.refusal_of("reply", 1)).endswith("There is: 4 to 5.")


async def test_messages_that_wait_are_bounded_in_bytes(mainspring: Bench) -> None:
    """They are carried along where the run continues as new, so a few large ones fill the backlog too."""
    model = Echo()
    model.go.clear()
    run = await mainspring.start(pilot(), model=model)
    for _ in range(4):
        await run.send("x" * 60_000)

    refusal = await run.refusal_of("send", "x" * 60_000)

    sentence = "The messages that wait have 240000 bytes, and at most 262144 fit."
    assert refusal == f"{sentence} Send this one once some are answered."
    assert (await run.send("a short one")).message == 5


async def test_answers_are_bounded_in_bytes(mainspring: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large answers push out the oldest ones; the newest can always be read."""
    monkeypatch.setattr(session, "KEPT_BYTES", 30)
    run = await mainspring.start(pilot(), model=Echo())

    for text in ("a", "b", "x" * 40, "y" * 20, "z"):
        await run.reply((await run.send(text)).message)

    assert [each.message for each in await messages(run)] == [4, 5]
