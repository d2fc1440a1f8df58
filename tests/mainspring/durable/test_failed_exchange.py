"""A session goes on after an exchange that failed, and knows what was done in it."""

import asyncio
from pathlib import Path

from mainspring import Agent, tool
from mainspring.contracts import names
from mainspring.ports.model import ModelRequest
from mainspring.testing import ScriptedModel, call, calls, fail, say
from mainspring.testing.bench import Bench, TestRun
from mainspring.testing.scripted import Step

RULES = """
rules:
  - id: paid-once
    point: tool_call
    tool: pay
    when: results.exists(r, r.tool == "pay" && r.status == "ok")
    verdict: deny
    reason: It was paid already.
  - id: else
    point: tool_call
    when: "true"
    verdict: allow
    reason: Nothing speaks against it.
"""


@tool(effect="once", returns="trusted")
async def pay(name: str) -> str:
    """Pay."""
    return f"paid {name}"


@tool(effect="once", returns="trusted")
async def launch() -> str:
    """Launch."""
    raise RuntimeError("the line broke")


def agent(folder: Path, *tools: object) -> Agent[str]:
    """An agent that pays once in a conversation."""
    (folder / "rules.yaml").write_text(RULES)
    return Agent("payer", instructions="Pay.", tools=tools, rules=folder / "rules.yaml")  # type: ignore[arg-type]


async def ask(run: TestRun, text: str) -> str:
    """Send a message; how its exchange ended."""
    sent = await run.handle.execute_update(names.SEND, text)
    answer = await run.handle.execute_update(names.REPLY, {"message": sent["message"]})
    return answer["status"]


def fails_after_the_payment(request: ModelRequest) -> Step:
    """Fail for good over the payment's result, and pay again when asked again."""
    unread = request.messages[-1].role == "tool"
    return fail("down for long", retryable=False) if unread else call("pay", name="ada")


async def test_what_was_paid_before_the_model_failed_is_known(mainspring: Bench, tmp_path: Path) -> None:
    """A result that the model never answered, since it failed, is read and judged with the next message."""
    model = ScriptedModel(call("pay", name="ada"), fails_after_the_payment, say("It was paid already."))
    run = await mainspring.start(agent(tmp_path, pay), {}, model=model)

    assert (await ask(run, "Pay."), await ask(run, "Did you?")) == ("failed", "answered")
    seen = [(message.role, message.status) for message in model.requests[-1].messages]
    assert seen == [
        ("user", "ok"),
        ("assistant", "ok"),
        ("tool", "ok"),
        ("user", "ok"),
        ("assistant", "ok"),
        ("tool", "denied"),
    ]


async def test_a_call_that_ends_after_its_exchange_failed_is_known(mainspring: Bench, tmp_path: Path) -> None:
    """A `once` call that was under way when the exchange failed is seen to its end, and the model reads it next."""
    began, go = asyncio.Event(), asyncio.Event()

    @tool(effect="once", returns="trusted", name="pay")
    async def pay_slowly(name: str) -> str:
        """Pay slowly."""
        began.set()
        await go.wait()
        return f"paid {name}"

    both = calls(call("pay", name="ada"), call("launch"))
    model = ScriptedModel(both, say("I see."))
    run = await mainspring.start(agent(tmp_path, pay_slowly, launch), {}, model=model)
    first = asyncio.create_task(ask(run, "Pay, and launch."))
    await began.wait()
    await run.answer((await run.waiting())[0], "give-up")
    go.set()

    assert (await first, await ask(run, "What now?")) == ("failed", "answered")
    told = [(m.tool, m.status) for m in model.requests[-1].messages if m.role == "tool"]
    assert told == [("pay", "ok"), ("launch", "error")]
