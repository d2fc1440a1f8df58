"""An agent as another's tool: the same rules and approvals, one run, a thread of its own."""

from mainspring import Agent, tool
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


launcher: Agent[str] = Agent("pad-crew", instructions="Launch.", description="Launches.", tools=[launch])
captain: Agent[str] = Agent("captain", instructions="Lead.", tools=[launcher])


async def test_the_inner_agent_has_its_own_thread(mainspring: Bench) -> None:
    """It reads only what it was asked, and its answer is the outer agent's tool result."""
    model = ScriptedModel(
        {"captain": [call("pad_crew", request="launch pad 3"), say("All done.")], "pad-crew": [say("No rocket there.")]}
    )
    run = await mainspring.start(captain, "Launch something", model=model)

    result = await run.result()

    inner = next(r for r in model.requests if r.agent == "pad-crew")
    assert [m.text for m in inner.messages] == ["launch pad 3"]
    assert model.requests[-1].messages[-1].value == "No rocket there."
    assert result.answer == "All done."


async def test_its_calls_wait_for_a_person_at_the_same_run(mainspring: Bench) -> None:
    """An inner agent's irrevocable call asks exactly as the outer one's would."""
    model = ScriptedModel(
        {
            "captain": [call("pad_crew", request="launch pad 3"), say("Reported.")],
            "pad-crew": [call("launch", pad=3), say("Launched.")],
        }
    )
    run = await mainspring.start(captain, "Launch", model=model)

    (request,) = await run.waiting()
    await run.approve(request)
    result = await run.result()

    assert (request.agent, request.step, request.tool) == ("pad-crew", "2.2", "launch")
    assert result.totals.tool_calls == 1
