import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import pytest
import pytest_asyncio
from langgraph.graph import END, START, StateGraph
from temporalio.client import WorkflowHistory
from temporalio.testing import ActivityEnvironment

from mainspring import Agent, Graph, tool, use
from mainspring.contracts.steps import RunRef
from mainspring.core.canonical import digest
from mainspring.core.ledger import Entry, Head, Item, Link, advance, make_item, unroll, verify
from mainspring.core.messages import Message
from mainspring.devserver import DevServer
from mainspring.effects import recorded
from mainspring.effects.ledger import Ledger
from mainspring.errors import LedgerError
from mainspring.testing import ScriptedModel, say
from mainspring.testing.bench import Bench, TestRun, connect

ROOT = Path(__file__).parents[3]
TURNS = 12
KEY = "0123456789abcdef"
RUN = RunRef(name="counter", first="first-run", key=KEY, spec="no spec")


@contextmanager
def worker(server: DevServer, queue: str, log: Path, mode: str = "step") -> Iterator[None]:
    """A worker process that remembers nothing from call to call; killed in the end."""
    own = {"LEDGER_QUEUE": queue, "LEDGER_MODE": mode, "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **server.environment, **own}
    command = [sys.executable, str(Path(__file__).with_name("forgetful_worker.py"))]
    with log.open("ab") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Counted(NamedTuple):
    """A run of twelve turns on two forgetful workers."""

    answer: dict[str, Any]
    history: WorkflowHistory


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def counted(temporal_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A run whose every call was made by a worker with an empty cache, one of two."""
    log = tmp_path_factory.mktemp("ledger") / "workers.log"
    client = await connect(temporal_server.address)
    with worker(temporal_server, "forgetful", log), worker(temporal_server, "forgetful", log):
        handle = await client.start_workflow("counter", "Count.", id="counter", task_queue="forgetful")
        run = TestRun(handle, client)
        return Counted(json.loads((await run.result()).answer), await run.history())


async def test_two_workers_without_memory_give_the_right_thread(counted: Counted) -> None:
    """Whoever makes a call, and remembering nothing, sees exactly what was said before it."""
    texts, seals = counted.answer["texts"], counted.answer["seals"]

    assert texts[-1] == '"counted 21"'
    assert seals == [digest(json.dumps(texts[: 1 + 2 * turn])) for turn in range(TURNS)]


async def test_both_workers_made_calls(counted: Counted) -> None:
    """The run was not by chance on one worker alone."""
    workers = {
        event.activity_task_started_event_attributes.identity
        for event in counted.history.events
        if event.HasField("activity_task_started_event_attributes")
    }

    assert len(workers) == 2


async def test_each_text_is_in_history_once(counted: Counted) -> None:
    """Every item stands with its text in exactly one event, and by its digest in all others."""
    texts = texts_by_digest(counted.history)

    assert len(texts) == 1 + 1 + 2 * TURNS + 1  # the spec, the user, call and result of each turn, the answer
    assert set(texts.values()) == {1}


async def test_turns_do_not_grow(counted: Counted) -> None:
    """A late turn takes as many bytes of history as an early one, but for the digits of its numbers."""
    sizes = bytes_per_turn(counted.history)

    assert len(sizes) == TURNS + 1
    assert abs(sizes[TURNS - 1] - sizes[2]) < 64
    assert sizes[2] < 8_000


def texts_by_digest(history: WorkflowHistory) -> Counter[str]:
    """How often the text of each item is in a history."""
    found: Counter[str] = Counter()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("digest") and value.get("text"):
                found[value["digest"]] += 1
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    for event in history.events:
        for payload in payloads_of(event):
            walk(json.loads(payload.data or b"null"))
    return found


def key_in(history: WorkflowHistory) -> str:
    """The run's key, as it was admitted."""
    said = (json.loads(payload.data or b"null") for event in history.events for payload in payloads_of(event))
    return next(each["key"] for each in said if isinstance(each, dict) and "spec" in each)


def payloads_of(event: Any) -> list[Any]:
    """What an event holds of activities: what went in, or what came out."""
    if event.HasField("activity_task_scheduled_event_attributes"):
        return list(event.activity_task_scheduled_event_attributes.input.payloads)
    if event.HasField("marker_recorded_event_attributes"):
        return list(event.marker_recorded_event_attributes.details["result"].payloads)
    return list(event.activity_task_completed_event_attributes.result.payloads)


def bytes_per_turn(history: WorkflowHistory) -> list[int]:
    """Bytes of all events from one model call to the next."""
    sizes: list[int] = []
    for event in history.events:
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == "call_model":
            sizes.append(0)
        if sizes:
            sizes[-1] += event.ByteSize()
    return sizes


# Graphs: a call that is made again


@tool(effect="once", returns="trusted")
def launch(pad: str) -> str:
    """Launch."""
    return f"launched from {pad}"


async def test_a_call_made_again_does_not_repeat_its_text(mainspring: Bench) -> None:
    """A node's own call, asked about and then run, stands in history once."""
    run = await mainspring.start(launch_graph(), "Go")

    (request,) = await run.waiting()
    await run.approve(request)
    await run.result()

    assert set(texts_by_digest(await run.history()).values()) == {1}


class State(TypedDict):
    input: str
    answer: str


def launch_graph() -> Graph:
    """A graph of one node that launches."""

    async def go(_: State) -> dict[str, str]:
        return {"answer": await use(launch, pad="39A")}

    graph = StateGraph(State)
    graph.add_node("go", go)
    graph.add_edge(START, "go")
    graph.add_edge("go", END)
    return Graph("launch-graph", graph, tools=[launch])


# The cache


def item(text: str) -> Item:
    """An item of the run."""
    return make_item(Message(role="user", text=text), KEY)


def name(one: Item) -> str:
    """What the cache calls an item of the run."""
    return f"{ActivityEnvironment.default_info().namespace}/{RUN.first}/{one.digest}"


async def test_a_kept_thread_is_read_without_the_history() -> None:
    """What the worker made itself needs no server to be read."""
    ledger, hello, start = Ledger(), item("hello"), Head(thread="")

    async def read() -> list[str]:
        ledger.keep(RUN, [hello], Link(before=start, appended=(hello.digest,)))
        thread = await ledger.thread(RUN, advance(start, [hello.digest]), ())
        return [message.text for message in thread.messages]

    assert await ActivityEnvironment().run(read) == ["hello"]


async def test_a_changed_text_is_refused() -> None:
    """A text that is not what its digest says is taken neither with a call nor into the cache."""
    ledger, changed = Ledger(), item("hello").model_copy(update={"text": item("bye").text})

    with pytest.raises(LedgerError, match="does not fit its digest"):
        ActivityEnvironment().run(ledger.keep, RUN, [changed])
    with pytest.raises(LedgerError, match="does not fit its digest"):
        await ActivityEnvironment().run(ledger.thread, RUN, Head(thread=""), (Entry(**changed.model_dump()),))

    assert ledger.size == 0


async def test_a_run_that_was_admitted_anew_is_read_from_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local activity may be told of an admission that its workflow task never records."""
    ledger, anew = Ledger(), RUN.model_copy(update={"key": "fedcba9876543210"})

    async def beginning() -> tuple[RunRef, recorded.Page]:
        return anew, recorded.Page()

    async def read() -> RunRef:
        await ledger.run(RUN)
        return await ledger.run(None)

    monkeypatch.setattr(recorded, "beginning", beginning)
    assert await ActivityEnvironment().run(read) == anew


async def test_the_cache_is_bounded_in_bytes() -> None:
    """However much is kept, the cache stays within its limit, counted in bytes, not in characters."""
    ledger, items = Ledger(limit=10_000), [item(f"{number:02} " + "é" * 400) for number in range(30)]

    ActivityEnvironment().run(ledger.keep, RUN, items)
    held = [one for one in items if ledger.text(name(one))]

    assert held == items[-len(held) :]
    assert ledger.size == sum(len(one.text.encode()) for one in held) <= 10_000
    assert len(held) == 10_000 // 2 // len(items[0].text.encode())  # the other half is for threads put together


async def test_what_is_used_stays() -> None:
    """A full cache drops what was asked for longest ago."""
    ledger, used, *others = Ledger(limit=2_000), *(item(f"{number:02} " + "x" * 400) for number in range(9))

    for one in others:
        ActivityEnvironment().run(ledger.keep, RUN, [used, one])

    assert ledger.text(name(used))
    assert ledger.text(name(others[0])) is None


async def test_a_head_that_history_does_not_lead_to_is_named(mainspring: Bench) -> None:
    """Where the run's history has no link to a head, the error says which thread and item."""
    run = await mainspring.start(Agent("pilot", instructions="Fly."), "Hi", model=ScriptedModel(say("Hello.")))
    await run.result()
    at = ActivityEnvironment(client=mainspring.client)
    at.info = replace(
        at.info,
        namespace=mainspring.client.namespace,
        workflow_id=run.handle.id,
        workflow_run_id=run.handle.first_execution_run_id,
    )
    key = key_in(await run.history())

    with pytest.raises(LedgerError, match="thread '4': no step of this run leads to item 3 of 3"):
        await at.run(Ledger().thread, RUN.model_copy(update={"key": key}), Head(thread="4", count=3, head="no"), ())
    with pytest.raises(LedgerError, match="does not fit its digest: the history or a cache was changed"):
        await at.run(Ledger().thread, RUN, Head(thread="4", count=3, head="no"), ())


def test_a_thread_unrolls_to_its_items_in_order() -> None:
    """The links of a thread give its items oldest first, in whatever order the links were found."""
    start = Head(thread="2")
    middle = advance(start, ["a", "b"])
    end = advance(middle, ["c"])
    links = {end.head: Link(before=middle, appended=("c",)), middle.head: Link(before=start, appended=("a", "b"))}

    assert unroll(end, links.get) == ("a", "b", "c")


def test_heads_of_other_threads_and_orders_differ() -> None:
    """A head stands for one thread and one order of items."""
    heads = {advance(Head(thread=thread), order).head for thread in ("", "2") for order in (["a", "b"], ["b", "a"])}

    assert len(heads) == 4


def test_a_missing_link_is_said_in_words() -> None:
    """Without a link there is no guess at the thread, but a sentence that names it."""
    head = advance(Head(thread="2"), ["a", "b"])

    with pytest.raises(LedgerError, match="thread '2': no step of this run leads to item 2 of 2"):
        unroll(head, {}.get)


def test_an_item_of_another_run_does_not_pass() -> None:
    """Digests are made with the run's own key."""
    with pytest.raises(LedgerError, match="does not fit its digest"):
        verify(item("hello"), "another key")
