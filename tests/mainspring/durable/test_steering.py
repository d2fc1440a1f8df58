"""Steering and pausing a run: a note before the next message, no step until it is resumed."""

import asyncio
from typing import Any

import pytest

from mainspring import Agent, tool
from mainspring.core.spec import Mode
from mainspring.core.tool import Tool
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.conftest import WithStart
from tests.mainspring.durable.echo import Echo
from tests.mainspring.durable.reading import card, messages, steps, until


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


def pilot(*tools: Tool, **more: Any) -> Agent[str]:
    """An agent that talks."""
    return Agent("pilot", instructions="Fly.", tools=[launch, *tools], **more)


# Steering


async def test_a_note_is_read_before_the_next_reply(mainspring: Bench) -> None:
    """What a person adds while a tool works stands behind its result when the model is asked next."""
    began, go = asyncio.Event(), asyncio.Event()

    @tool(effect="idempotent", returns="trusted")
    async def work() -> str:
        """Work until told."""
        began.set()
        await go.wait()
        return "worked"

    model = ScriptedModel(call("work"), say("Done."))
    run = await mainspring.start(pilot(work), "Go", model=model)
    await began.wait()

    said = await run.update("steer", {"note": "Hurry up."})
    go.set()
    await run.result()

    assert said == "The model reads it before its next message."
    assert [(message.role, message.text) for message in model.requests[-1].messages[-2:]] == [
        ("tool", '"worked"'),
        ("note", "Hurry up."),
    ]


async def test_a_note_in_an_idle_session_is_read_with_the_next_message(mainspring: Bench) -> None:
    """Between messages a note waits for the next one."""
    model = Echo()
    run = await mainspring.start(pilot(), model=model)
    await run.send("Hello")
    await run.reply(1)

    await run.update("steer", "Be brief.")
    await run.send("Again")
    await run.reply(2)

    assert [(message.role, message.text) for message in model.heard()[-2:]] == [
        ("user", "Again"),
        ("note", "Be brief."),
    ]


async def test_a_note_while_the_run_is_paused_is_read_when_it_goes_on(mainspring: Bench) -> None:
    """Pause, add a note, resume: the model call that was held back takes the note along."""
    model = Echo()
    run = await mainspring.start(pilot(), model=model)
    await run.update("pause")
    await run.send("Hello")

    await run.update("steer", "Be brief.")
    await run.update("resume")
    await run.reply(1)

    assert model.texts() == ["Hello", "Be brief."]


@pytest.mark.parametrize("mode", ["turn", "fast"])
async def test_a_note_that_comes_with_the_start_is_read(with_start: WithStart, mode: Mode) -> None:
    """A note may come before the run is admitted; it is kept until there is a model to read it."""
    model = Echo()

    run, _ = await with_start(pilot(mode=mode), model, "steer", "Be brief.", given="Go")
    await run.result()

    assert model.texts() == ["Go", "Be brief."]


# Pausing


async def test_a_pause_holds_the_next_step_and_resume_lets_it_go_on(mainspring: Bench) -> None:
    """What had begun goes on to its end; nothing begins until the run is resumed."""
    began, go = asyncio.Event(), asyncio.Event()

    @tool(effect="idempotent", returns="trusted")
    async def work() -> str:
        """Work until told."""
        began.set()
        await go.wait()
        return "worked"

    run = await mainspring.start(pilot(work), "Go", model=ScriptedModel(call("work"), say("Done.")))
    await began.wait()

    paused = await run.update("pause")
    go.set()
    await until(lambda: ended(run, "2"))
    await messages(run)  # the run has seen the end of the call once it answers this
    held = steps(await run.history())
    resumed = await run.update("resume")
    result = await run.result()

    assert paused == "Paused: no step begins until resume. What had begun goes on to its end."
    assert held == ["local admit admit", "call_model 1", "call_tool 2"]
    assert resumed == "Goes on."
    assert result.answer == "Done."


async def ended(run: TestRun, step: str) -> bool:
    """Whether the activity of this step has ended."""
    events = (await run.history()).events
    asked = {
        event.event_id: event.activity_task_scheduled_event_attributes.activity_id
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    done = [event.activity_task_completed_event_attributes.scheduled_event_id for event in events]
    return step in {asked.get(number) for number in done}


async def test_a_pause_shows_on_the_runs_page(mainspring: Bench) -> None:
    """The card says that the run is paused, and how it goes on; afterwards it does not."""
    run = await mainspring.start(pilot(), model=Echo())

    await run.update("pause")
    paused = await card(run)
    await run.update("resume")
    going = await card(run)

    assert paused.startswith("### Paused")
    assert "`resume`" in paused
    assert going.startswith("### Session")


async def test_a_pause_that_comes_with_the_start_shows_too(with_start: WithStart) -> None:
    """A run may be paused before it is admitted; its page says so from then on."""
    run, _ = await with_start(pilot(), Echo(), "pause")

    await run.send("Hello")

    assert (await card(run)).startswith("### Paused")


async def test_a_paused_run_still_takes_decisions(mainspring: Bench) -> None:
    """A person may decide while the run is paused; the call runs once it goes on."""
    run = await mainspring.start(pilot(), "Go", model=ScriptedModel(call("launch", pad=3), say("Gone.")))
    (request,) = await run.waiting()

    await run.update("pause")
    await run.approve(request)
    held = steps(await run.history())
    await run.update("resume")

    assert (await run.result()).answer == "Gone."
    assert "call_tool 2" not in held
