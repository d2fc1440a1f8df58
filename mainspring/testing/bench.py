"""Runs agents in tests: a real Temporal server, a real worker, a scripted model, skipped time.

Test side only. Everything is as in production but the model: the same worker, rules, approvals and
history. A `Bench` is what the pytest fixture `mainspring` gives.
"""

import asyncio
import uuid
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import FailureError
from temporalio.testing import TimeSkipper

from mainspring.contracts import names
from mainspring.contracts.carried import Exchange
from mainspring.contracts.run import RunResult
from mainspring.core.approvals import Request
from mainspring.core.canonical import Json
from mainspring.definitions import Agent, Graph
from mainspring.ports.memory import Memory
from mainspring.ports.model import Model
from mainspring.serve import Project, data_converter, working
from mainspring.settings import Settings

_PATIENCE = timedelta(seconds=60)
_MODEL = "test:model"


class TestRun:
    """One run under test."""

    __test__ = False

    def __init__(self, handle: WorkflowHandle[Any, Any], client: Client) -> None:
        """Wrap a started run."""
        self.handle = handle
        self._client = client
        self._skipper = TimeSkipper(client)

    async def waiting(self, count: int = 1) -> list[Request]:
        """What waits for a person, once at least `count` requests do.

        Raises:
            AssertionError: the run ended, or nobody was asked within a minute.
        """
        ended = asyncio.create_task(self.handle.result())
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                while not ended.done():
                    requests: list[Request] = await self.handle.query(names.WAITING, result_type=list[Request])
                    if len(requests) >= count:
                        return requests
                    await asyncio.wait([ended], timeout=0.05)
        except TimeoutError:
            raise AssertionError(f"run {self.handle.id!r} asked nobody within {_PATIENCE}") from None
        finally:
            ended.cancel()
        how = f"failed: {ended.exception()}" if ended.exception() else f"gave {ended.result()!r}"
        raise AssertionError(f"run {self.handle.id!r} ended before it asked {count} time(s); it {how}")

    async def by(self, person: str) -> "TestRun":
        """The same run, as somebody else sees it: what they decide is recorded as `claimed` by them."""
        client = self._client
        theirs = await Client.connect(
            client.service_client.config.target_host,
            namespace=client.namespace,
            data_converter=client.data_converter,
            identity=f"test:{person}",
        )
        handle: WorkflowHandle[Any, Any] = theirs.get_workflow_handle(
            self.handle.id, first_execution_run_id=self.handle.first_execution_run_id
        )
        return TestRun(handle, theirs)

    async def approve(
        self, request: Request, comment: str = "", *, answer: str = "", args: dict[str, Json] | None = None
    ) -> str:
        """Approve; gives the sentence the approver reads.

        `answer` is given instead of one under review; `args` are other arguments for a call.
        """
        form: dict[str, Json] = {"request": request.id, "binding": request.binding, "comment": comment}
        if answer:
            form["answer"] = answer
        if args is not None:
            form["args"] = args
        return await self.update(names.APPROVE, form)

    async def deny(self, request: Request, comment: str = "", *, stop: bool = False) -> str:
        """Deny, with the reason the model reads; and stop the run."""
        form: dict[str, Json] = {"request": request.id, "comment": comment}
        return await self.update(names.DENY, {**form, "stop": True} if stop else form)

    async def answer(self, request: Request, outcome: str = "", *, text: str = "") -> str:
        """Say how a call ended (`happened`, `not-happened` or `give-up`), or answer a question with a text."""
        said: dict[str, Json] = {"answer": text} if text else {"outcome": outcome}
        return await self.update(names.ANSWER, {"request": request.id, **said})

    async def take_over(self, request: Request, answer: str) -> str:
        """Finish the conversation in the agent's place."""
        return await self.update(names.TAKE_OVER, {"request": request.id, "answer": answer})

    async def send(self, text: str, *, update_id: str = "") -> Exchange:
        """Send a message to a session; gives its number, before it is answered."""
        return Exchange.model_validate(await self._update(names.SEND, text, update_id))

    async def reply(self, message: int) -> Exchange:
        """What came of a message of a session, once it is answered (or has failed)."""
        while True:
            exchange = Exchange.model_validate(await self._update(names.REPLY, {"message": message}))
            if exchange.status in ("answered", "failed"):
                return exchange

    async def update(self, name: str, form: Json = None, *, update_id: str = "") -> str:
        """Send any update, as the Web UI does.

        Raises:
            WorkflowUpdateFailedError: the run refused it.
        """
        return str(await self._update(name, form, update_id))

    async def _update(self, name: str, form: Json = None, update_id: str = "") -> Any:
        args = [] if form is None else [form]
        update: Any = self.handle.execute_update  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return await update(name, args=args, id=update_id or None)

    async def refusal_of(self, name: str, form: Json = None) -> str:
        """The sentence with which an update is refused.

        Raises:
            AssertionError: it was accepted.
        """
        try:
            accepted = await self._update(name, form)
        except WorkflowUpdateFailedError as error:
            return error.cause.message if isinstance(error.cause, FailureError) else str(error.cause)
        raise AssertionError(f"update {name!r} was accepted: {accepted}")

    async def result(self) -> RunResult:
        """What the run gives.

        Raises:
            WorkflowFailureError: it failed; its `cause` has the sentence.
            AssertionError: it did not end within a minute.
        """
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                return RunResult.model_validate(await self.handle.result())
        except TimeoutError:
            raise AssertionError(f"run {self.handle.id!r} did not end within {_PATIENCE}") from None

    async def skip(self, time: timedelta) -> None:
        """Let this much time pass in the run (experimental in Temporal's SDK)."""
        await self._skipper.fast_forward(self.handle, time)

    async def history(self) -> WorkflowHistory:
        """Everything recorded so far."""
        return await self.handle.fetch_history()


class Bench:
    """Starts workers and runs on one real server; everything ends with the test."""

    def __init__(self, client: Client, folder: Path) -> None:
        """Work against this server, with state in this folder."""
        self.client = client
        self.folder = folder
        self._stack = AsyncExitStack()

    async def start(
        self,
        what: Agent[Any] | Graph,
        given: Json = None,
        *,
        model: Model | None = None,
        memory: Memory | None = None,
    ) -> TestRun:
        """Start a run on a worker of its own; without an input it is a session.

        Without a model, the agents' playbooks answer.
        """
        project = Project(what, models={_MODEL: model} if model else {}, memory=memory)
        settings = self.settings(model=_MODEL if model else "playbook")
        await self.work(project, settings)
        return await self.submit(what.name, given, settings.task_queue)

    async def work(self, project: Project, settings: Settings) -> None:
        """Run a worker until the test ends."""
        await self._stack.enter_async_context(working(project, self.client, settings))

    async def submit(self, name: str, given: Json, task_queue: str) -> TestRun:
        """Start a run of a workflow type, as any client would."""
        run_id = f"{name}-{uuid.uuid4().hex[:8]}"
        args = [] if given is None else [given]
        handle = await self.client.start_workflow(name, args=args, id=run_id, task_queue=task_queue)
        return TestRun(handle, self.client)

    def settings(self, *, model: str = "playbook") -> Settings:
        """Settings with a task queue of their own and state in the test's folder."""
        return Settings(model=model, state=self.folder, task_queue=f"test-{uuid.uuid4().hex[:8]}")

    async def close(self) -> None:
        """Stop every worker."""
        await self._stack.aclose()


async def connect(address: str, folder: Path | None = None) -> Client:
    """A client of the test's server, with the engine's converter; large payloads go to the state in `folder`."""
    settings = Settings(state=folder) if folder else None
    return await Client.connect(address, data_converter=data_converter(settings))
