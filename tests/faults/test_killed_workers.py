"""One worker is lost in the middle of six calls, another takes over: what every run comes to."""

import signal
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError

from mainspring.devserver import DevServer
from mainspring.testing.bench import TestRun, connect

if TYPE_CHECKING:
    from conftest import World

LAUNCHERS = {"launcher-after", "launcher-before", "launcher-lost"}
AGENTS = {"thinker", "looker", "sender", *LAUNCHERS}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def runs(temporal_server: DevServer, world: "World") -> AsyncIterator[dict[str, TestRun]]:
    """A run of every agent, after the worker was lost in the middle of its call and another has taken over."""
    world.empty()
    client = await connect(temporal_server.address)
    settings = {**temporal_server.environment, "MAINSPRING_TASK_QUEUE": "faults"}
    runs: dict[str, TestRun] = {}
    with world.worker(settings) as first:
        for agent in sorted(AGENTS):
            handle = await client.start_workflow(agent, "Go", id=f"{agent}-killed", task_queue="faults")
            runs[agent] = TestRun(handle, client)
        for agent in sorted(LAUNCHERS):
            (request,) = await runs[agent].waiting()
            await runs[agent].approve(request)
        await world.attempted(AGENTS, first)
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=30)
        with world.worker(settings):
            yield runs


async def test_a_model_call_is_made_again(runs: dict[str, TestRun], world: "World") -> None:
    """A model call that was cut off is made again, and the run gives the second answer."""
    result = await runs["thinker"].result()

    assert result.answer == "Thought."
    assert len(world.rows("attempts", "thinker")) == 2


async def test_a_read_is_made_again(runs: dict[str, TestRun], world: "World") -> None:
    """A read that was cut off is made again, and the model reads what it found."""
    result = await runs["looker"].result()

    assert result.answer == "7"
    assert len(world.rows("attempts", "looker")) == 2


async def test_an_idempotent_call_takes_effect_once(runs: dict[str, TestRun], world: "World") -> None:
    """An idempotent call is made again with the same key, so its effect is there once."""
    result = await runs["sender"].result()

    first, second = world.rows("attempts", "sender")
    assert result.answer == '"sent"'
    assert first == second
    assert world.rows("effects", "sender") == [first]


async def test_a_once_call_that_happened_is_not_repeated(runs: dict[str, TestRun], world: "World") -> None:
    """Where the table says that it happened and a person confirms it, it stays at one effect."""
    (request,) = await runs["launcher-after"].waiting()
    happened = world.rows("effects", "launcher-after")

    await runs["launcher-after"].answer(request, "happened")
    result = await runs["launcher-after"].result()

    assert request.kind == "outcome"
    assert len(happened) == 1
    assert '"happened":true' in result.answer
    assert world.rows("effects", "launcher-after") == happened


async def test_a_once_call_that_did_not_happen_is_made(runs: dict[str, TestRun], world: "World") -> None:
    """Where the table says that it did not happen and a person says so, it is made, once."""
    (request,) = await runs["launcher-before"].waiting()
    before = world.rows("effects", "launcher-before")

    await runs["launcher-before"].answer(request, "not-happened")
    result = await runs["launcher-before"].result()

    assert (request.kind, before) == ("outcome", [])
    assert result.answer == '"launched"'
    assert len(world.rows("effects", "launcher-before")) == 1


async def test_a_once_call_that_nobody_can_tell_of_ends_the_run(runs: dict[str, TestRun], world: "World") -> None:
    """Giving up ends the run with a sentence that names the tool and what the person said."""
    (request,) = await runs["launcher-lost"].waiting()

    await runs["launcher-lost"].update("answer", {"request": request.id, "outcome": "give-up", "comment": "no trace"})
    with pytest.raises(WorkflowFailureError) as failed:
        await runs["launcher-lost"].result()

    sentence = "A person gave up on launch, whose outcome is not known: no trace"
    assert str(failed.value.cause) == f"UnknownOutcome: {sentence}"
    assert len(world.rows("effects", "launcher-lost")) == 1
