"""Working hours: when a time is over of which only these count. Pure, but for the zones that Python knows.

What comes of it is recorded, so a zone that changes its rules changes no run under way.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mainspring.core.routes import Hours

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TEXT = re.compile(
    r"(?P<first>[a-z]{3})(-(?P<last>[a-z]{3}))? (?P<start>[0-9:]{5})-(?P<end>[0-9:]{5}) (?P<zone>[A-Za-z0-9_+/-]+)"
)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00)")
_LONGEST = 366 * 10
"""Days that are looked through: ten years."""


def read_hours(text: str) -> Hours:
    """Read `mon-fri 09:00-17:00 Europe/Berlin`.

    Raises:
        ValueError: it is written otherwise, ends before it starts, or names a zone that is not known; it says which.
    """
    found = _TEXT.fullmatch(text)
    if not found or found["first"] not in _DAYS or (found["last"] or "mon") not in _DAYS:
        raise ValueError("it must be days, hours and a zone, such as 'mon-fri 09:00-17:00 Europe/Berlin'")
    first, last = _DAYS.index(found["first"]), _DAYS.index(found["last"] or found["first"])
    days = tuple(range(first, last + 1)) if first <= last else (*range(first, 7), *range(last + 1))
    start, end = _minutes(found["start"]), _minutes(found["end"])
    if start >= end:
        raise ValueError("the hours must end after they start, on the same day")
    try:
        ZoneInfo(found["zone"])
    except (LookupError, ValueError, OSError):
        raise ValueError(f"there is no time zone {found['zone']!r}; it is a name such as 'Europe/Berlin'") from None
    return Hours(days=tuple(day + 1 for day in days), start=start, end=end, zone=found["zone"])


def after(begin: float, seconds: float, hours: Hours | None) -> float:
    """When `seconds` of working hours are over since `begin` (both in seconds since 1970); 0 for no time at all.

    What would take longer than ten years is over after these.
    """
    if not seconds:
        return 0.0
    if hours is None:
        return begin + seconds
    left = seconds
    last = begin
    for opens, closes in _windows(begin, hours):
        if left <= closes - opens:
            return opens + left
        left -= closes - opens
        last = closes
    return last


def _windows(begin: float, hours: Hours) -> Iterator[tuple[float, float]]:
    """The working hours from `begin` on, each as its start and end in seconds since 1970."""
    zone = ZoneInfo(hours.zone)
    today = datetime.fromtimestamp(begin, UTC).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(_LONGEST):
        day = today + timedelta(days=number)
        if day.isoweekday() in hours.days:
            # On the wall clock, so that nine o'clock is nine o'clock on the days when clocks change. A time that such
            # a day leaves out is an hour later; one that it has twice is the first.
            opens, closes = ((day + timedelta(minutes=minutes)).timestamp() for minutes in (hours.start, hours.end))
            opens = max(opens, begin)
            if closes > opens:
                yield opens, closes


def _minutes(text: str) -> int:
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no time of a day; write 00:00 to 24:00")
    hour, minute = map(int, text.split(":"))
    return hour * 60 + minute
