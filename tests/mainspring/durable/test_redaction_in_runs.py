"""What rules take out of a run: for models, tools and history."""

import json
from pathlib import Path
from typing import Any

import pytest

from mainspring import Agent, Context, NotDone, ToolError, remember, tool
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step
from tests.mainspring.durable.guarded import CARD, CHARGED, OTHER, Listening, charged, desk, find_customer, history_of

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

    assert heard.heard[-1] == "find_customer ran, but its result is withheld: Not for you."
    assert CARD not in await history_of(run)


@tool("read", returns="trusted")
def fail_with(kind: str) -> str:
    """Fail in this way."""
    words = f"there is no account for {CARD}"
    raise {"expected": ToolError, "not done": NotDone}.get(kind, RuntimeError)(words) from ValueError(CARD)


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


@tool("idempotent", returns="trusted", accepts="external")
def note_down(text: str, context: Context) -> str:
    """Write something down."""
    CHARGED.append(f"{context.run} {text}")
    return "noted"


@tool("idempotent", returns="trusted", accepts="external", opens=True)
def stumble(card: str, amount_cents: int, context: Context) -> str:
    """Charge, and say what was charged; or stumble over it."""
    if not amount_cents:
        raise ToolError(f"no account {card}")
    CHARGED.append(f"{context.run} {card} {amount_cents}")
    return f"charged {card}"


def with_the_card(name: str, **more: Any) -> Step:
    """A step that calls a tool with the newest result's card, as the model has it."""

    def step(request: ModelRequest) -> Step:
        found = next(m for m in reversed(request.messages) if m.tool == "find_customer")
        card = json.loads(found.text)["card"]
        return call(name, **{key: card if value is ... else value for key, value in more.items()})

    return step


async def test_only_a_tool_that_opens_tokens_is_given_what_they_stand_for(mainspring: Bench, rules: Any) -> None:
    """Others get the token, the memory above all; and what the one says of it is behind the token again."""
    agent: Agent[str] = Agent(
        "desk", instructions="Work.", tools=[find_customer, note_down, stumble, remember], rules=rules(TOKEN_TO_STUMBLE)
    )
    heard = Listening(say("Done."))
    model = ScriptedModel(
        call("find_customer", name="Ada"),
        with_the_card("note_down", text=...),
        with_the_card("remember", note=...),
        with_the_card("stumble", card=..., amount_cents=0),
        with_the_card("stumble", card=..., amount_cents=7),
        heard,
    )
    run = await mainspring.start(agent, {"input": "Go on.", "user": "ada"}, model=model)
    await run.result()

    noted, paid = charged(run)
    assert noted.startswith("<card#")
    assert paid == f"{CARD} 7"
    assert f"no account {noted}" in heard.heard
    assert f'"charged {noted}"' in heard.heard
    assert CARD not in await history_of(run)
    again = Listening(say("Hello."))
    await (await mainspring.start(agent, {"input": "Hi.", "user": "ada"}, model=ScriptedModel(again))).result()
    assert noted in again.heard[0]


TOKEN_TO_STUMBLE = """
rules:
  - {id: no-cards, point: tool_result, tool: find_customer, verdict: redact, redact: card, with: token, reason: Cards.}
"""


async def test_a_denial_holds_for_what_a_token_stands_for(mainspring: Bench, rules: Any) -> None:
    """The model has the token, the tool would have the card: the rule is asked about both."""
    text = f"""{TOKEN_TO_STUMBLE}
  - {{id: visa, point: tool_call, tool: stumble, when: "args.card.startsWith('4')", verdict: deny, reason: No Visa.}}
  - {{id: typed, point: tool_call, tool: note_down, when: "'card' in found", verdict: deny, reason: No.}}
"""
    agent: Agent[str] = Agent(
        "desk", instructions="Work.", tools=[find_customer, stumble, note_down], rules=rules(text)
    )
    heard = Listening(say("Done."))
    pays = with_the_card("stumble", card=..., amount_cents=7)
    run = await mainspring.start(
        agent,
        "Go on.",
        model=ScriptedModel(call("find_customer", name="Ada"), pays, with_the_card("note_down", text=...), heard),
    )
    await run.result()

    assert "No Visa." in heard.heard
    assert [line.partition("#")[0] for line in charged(run)] == ["<card"]


async def test_a_call_that_fits_nothing_is_recorded_without_what_could_not_be_redacted(
    mainspring: Bench, rules: Any
) -> None:
    """An argument too many would else carry the card into the history."""
    text = "rules:\n  - {id: r, point: tool_call, verdict: redact, reason: Cards.}\n"
    model = ScriptedModel(call("find_customer", name="Ada", card=CARD), say("Done."))
    run = await mainspring.start(desk(rules(text)), "Find Ada.", model=model)
    await run.result()

    assert CARD not in await history_of(run)


async def test_what_stands_under_a_key_twice_does_not_slip_through(mainspring: Bench, rules: Any) -> None:
    """Readers keep the second, a person sees both."""
    text = "rules:\n  - {id: r, point: output, verdict: redact, reason: Cards.}\n"
    answer = f'{{"note": "{CARD}", "note": "x"}}'
    run = await mainspring.start(desk(rules(text)), "Hi.", model=ScriptedModel(say(answer)))

    assert (await run.result()).answer == '{"note":"x"}'
    assert CARD not in await history_of(run)


async def test_the_strictest_way_holds(mainspring: Bench, rules: Any) -> None:
    """A rule that leaves more to be read loosens no other one."""
    text = """
rules:
  - {id: mask, point: output, verdict: redact, redact: card, with: mask, reason: Cards.}
  - {id: remove, point: output, verdict: redact, redact: card, reason: Cards.}
"""
    run = await mainspring.start(desk(rules(text)), "Hi.", model=ScriptedModel(say(f"It is {CARD}.")))

    assert (await run.result()).answer == "It is [card]."


async def test_a_model_that_may_not_read_it_does_not_sum_it_up(mainspring: Bench) -> None:
    """What is left out of a thread is then left out without a summary."""

    @tool("read", returns="trusted secret")
    def look() -> str:
        """Look."""
        return "hush " * 150

    agent: Agent[str] = Agent(
        "desk",
        instructions="Work.",
        tools=[look],
        cleared="internal",
        context=250,
        shorten="summarise",
        playbook=_playbook(mainspring.folder),
    )
    asked: list[str] = []

    def first(request: ModelRequest) -> Step:
        asked.extend(message.text for message in request.messages)
        return call("look")

    run = await mainspring.start(agent, "Look.", model=ScriptedModel(first, first, first))
    await run.result()

    assert not any("hush" in text for text in asked)


def _playbook(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "desk.playbook.yaml"
    path.write_text("rows:\n  - {id: all, when: 'true', answer: By the book.}\n")
    return path
