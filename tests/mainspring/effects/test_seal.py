import pytest
from langgraph.store.memory import InMemoryStore
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from mainspring.adapters.store_memory import StoreMemory
from mainspring.contracts.steps import RunRef, Sealed, SealWork, Window
from mainspring.core.ledger import Head, Link, advance, make_item
from mainspring.core.messages import Message
from mainspring.core.spec import AgentSpec, Spec
from mainspring.effects import recorded
from mainspring.effects.guards import Guards
from mainspring.effects.seal import CARRIED, CHUNK, INLINE, seal
from mainspring.effects.world import ITEM_LIMIT, World
from mainspring.telemetry.export import Exporter

KEY = "0123456789abcdef"
PILOT = AgentSpec(name="pilot", instructions="Fly.", models=("test:model",))
SPEC = make_item(Spec(name="pilot", kind="agent", agents=(PILOT,), turn=1), KEY)
RUN = RunRef(name="pilot", first="first-run", key=KEY, spec=SPEC.digest)


def world(item_limit: int = ITEM_LIMIT) -> World:
    """A worker of nothing, which holds a ledger."""
    return World(
        agents={},
        graphs={},
        guards=Guards({}),
        default_model="",
        open_model=lambda *_: pytest.fail("no model is asked"),
        price=lambda *_: 0,
        memory=StoreMemory(InMemoryStore()),
        exporter=Exporter(),
        item_limit=item_limit,
    )


async def sealed(one: World, threads: dict[str, list[str]], beside: int = 0) -> Sealed:
    """What is carried over of these threads, by a worker that holds them."""

    async def beginning() -> tuple[RunRef, recorded.Page]:
        return RUN, recorded.Page()

    async def work() -> Sealed:
        one.ledger.keep(RUN, [SPEC])
        windows: list[Window] = []
        for thread, texts in threads.items():
            items = [make_item(Message(role="user", text=text), KEY) for text in texts]
            digests, start = tuple(item.digest for item in items), Head(thread=thread)
            one.ledger.keep(RUN, items, Link(before=start, appended=digests))
            windows.append(Window(agent="pilot", head=advance(start, digests)))
        return await seal(one, SealWork(windows=tuple(windows), beside=beside))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "beginning", beginning)
        return await ActivityEnvironment().run(work)


def texts_of(made: Sealed, thread: str) -> list[str]:
    """What was said in a thread, as its chunks have it."""
    items = [item for chunk in made.chunks if chunk.thread == thread for item in chunk.items]
    return [Message.model_validate_json(item.text).text for item in items]


async def test_every_thread_is_sealed_whole() -> None:
    """Each thread under way is carried with all of its messages, in their order."""
    threads = {"": ["one", "two"], "2": ["three"]}

    made = await sealed(world(), threads)

    assert {thread: texts_of(made, thread) for thread in threads} == threads


async def test_a_window_is_parted_into_chunks() -> None:
    """A payload has a limit, so a long thread is several of them; a chunk has one message at least."""
    texts = [f"{number}" * 400_000 for number in range(6)] + ["x" * 2_000_000]

    made = await sealed(world(item_limit=3_000_000), {"": texts})

    assert [len(chunk.items) for chunk in made.chunks] == [2, 2, 2, 1]
    assert texts_of(made, "") == texts


@pytest.mark.parametrize("letter", ["x", "é", "語", '"', "\\", "\n"])
async def test_chunks_are_measured_as_they_are_written(letter: str) -> None:
    """Other alphabets, and characters that are escaped where a text stands in a text, take more bytes than letters."""
    made = await sealed(world(item_limit=3_000_000), {"": [letter * 10_000 for _ in range(60)]})

    assert max(len(chunk.model_dump_json().encode()) for chunk in made.chunks) <= CHUNK + 200
    assert sum(len(chunk.items) for chunk in made.chunks) == 60


async def test_long_threads_are_made_shorter_where_payloads_stay_in_history() -> None:
    """The newest messages stay, a note stands for the others, and the new head leads to just these."""
    texts = [f"{number} " + "x" * 1_000 for number in range(400)]

    made = await sealed(world(), {"": texts, "2": texts})

    for head in made.heads:
        chunk = next(chunk for chunk in made.chunks if chunk.thread == head.thread)
        note, *kept = texts_of(made, head.thread)
        assert advance(Head(thread=head.thread), [item.digest for item in chunk.items]) == head
        assert kept == texts[-len(kept) :]
        assert note == "Earlier messages were left out here."
    assert len(made.heads) == 2
    assert INLINE * 0.9 < sum(len(chunk.model_dump_json()) for chunk in made.chunks) < INLINE * 1.1


@pytest.mark.parametrize(("letters", "beside"), [(1_600_000, 0), (1_000_000, 600_000), (0, 1_600_000)])
async def test_too_much_to_carry_is_named(letters: int, beside: int) -> None:
    """The server takes so much and no more: one message stays in any case; the error says how much it is."""
    texts = ["x" * letters] if letters else []

    with pytest.raises(ApplicationError) as refused:
        await sealed(world(), {"": texts}, beside)

    assert refused.value.type == "WindowTooLarge"
    assert refused.value.non_retryable
    assert f"{beside} of them beside its messages. At most {CARRIED} fit" in refused.value.message


async def test_large_windows_are_carried_where_payloads_are_stored_elsewhere() -> None:
    """Outside the history there is room."""
    made = await sealed(world(item_limit=ITEM_LIMIT * 100), {"": ["x" * 100_000 for _ in range(40)]})

    assert len(made.chunks) == 4
