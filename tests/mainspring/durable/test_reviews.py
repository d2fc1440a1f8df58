"""A person reviews an answer before it is given."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring.testing import ScriptedModel, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.guarded import Listening, desk


class TestAPersonReviewsAnAnswer:
    RULES = "rules:\n  - {id: look, point: output, when: 'true', verdict: ask, reason: Legal wants to see it.}\n"

    async def test_and_lets_it_be_given(self, mainspring: Bench, rules: Any) -> None:
        """The card has the answer; who may decide is asked like about a call."""
        run = await mainspring.start(desk(rules(self.RULES)), "Hi.", model=ScriptedModel(say("Hello.")))
        (request,) = await run.waiting()

        assert (request.kind, request.tool, request.rule, request.args) == (
            "review",
            "answer",
            "look",
            {"answer": "Hello."},
        )
        await run.update("approve 1: answer")
        assert (await run.result()).answer == "Hello."

    async def test_and_gives_another(self, mainspring: Bench, rules: Any) -> None:
        """The model reads what was given, before its next message."""
        heard = Listening(say("As I said."))
        session = await mainspring.start(desk(rules(self.RULES)), model=ScriptedModel(say("Hello."), heard))
        first = await session.send("Hi.")
        await session.approve((await session.waiting())[0], answer="Good day.")
        assert (await session.reply(first.message)).answer == "Good day."

        second = await session.send("What?")
        await session.approve((await session.waiting())[0])
        assert (await session.reply(second.message)).answer == "As I said."
        assert "A person gave another answer than yours: Good day." in heard.heard

    async def test_and_has_it_written_again(self, mainspring: Bench, rules: Any) -> None:
        """The reason reaches the model."""
        heard = Listening(say("Good day."))
        run = await mainspring.start(desk(rules(self.RULES)), "Hi.", model=ScriptedModel(say("Yo."), heard))
        await run.deny((await run.waiting())[0], "Be polite.")
        await run.approve((await run.waiting())[0])

        assert (await run.result()).answer == "Good day."
        assert heard.heard[-1] == "A person did not let your answer be given: Be polite. Answer again."

    async def test_or_nobody_does(self, mainspring: Bench, rules: Any) -> None:
        """After the deadline the run fails rather than give it."""
        text = f"approvals: {{deadline: 1h}}\n{self.RULES}"
        run = await mainspring.start(desk(rules(text)), "Hi.", model=ScriptedModel(say("Hello.")))
        await run.waiting()
        await run.skip(timedelta(hours=2))

        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert str(caught.value.cause) == (
            "NotReviewed: Nobody reviewed the answer of agent 'desk' in time, so it is not given."
        )

    @pytest.mark.parametrize(
        ("verb", "form", "why"),
        [
            ("deny", {"request": "1", "answer": "x"}, "'answer' goes with the approval of an answer only."),
            (
                "approve",
                {"request": "1", "answer": " "},
                "'answer' must be the text that is given instead: \"…\" in quotes.",
            ),
            (
                "approve",
                {"request": "1", "answer": 7},
                "'answer' must be the text that is given instead: \"…\" in quotes.",
            ),
            ("answer", {"request": "1", "outcome": "happened"}, "Request 1 is decided with approve or deny, not with"),
        ],
    )
    async def test_a_form_that_does_not_fit_is_refused(
        self, mainspring: Bench, rules: Any, verb: str, form: Any, why: str
    ) -> None:
        """In words; the request still waits."""
        run = await mainspring.start(desk(rules(self.RULES)), "Hi.", model=ScriptedModel(say("Hello.")))
        (request,) = await run.waiting()

        assert (await run.refusal_of(verb, form)).startswith(why)
        await run.approve(request)
        assert (await run.result()).answer == "Hello."
