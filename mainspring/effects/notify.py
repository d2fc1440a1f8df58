"""Activity side. `notify`: tells the channels of a request's route, each of them once.

Which were told is kept in the heartbeat's details, so another attempt, after a failure or a crash, leaves them out. A
crash between a telling and its heartbeat repeats one; its notice has the same key then, by which a receiver can tell.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import cast

from temporalio import activity
from temporalio.exceptions import ApplicationError

from mainspring.contracts.deciding import Notified, NotifyWork
from mainspring.contracts.steps import Timing
from mainspring.core.canonical import canonical, digest
from mainspring.core.deciding import deciders
from mainspring.effects.heartbeat import heartbeating
from mainspring.effects.world import World
from mainspring.errors import NotifyError
from mainspring.ports.notifier import Notice, Notifier, Occasion


async def notify(world: World, work: NotifyWork) -> Notified:
    """Tell each channel, all at once; that one could not be told keeps no other from it.

    Raises:
        ApplicationError: NotifyError, where another attempt may help and there will be one.
    """
    start = time.time_ns()
    route = work.request.route
    channels = tuple(dict.fromkeys(route.notify)) if route else ()
    progress = _Progress(channels, cast(Iterable[object], activity.info().heartbeat_details))
    notifier = world.notifier or _NoChannels()
    async with heartbeating(progress.details):
        await asyncio.gather(*(_tell(notifier, work, name, progress) for name in progress.left()))
    again = tuple(progress.again.values())
    if again and _has_more_attempts():
        raise ApplicationError(" ".join(again), type="NotifyError")
    return Notified(
        told=tuple(name for name in channels if name in progress.told),
        failed=(*progress.failed.values(), *again),
        timing=Timing(start=start, end=time.time_ns()),
    )


class _Progress:
    """Which channels were told, and which failed for good; `again` are those that another attempt may help."""

    def __init__(self, channels: tuple[str, ...], before: Iterable[object]) -> None:
        told, failed = cast("tuple[list[str], dict[str, str]]", tuple(before) or ((), {}))
        self._channels = channels
        self.told = set(told)
        self.failed = dict(failed)
        self.again: dict[str, str] = {}

    def left(self) -> list[str]:
        return [name for name in self._channels if name not in self.told and name not in self.failed]

    def details(self) -> tuple[list[str], dict[str, str]]:
        return sorted(self.told), dict(self.failed)


class _NoChannels(Notifier):
    """Stands in where the worker was given none: while settings are rolled out, another worker may have them."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Refuse."""
        raise NotifyError(f"channel {channel!r} was not told of request {notice.request}: this worker has no channels.")


async def _tell(notifier: Notifier, work: NotifyWork, name: str, progress: _Progress) -> None:
    try:
        await notifier.send(name, notice_for(work, name))
    except NotifyError as error:
        (progress.again if error.retryable else progress.failed)[name] = str(error)
    except Exception as error:  # noqa: BLE001 - not what a notifier may raise, and its words may hold an address
        progress.again[name] = f"channel {name!r} was not told: {type(error).__name__}."
    else:
        progress.told.add(name)
    activity.heartbeat(*progress.details())


def notice_for(work: NotifyWork, channel: str) -> Notice:
    """What a channel is told, in the run of this activity.

    The reason of a question or of an unknown outcome is not the policy's, and may quote an agent or a tool: it stays
    out.
    """
    info, request = activity.info(), work.request
    about = (info.namespace, info.workflow_id, request.id, request.asked, work.occasion)
    # The moments tell a reminder from one of before somebody rescheduled the request.
    moments = (request.remind, request.escalate, request.deadline)
    return Notice(
        key=digest(canonical([*about, *moments, channel])),
        occasion=cast(Occasion, work.occasion),
        namespace=info.namespace,
        run=info.workflow_id or "",
        execution=info.workflow_run_id or "",
        request=request.id,
        kind=request.kind,
        agent=request.agent,
        tool=request.tool,
        reason=request.reason if request.kind in ("approval", "review") else "",
        rule=request.rule,
        deadline=request.deadline,
        binding=request.binding,
        decision=work.decision,
        who=deciders(request),
        at=info.scheduled_time.timestamp(),
    )


def _has_more_attempts() -> bool:
    info = activity.info()
    most = info.retry_policy.maximum_attempts if info.retry_policy else 0
    return not most or info.attempt < most
