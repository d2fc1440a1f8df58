"""A person lets a call go with other arguments than the model gave."""

from typing import Any

import pytest

from mainspring import Agent, Context, tool
from mainspring.telemetry.attributes import EDITED
from mainspring.telemetry.chain import project_run
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.guarded import Listening, history_of

PAID: list[str] = []
RULES = """
rules:
  - {id: over-50, point: tool_call, tool: pay, when: total.cents > 50, verdict: ask, reason: Over 50.}
  - {id: over-90, point: tool_call, tool: pay, when: args.cents > 90, verdict: deny, reason: Never over 90.}
"""


@tool("once", returns="trusted", accepts="external")
def pay(account: str, cents: int, context: Context, note: str = "") -> str:
    """Pay; 13 ends in a way that nobody knows, the first time."""
    PAID.append(f"{context.run} {account} {cents} {note}")
    if cents == 13 and context.fence == 1:
        raise RuntimeError("connection lost")
    return f"paid {cents}"


def paid(run: Any) -> list[str]:
    """What a run has paid."""
    return [line.partition(" ")[2] for line in PAID if line.startswith(str(run.handle.first_execution_run_id))]


def desk(rules: Any, text: str = RULES) -> Agent[str]:
    """An agent that pays."""
    return Agent("desk", instructions="Pay.", tools=[pay], rules=rules(text))


async def test_it_runs_with_them(mainspring: Bench, rules: Any) -> None:
    """What is not named stays; the model is told, and history has both."""
    heard = Listening(say("Done."))
    model = ScriptedModel(call("pay", account="DE-1", cents=80, note="for Ada"), heard)
    run = await mainspring.start(desk(rules), "Pay.", model=model)
    (request,) = await run.waiting()

    assert await run.approve(request, args={"cents": 40}) == (
        "Request 1 (pay): approve, changed (cents: 80 → 40). Recorded. The rules are asked once more before it runs."
    )
    await run.result()
    assert paid(run) == ["DE-1 40 for Ada"]
    assert heard.heard[-2] == '"paid 40"'
    assert heard.heard[-1].startswith("A person changed what pay is called with, to {")
    trace = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    assert [span.attributes[EDITED] for span in trace.spans if EDITED in span.attributes] == [("cents",)]
    history = (await history_of(run)).replace("\\", "")
    assert '"cents":80' in history
    assert '"args":{"account":"DE-1","cents":40' in history


async def test_sums_count_what_ran(mainspring: Bench, rules: Any) -> None:
    """After 40 instead of 80, another 10 are within 50; 11 are not."""
    model = ScriptedModel(
        call("pay", account="DE-1", cents=80),
        calls(call("pay", account="DE-1", cents=10), call("pay", account="DE-1", cents=1)),
        say("Done."),
    )
    run = await mainspring.start(desk(rules), "Pay.", model=model)
    await run.approve((await run.waiting())[0], args={"cents": 40})
    (second,) = await run.waiting()

    assert second.args["cents"] == 1
    await run.deny(second)
    await run.result()
    assert [line.split()[1] for line in paid(run)] == ["40", "10"]


async def test_rules_are_asked_again(mainspring: Bench, rules: Any) -> None:
    """What no rule lets pass does not pass for being written by a person."""
    heard = Listening(say("Not done."))
    run = await mainspring.start(desk(rules), "Pay.", model=ScriptedModel(call("pay", account="DE-1", cents=80), heard))
    await run.approve((await run.waiting())[0], args={"cents": 95})
    await run.result()

    assert paid(run) == []
    assert "Never over 90." in heard.heard


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"cent": 4}, "pay cannot be called so: it has no argument 'cent'. Did you mean 'cents'?"),
        ({"cents": "4"}, "pay cannot be called so: cents: '4' is not of type 'integer'."),
        ({"cents": None}, "pay cannot be called so: cents: None is not of type 'integer'."),
        ([1], "'args' must be an object, such as"),
        ("4", "'args' must be an object, such as"),
    ],
)
async def test_what_does_not_fit_is_refused(mainspring: Bench, rules: Any, args: Any, why: str) -> None:
    """In a sentence; nothing is lost, and the request still waits."""
    model = ScriptedModel(call("pay", account="DE-1", cents=80), say("Done."))
    run = await mainspring.start(desk(rules), "Pay.", model=model)
    (request,) = await run.waiting()

    assert (await run.refusal_of("approve", {"request": "1", "args": args})).startswith(why)
    assert (await run.refusal_of("deny", {"request": "1", "args": {"cents": 1}})).startswith("'args' goes with")
    await run.approve(request)
    await run.result()
    assert paid(run) == ["DE-1 80 "]


async def test_an_unknown_outcome_is_of_what_ran(mainspring: Bench, rules: Any, move: Move) -> None:
    """It is shown, and runs again, as the person changed it; also where the run continues as new in between."""
    run = await mainspring.start(
        desk(rules), "Pay.", model=ScriptedModel(call("pay", account="DE-1", cents=80), say("Done."))
    )
    await run.approve((await run.waiting())[0], args={"cents": 13})
    outcome = None
    while outcome is None:  # the request that was approved may still be there
        outcome = next((each for each in await run.waiting() if each.kind == "outcome"), None)

    assert outcome.args["cents"] == 13
    await move(run)
    await run.answer(outcome, "not-happened")
    await run.result()
    assert paid(run) == ["DE-1 13 ", "DE-1 13 "]


async def test_a_request_to_an_agent_can_be_changed(mainspring: Bench, rules: Any) -> None:
    """It then works on the person's words."""
    heard = Listening(say("I looked."))
    helper: Agent[str] = Agent("helper", instructions="Help.", description="Helps.")
    text = "rules:\n  - {id: look, point: tool_call, tool: helper, when: 'true', verdict: ask, reason: Look.}\n"
    agent: Agent[str] = Agent("desk", instructions="Work.", tools=[helper], rules=rules(text))
    model = ScriptedModel({"desk": [call("helper", request="Look at Ada."), say("Done.")], "helper": [heard]})
    run = await mainspring.start(agent, "Go on.", model=model)
    await run.approve((await run.waiting())[0], args={"request": "Look at Bob."})
    await run.result()

    assert heard.heard == ["Look at Bob."]
