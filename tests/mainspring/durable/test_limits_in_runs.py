"""Limits in runs: of tools, of runs, of models."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.guarded import CARD, Listening, charged, desk


class TestLimits:
    async def test_a_tool_is_used_up(self, mainspring: Bench, rules: Any) -> None:
        """The model is told, and when there is room again; another user has their own."""
        text = """
limits:
  - {id: one, point: tool_call, tool: charge, per: [user], at_most: 1, every: 1d, reason: One charge a day.}
rules:
  - {id: may-charge, point: tool_call, tool: charge, when: 'true', verdict: allow, reason: Fine.}
"""
        pay = call("charge", card=CARD, amount_cents=4)
        for user, expected in (("ada", 1), ("bob", 1)):
            heard = Listening(say("Done."))
            run = await mainspring.start(
                desk(rules(text)),
                {"input": f"Charge {CARD} 4 twice.", "user": user},
                model=ScriptedModel(calls(pay, pay), heard),
            )
            await run.result()
            assert len(charged(run)) == expected
            assert "One charge a day. Try again in 1 day." in heard.heard

    async def test_runs_are_used_up(self, mainspring: Bench, rules: Any) -> None:
        """A run too many is refused in words, with the limit as the rule."""
        text = "limits:\n  - {id: runs, point: input, per: [tenant], at_most: 1, every: 1h, reason: One an hour.}\n"
        agent = desk(rules(text))
        given = {"input": "Hi.", "tenant": "acme"}
        await (await mainspring.start(agent, given, model=ScriptedModel(say("Hello.")))).result()
        run = await mainspring.start(agent, given, model=ScriptedModel(say("Hello.")))

        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert "One an hour. Try again in 1 hour." in str(caught.value.cause)

    async def test_a_model_is_waited_for_or_not(self, mainspring: Bench, rules: Any) -> None:
        """A short wait is a pause; a long one fails the run in words."""
        text = "limits:\n  - {{id: m, point: model, at_most: 1, every: {}, reason: Slowly.}}\n"
        find = call("find_customer", name="Ada")
        run = await mainspring.start(
            desk(rules(text.format("2s"))), "Find Ada.", model=ScriptedModel(find, say("Found."))
        )
        assert (await run.result()).answer == "Found."

        run = await mainspring.start(
            desk(rules(text.format("1d"))), "Find Ada.", model=ScriptedModel(find, say("Found."))
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert "Slowly. Try again in 1 day." in str(caught.value.cause)
