"""The playbook answers in the model's place: where a rule says so, the model fails, or may not read."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring.testing import ScriptedModel, fail, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.guarded import desk, history_of

PLAYBOOK = """
intents: {any: ['.*']}
rows:
  - {id: all, when: 'true', answer: By the book.}
"""


class TestThePlaybookInsteadOfTheModel:
    @pytest.fixture
    def book(self, tmp_path: Path) -> Path:
        """A playbook with one answer."""
        path = tmp_path / "desk.playbook.yaml"
        path.write_text(PLAYBOOK)
        return path

    async def test_where_a_rule_says_so(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """Some words want answers that are always the same; the next message is the model's again."""
        text = """
rules:
  - {id: legal, point: input, when: "input.text.contains('lawyer')", verdict: playbook, reason: Legal.}
"""
        agent = desk(rules(text), playbook=book)
        session = await mainspring.start(agent, model=ScriptedModel(say("never"), say("Hello!")))

        assert (await session.reply((await session.send("I have a lawyer.")).message)).answer == "By the book."
        assert (await session.reply((await session.send("Hi.")).message)).answer == "Hello!"

    async def test_where_the_model_cannot_help(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """A model that is gone for good leaves the customer with an answer all the same."""
        agent = desk(rules("rules: []"), playbook=book)
        model = ScriptedModel(fail("it is gone", retryable=False), say("never"))
        run = await mainspring.start(agent, "Hi.", model=model)

        assert (await run.result()).answer == "By the book."
        assert '"failed"' in await history_of(run)

    async def test_where_the_model_may_not_read_it(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """A model that is cleared for less is not asked; without a playbook the run says so."""
        agent = desk(rules("rules: []"), playbook=book, input="user personal", cleared="internal")
        run = await mainspring.start(agent, "I am Ada.", model=ScriptedModel(say("never")))

        assert (await run.result()).answer == "By the book."

        run = await mainspring.start(
            desk(rules("rules: []"), input="user personal", cleared="internal"), "I am Ada.", model=ScriptedModel()
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert "what its model is to read is personal" in str(caught.value.cause)
