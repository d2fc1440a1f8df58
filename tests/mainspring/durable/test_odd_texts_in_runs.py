"""Texts that no encoding has, and values that no JSON has, in runs: they are recorded as something near, or refused."""

import json
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from mainspring import Agent, ToolError, tool
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step

HALF = "\ud83d"
SIGN = "\N{REPLACEMENT CHARACTER}"
SEEN: list[Any] = []


@tool("once", returns="trusted", accepts="external")
def keep(what: Any, rate: float = 0.0) -> dict[str, Any]:
    """Keep something, and give it back with half of a character."""
    SEEN.append(what)
    return {"kept": what, "half": HALF}


@tool("read", returns="trusted")
def quote(depth: int) -> str:
    """Fail with somebody else's words."""
    raise ToolError("[" * depth + "]" * depth if depth else f"no {HALF}")


def agent(tmp_path: Any) -> Agent[Any]:
    """An agent that may keep what it likes."""
    (tmp_path / "rules.yaml").write_text(
        "rules:\n  - {id: r, point: tool_call, tool: keep, when: 'true', verdict: allow, reason: Fine.}\n"
    )
    return Agent("keeper", instructions="Keep.", tools=[keep, quote], rules=tmp_path / "rules.yaml")


def told(request: ModelRequest) -> Step:
    """Say what the newest message is."""
    return say(request.messages[-1].text)


async def test_half_a_character_stops_nothing(mainspring: Bench, tmp_path: Any) -> None:
    """In what a user, a model and a tool say there stands a sign for it, and the run goes on to its end."""
    model = ScriptedModel(call("keep", what={HALF: f"a{HALF}"}), call("quote", depth=0), say(f"Done{HALF}."))
    run = await mainspring.start(agent(tmp_path), "Keep it.", model=model)

    assert (await run.result()).answer == f"Done{SIGN}."
    assert SEEN[-1] == {SIGN: f"a{SIGN}"}
    assert [message.text for message in model.requests[-1].messages if message.role != "assistant"] == [
        "Keep it.",
        json.dumps({"half": SIGN, "kept": {SIGN: f"a{SIGN}"}}, ensure_ascii=False, separators=(",", ":")),
        f"no {SIGN}",
    ]


async def test_half_a_character_from_outside_is_refused(mainspring: Bench, tmp_path: Any) -> None:
    """A client that spells one is told; the run goes on for others."""
    run = await mainspring.start(agent(tmp_path), model=ScriptedModel(told))
    plain = await Client.connect(mainspring.client.service_client.config.target_host)
    handle = plain.get_workflow_handle(run.handle.id)

    for update in ("send", "steer"):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(update, f"Hello{HALF}")
    with pytest.raises(WorkflowFailureError) as failed:
        await plain.execute_workflow(
            "keeper", f"Hello{HALF}", id=f"{run.handle.id}-2", task_queue=(await handle.describe()).task_queue
        )

    assert getattr(failed.value.cause, "type", None) == "BadInput"
    assert (await run.reply((await run.send("Hello")).message)).answer == "Hello"


async def test_an_error_like_deep_json_stops_nothing(mainspring: Bench, tmp_path: Any) -> None:
    """It is a text like any other, in every later step too."""
    model = ScriptedModel(call("quote", depth=400), call("quote", depth=1500), say("So be it."))
    run = await mainspring.start(agent(tmp_path), "Quote.", model=model)

    assert (await run.result()).answer == "So be it."


async def test_a_number_that_json_has_not_is_asked_for_again(mainspring: Bench, tmp_path: Any) -> None:
    """The model is told, and the tool is not run with something else in its place."""
    before = len(SEEN)
    model = ScriptedModel(call("keep", what=float("nan")), call("keep", what=1, rate="inf"), told)
    run = await mainspring.start(agent(tmp_path), "Keep.", model=model)

    assert (await run.result()).answer == "The arguments of keep are with a number that is not finite."
    assert len(SEEN) == before
