"""What rules take out of a run: for models, tools and history."""

import json
from typing import Any

import pytest

from mainspring import Agent, NotDone, ToolError, tool
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step
from tests.mainspring.durable.guarded import CARD, OTHER, Listening, charged, desk, history_of

TOKEN = """
rules:
  - {id: no-cards, point: tool_result, tool: find_customer, verdict: redact, redact: card, with: token, reason: Cards.}
  - {id: may-charge, point: tool_call, tool: charge, when: 'true', verdict: allow, reason: Fine.}
"""


async def test_a_token_stands_for_a_card_wherever_the_model_puts_it(mainspring: Bench, rules: Any) -> None:
    """History and model have the token, in text and number; the tool has the card."""

    def pay(request: ModelRequest) -> Step:
        return call("charge", card=json.loads(request.messages[-1].text)["card"], amount_cents=40)

    run = await mainspring.start(
        desk(rules(TOKEN)), "Charge Ada.", model=ScriptedModel(call("find_customer", name="Ada"), pay, say("Done."))
    )
    await run.result()

    assert charged(run) == [f"{CARD} 40"]
    history = await history_of(run)
    assert "<card#" in history
    assert CARD not in history
    assert "5500000000000004" not in history


async def test_a_token_of_another_run_opens_nothing(mainspring: Bench, rules: Any) -> None:
    """The call fails in words that the model reads, and the tool is not run."""
    heard: list[str] = []

    def keep(request: ModelRequest) -> Step:
        heard.append(json.loads(request.messages[-1].text)["card"])
        return say("Kept.")

    agent = desk(rules(TOKEN))
    first = await mainspring.start(agent, "Find Ada.", model=ScriptedModel(call("find_customer", name="Ada"), keep))
    await first.result()
    last = Listening(say("It did not work."))
    run = await mainspring.start(
        agent, "Charge her.", model=ScriptedModel(call("charge", card=heard[0], amount_cents=1), last)
    )
    await run.result()

    assert charged(run) == []
    assert last.heard[-1] == "the token for a card is none of this run, or was changed on the way"


async def test_what_the_user_said_reaches_no_model(mainspring: Bench, rules: Any) -> None:
    """In a run and in a session alike, a rule at `input` takes it out."""
    agent = desk(rules("rules:\n  - {id: r, point: input, verdict: redact, with: mask, reason: Cards.}\n"))
    heard = Listening(say("Noted."))
    run = await mainspring.start(agent, f"My card is {CARD}.", model=ScriptedModel(heard))
    await run.result()

    assert heard.heard == ["My card is ***************1111."]

    session = await mainspring.start(agent, model=ScriptedModel(heard))
    await session.reply((await session.send(f"It is {OTHER}.")).message)

    assert heard.heard == ["It is ***************0004."]


async def test_a_result_can_be_withheld(mainspring: Bench, rules: Any) -> None:
    """The tool has run; the model is told that and why it may not see it."""
    text = """
rules:
  - {id: minors, point: tool_result, tool: find_customer, when: result.age > 30, verdict: deny, reason: Not for you.}
"""
    heard = Listening(say("So be it."))
    run = await mainspring.start(
        desk(rules(text)), "Find Ada.", model=ScriptedModel(call("find_customer", name="Ada"), heard)
    )
    await run.result()

    assert heard.heard[-1] == '{"withheld":"Not for you."}'
    assert CARD not in await history_of(run)


@tool("read", returns="trusted")
def fail_with(kind: str) -> str:
    """Fail in this way."""
    words = f"there is no account for {CARD}"
    raise {"expected": ToolError, "not done": NotDone}.get(kind, RuntimeError)(words)


@pytest.mark.parametrize("kind", ["expected", "not done", "surprise"])
async def test_what_a_tool_says_of_its_failure_is_redacted(mainspring: Bench, rules: Any, kind: str) -> None:
    """Errors quote what they stumbled over; history and model have them without it."""
    text = "rules:\n  - {id: r, point: tool_result, verdict: redact, reason: Cards.}\n"
    agent: Agent[str] = Agent("desk", instructions="Work.", tools=[fail_with], rules=rules(text), mode="step")
    heard = Listening(say("It failed."))
    run = await mainspring.start(agent, "Try.", model=ScriptedModel(call("fail_with", kind=kind), heard))
    await run.result()

    assert "there is no account for [card]" in heard.heard[-1]
    assert CARD not in await history_of(run)


async def test_arguments_are_redacted_before_they_are_recorded(mainspring: Bench, rules: Any) -> None:
    """What a model writes into a call goes through the same recognisers."""
    text = "rules:\n  - {id: r, point: tool_call, tool: find_customer, verdict: redact, reason: Cards.}\n"
    model = ScriptedModel(call("find_customer", name=f"Ada {OTHER}"), say("Done."))
    run = await mainspring.start(desk(rules(text)), "Find her.", model=model)
    await run.result()

    history = await history_of(run)
    assert OTHER not in history
    assert "Ada [card]" in history
