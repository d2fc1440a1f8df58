"""Application: the services' log as a tool of an agent.

`INCIDENT_LOG` names the file (default `examples/incidents/service.jsonl`): one JSON object a line, with
`time` (ISO 8601 with offset), `service`, `level`, `event` and whatever else a service writes. Anybody may
write in a log: paths, search words and user agents are the words of strangers. So what is found counts as
external, and is told as counts and a few short lines, never as the whole.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from mainspring import SetupError, ToolError, tool

Level = Literal["info", "warning", "error"]

RANKS = {"trace": 0, "debug": 0, "info": 1, "warn": 2, "warning": 2, "error": 3}
"""How grave a level is; one that is not here, such as critical, is graver than all of them."""
TAIL = 32 * 2**20
"""How much of the file's end is read, in bytes."""
EARLIER = timedelta(minutes=15)
"""How long before `since` is looked at too: people notice late."""
SAMPLES, SAMPLE_LENGTH = 5, 300
"""How many lines are quoted, and how long each may be."""
KINDS, NAME_LENGTH = 10, 80
"""How many kinds of events are told apart, and how long the name of one may be."""

_TIME = re.compile(r"(?i)(\d{1,2})(?:\s?[:.h]\s?(\d{2}))?\s*(?:h|uhr)?\s*(?:([ap])\.?m\.?)?")


class Kind(BaseModel):
    """How often one event was found, the first time and the last."""

    event: str
    count: int
    first_seen: str
    last_seen: str


class Found(BaseModel):
    """What the log shows of one service in a period: `kinds` most frequent first, `lines` oldest first.

    `first_at` and `last_at` are times of day as people read them; `seen` counts the service's lines of any level.
    """

    service: str
    searched_from: str
    searched_until: str
    count: int
    seen: int
    main_event: str
    first_seen: str
    first_at: str
    last_at: str
    kinds: list[Kind]
    lines: list[str]
    lines_left_out: int


class _Entry(NamedTuple):
    at: datetime
    service: str
    level: str
    event: str
    line: str


@tool(effect="read", returns="external")
def search_log(
    service: str,
    *,
    since: str = "",
    until: str = "",
    minutes: Annotated[int, Field(ge=1, le=1440)] = 120,
    level: Level = "error",
    text: str = "",
) -> Found:
    """Search the log of one service: how many lines of which events, first and last time, a few of the lines.

    Args:
        service: Its name, such as checkout.
        since: A time of day, such as 14:05; a quarter of an hour before it is searched too.
        until: A time of day; default the end of the log.
        minutes: Without `since`, how far to look back from the end of the log.
        level: The lowest level to count: info, warning or error.
        text: Only lines that contain this, in any case.
    """
    entries = list(_entries(_place()))
    if not entries:
        raise ToolError("the log has no line that can be read")
    newest = max(entry.at for entry in entries)
    end = _meant(until, newest) if until else newest
    start = _meant(since, newest) - EARLIER if since else end - timedelta(minutes=minutes)
    theirs = [entry for entry in entries if entry.service == service and start <= entry.at <= end]
    wanted = [entry for entry in theirs if _is_wanted(entry, level, text)]
    return _told(service, (start, end), len(theirs), sorted(wanted))


def _place() -> Path:
    return Path(os.environ.get("INCIDENT_LOG") or "examples/incidents/service.jsonl")


def _entries(path: Path) -> Iterator[_Entry]:
    """The lines of the file's end; one that is cut off, torn or of another form is passed over."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        raise SetupError(f"The log {str(path)!r} cannot be read: {error}. Set INCIDENT_LOG to a log file.") from error
    for line in lines:
        if entry := _entry(line):
            yield entry


def _entry(line: str) -> _Entry | None:
    try:
        fields: Any = json.loads(line)
        at = datetime.fromisoformat(fields["time"])
        names = [str(fields[name]) for name in ("service", "level", "event")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return _Entry(at, names[0], names[1], names[2][:NAME_LENGTH], line) if at.tzinfo else None


def _meant(words: str, newest: datetime) -> datetime:
    """The last time that it was this time of day, by the clock that the log is written with."""
    match = _TIME.fullmatch(words.strip())
    hour, minute = (int(match[1]), int(match[2] or 0)) if match else (24, 0)
    if match and match[3]:
        hour = (hour % 12 if hour <= 12 else 24) + (12 if match[3].lower() == "p" else 0)  # noqa: PLR2004 - a half day
    if hour >= 24 or minute >= 60:  # noqa: PLR2004 - a clock's
        raise ToolError(f"{words!r} is no time of day; write it like 14:05")
    meant = datetime.combine(newest.date(), time(hour, minute), newest.tzinfo)
    return meant if meant <= newest else meant - timedelta(days=1)


def _is_wanted(entry: _Entry, level: Level, text: str) -> bool:
    rank = RANKS.get(entry.level.lower(), len(RANKS))
    return rank >= RANKS[level] and text.casefold() in entry.line.casefold()


def _told(service: str, period: tuple[datetime, datetime], seen: int, entries: Sequence[_Entry]) -> Found:
    kinds = sorted(_kinds(entries), key=lambda kind: -kind.count)[:KINDS]
    first, last = (entries[0].at, entries[-1].at) if entries else (None, None)
    return Found(
        service=service,
        searched_from=period[0].isoformat(),
        searched_until=period[1].isoformat(),
        count=len(entries),
        seen=seen,
        main_event=kinds[0].event if kinds else "",
        first_seen=first.isoformat() if first else "",
        first_at=f"{first:%H:%M}" if first else "",
        last_at=f"{last:%H:%M}" if last else "",
        kinds=kinds,
        lines=[entry.line[:SAMPLE_LENGTH] for entry in entries[:SAMPLES]],
        lines_left_out=max(0, len(entries) - SAMPLES),
    )


def _kinds(entries: Iterable[_Entry]) -> Iterator[Kind]:
    for event, group in groupby(sorted(entries, key=lambda entry: entry.event), lambda entry: entry.event):
        times = [entry.at for entry in group]
        yield Kind(event=event, count=len(times), first_seen=times[0].isoformat(), last_seen=times[-1].isoformat())
