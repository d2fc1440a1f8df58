"""Rules at every point of a run: what comes in, what is called, what tools return, what is answered."""

import base64
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring import Agent, Context, Facts, NotDone, ToolError, tool
from mainspring.ports.model import ModelRequest
from mainspring.telemetry.attributes import MATCHED
from mainspring.telemetry.chain import project_run
from mainspring.testing import ScriptedModel, call, calls, fail, say
from mainspring.testing.bench import Bench, TestRun
from mainspring.testing.scripted import Step

CARD, OTHER = "4111 1111 1111 1111", "5500 0000 0000 0004"
CHARGED: list[str] = []
PLAYBOOK = """
intents: {any: ['.*']}
rows:
  - {id: all, when: 'true', answer: By the book.}
"""


@tool("idempotent", returns="trusted", accepts="external")
def charge(card: str, amount_cents: int, context: Context) -> str:
    """Charge a card."""
    CHARGED.append(f"{context.run} {card} {amount_cents}")
    return "charged"


@tool("read", returns="trusted")
def find_customer(name: str) -> dict[str, Any]:
    """Look a customer up."""
    return {"name": name, "card": CARD, "age": 40, "codes": [5500000000000004, 12]}


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a rule file; gives its path."""

    def write(rules: str) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(rules)
        return path

    return write


def desk(rules: Path, **more: Any) -> Agent[Any]:
    """An agent with both tools."""
    return Agent("desk", instructions="Do what you are asked.", tools=[charge, find_customer], rules=rules, **more)


class Listening:
    """A step that keeps what the model was given, then does another step."""

    def __init__(self, then: Step) -> None:
        self.then = then
        self.heard: list[str] = []

    def __call__(self, request: ModelRequest) -> Step:
        """Take it in."""
        self.heard = [message.text for message in request.messages]
        return self.then


def charged(run: TestRun) -> list[str]:
    """What a run has charged: card and cents."""
    return [line.partition(" ")[2] for line in CHARGED if line.startswith(str(run.handle.first_execution_run_id))]


async def history_of(run: TestRun) -> str:
    """All of a run's history as text, with its payloads readable."""
    events = json.loads((await run.history()).to_json())

    def read(value: Any) -> str:
        if isinstance(value, dict):
            data = value.get("data")
            plain = base64.b64decode(data).decode(errors="replace") if isinstance(data, str) else ""
            return plain + "".join(read(each) for each in value.values())
        return "".join(read(each) for each in value) if isinstance(value, list) else str(value)

    return read(events)


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


async def test_every_rule_that_matched_is_recorded(mainspring: Bench, rules: Any) -> None:
    """At each point, with those that redact and those that only look on."""
    text = """
rules:
  - {id: in-shadow, point: input, when: 'true', verdict: deny, reason: No., shadow: true}
  - {id: in-redacts, point: input, verdict: redact, reason: Cards.}
  - {id: call-redacts, point: tool_call, verdict: redact, reason: Cards.}
  - {id: result-redacts, point: tool_result, verdict: redact, reason: Cards.}
  - {id: result-shadow, point: tool_result, when: 'true', verdict: deny, reason: No., shadow: true}
  - {id: out-redacts, point: output, verdict: redact, reason: Cards.}
"""
    run = await mainspring.start(
        desk(rules(text)), "Find Ada.", model=ScriptedModel(call("find_customer", name="Ada"), say("Found."))
    )
    await run.result()

    trace = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    holders = [*trace.spans, *(event for span in trace.spans for event in span.events)]
    assert [each.attributes[MATCHED] for each in holders if each.attributes.get(MATCHED)] == [
        ("in-redacts", "shadow:in-shadow"),
        ("result-redacts", "shadow:result-shadow"),
        ("out-redacts",),
        ("call-redacts",),
    ]


async def test_arguments_are_redacted_before_they_are_recorded(mainspring: Bench, rules: Any) -> None:
    """What a model writes into a call goes through the same recognisers."""
    text = "rules:\n  - {id: r, point: tool_call, tool: find_customer, verdict: redact, reason: Cards.}\n"
    model = ScriptedModel(call("find_customer", name=f"Ada {OTHER}"), say("Done."))
    run = await mainspring.start(desk(rules(text)), "Find her.", model=model)
    await run.result()

    history = await history_of(run)
    assert OTHER not in history
    assert "Ada [card]" in history


async def test_an_answer_is_sent_back_with_the_reason(mainspring: Bench, rules: Any) -> None:
    """Must not say, must say, numbers from nowhere, and quotations that stand nowhere."""
    text = """
rules:
  - {id: no-promises, point: output, when: "output.text.contains('promise')", verdict: deny, reason: Promise nothing.}
  - {id: grounded, point: output, when: size(ungrounded) > 0, verdict: deny, reason: Say no numbers of your own.}
  - {id: quotes, point: output, when: 'citations.exists(c, !c.found)', verdict: deny, reason: Quote what is there.}
"""
    last = Listening(say('She is 40. [find_customer: "Ada"]'))
    run = await mainspring.start(
        desk(rules(text)),
        "How old is Ada?",
        model=ScriptedModel(call("find_customer", name="Ada"), say("I promise."), last),
    )

    assert (await run.result()).answer == 'She is 40. [find_customer: "Ada"]'
    assert last.heard[-1] == "Promise nothing."

    for wrong, reason in (("She is 41.", "numbers"), ('[find_customer: "Bob"]', "Quote")):
        run = await mainspring.start(desk(rules(text)), "How old?", model=ScriptedModel(*[say(wrong)] * 3))
        with pytest.raises(WorkflowFailureError) as caught:
            await run.result()
        assert reason in str(caught.value.cause)


async def test_two_small_charges_are_no_way_round_a_limit_on_the_sum(mainspring: Bench, rules: Any) -> None:
    """Of two in one message, and of a third in the next, only what fits runs without a person."""
    text = """
rules:
  - {id: over-50, point: tool_call, tool: charge, when: total.amount_cents > 50, verdict: ask, reason: Over 50.}
"""
    forty = call("charge", card=CARD, amount_cents=40)
    run = await mainspring.start(
        desk(rules(text)), f"Charge {CARD}, 40, twice.", model=ScriptedModel(calls(forty, forty), forty, say("Done."))
    )

    for _ in range(2):
        (request,) = await run.waiting()
        assert request.rule == "over-50"
        assert charged(run) == [f"{CARD} 40"]
        await run.deny(request)
    await run.result()
    assert charged(run) == [f"{CARD} 40"]


def hangs(facts: Facts) -> bool:
    """Takes too long."""
    time.sleep(30)
    return facts.tool == ""


def raises(facts: Facts) -> bool:
    """Fails, with an argument in its words."""
    raise ValueError(facts.args)


def is_odd(facts: Facts) -> bool:
    """What CEL could say as well."""
    return int(str(facts.args["amount_cents"])) % 2 == 1


def gives_text(facts: Facts) -> Any:
    """Says neither true nor false."""
    return facts.tool


async def test_a_function_may_be_the_condition(mainspring: Bench, rules: Any) -> None:
    """Its verdict is recorded like any other, and one that fails denies and says so in the trace."""
    text = """
rules:
  - {id: odd, point: tool_call, tool: charge, check: is_odd, verdict: deny, reason: Even amounts only.}
"""
    agent = desk(rules(text), checks=[is_odd])
    model = ScriptedModel(
        call("charge", card=CARD, amount_cents=3), call("charge", card=CARD, amount_cents=4), say(".")
    )
    run = await mainspring.start(agent, f"Charge {CARD} 3 and 4.", model=model)
    await run.result()

    assert charged(run) == [f"{CARD} 4"]


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (hangs, "it did not answer within 1 s"),
        (raises, "it raised ValueError"),
        (gives_text, "it gave str, neither True nor False"),
    ],
)
async def test_a_function_that_fails_denies(mainspring: Bench, rules: Any, check: Any, why: str) -> None:
    """The model reads why, without any argument; the trace names the rule as failed."""
    text = f"rules:\n  - {{id: r, point: tool_call, check: {check.__name__}, verdict: allow, reason: No.}}\n"
    heard = Listening(say("It was refused."))
    run = await mainspring.start(
        desk(rules(text), checks=[check]), "Find Ada.", model=ScriptedModel(call("find_customer", name="Ada"), heard)
    )
    await run.result()

    assert heard.heard[-1] == f"rule 'r' could not be evaluated ({why}), so the call is refused"
    trace = await project_run(mainspring.client, run.handle.id, str(run.handle.first_execution_run_id))
    events = [event for span in trace.spans for event in span.events]
    assert [event.attributes[MATCHED] for event in events] == [("failed:r",)]


async def test_a_rule_in_the_shadow_only_looks_on(mainspring: Bench, rules: Any) -> None:
    """It is recorded, and the call runs."""
    text = """
rules:
  - {id: later, point: tool_call, tool: find_customer, when: 'true', verdict: deny, reason: No., shadow: true}
"""
    heard = Listening(say("Found."))
    run = await mainspring.start(
        desk(rules(text)), "Find Ada.", model=ScriptedModel(call("find_customer", name="Ada"), heard)
    )
    await run.result()

    assert '"name":"Ada"' in heard.heard[-1]
    assert "shadow:later" in await history_of(run)


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


async def test_a_tenants_rules_come_on_top(mainspring: Bench, tmp_path: Path) -> None:
    """Another tenant does not have them, and every tenant has what is included."""
    (tmp_path / "shared.yaml").write_text(
        "rules:\n  - {id: shared, point: tool_call, tool: charge, when: 'args.amount_cents > 9', verdict: deny,"
        " reason: Too much.}\n"
    )
    (tmp_path / "acme.yaml").write_text(
        "rules:\n  - {id: acme, point: tool_call, tool: charge, when: 'args.amount_cents > 3', verdict: deny,"
        " reason: Acme is careful.}\n"
    )
    main = tmp_path / "rules.yaml"
    main.write_text(f"include: {tmp_path}/shared.yaml\ntenants: {{acme: {tmp_path}/acme.yaml}}\n")
    pays = [call("charge", card=CARD, amount_cents=cents) for cents in (3, 4, 10)]
    for tenant, done in (("acme", [3]), ("other", [3, 4])):
        run = await mainspring.start(
            desk(main),
            {"input": f"Charge {CARD} 3, 4 and 10.", "tenant": tenant},
            model=ScriptedModel(calls(*pays), say("Done.")),
        )
        await run.result()
        assert sorted(charged(run)) == [f"{CARD} {cents}" for cents in done]


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
            ("approve", {"request": "1", "answer": " "}, "'answer' must be the text that is given instead."),
            ("approve", {"request": "1", "answer": 7}, "'answer' must be the text that is given instead."),
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
