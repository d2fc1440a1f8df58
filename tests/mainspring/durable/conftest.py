"""What the tests of runs share: a way to have one continue as new."""

from collections.abc import Awaitable, Callable

import pytest

from mainspring.durable import continuing
from mainspring.testing.bench import TestRun

Move = Callable[..., Awaitable[None]]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Has a run that waits continue as new: `move(run)`. It sees the length of its history when an update comes.

    The update is `resume`, which changes nothing in a run that is not paused; for one that is, `move(run, "pause")`.
    """

    async def moved(run: TestRun, poke: str = "resume") -> None:
        before = (await run.handle.describe()).run_id
        monkeypatch.setattr(continuing, "EVENTS", len((await run.history()).events))
        await run.update(poke)
        while (await run.handle.describe()).run_id == before:
            pass
        monkeypatch.setattr(continuing, "EVENTS", 2500)

    return moved
