import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring.adapters.notifier import open_notifier
from mainspring.contracts.deciding import Notified, NotifyWork
from mainspring.core.approvals import Kind, Request, Stage
from mainspring.core.routes import Route
from mainspring.devserver import DevServer
from mainspring.effects.notify import notify
from mainspring.effects.world import World
from mainspring.errors import NotifyError
from mainspring.ports.notifier import Channel, Notice, Notifier
from mainspring.testing.bench import connect
from tests.mainspring.adapters.listening import Ear, listening
from tools.sink import MailSink

SECRET = "whsec_" + "c2VjcmV0" * 4


class Told(Notifier):
    """Keeps what is told; `failures` are the next ones of a channel."""

    def __init__(self, **failures: list[Exception]) -> None:
        self.failures = failures
        self.notices: list[tuple[str, Notice]] = []

    async def send(self, channel: str, notice: Notice) -> None:
        """Fail, or keep it."""
        if self.failures.get(channel):
            raise self.failures[channel].pop(0)
        self.notices.append((channel, notice))

    @property
    def channels(self) -> list[str]:
        """Which were told."""
        return [channel for channel, _ in self.notices]


def request(*channels: str, kind: Kind = "approval", stage: Stage = "asked", **route: Any) -> Request:
    """A request whose route notifies channels."""
    return Request(
        id="2",
        kind=kind,
        step="3",
        agent="desk",
        tool="issue_refund",
        args={"amount_cents": 9000, "iban": "DE00"},
        args_digest="digest",
        rule="large refunds",
        reason="Refunds over 50 EUR.",
        asked=1_700_000_000.0,
        deadline=1_700_086_400.0,
        remind=1_700_003_600.0,
        stage=stage,
        binding="binding",
        route=Route(id="refunds", notify=channels, **route),
    )


class Attempts:
    """Attempts at one activity, each with what the one before had in its heartbeat."""

    def __init__(
        self, notifier: Notifier | None, work: NotifyWork, most: int = 3, before: tuple[Any, ...] = ()
    ) -> None:
        self.world = cast(World, cast(object, _Parts(notifier)))
        self.work = work
        self.most = most
        self.number = 0
        self.details = before

    async def next(self) -> Notified:
        """Make one."""
        self.number += 1
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info,
            attempt=self.number,
            namespace="shop",
            workflow_id="refund-1042",
            workflow_run_id="execution",
            scheduled_time=datetime(2026, 1, 1, tzinfo=UTC),
            heartbeat_timeout=timedelta(seconds=10),
            heartbeat_details=self.details,
            retry_policy=RetryPolicy(maximum_attempts=self.most),
        )
        environment.on_heartbeat = self._keep
        return await environment.run(notify, self.world, self.work)

    def _keep(self, *details: Any) -> None:
        self.details = details


@dataclasses.dataclass
class _Parts:
    """What the activity needs of a world."""

    notifier: Notifier | None


def again(channel: str) -> NotifyError:
    """A failure that may pass."""
    return NotifyError(f"channel {channel!r} failed.")


def lasting(channel: str) -> NotifyError:
    """A failure that lasts."""
    return NotifyError(f"channel {channel!r} is wrong.", retryable=False)


class TestOneAttempt:
    async def test_all_are_told(self) -> None:
        """Each channel of the route is told, one that is named twice once."""
        told = Told()
        done = await Attempts(told, NotifyWork(request=request("ops", "ada", "ops"), occasion="asked")).next()

        assert sorted(told.channels) == ["ada", "ops"]
        assert (done.told, done.failed) == (("ops", "ada"), ())

    async def test_nobody_to_tell(self) -> None:
        """A request without a route, or whose route notifies nobody, tells nobody."""
        told = Told()
        for each in (request(), request("ops").model_copy(update={"route": None})):
            assert (await Attempts(told, NotifyWork(request=each, occasion="asked")).next()).told == ()

        assert not told.notices

    async def test_notice(self) -> None:
        """A notice is about this run and request, without what the call is made with."""
        told = Told()
        work = NotifyWork(
            request=request("ops", who=("finance", "ada")), occasion="decided", decision="It was approved."
        )
        await Attempts(told, work).next()

        [(_, notice)] = told.notices
        assert notice.model_dump(exclude={"key"}) == {
            "occasion": "decided",
            "namespace": "shop",
            "run": "refund-1042",
            "execution": "execution",
            "request": "2",
            "kind": "approval",
            "agent": "desk",
            "tool": "issue_refund",
            "reason": "Refunds over 50 EUR.",
            "rule": "large refunds",
            "deadline": 1_700_086_400.0,
            "binding": "binding",
            "decision": "It was approved.",
            "who": ("finance", "ada"),
            "at": datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
        }

    @pytest.mark.parametrize(
        ("kind", "told_why"), [("approval", True), ("review", True), ("question", False), ("outcome", False)]
    )
    async def test_reason(self, kind: Kind, told_why: bool) -> None:
        """Only the policy's reason is told: that of a question or an outcome may quote somebody."""
        told = Told()
        await Attempts(told, NotifyWork(request=request("ops", kind=kind), occasion="asked")).next()

        assert told.notices[0][1].reason == ("Refunds over 50 EUR." if told_why else "")

    @pytest.mark.parametrize(
        ("stage", "who"),
        [("asked", ("finance", "ada")), ("reminded", ("finance", "ada")), ("escalated", ("finance", "ada", "boss"))],
    )
    async def test_who(self, stage: Stage, who: tuple[str, ...]) -> None:
        """It says who may decide by now."""
        told = Told()
        routed = request("ops", stage=stage, each=("finance", "ada"), to=("boss", "ada"))
        await Attempts(told, NotifyWork(request=routed, occasion=stage)).next()

        assert told.notices[0][1].who == who


class TestSeveralAttempts:
    async def test_the_other_is_told_once(self) -> None:
        """Where one channel fails for now, the other is told once over all attempts."""
        told = Told(ops=[again("ops"), again("ops")])
        attempts = Attempts(told, NotifyWork(request=request("ops", "ada"), occasion="asked"))
        for _ in range(2):
            with pytest.raises(ApplicationError, match=r"channel 'ops' failed\.") as caught:
                await attempts.next()
            assert (caught.value.type, caught.value.non_retryable) == ("NotifyError", False)
        done = await attempts.next()

        assert told.channels == ["ada", "ops"]
        assert (done.told, done.failed) == (("ops", "ada"), ())

    async def test_last_attempt(self) -> None:
        """The last attempt says who was not told; it fails no run."""
        told = Told(ops=[again("ops")])
        done = await Attempts(told, NotifyWork(request=request("ops", "ada"), occasion="asked"), most=1).next()

        assert (done.told, done.failed) == (("ada",), ("channel 'ops' failed.",))

    async def test_lasting_failure(self) -> None:
        """What would fail again is not tried again, neither now nor in an attempt for another channel."""
        told = Told(ops=[lasting("ops"), lasting("ops")], ada=[again("ada")])
        attempts = Attempts(told, NotifyWork(request=request("ops", "ada"), occasion="asked"))
        with pytest.raises(ApplicationError, match=r"channel 'ada' failed\.$"):
            await attempts.next()
        done = await attempts.next()

        assert (done.told, done.failed) == (("ada",), ("channel 'ops' is wrong.",))
        assert len(told.failures["ops"]) == 1

    async def test_after_a_crash(self) -> None:
        """What the heartbeat of a lost worker says was told is not told again."""
        told = Told()
        work = NotifyWork(request=request("ops", "ada", "bob"), occasion="asked")
        done = await Attempts(told, work, before=(["ops"], {"bob": "channel 'bob' is wrong."})).next()

        assert told.channels == ["ada"]
        assert (done.told, done.failed) == (("ops", "ada"), ("channel 'bob' is wrong.",))

    async def test_key(self) -> None:
        """The key is the same in every attempt, and another for another channel, occasion, request or moment."""
        first = request("ops", "ada")
        keys: list[str] = []
        for changes, occasion in [
            ({}, "asked"),
            ({}, "asked"),
            ({}, "reminded"),
            ({"id": "3"}, "asked"),
            ({"deadline": 1_700_090_000.0}, "asked"),
        ]:
            told = Told()
            await Attempts(told, NotifyWork(request=first.model_copy(update=changes), occasion=occasion)).next()
            keys += [notice.key for _, notice in sorted(told.notices, key=lambda each: each[0])]

        assert keys[:2] == keys[2:4]
        assert len(set(keys)) == 8

    async def test_no_channels(self) -> None:
        """A worker without channels leaves it to another one, and says so in the end."""
        attempts = Attempts(None, NotifyWork(request=request("ops"), occasion="asked"), most=2)
        with pytest.raises(ApplicationError, match="this worker has no channels"):
            await attempts.next()

        assert (await attempts.next()).failed == (
            "channel 'ops' was not told of request 2: this worker has no channels.",
        )

    async def test_notifier_that_breaks(self) -> None:
        """An error that no notifier may raise is told by its type alone."""
        told = Told(ops=[ValueError("https://hooks.example.com/s3cret")])
        done = await Attempts(told, NotifyWork(request=request("ops", "ada"), occasion="asked"), most=1).next()

        assert (done.told, done.failed) == (("ada",), ("channel 'ops' was not told: ValueError.",))


@pytest.fixture
def ear() -> Iterator[Ear]:
    """A server that listens."""
    with listening() as server:
        yield server


@activity.defn(name="notify")
async def told_by(work: NotifyWork) -> Notified:
    """Tell, as a worker does."""
    return await notify(_now[0], work)


_now: list[World] = []


@workflow.defn
class Telling:
    """A run that tells."""

    @workflow.run
    async def run(self, work: NotifyWork) -> Notified:
        """Tell, with two attempts at most."""
        return await workflow.execute_activity(
            "notify",
            work,
            result_type=Notified,
            start_to_close_timeout=timedelta(seconds=30),
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=1), maximum_attempts=3),
        )


async def test_on_a_server(temporal_server: DevServer, tmp_path: Path, ear: Ear) -> None:
    """With a webhook that fails twice and a mail, each arrives once, and history has no address."""
    ear.answers = [500, 503]
    with MailSink(tmp_path / "mails") as sink:
        channels = {
            "hook": Channel(url=f"webhook+http://127.0.0.1:{ear.port}/s3cret", secret=SECRET),
            "ada": Channel(url=f"mailto://127.0.0.1:{sink.port}?from=desk@example.com&to=ada@example.com"),
        }
        _now[:] = [cast(World, cast(object, _Parts(open_notifier(channels))))]
        client = await connect(temporal_server.address, tmp_path / "state")
        runner = UnsandboxedWorkflowRunner()
        async with Worker(
            client, task_queue="telling", workflows=[Telling], activities=[told_by], workflow_runner=runner
        ):
            work = NotifyWork(request=request("hook", "ada"), occasion="asked")
            handle = await client.start_workflow(Telling.run, work, id="telling", task_queue="telling")
            done = await handle.result()
            history = (await handle.fetch_history()).to_json()

    assert (done.told, done.failed) == (("hook", "ada"), ())
    assert len({each.headers["webhook-id"] for each in ear.posted}) == 1
    assert len(ear.posted) == 3
    assert len(list((tmp_path / "mails").iterdir())) == 1
    assert not any(each in history for each in ("s3cret", SECRET, "127.0.0.1", str(ear.port)))
