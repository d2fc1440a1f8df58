"""The notifier port over the channels of the settings. Activity side."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from typing_extensions import override

from mainspring.adapters.notifier.links import Sign, links_of
from mainspring.adapters.notifier.ways import Message, NotSent, Way
from mainspring.adapters.notifier.wording import Wording
from mainspring.errors import NotifyError, did_you_mean
from mainspring.ports.notifier import Notice, Notifier


class Line(NamedTuple):
    """A channel that is ready: its way, its words, and who alone reads it ("": several may)."""

    way: Way
    wording: Wording
    person: str = ""


class ChannelNotifier(Notifier):
    """Sends a notice by the way of its channel, in one attempt of `seconds` at most."""

    def __init__(
        self, lines: Mapping[str, Line], *, seconds: float, ui: str = "", inbox: str = "", sign: Sign | None = None
    ) -> None:
        """Take the channels by their names, and where requests are shown."""
        self._lines = lines
        self._seconds = seconds
        self._ui = ui
        self._inbox = inbox
        self._sign = sign

    @override
    async def send(self, channel: str, notice: Notice) -> None:
        line = self._lines.get(channel)
        if line is None:  # of this worker: while settings are rolled out, another one may have it
            known = did_you_mean(channel, self._lines)
            raise NotifyError(f"the settings of this worker have no channel {channel!r}.{known}")
        failure = None
        try:
            async with asyncio.timeout(self._seconds):
                await line.way.send(self._message(channel, line, notice))
        except NotSent as error:
            failure = NotifyError(f"channel {channel!r} was not told: {error}.", retryable=error.retryable)
        except TimeoutError:
            failure = NotifyError(f"channel {channel!r} did not take it within {self._seconds:g} seconds.")
        except Exception as error:  # noqa: BLE001 - a library's, whose words may hold the address
            failure = NotifyError(f"channel {channel!r} was not told: {type(error).__name__}.")
        if failure:  # out here, so that it does not carry the library's error with it
            raise failure

    def _message(self, channel: str, line: Line, notice: Notice) -> Message:
        person = line.person
        links = links_of(notice, ui=self._ui, inbox=self._inbox, person=person, sign=self._sign)
        words = line.wording.words(notice, links, channel=channel, person=person)
        return Message(notice, words, links, person)
