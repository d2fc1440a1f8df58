"""Rules at every point of a run: what comes in, what is called, what tools return, what is answered."""

import time
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from mainspring import Facts
from mainspring.telemetry.attributes import MATCHED
from mainspring.telemetry.chain import project_run
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench
from tests.mainspring.durable.guarded import CARD, Listening, charged, desk, history_of


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
