"""Random small agents on a real server: whatever their plan, a run does what the plain model of `plans` foretells."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from mainspring.contracts import names
from mainspring.contracts.run import RunResult, Totals
from mainspring.contracts.steps import RunRef
from mainspring.core.approvals import Request
from mainspring.core.canonical import Json
from mainspring.core.ledger import Head, Link, advance
from mainspring.devserver import DevServer
from mainspring.durable.run import AnyRun
from mainspring.effects.ledger import Ledger
from mainspring.serve import data_converter
from mainspring.testing.bench import connect
from tests.mainspring.durable.plans import PLANS, Foretold, Line, Plan, asks_somebody, every_call, foretell
from tests.mainspring.durable.stage import RUNS, SUMMARY, Seen, Stage, set_up

PATIENCE = 60
REPEATED = ('{"role":"assistant"}', "")
"""Items that may be equal to others of their thread."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal_server: DevServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stage]:
    """The stage, for all plans."""
    async with set_up(await connect(temporal_server.address), tmp_path_factory.mktemp("properties")) as stage:
        yield stage


class Play:
    """One run that follows a plan, and the people around it."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self.stage = stage
        self.plan = plan
        self.name = stage.cast(plan)
        self.seen = Seen(plan, {call.number: call for call in every_call(plan.replies)})
        self.handle: WorkflowHandle[Any, Any] = stage.client.get_workflow_handle(self.name)
        self.first = ""
        self.exchanges: list[tuple[str, str]] = []
        self.totals = Totals()

    async def run(self) -> None:
        """Start it, say what the user says, answer what it asks, and see it to its end."""
        RUNS[self.name] = self.seen
        started = await self.stage.client.start_workflow(
            self.name,
            {} if self.plan.session else {"input": "message 0"},
            id=self.name,
            task_queue="cold" if self.plan.cold else "warm",
            task_timeout=timedelta(seconds=2) if self.plan.quick_tasks else None,
        )
        self.first = str(started.first_execution_run_id)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            people = group.create_task(self.answer_what_it_asks())
            await (self.talk() if self.plan.session else self.see())
            people.cancel()

    async def see(self) -> None:
        """Wait for the end of a run."""
        try:
            result = RunResult.model_validate(await self.handle.result())
            self.exchanges.append(("answered", result.answer))
            self.totals = result.totals
        except WorkflowFailureError as error:
            self.exchanges.append(("failed", str(getattr(error.cause, "type", error.cause))))

    async def talk(self) -> None:
        """Hold a session: each message is sent twice, as by a client that lost the first answer."""
        for number in range(self.plan.messages):
            form = {"message": f"message {number}"}
            sent = await asyncio.gather(*(self.update(names.SEND, form, f"send {number}") for _ in range(2)))
            assert [each["message"] for each in sent] == [number + 1] * 2
            exchange: dict[str, Any] = {"status": "waiting"}
            while exchange["status"] in ("waiting", "working"):  # it continues as new
                exchange = await self.update(names.REPLY, {"message": number + 1})
                await asyncio.sleep(0.1)
            self.exchanges.append((exchange["status"], exchange["answer"]))
        await self.update(names.FINISH, None, "finish")
        result = RunResult.model_validate(await self.handle.result())
        assert result.answer == next((text for how, text in reversed(self.exchanges) if how == "answered"), "")
        self.totals = result.totals

    async def answer_what_it_asks(self) -> None:
        """Decide on each request, as the plan says."""
        if self.plan.nobody or not asks_somebody(self.plan):
            return
        done: set[str] = set()
        met: Counter[tuple[int, str]] = Counter()
        while True:
            with suppress(RPCError):  # between two executions there may be none to ask
                waiting: list[Request] = await self.handle.query(names.WAITING, result_type=list[Request])
                for request in [each for each in waiting if each.id not in done]:
                    done.add(request.id)
                    await self.decide(request, met)
            await asyncio.sleep(0.1)

    async def decide(self, request: Request, met: Counter[tuple[int, str]]) -> None:
        """Say what the plan says of this request, as often and as late as it says."""
        number = int(str(request.args["number"]))
        call, times = self.seen.calls[number], met[number, request.kind]
        if call.steer and not met[number, "approval"] + met[number, "outcome"]:
            await self.update(names.STEER, f"note {number}", f"steer {number}")
        met[number, request.kind] += 1
        if request.kind == "approval":
            name, form = (names.APPROVE if call.approved else names.DENY), {}
        else:
            said = call.answers[times] if times < len(call.answers) else "happened"
            name, form = names.ANSWER, {"outcome": said.replace(" ", "-")}
        form = {"request": request.id, **form}
        again = range(2 if call.clicks == "twice" else 1)
        said = await asyncio.gather(*(self.update(name, form, f"decide {request.id}") for _ in again))
        assert len(set(said)) == 1
        if call.clicks == "late":
            other = {"request": request.id, **({"outcome": "happened"} if name == names.ANSWER else {})}
            await self.refused(names.ANSWER if name == names.ANSWER else names.DENY, other)

    async def update(self, name: str, form: Json, update_id: str | None = None) -> Any:
        """Send an update, again and again under its id until the run has taken it."""
        args = [] if form is None else [form]
        while True:
            try:
                return await self.handle.execute_update(name, args=args, id=update_id, result_type=None)
            except RPCError:  # between two executions there is none to take it
                await asyncio.sleep(0.1)

    async def refused(self, name: str, form: Json) -> None:
        """Click once more, on what is decided: that changes nothing, and is said in words, unless the run is over."""
        with suppress(RPCError):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await self.handle.execute_update(name, form)
            assert getattr(refused.value.cause, "type", None) == "NotAccepted"


class Records:
    """What one execution's history records: its activities and local activities, and what went in and came out."""

    def __init__(self, history: WorkflowHistory) -> None:
        self.history = history
        self.events = list(history.events)
        self.values = [(self._about(event), _values(event)) for event in self.events]

    @property
    def next_run_id(self) -> str:
        """The execution after this one ("" for the last)."""
        return self.events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id

    def _about(self, event: HistoryEvent) -> str:
        """The activity that an event is about, with "done" behind it for its end ("" for others)."""
        if event.HasField("activity_task_scheduled_event_attributes"):
            return event.activity_task_scheduled_event_attributes.activity_type.name
        if event.HasField("activity_task_completed_event_attributes"):
            at = event.activity_task_completed_event_attributes.scheduled_event_id
            return f"{self._about(self.events[at - 1])} done"
        return "local done" if event.HasField("marker_recorded_event_attributes") else ""

    def texts(self) -> Counter[str]:
        """How often each text is recorded that stands for one item; a sealed window belongs to the next execution."""
        found: Counter[str] = Counter()
        for about, values in self.values:
            for value in values:
                if about != f"{names.SEAL} done" and not (isinstance(value, dict) and "carried" in value):
                    found.update(_texts(value))
        return found

    def heads(self) -> set[Head]:
        """Every head that a step was given, or left."""
        given = [Head.model_validate(value["head"]) for value in self.dicts() if "head" in value]
        links = [Link.model_validate(value["link"]) for value in self.dicts() if "link" in value]
        ends = [advance(link.before, link.appended) for link in links]
        return {head for head in (*given, *(link.before for link in links), *ends) if head.count}

    def dicts(self) -> Iterable[dict[str, Any]]:
        """All values that are objects."""
        return [value for _, values in self.values for value in values if isinstance(value, dict)]


def _values(event: HistoryEvent) -> list[Any]:
    if event.HasField("workflow_execution_started_event_attributes"):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
    elif event.HasField("activity_task_scheduled_event_attributes"):
        payloads = event.activity_task_scheduled_event_attributes.input.payloads
    elif event.HasField("marker_recorded_event_attributes"):
        payloads = event.marker_recorded_event_attributes.details["result"].payloads
    else:
        payloads = event.activity_task_completed_event_attributes.result.payloads
    return [json.loads(payload.data or b"null") for payload in payloads]


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        text = value.get("text") if value.get("digest") else None
        if text and text not in REPEATED and "You gave an empty answer" not in text:
            yield text
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _texts(each)


async def recorded(play: Play) -> list[Records]:
    """Every execution of a run."""
    found: list[Records] = []
    run_id = play.first
    while run_id:
        handle = play.stage.client.get_workflow_handle(play.name, run_id=run_id)
        found.append(Records(await handle.fetch_history()))
        run_id = found[-1].next_run_id
    return found


async def check_replay(executions: list[Records]) -> None:
    """Each execution replays on the code that made it, from nothing but its history."""
    for records in executions:
        replayer = Replayer(
            workflows=[AnyRun], data_converter=data_converter(), workflow_runner=UnsandboxedWorkflowRunner()
        )
        async with asyncio.timeout(PATIENCE):
            await replayer.replay_workflow(records.history)


async def check_chain(play: Play, executions: list[Records]) -> None:
    """Each execution's own history leads to every head, and holds each text once."""
    admission = next(value for value in executions[0].dicts() if "key" in value and "spec" in value)
    ref = RunRef(name=play.name, first=play.first, key=admission["key"], spec=admission["spec"]["digest"])
    run_id = play.first
    for records in executions:
        assert set(records.texts().values()) <= {1}
        at = ActivityEnvironment(client=play.stage.client)
        namespace = play.stage.client.namespace
        at.info = replace(at.info, namespace=namespace, workflow_id=play.name, workflow_run_id=run_id)
        ledger = Ledger()
        for head in records.heads():
            thread = await at.run(ledger.thread, ref, head, ())
            assert len(thread.digests) == head.count
        run_id = records.next_run_id


def check_totals(play: Play, executions: list[Records], told: Foretold) -> None:
    """What a run says it used is the sum of what was used."""
    closing = [value for value in executions[-1].dicts() if "outcome" in value and "run" in value][-1]
    totals = Totals.model_validate(closing.get("totals", {}))
    summaries = sum("after" in value and "model" in value for each in executions for value in each.dicts())
    assert totals.model_calls == told.replies + summaries
    assert totals.tool_calls == told.calls
    assert totals.input_tokens == told.tokens[0] + summaries * SUMMARY.input_tokens
    assert totals.output_tokens == told.tokens[1] + summaries * SUMMARY.output_tokens
    spent = summaries * (SUMMARY.input_tokens + SUMMARY.output_tokens)
    assert totals.cost_microusd == (None if told.cost is None else told.cost + spent)


def check_effects(play: Play, told: Foretold) -> None:
    """Each call was attempted exactly as often as it was permitted, each time under the key that is its own."""
    done = {number: [fence for fence, _ in attempts] for number, attempts in play.seen.effects.items()}
    assert done == {number: fences for number, fences in told.effects.items() if fences}
    keys = [{key for _, key in attempts} for attempts in play.seen.effects.values()]
    assert [len(each) for each in keys] == [1] * len(keys)
    assert len(set[str]().union(*keys)) == len(keys)


def check_threads(play: Play, told: Foretold) -> None:
    """What the model was given each time is what was said, in order; where it was made shorter, a part was left out."""
    for name, asked in told.threads.items():
        seen = play.seen.threads.get(name, [])
        if play.plan.shorten and not name:
            assert len(seen) == len(asked)
            for lines, whole in zip(seen, asked, strict=True):
                assert is_cut([line for line in lines if not is_placeholder(line)], whole)
        else:
            assert seen == asked
    assert set(play.seen.threads) == set(told.threads)


def is_placeholder(line: Line) -> bool:
    """Whether a line stands for messages that were left out."""
    return line[0] == "note" and "earlier messages were left out" in line[1]


def is_cut(lines: list[Line], whole: list[Line]) -> bool:
    """Whether lines are the whole but for one stretch left out."""
    left = len(whole) - len(lines)
    return any(lines == whole[:at] + whole[at + left :] for at in range(len(lines) + 1)) if left >= 0 else False


async def follow(play: Play) -> None:
    """Follow a plan, and hold what came of it against what was foretold."""
    told = foretell(play.plan)
    await play.run()

    if play.plan.session:
        assert [how for how, _ in play.exchanges] == [how for how, _ in told.exchanges]
        answers = [text for how, text in play.exchanges if how == "answered"]
        assert answers == [text for how, text in told.exchanges if how == "answered"]
    else:
        assert play.exchanges == told.exchanges
    check_effects(play, told)
    check_threads(play, told)
    executions = await recorded(play)
    check_totals(play, executions, told)
    await check_chain(play, executions)
    await check_replay(executions)


@settings(max_examples=8)
@given(st.lists(PLANS, min_size=4, max_size=4))
async def test_a_run_does_what_its_plan_foretells(stage: Stage, plans: list[Plan]) -> None:
    """The answer is right, each effect is done as often as permitted, totals add up, and the chain closes."""
    await asyncio.gather(*(follow(Play(stage, plan)) for plan in plans))
