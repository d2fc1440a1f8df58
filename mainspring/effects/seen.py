"""Activity side. What a model may read of a thread, what it may answer, and when the playbook answers in its place."""

from dataclasses import replace
from typing import cast

from mainspring.contracts.steps import RunRef
from mainspring.core.answers import read_answer
from mainspring.core.approvals import Routed
from mainspring.core.canonical import canonical, digest
from mainspring.core.facts import Facts
from mainspring.core.messages import Message
from mainspring.core.policy import Rule
from mainspring.core.rules import Judgement
from mainspring.core.spec import AgentSpec
from mainspring.effects.guards import Guards
from mainspring.effects.judging import ask_redactions, ask_route, ask_rules, known, redact
from mainspring.effects.ledger import Thread


async def seen(guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread) -> Thread:
    """The thread as models, rules and tools have it: without what a rule at `input` takes out of the user's words.

    History holds these words anyhow, from whoever started the run or sent the message.
    """
    messages = await seen_messages(guards, run, agent, thread.messages)
    return thread if messages is thread.messages else replace(thread, messages=messages)


async def seen_messages(
    guards: Guards, run: RunRef, agent: AgentSpec, messages: tuple[Message, ...]
) -> tuple[Message, ...]:
    """The same for messages."""
    if not guards.judge(agent).says("redact", "input"):
        return messages
    return tuple([await _seen(guards, run, agent, m) if m.role == "user" else m for m in messages])


async def takes_over(guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread, at: float = 0.0) -> str:
    """The rule by which the playbook answers what the user said since the last answer, as `rule ID`; "" where none."""
    if not guards.judge(agent).says("playbook", "input"):
        return ""
    met = False
    for message in reversed(thread.messages):
        if message.role == "assistant" and not message.calls and met:
            break  # what came before was answered; an answer that was sent back stands after what the user said
        if message.role == "user":
            met = True
            facts = known(run, agent, at).model_copy(update={"text": message.text})
            judged = await ask_rules(guards, agent, "input", facts)
            if judged.verdict != "allow":  # a rule that failed denies, and may have been the one
                return f"rule {judged.rule}"
    return ""


async def without(
    guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread, text: str
) -> tuple[str, tuple[str, ...]]:
    """What an agent says, without what rules at `output` take out of it; and these rules."""
    facts = _said(run, agent, thread, text)
    rules = await ask_redactions(guards, agent, "output", facts, thread.messages) if text else ()
    return (await _redacted(guards, run, text, rules) if rules else text), tuple(rule.id for rule in rules)


async def judge_output(  # noqa: PLR0917 - whose text, said after what, and when
    guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread, text: str, at: float = 0.0
) -> Judgement:
    """What the rules say of an agent's answer."""
    return await ask_rules(guards, agent, "output", _said(run, agent, thread, text, at), thread.messages)


async def route_output(guards: Guards, run: RunRef, agent: AgentSpec, thread: Thread, text: str) -> Routed | None:
    """The route that the review of an answer goes."""
    return await ask_route(guards, agent, "output", _said(run, agent, thread, text), thread.messages)


def _said(run: RunRef, agent: AgentSpec, thread: Thread, text: str, at: float = 0.0) -> Facts:
    return known(run, agent, at).model_copy(update={"text": text, "results": thread.done})


async def _redacted(guards: Guards, run: RunRef, text: str, rules: tuple[Rule, ...]) -> str:
    """A text, or the JSON that it is, redacted: a number in JSON that becomes a text stays JSON so."""
    try:
        value = read_answer(text)
    except ValueError:
        return cast("str", await redact(guards, run, text, rules))
    # Written anew whatever was found: where a key stands twice, reading has dropped what is under the first.
    return canonical(await redact(guards, run, value, rules))


async def _seen(guards: Guards, run: RunRef, agent: AgentSpec, message: Message) -> Message:
    key = (run.first, agent.name, digest(message.text))
    if key not in guards.seen:
        facts = known(run, agent).model_copy(update={"text": message.text})
        rules = await ask_redactions(guards, agent, "input", facts)
        guards.seen.put(key, cast("str", await redact(guards, run, message.text, rules)))
    return message.model_copy(update={"text": guards.seen[key]})
