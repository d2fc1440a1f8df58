"""The playbook answers in the model's place: where a rule says so, the model fails, or may not read."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring import Facts
from mainspring.testing import ScriptedModel, call, fail, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.guarded import desk, history_of

PLAYBOOK = """
intents: {any: ['.*']}
rows:
  - {id: all, when: 'true', answer: By the book.}
"""


ASKED: list[str] = []


def fails_later(facts: Facts) -> bool:
    """Says no when a run is let in, and fails from then on."""
    ASKED.append(facts.text)
    if len(ASKED) > 1:
        raise RuntimeError("the list cannot be read")
    return False


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

    async def test_also_where_the_answer_is_sent_back(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """What the user said stands, whatever was answered to it and refused."""
        text = """
rules:
  - {id: legal, point: input, when: "input.text.contains('lawyer')", verdict: playbook, reason: Legal.}
  - {id: never, point: output, when: 'true', verdict: deny, reason: Not like that.}
"""
        run = await mainspring.start(
            desk(rules(text), playbook=book), "I have a lawyer.", model=ScriptedModel(*[say("Never mind.")] * 3)
        )
        with pytest.raises(WorkflowFailureError):
            await run.result()

        assert "Never mind." not in await history_of(run)

    async def test_where_the_rule_fails(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """A rule that cannot be asked may have been the one."""
        text = "rules:\n  - {id: legal, point: input, check: fails_later, verdict: playbook, reason: Legal.}\n"
        agent = desk(rules(text), playbook=book, checks=[fails_later])
        run = await mainspring.start(agent, "Hi.", model=ScriptedModel(say("never")))

        assert (await run.result()).answer == "By the book."

    async def test_where_the_model_cannot_help(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """A model that is gone for good leaves the customer with an answer all the same."""
        agent = desk(rules("rules: []"), playbook=book)
        model = ScriptedModel(fail("it is gone", retryable=False), say("never"))
        run = await mainspring.start(agent, "Hi.", model=model)

        assert (await run.result()).answer == "By the book."
        assert '"failed"' in await history_of(run)

    async def test_where_the_model_comes_to_no_end(self, mainspring: Bench, rules: Any, book: Path) -> None:
        """Its replies are used up; without a playbook the run fails of it."""
        find = call("find_customer", name="Ada")
        run = await mainspring.start(
            desk(rules("rules: []"), playbook=book, max_steps=2), "Find Ada.", model=ScriptedModel(*[find] * 5)
        )

        assert (await run.result()).answer == "By the book."
        assert '"step limit"' in await history_of(run)

        run = await mainspring.start(
            desk(rules("rules: []"), max_steps=2), "Find Ada.", model=ScriptedModel(*[find] * 5)
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert "was not done after 2 model replies" in str(caught.value.cause)

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
