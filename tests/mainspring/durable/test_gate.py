"""The gate holds: whatever a model batches, a deploy changes or a person cancels, nothing runs unasked or unseen."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError

from mainspring import Agent, ToolError, tool
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench

RULES = """
rules:
  - id: unchecked
    point: tool_call
    tool: pay
    when: '!results.exists(r, r.tool == "check" && r.status == "ok")'
    verdict: ask
    reason: The customer was not checked.
  - id: never-carl
    point: tool_call
    tool: check
    when: args.name == "carl"
    verdict: deny
    reason: Not him.
"""


@tool(effect="read", returns="trusted")
def check(name: str) -> str:
    """Check a customer."""
    if name == "bob":
        raise ToolError("bob is unknown")
    return "fine"


@tool(effect="once", returns="trusted")
def pay(amount_cents: int, account: str = "main") -> str:
    """Pay."""
    return f"paid {amount_cents} from {account}"


@pytest.fixture
def agent(tmp_path: Path) -> Agent[str]:
    """An agent that must check before it pays unasked."""
    (tmp_path / "rules.yaml").write_text(RULES)
    return Agent("payer", instructions="Pay.", tools=[check, pay], rules=tmp_path / "rules.yaml")


@pytest.mark.parametrize("name", ["ada", "bob", "carl"])
async def test_a_batch_is_not_a_way_round_a_rule(mainspring: Bench, agent: Agent[str], name: str) -> None:
    """A call that leans on an earlier one of its message is asked about, since that one may come to nothing."""
    batch = calls(call("check", name=name), call("pay", amount_cents=5))
    run = await mainspring.start(agent, "pay", model=ScriptedModel(batch, say("done")))

    (request,) = await run.waiting()
    await run.deny(request)

    assert request.rule == "unchecked"


async def test_a_checked_customer_is_paid_unasked(mainspring: Bench, agent: Agent[str]) -> None:
    """Once the earlier call has ended well, the rule is content."""
    model = ScriptedModel(call("check", name="ada"), call("pay", amount_cents=5), say("done"))
    run = await mainspring.start(agent, "pay", model=model)

    assert (await run.result()).answer == "done"


async def test_the_approver_sees_what_will_run(mainspring: Bench, agent: Agent[str]) -> None:
    """Arguments are shown as parsed, with defaults: what is approved is what runs."""
    model = ScriptedModel(call("pay", amount_cents="5"), say("done"))
    run = await mainspring.start(agent, "pay", model=model)

    (request,) = await run.waiting()
    await run.approve(request)
    await run.result()

    assert request.args == {"amount_cents": 5, "account": "main"}
    assert model.requests[-1].messages[-1].value == "paid 5 from main"


async def test_a_tool_that_became_irrevocable_is_not_repeated(mainspring: Bench) -> None:
    """A run admitted when a tool was repeatable does not run it once it no longer is."""
    attempts: list[int] = []

    @tool(effect="idempotent", returns="trusted", name="send")
    def send_before() -> str:
        """Send."""
        return "sent"

    @tool(effect="once", returns="trusted", name="send")
    def send_after() -> str:
        """Send."""
        attempts.append(1)
        raise RuntimeError("lost")

    @tool(effect="once", returns="trusted")
    def hold() -> str:
        """Hold."""
        return "held"

    model = ScriptedModel(call("hold"), call("send"), say("done"))
    settings = mainspring.settings(model="test:model")
    before, after = (
        Project(Agent("sender", instructions="Send.", tools=[hold, send]), models={"test:model": model})
        for send in (send_before, send_after)
    )
    await mainspring.work(before, settings)
    run = await mainspring.submit("sender", "send", settings.task_queue)
    (request,) = await run.waiting()
    await mainspring.close()
    await mainspring.work(after, settings)
    await run.approve(request)

    assert (await run.result()).answer == "done"
    assert not attempts
    assert "its effect is 'once' on this worker" in model.requests[-1].messages[-1].text


@pytest.mark.parametrize("stop", ["cancel", "worker"])
async def test_a_once_call_that_began_is_seen_to_its_end(mainspring: Bench, stop: str) -> None:
    """Cancelling the run or stopping the worker in the middle leaves the call's end in history."""
    began, go = asyncio.Event(), asyncio.Event()

    @tool(effect="once", returns="trusted")
    async def slow_pay() -> str:
        """Pay slowly."""
        began.set()
        await go.wait()
        return "paid slowly"

    agent: Agent[str] = Agent("slow-payer", instructions="Pay.", tools=[slow_pay])
    run = await mainspring.start(agent, "pay", model=ScriptedModel(call("slow_pay"), say("done")))
    await run.approve((await run.waiting())[0])
    await began.wait()
    stopping = asyncio.create_task(run.handle.cancel() if stop == "cancel" else mainspring.close())
    asyncio.get_running_loop().call_later(2, go.set)
    await stopping
    if stop == "cancel":
        with pytest.raises(WorkflowFailureError):
            await run.result()

    assert "paid slowly" in _results(await run.history())


def _results(history: object) -> str:
    return " ".join(
        payload.data.decode()
        for event in history.events  # type: ignore[attr-defined]
        for payload in event.activity_task_completed_event_attributes.result.payloads
    )
