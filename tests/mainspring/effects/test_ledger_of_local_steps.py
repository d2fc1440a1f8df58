"""The ledger where steps are local activities: their arguments are not in history, and their results only later."""

import asyncio
import json
from pathlib import Path

import pytest

from mainspring import Agent, tool
from mainspring.core.canonical import digest
from mainspring.core.spec import Mode
from mainspring.devserver import DevServer
from mainspring.serve import Project
from mainspring.testing import ScriptedModel, call, calls, say
from mainspring.testing.bench import Bench, connect
from tests.mainspring.durable.reading import steps
from tests.mainspring.effects.test_ledger import TURNS, texts_by_digest, worker


@pytest.mark.parametrize("mode", ["turn", "fast"])
async def test_workers_without_memory_give_the_right_thread(
    temporal_server: DevServer, tmp_path: Path, mode: Mode
) -> None:
    """Whoever makes a call, remembering nothing, sees exactly what was said before it; each text is in history once."""
    client, log = await connect(temporal_server.address), tmp_path / "workers.log"
    queue = f"forgetful-{mode}"
    with worker(temporal_server, queue, log, mode), worker(temporal_server, queue, log, mode):
        handle = await client.start_workflow("counter", "Count.", id=f"counter-{mode}", task_queue=queue)
        answer = json.loads((await handle.result())["answer"])

    history = await client.get_workflow_handle(handle.id).fetch_history()
    assert answer["texts"][-1] == '"counted 21"'
    assert answer["seals"] == [digest(json.dumps(answer["texts"][: 1 + 2 * turn])) for turn in range(TURNS)]
    assert set(texts_by_digest(history).values()) == {1}


async def test_what_is_not_in_history_yet_is_left_to_an_ordinary_activity(
    temporal_server: DevServer, tmp_path: Path
) -> None:
    """A local activity finds nothing of its own workflow task in history; the step is made again where it does."""
    client, log = await connect(temporal_server.address), tmp_path / "workers.log"
    with worker(temporal_server, "forgetful-again", log, "fast"):
        handle = await client.start_workflow("counter", "Count.", id="counter-again", task_queue="forgetful-again")
        await handle.result()

    made = steps(await client.get_workflow_handle(handle.id).fetch_history())
    again = [step.removeprefix("failed local ") for step in made if step.startswith("failed")]
    assert again
    assert set(again) <= set(made)


@tool(effect="read", returns="trusted")
def look(number: int) -> str:
    """Look at a number."""
    return f"seen {number}"


@tool(effect="once", returns="trusted")
def launch(pad: int) -> str:
    """Launch what stands on the pad."""
    return f"launched from {pad}"


def script() -> ScriptedModel:
    """Two messages with reads, one of them denied nothing, and a call that waits for a person."""
    two = calls(call("look", number=1), call("look", number=2))
    return ScriptedModel(
        two, call("look"), call("look", number=3), call("launch", pad=4), call("look", number=5), say("x")
    )


def pilot(mode: Mode) -> Agent[str]:
    """An agent of this mode."""
    return Agent("pilot", instructions="Fly.", tools=[look, launch], mode=mode)


@pytest.mark.parametrize("mode", ["step", "turn", "fast"])
async def test_a_new_worker_reads_what_local_steps_recorded(mainspring: Bench, mode: Mode) -> None:
    """A run that goes on elsewhere has the same thread, also what the workflow itself said in it."""
    model = script()
    project, settings = Project(pilot(mode), models={"test:model": model}), mainspring.settings(model="test:model")
    await mainspring.work(project, settings)
    run = await mainspring.submit("pilot", "Go", settings.task_queue)
    (request,) = await run.waiting()

    await mainspring.close()
    await mainspring.work(project, settings)
    await run.approve(request)
    await run.result()

    before, after = model.requests[3].messages, model.requests[4].messages
    assert after[: len(before)] == before
    assert [message.value for message in after[-1:]] == ["launched from 4"]
    assert "number: Field required" in str(before)


@pytest.mark.parametrize("mode", ["step", "turn", "fast"])
async def test_each_text_is_in_history_once(mainspring: Bench, mode: Mode) -> None:
    """Whatever is local: what was said stands in one event, in the requests or in the results."""
    run = await mainspring.start(pilot(mode), "Go", model=script())
    await run.approve((await run.waiting())[0])
    await run.result()

    found = texts_by_digest(await run.history())

    assert set(found.values()) == {1}
    assert len(found) == (0 if mode == "fast" else 1) + 1 + 6 + 6


async def test_texts_that_travel_by_value_are_kept_by_the_worker_that_made_them(mainspring: Bench) -> None:
    """In one workflow task of a fast run the next call is given what the last one said, without reading anything."""
    run = await mainspring.start(pilot("fast"), "Go", model=ScriptedModel(*[call("look", number=1)] * 6, say("Done.")))
    await run.result()

    made = steps(await run.history())

    assert len([step for step in made if step.startswith("local")]) == 7 + 6 + 1
    assert not [step for step in made if step.startswith("failed")]


async def test_calls_side_by_side_all_find_their_thread(mainspring: Bench) -> None:
    """Many calls at once on a worker that remembers nothing of the run wait for one reader, and all are made."""
    seen: list[int] = []
    ready = asyncio.Event()

    @tool(effect="idempotent", returns="trusted")
    async def mark(number: int) -> int:
        """Mark a number; all of them at once."""
        seen.append(number)
        if len(seen) == 8:
            ready.set()
        await ready.wait()
        return number

    batch = calls(*(call("mark", number=number) for number in range(8)))
    model = ScriptedModel(call("launch", pad=1), batch, say("Done."))
    agent: Agent[str] = Agent("marker", instructions="Mark.", tools=[mark, launch])
    project, settings = Project(agent, models={"test:model": model}), mainspring.settings(model="test:model")
    await mainspring.work(project, settings)
    run = await mainspring.submit("marker", "Go", settings.task_queue)
    (request,) = await run.waiting()

    await mainspring.close()
    await mainspring.work(project, settings)
    await run.approve(request)
    await run.result()

    assert sorted(seen) == list(range(8))
