"""Sessions and updates over a continue-as-new: what came in is neither lost nor done twice."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.client import WorkflowContinuedAsNewError, WorkflowFailureError
from temporalio.service import RPCError

from mainspring import Agent, tool
from mainspring.contracts.carried import Exchange
from mainspring.durable import continuing
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.echo import Echo
from tests.mainspring.durable.reading import executions, messages, until


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


pilot: Agent[str] = Agent("pilot", instructions="Fly.", tools=[launch])


async def test_a_session_goes_on_where_it_was(mainspring: Bench, move: Move) -> None:
    """Thread, numbers and answers go along; what waits is answered afterwards."""
    model = Echo()
    run = await mainspring.start(pilot, model=model)
    await run.send("one")
    await run.reply(1)
    await run.update("pause")
    await run.send("two")

    await move(run, "pause")
    sent = await run.send("three")
    await run.update("resume")
    await run.reply(3)
    await run.update("finish")
    result = await run.result()

    assert sent.message == 3
    assert model.texts() == ["one", "one (1)", "two", "two (2)", "three"]
    assert (result.answer, result.totals.model_calls) == ("three (3)", 3)


async def test_old_answers_can_be_read_after_the_move(mainspring: Bench, move: Move) -> None:
    """The query and `reply` know what was answered by the execution before."""
    run = await mainspring.start(pilot, model=Echo())
    await run.send("one")
    before = await run.reply(1)

    await move(run)

    assert await messages(run) == [before]
    assert await run.reply(1) == before


async def test_a_reply_that_waits_comes_back_before_the_move(mainspring: Bench, move: Move) -> None:
    """Nobody holds up the move: whoever waits for an answer is told how far it is, and asks again."""
    run = await mainspring.start(pilot, model=Echo())
    await run.update("pause")
    await run.send("one")
    update: Any = run.handle.execute_update
    waiting = asyncio.create_task(update("reply", 1, result_type=Exchange))
    await until(lambda: accepted(run, "reply"))

    await move(run, "pause")
    told = await waiting
    await run.update("resume")

    assert told == Exchange(message=1, status="working")
    assert (await run.reply(1)).answer == "one (1)"


async def accepted(run: TestRun, update: str) -> bool:
    """Whether an update of this name has been accepted."""
    events = (await run.history()).events
    taken = [event.workflow_execution_update_accepted_event_attributes for event in events]
    return update in {each.accepted_request.input.name for each in taken}


async def test_notes_that_nobody_has_read_go_along(mainspring: Bench, move: Move) -> None:
    """A note in an idle session is read after the move."""
    model = Echo()
    run = await mainspring.start(pilot, model=model)
    await run.send("one")
    await run.reply(1)
    await run.update("steer", "Be brief.")

    await move(run)
    await run.send("two")
    await run.reply(2)

    assert model.texts() == ["one", "one (1)", "two", "Be brief."]


async def test_a_session_told_to_finish_stays_told(mainspring: Bench, move: Move) -> None:
    """What was to end ends after the move."""
    run = await mainspring.start(pilot, model=Echo())
    await run.update("pause")
    await run.send("one")
    await run.update("finish")

    await move(run, "pause")
    refusal = await run.refusal_of("send", "two")
    await run.update("resume")

    assert "finishing" in refusal
    assert (await run.result()).answer == "one (1)"


# The same update again


async def test_a_message_sent_again_after_the_move_is_one_message(mainspring: Bench, move: Move) -> None:
    """A client that repeats a request gets the answer that it got, and sends nothing twice."""
    model = Echo()
    run = await mainspring.start(pilot, model=model)
    before = await run.send("one", update_id="first")
    await run.reply(1)

    await move(run)
    again = await run.send("one", update_id="first")
    await move(run)
    and_again = await run.send("one", update_id="first")
    await run.send("two")
    await run.reply(2)

    assert before == again == and_again
    assert model.texts() == ["one", "one (1)", "two"]


@pytest.mark.parametrize(
    ("update", "form"), [("approve 1: launch", None), ("approve", {"request": "1"}), ("deny 1: no reason given", None)]
)
async def test_a_decision_sent_again_after_the_move_gets_the_same_words(
    mainspring: Bench, move: Move, update: str, form: Any
) -> None:
    """The button is gone by then, and the client still reads that its click was taken."""
    run = await mainspring.start(pilot, model=ScriptedModel(call("launch", pad=1), say("one"), say("two")))
    await run.send("Go")
    await run.waiting()
    before = await run.update(update, form, update_id="click")
    await run.reply(1)

    await move(run)

    assert await run.update(update, form, update_id="click") == before
    assert "Nothing was changed" in await run.refusal_of("approve 1: launch")


async def test_a_refused_update_may_be_sent_again(mainspring: Bench, move: Move) -> None:
    """Only what was taken is remembered."""
    run = await mainspring.start(pilot, model=Echo())
    with pytest.raises(Exception, match="Workflow update failed"):
        await run.send("", update_id="first")

    await move(run)

    assert (await run.send("one", update_id="first")).message == 1


# Many updates


async def test_of_dozens_of_updates_none_is_lost_or_done_twice(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the run moves again and again, each message is answered once and each note read once."""
    monkeypatch.setattr(continuing, "EVENTS", 90)
    model = Echo()
    run = await mainspring.start(pilot, model=model)

    async def client(name: int) -> list[int]:
        numbers: list[int] = []
        for count in range(12):
            sent = await surely(run, "send", f"message {name}-{count}", f"send-{name}-{count}")
            await surely(run, "steer", f"note {name}-{count}", f"steer-{name}-{count}")
            numbers.append(Exchange.model_validate(sent).message)
        return numbers

    numbers = sorted(number for each in await asyncio.gather(*map(client, range(4))) for number in each)
    await surely(run, "send", "last", "last")
    await run.reply(49)

    heard = Counter(model.texts())
    texts = [f"{name}-{count}" for name in range(4) for count in range(12)]
    assert numbers == list(range(1, 49))
    assert {text: heard[f"message {text}"] for text in texts} == dict.fromkeys(texts, 1)
    assert {text: heard[f"note {text}"] for text in texts} == dict.fromkeys(texts, 1)
    assert len(await executions(run)) > 3


async def surely(run: TestRun, update: str, form: str, update_id: str) -> Any:
    """Send an update until it is known to be taken, as any careful client does: always with the same id."""
    while True:
        try:
            return await run._update(update, form, update_id)
        except RPCError:
            await asyncio.sleep(0.1)


async def test_a_run_moves_before_the_server_takes_no_more_updates(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An execution ends for the number of its updates alone."""
    monkeypatch.setattr(continuing, "UPDATES", 5)
    run = await mainspring.start(pilot, model=Echo())

    for number in range(1, 16):
        await surely(run, "steer", f"note {number}", f"note-{number}")

    assert len(await executions(run)) >= 3  # an update that comes while it moves is still taken


# Who may carry what


FORGED = {"carried": 1, "run": {"name": "pilot", "first": "x", "key": "k", "spec": "s"}, "given": {}, "spec": {}}


async def test_nobody_can_start_a_run_as_if_it_had_been_carried(mainspring: Bench) -> None:
    """What looks like a run under way is an input like any other, and no right one."""
    run = await mainspring.start(pilot, FORGED, model=Echo())

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert str(failed.value.cause).startswith("BadInput: 'pilot': the input has an unknown field 'carried'.")


@pytest.mark.parametrize("forged", [FORGED, {"carried": 2}, {"carried": 1, "run": 7}])
async def test_a_run_that_the_server_starts_again_carries_nothing_of_the_clients(
    mainspring: Bench, forged: Any
) -> None:
    """A schedule makes an execution that follows another; its input is still the client's, and fails in words."""
    settings = mainspring.settings(model="test:model")
    await mainspring.work(Project(pilot, models={"test:model": Echo()}), settings)
    handle = await mainspring.client.start_workflow(
        "pilot", forged, id="forged", task_queue=settings.task_queue, cron_schedule="@every 1s"
    )

    try:
        second = await following(mainspring, handle)
        with pytest.raises(WorkflowContinuedAsNewError):  # it has failed, and the schedule goes on
            await second.result(follow_runs=False)
    finally:
        await mainspring.client.get_workflow_handle("forged").terminate()

    events = (await second.fetch_history()).events
    assert not [event for event in events if event.HasField("workflow_task_failed_event_attributes")]
    assert not [event for event in events if event.HasField("activity_task_scheduled_event_attributes")]


async def following(mainspring: Bench, handle: Any) -> Any:
    """The execution that the server makes after the first one."""

    async def find() -> Any:
        run_id = (await mainspring.client.get_workflow_handle(handle.id).describe()).run_id
        return run_id if run_id != handle.first_execution_run_id else None

    return mainspring.client.get_workflow_handle(handle.id, run_id=await until(find))
