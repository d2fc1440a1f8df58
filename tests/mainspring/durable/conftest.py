"""What the tests of runs share: ways to have one continue as new, and to start one with an update."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from mainspring import Agent
from mainspring.durable import continuing
from mainspring.ports.model import Model
from mainspring.serve import Project
from mainspring.testing.bench import Bench, TestRun
from tests.mainspring.durable.reading import until

Move = Callable[..., Awaitable[None]]
WithStart = Callable[..., Awaitable[tuple[TestRun, Any]]]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Has a run that waits continue as new: `move(run)`. It sees the length of its history when an update comes.

    The update is `resume`, which changes nothing in a run that is not paused; for one that is, `move(run, "pause")`.
    """

    async def moved(run: TestRun, poke: str = "resume") -> None:
        before = (await run.handle.describe()).run_id

        async def has_moved() -> bool:
            return (await run.handle.describe()).run_id != before

        monkeypatch.setattr(continuing, "EVENTS", len((await run.history()).events))
        await run.update(poke)
        await until(has_moved)
        monkeypatch.setattr(continuing, "EVENTS", 2500)

    return moved


@pytest.fixture
async def with_start(mainspring: Bench) -> WithStart:
    """Sends an update to a run, which is started by that where it does not run yet; gives both."""
    settings = mainspring.settings(model="test:model")
    serving: set[str] = set()

    async def send(agent: Agent[Any], model: Model, update: str, *form: Any, given: Any = None) -> tuple[TestRun, Any]:
        if agent.name not in serving:
            await mainspring.work(Project(agent, models={"test:model": model}), settings)
            serving.add(agent.name)
        start: Any = WithStartWorkflowOperation(
            agent.name,
            args=[] if given is None else [given],
            id=f"with-start-{settings.task_queue}",
            task_queue=settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        execute: Any = mainspring.client.execute_update_with_start_workflow
        answer = await execute(update, args=form, start_workflow_operation=start)
        return TestRun(await start.workflow_handle(), mainspring.client), answer

    return send


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a rule file; gives its path."""

    def write(rules: str) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(rules)
        return path

    return write
