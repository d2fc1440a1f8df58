"""Follows the demo's run to its end, and has its requests decided. The edge.

It reads what everybody can read: the run's history, and its query for what waits.
"""

import asyncio
from datetime import timedelta

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import FailureError

from mainspring.cli import decisions, runs
from mainspring.cli.demo.keys import pressed
from mainspring.cli.demo.screen import Screen
from mainspring.cli.demo.stage import Stage
from mainspring.cli.lines import Line, callable_as, update_run
from mainspring.contracts.names import ANSWER, APPROVE, DENY, WAITING
from mainspring.contracts.run import RunResult
from mainspring.core.approvals import Request
from mainspring.devserver import PORT
from mainspring.errors import RunError, UsageError
from mainspring.telemetry.chain import project_run
from mainspring.telemetry.trace import Trace

LOOKS_EVERY = 0.5
"""Seconds between two looks."""
PLAYBOOK_STALLS, MODEL_STALLS = timedelta(minutes=1), timedelta(minutes=10)
"""How long nothing may happen before the demo gives up; a language model takes its time, and is tried again."""


class Follower:
    """Follows one run by its workflow id."""

    def __init__(self, stage: Stage, run: str, screen: Screen) -> None:
        """Nothing is read yet."""
        self._stage = stage
        self._run = run
        self._screen = screen
        self._handle = stage.client.get_workflow_handle(run, result_type=RunResult)
        self._told: set[str] = set()
        self._decided: set[str] = set()

    async def follow(self, *, asks: bool) -> bool:
        """Show each step as it ends and have requests decided; whether the run ended as a demo should.

        `asks` tells whether the run must ask a person on its way.
        """
        try:
            with self._screen.busy():
                await self._to_the_end()
            result = await self._handle.result()
        except WorkflowFailureError as error:
            cause = error.cause
            self._screen.problem(f"The run failed: {cause.message if isinstance(cause, FailureError) else cause}")
            return False
        except RunError as error:
            self._screen.problem(str(error))
            return False
        self._screen.answer(result)
        if asks and not self._decided:
            self._screen.problem("The run ended without asking a person, though this refund needs an approval.")
        return bool(self._decided) or not asks

    async def _to_the_end(self) -> None:
        stalls = PLAYBOOK_STALLS if self._stage.settings.model == "playbook" else MODEL_STALLS
        clock = asyncio.get_running_loop().time
        events, changed = 0, clock()
        while (described := await self._handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            trace = await self._look(described.run_id)
            if trace.waiting:
                await self._have_decided()
            if trace.waiting or described.history_length != events:
                events, changed = described.history_length, clock()
            if clock() - changed > stalls.total_seconds():
                raise RunError(f"Nothing happened for {stalls}. {self._trouble(described.raw_description)}")
            self._trouble(described.raw_description)
            await asyncio.sleep(LOOKS_EVERY)
        await self._look(described.run_id)

    async def _look(self, run_id: str) -> Trace:
        """Read the history, and tell of the steps that ended since the last look."""
        trace = await project_run(self._stage.client, self._run, run_id)
        for span in trace.spans:
            if span.end is not None and span.id not in self._told:
                self._told.add(span.id)
                self._screen.step(span)
        return trace

    def _trouble(self, described: DescribeWorkflowExecutionResponse) -> str:
        """Tell of each failed attempt once; gives the newest in words."""
        said = "The run's page in the Web UI shows where it stands."
        for pending in described.pending_activities:
            if pending.attempt > 1:
                said = (
                    f"Step {pending.activity_id}, attempt {pending.attempt - 1} failed: {pending.last_failure.message}"
                )
                if said not in self._told:
                    self._told.add(said)
                    self._screen.trouble(said)
        return said

    async def _waiting(self) -> list[Request]:
        requests = await self._handle.query(WAITING, result_type=list[Request])
        return [request for request in requests if request.id not in self._decided]

    async def _have_decided(self) -> None:
        for request in await self._waiting():
            if self._screen.person:
                await self._by_person(request)
            else:
                await self._by_command(request)
            self._decided.add(request.id)
            self._screen.decided()

    async def _show_card(self, request: Request) -> Line:
        """Show what is asked and how to decide; gives the command among the ways."""
        ui, run_id = self._stage.server.ui_url, (await self._handle.describe()).run_id
        ours, theirs = self._lines(request)
        page = f"{ui}/namespaces/default/workflows/{self._run}/{run_id}/user-metadata"
        self._screen.card(request, page, ours, theirs)
        return theirs

    def _lines(self, request: Request) -> tuple[str, Line]:
        """How to decide at a shell: with the command `mainspring`, and with Temporal's own."""
        address = self._stage.server.address
        prefix = "" if address == f"localhost:{PORT}" else f"TEMPORAL_ADDRESS={address} "
        ours = f"{prefix}{callable_as('mainspring')}"
        if request.kind == "outcome":
            form = {"request": request.id, "outcome": "happened"}
            line = f"{ours} answer {self._run} {request.id} happened   (or not-happened, or give-up)"
            return line, update_run(self._run, ANSWER, form, address=address)
        line = f"{ours} approve {self._run} {request.id}"
        return line, update_run(self._run, APPROVE, {"request": request.id}, address=address)

    async def _by_command(self, request: Request) -> None:
        """Without a person at a terminal: approve with the command that was shown."""
        line = await self._show_card(request)
        if request.kind == "outcome":
            raise RunError(f"Nobody knows whether {request.tool!r} happened, and there is no terminal to ask at.")
        self._screen.note("No terminal to ask at, so the demo runs this last line itself.")
        await line.run()

    async def _by_person(self, request: Request) -> None:
        """Until somebody decided, here or elsewhere, or the run ended otherwise."""
        # The keys first: this drops what was typed before, so that nobody approves what they have not seen.
        with pressed() as keys:
            await self._show_card(request)
            while (await self._handle.describe()).status == WorkflowExecutionStatus.RUNNING:
                if request.id not in [each.id for each in await self._waiting()]:
                    return
                try:
                    async with asyncio.timeout(LOOKS_EVERY):
                        key = await keys.get()
                except TimeoutError:
                    continue
                await self._by_key(key, request)

    async def _by_key(self, key: str, request: Request) -> None:
        said = {"a": (APPROVE, ""), "d": (DENY, next(iter(request.deny_reasons), ""))}.get(key)
        if said is None or request.kind != "approval":
            return
        name, comment = said
        try:
            form = {"request": request.id, "comment": comment}
            self._screen.note(await decisions.send(await runs.connect_as_person(), self._run, name, form))
        except UsageError as error:  # somebody else was faster
            self._screen.note(str(error))
