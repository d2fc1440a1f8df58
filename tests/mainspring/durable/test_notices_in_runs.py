"""People are told that a request waits, by a real webhook: once on each occasion, whatever happens in between."""

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from mainspring import Agent, tool
from mainspring.durable import approvals
from mainspring.ports.notifier import Channel
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.adapters.listening import Ear, listening
from tests.mainspring.durable.conftest import Move
from tests.mainspring.durable.reading import until

RULES = """
approvals:
  groups: {finance: [ada@example.com], board: [cy@example.com]}
  routes:
    - id: paid
      tool: pay
      who: [finance]
      remind: 1h
      escalate: {after: 2h, to: [board]}
      deadline: 4h
      then: {hand over: [board]}
      notify: [desk]
rules:
  - {id: pay, point: tool_call, tool: pay, when: "true", verdict: ask, reason: Somebody looks at payments.}
"""


@tool("once", returns="trusted", accepts="external")
def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


@pytest.fixture
def ear() -> Iterator[Ear]:
    """Who listens."""
    with listening() as started:
        yield started


@pytest.fixture
def start(mainspring: Bench, rules: Any, ear: Ear) -> Any:
    """Starts a run that wants to pay."""

    async def started(count: int = 1) -> TestRun:
        agent = Agent("desk", instructions="Pay.", tools=[pay], rules=rules(RULES))
        secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
        channel = Channel(url=f"webhook+http://127.0.0.1:{ear.port}/", secret=secret)
        settings = mainspring.settings(model="test:model").model_copy(update={"notify": {"desk": channel}})
        model = ScriptedModel(calls(*[call("pay", cents=500)] * count), say("Done."))
        await mainspring.work(Project(agent, models={"test:model": model}), settings)
        return await mainspring.submit("desk", "Pay.", settings.task_queue)

    return started


def occasions(ear: Ear) -> list[str]:
    """On what occasions somebody was told, in their order."""
    return [json.loads(each.body)["type"].rpartition(".")[2] for each in ear.posted]


async def heard(ear: Ear) -> None:
    """Wait until something more is told."""
    assert await asyncio.to_thread(ear.arrived.acquire, timeout=60)


async def test_each_occasion_is_told_once(start: Any, ear: Ear, move: Move) -> None:
    """Asked, reminded, escalated, handed over, decided; also where the run continues as new in between."""
    run = await start()
    await run.waiting()
    await heard(ear)
    await move(run)
    for hours in (1.1, 1, 2):
        await run.skip(timedelta(hours=hours))
        await heard(ear)
    (request,) = await run.waiting()
    await (await run.by("cy@example.com")).approve(request)
    await run.result()

    assert occasions(ear) == ["asked", "reminded", "escalated", "handed_over", "decided"]
    assert len({each.headers["webhook-id"] for each in ear.posted}) == 5
    assert b"500" not in b"".join(each.body for each in ear.posted)


async def test_a_receiver_that_fails_is_told_again(start: Any, ear: Ear) -> None:
    """With the same id, and the run waits all the same."""
    ear.answers = [503, 200]
    run = await start()
    (request,) = await run.waiting()
    await heard(ear)
    await heard(ear)

    first, second = ear.posted[:2]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    await (await run.by("ada@example.com")).deny(request)
    await run.result()


async def test_what_was_decided_is_told_in_the_next_execution(
    start: Any, ear: Ear, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the channel failed for so long that the run went on without it."""
    monkeypatch.setattr(approvals, "_LAST_WORDS", timedelta(seconds=0.2))
    run = await start(2)
    one, _ = await run.waiting(2)
    await until(lambda: _is(occasions(ear) == ["asked", "asked"]))
    ear.answers = [503] * 100
    await (await run.by("ada@example.com")).approve(one)
    await move(run)

    ear.answers = []
    so_far = len(ear.posted)
    await until(lambda: _is("decided" in occasions(ear)[so_far:]))


async def _is(fact: bool) -> bool:
    return fact
