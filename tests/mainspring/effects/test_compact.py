"""Threads that outgrow the context window, on a real server: made shorter, summarised, and refused where that fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHistory

from mainspring import Agent, tool
from mainspring.core.spec import Mode
from mainspring.durable import continuing
from mainspring.ports.model import ModelReply, ModelRequest
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, fail, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step
from tests.mainspring.durable.reading import executions, started, steps

CONTEXT = 500
"""Tokens of the agents here: about seven results of `look`."""
RULES = """
rules:
  - id: paid-once
    point: tool_call
    tool: pay
    when: results.exists(r, r.tool == "pay" && r.status == "ok")
    verdict: deny
    reason: It is paid already.
  - {id: fine, point: tool_call, tool: pay, when: 'true', verdict: allow, reason: Fine.}
"""


@tool(effect="read", returns="trusted")
def look(number: int) -> str:
    """Look at a number; the result is of one size."""
    return f"seen {number:03} " + "x" * 200


@tool(effect="once", returns="trusted")
def pay() -> str:
    """Pay."""
    return "paid"


def clerk(**more: Any) -> Agent[str]:
    """An agent with little room."""
    return Agent("clerk", instructions="Work.", tools=[look, pay], **{"context": CONTEXT, "max_steps": 60, **more})


def looks(count: int) -> list[Step]:
    """So many calls of `look`."""
    return [call("look", number=number) for number in range(count)]


class Watched(ScriptedModel):
    """A scripted model that is asked for summaries too; it counts what it was given, in letters."""

    def __init__(self, *script: Any, summary: Step | None = None) -> None:
        super().__init__(*script)
        self.summary = summary
        self.asked: list[str] = []

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Do the next step, or summarise."""
        if request.instructions.startswith("Summarise") and self.summary:
            self.asked.append(request.messages[0].text)
            reply = await self._do(self.summary, request)
            return reply.model_copy(update={"input_tokens": 100, "output_tokens": 10})
        return await super().reply(request)

    def lengths(self) -> list[int]:
        """How much each request had."""
        return [sum(len(message.text) for message in request.messages) for request in self.requests]


def compactions(history: WorkflowHistory) -> list[dict[str, Any]]:
    """What the compact steps gave."""
    ids = {
        event.event_id
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "compact"
    }
    done = [event.activity_task_completed_event_attributes for event in history.events]
    return [json.loads(each.result.payloads[0].data) for each in done if each.scheduled_event_id in ids]


@pytest.mark.parametrize("mode", ["step", "turn", "fast"])
async def test_a_long_thread_is_made_shorter_again_and_again(mainspring: Bench, mode: Mode) -> None:
    """The model never gets more than it may, and always the request, a note and the newest results."""
    model = Watched(*looks(20), say("Done."))
    run = await mainspring.start(clerk(mode=mode), "Look at all.", model=model)

    result = await run.result()

    newest = model.requests[-1].messages
    made = compactions(await run.history())
    assert result.answer == "Done."
    assert max(model.lengths()) <= CONTEXT * 3
    assert [message.role for message in newest[:2]] == ["user", "note"]
    assert (newest[0].text, newest[1].text) == ("Look at all.", "Earlier messages were left out here.")
    assert "seen 019" in newest[-1].text
    assert len(made) > 2
    assert all(each["after"] < CONTEXT / 2 + 20 < CONTEXT < each["before"] for each in made)
    assert (result.totals.model_calls, result.totals.tool_calls) == (21, 20)


async def test_the_history_tells_what_was_left_out(mainspring: Bench) -> None:
    """A compact step is recorded as a step of its own, with how many messages it left out; they stay in history."""
    run = await mainspring.start(clerk(), "Look at all.", model=Watched(*looks(8), say("Done.")))
    await run.result()

    history = await run.history()
    (made,) = compactions(history)
    whole = b"".join(payload.data for event in history.events for payload in payloads(event))
    assert [step for step in steps(history) if step.startswith("compact")] == ["compact 16"]
    assert made["left"] == 10  # five calls with their results
    assert all(f"seen {number:03}".encode() in whole for number in range(8))


def payloads(event: Any) -> list[Any]:
    """What an event says of a result."""
    if event.HasField("marker_recorded_event_attributes"):
        return list(event.marker_recorded_event_attributes.details["result"].payloads)
    return list(event.activity_task_completed_event_attributes.result.payloads)


async def test_rules_still_see_what_was_left_out(mainspring: Bench, tmp_path: Path) -> None:
    """A call with effects is never forgotten: a rule that allows one payment denies the second."""
    (tmp_path / "rules.yaml").write_text(RULES)
    model = Watched(call("pay"), *looks(12), call("pay"), say("Done."))
    run = await mainspring.start(clerk(rules=tmp_path / "rules.yaml"), "Pay.", model=model)

    await run.result()

    answer = model.requests[-1].messages[-1]
    texts = [message.text for message in model.requests[-1].messages]
    assert '"paid"' not in texts
    assert (answer.status, answer.text) == ("denied", "It is paid already.")


async def test_the_oldest_can_be_summarised(mainspring: Bench) -> None:
    """The agent's model is given what is left out, and its summary stands in the place; it costs what it costs."""
    model = Watched(*looks(8), say("Done."), summary=say("Six numbers were seen."))
    run = await mainspring.start(clerk(shorten="summarise"), "Look at all.", model=model)

    result = await run.result()

    (asked,) = model.asked
    note = model.requests[-1].messages[1].text
    assert "tool look: " in asked
    assert "seen 000" in asked
    assert note == "Earlier messages were left out here. A summary of them:\nSix numbers were seen."
    assert result.totals.model_calls == 9 + 1
    assert (result.totals.input_tokens, result.totals.output_tokens) == (100, 10)


async def test_a_later_summary_has_the_earlier_one_in_it(mainspring: Bench) -> None:
    """What was summarised once is summarised again with the rest; nothing is forgotten at once."""
    model = Watched(*looks(16), say("Done."), summary=say("Numbers were seen."))
    run = await mainspring.start(clerk(shorten="summarise"), "Look at all.", model=model)

    await run.result()

    assert len(model.asked) > 1
    assert "Numbers were seen." in model.asked[1]
    assert [message.role for message in model.requests[-1].messages].count("note") == 1


async def test_a_summary_that_cannot_be_had_fails_the_run(mainspring: Bench) -> None:
    """It names the step and what the model said."""
    model = Watched(*looks(8), say("never"), summary=fail("no such model", retryable=False))
    run = await mainspring.start(clerk(shorten="summarise"), "Look at all.", model=model)

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    sentence = "ModelFailed: agent 'clerk', step 16: the thread cannot be made shorter: no such model"
    assert str(failed.value.cause) == sentence


async def test_what_cannot_be_made_short_enough_fails_in_words(mainspring: Bench) -> None:
    """What the user says alone is larger than the window: more than any compact step can help."""
    run = await mainspring.start(clerk(), "Read this. " * 500, model=Watched(say("never")))

    with pytest.raises(WorkflowFailureError) as failed:
        await run.result()

    assert str(failed.value.cause).startswith("ContextFull: agent 'clerk': what the model must read does not fit")


async def test_a_session_is_made_shorter_too(mainspring: Bench) -> None:
    """Old exchanges go; the conversation goes on."""

    def answer(request: ModelRequest) -> Step:
        return say(request.messages[-1].text[:10] + "y" * 300)

    model = Watched(*[answer] * 12)
    run = await mainspring.start(clerk(), model=model)

    for number in range(12):
        await run.reply((await run.send(f"message {number:02}" + "x" * 300)).message)
    await run.update("finish")
    result = await run.result()

    texts = [message.text[:10] for message in model.requests[-1].messages]
    assert result.answer.startswith("message 11")
    assert texts[-3:] == ["message 10", "message 10", "message 11"]
    assert "message 03" not in texts


async def test_a_worker_that_remembers_nothing_reads_the_shorter_thread(mainspring: Bench) -> None:
    """What a compact step made is read from the history like everything else."""
    model = Watched(*looks(9), call("pay"), *looks(3), say("Done."))
    project, settings = Project(clerk(), models={"test:model": model}), mainspring.settings(model="test:model")
    await mainspring.work(project, settings)
    run = await mainspring.submit("clerk", "Look at all.", settings.task_queue)
    (request,) = await run.waiting()

    await mainspring.close()
    await mainspring.work(project, settings)
    await run.approve(request)
    await run.result()

    before, after = (model.requests[number].messages for number in (9, 10))
    assert before[1].role == "note"
    assert after[: len(before)] == before


async def test_a_run_that_continues_as_new_carries_the_shorter_thread(
    mainspring: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left out is not carried along: a run of any length carries no more than a window."""
    monkeypatch.setattr(continuing, "EVENTS", 60)
    model = Watched(*looks(24), say("Done."))
    run = await mainspring.start(clerk(), "Look at all.", model=model)

    result = await run.result()

    carried = [started(history).input.ByteSize() for history in (await executions(run))[1:]]
    assert result.totals.tool_calls == 24
    assert [message.text for message in model.requests[-1].messages[:2]] == [
        "Look at all.",
        "Earlier messages were left out here.",
    ]
    assert len(carried) > 2
    assert max(carried[1:]) < 2 * min(carried)
