"""Working hours: what is read, and when a time is over of which only these count."""

import contextlib
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mainspring.core.hours import after, read_hours
from mainspring.core.routes import Hours

OFFICE = "mon-fri 09:00-17:00 Europe/Berlin"
MINUTE, HOUR = 60, 3600
STEP = 5 * MINUTE
DAY = 24 * HOUR
NIGHT = 4 * 60
"""Minutes from midnight until no clock changes any more."""


def at(text: str, zone: str = "Europe/Berlin") -> float:
    """Seconds since 1970 of a time on the wall in a zone; of a time that the clock shows twice, the first."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(moment: float, zone: str = "Europe/Berlin") -> str:
    """What clock and calendar show in a zone."""
    return datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


class TestReading:
    @pytest.mark.parametrize(
        ("text", "days", "start", "end"),
        [
            (OFFICE, (1, 2, 3, 4, 5), 540, 1020),
            ("sat-mon 09:00-17:00 Europe/Berlin", (6, 7, 1), 540, 1020),
            ("sat-fri 09:00-17:00 Europe/Berlin", (6, 7, 1, 2, 3, 4, 5), 540, 1020),
            ("wed 00:00-24:00 Europe/Berlin", (3,), 0, 1440),
            ("wed-wed 23:59-24:00 Europe/Berlin", (3,), 1439, 1440),
        ],
    )
    def test_days_and_times(self, text: str, days: tuple[int, ...], start: int, end: int) -> None:
        """Days may go round the weekend, and a day ends at 24:00."""
        assert read_hours(text) == Hours(days=days, start=start, end=end, zone="Europe/Berlin")

    @pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"])
    def test_zones(self, zone: str) -> None:
        """Every name of the database is one."""
        assert read_hours(f"mon 09:00-17:00 {zone}").zone == zone

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "it must be days, hours and a zone, such as 'mon-fri 09:00-17:00 Europe/Berlin'"),
            ("mon-fri 09:00-17:00", "it must be days, hours and a zone"),
            ("mon-fri 9:00-17:00 Europe/Berlin", "it must be days, hours and a zone"),
            ("mon-fir 09:00-17:00 Europe/Berlin", "it must be days, hours and a zone"),
            ("mod-fri 09:00-17:00 Europe/Berlin", "it must be days, hours and a zone"),
            ("Mon-Fri 09:00-17:00 Europe/Berlin", "it must be days, hours and a zone"),
            ("mon-fri 09:00-17:00 Europe/Berlin and more", "it must be days, hours and a zone"),
            ("mon-fri 09:60-17:00 Europe/Berlin", "'09:60' is no time of a day; write 00:00 to 24:00"),
            ("mon-fri 09:00-25:00 Europe/Berlin", "'25:00' is no time of a day"),
            ("mon-fri 09:00-24:01 Europe/Berlin", "'24:01' is no time of a day"),
            ("mon-fri 12345-17:00 Europe/Berlin", "'12345' is no time of a day"),
            ("mon-fri \u0660\u0669:00-17:00 Europe/Berlin", "it must be days, hours and a zone"),
            ("mon-fri 17:00-09:00 Europe/Berlin", "the hours must end after they start, on the same day"),
            ("mon-fri 09:00-09:00 Europe/Berlin", "the hours must end after they start, on the same day"),
            ("mon-fri 09:00-17:00 Europe/Berlon", "there is no time zone 'Europe/Berlon'"),
            ("mon-fri 09:00-17:00 /etc/passwd", "there is no time zone '/etc/passwd'"),
            ("mon-fri 09:00-17:00 Europe", "there is no time zone 'Europe'; it is a name such as 'Europe/Berlin'"),
        ],
    )
    def test_what_is_written_otherwise(self, text: str, said: str) -> None:
        """It is refused with what is wrong, and how it is right."""
        with pytest.raises(ValueError, match=re.escape(said)):
            read_hours(text)

    @given(st.text() | st.from_regex(r"\A[a-z]{3}(-[a-z]{3})? [0-9:]{5}-[0-9:]{5} [A-Za-z/]+\Z"))
    def test_any_text(self, text: str) -> None:
        """Whatever is written, it is read or refused in words."""
        with contextlib.suppress(ValueError):
            hours = read_hours(text)
            assert hours.days
            assert 0 <= hours.start < hours.end <= 1440


class TestAfter:
    @pytest.mark.parametrize(
        ("begin", "hours", "over"),
        [
            ("2026-11-26 10:00", 4, "2026-11-26 14:00"),
            ("2026-11-26 10:00", 7, "2026-11-26 17:00"),  # not the next morning
            ("2026-11-26 15:00", 4, "2026-11-27 11:00"),
            ("2026-11-27 15:00", 4, "2026-11-30 11:00"),  # over the weekend
            ("2026-11-28 12:00", 4, "2026-11-30 13:00"),  # on a Saturday
            ("2026-11-26 06:00", 4, "2026-11-26 13:00"),  # before they begin
            ("2026-11-26 17:00", 4, "2026-11-27 13:00"),  # when they have just ended
            ("2026-11-27 22:00", 4, "2026-11-30 13:00"),
            ("2026-11-26 10:00", 24, "2026-12-01 10:00"),  # a day is three days of work
        ],
    )
    def test_office_hours(self, begin: str, hours: float, over: str) -> None:
        """Only the hours at work count, from when they next begin."""
        assert shown(after(at(begin), hours * HOUR, read_hours(OFFICE))) == over

    @pytest.mark.parametrize(
        ("hours", "begin", "over"),
        [
            # The clock goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
            ("mon-fri 09:00-17:00", "2026-03-27 16:00", "2026-03-30 11:00"),
            ("mon-fri 09:00-17:00", "2026-10-23 16:00", "2026-10-26 11:00"),
            ("mon-sun 00:00-24:00", "2026-03-29 00:00", "2026-03-29 04:00"),
            ("mon-sun 00:00-24:00", "2026-10-25 00:00", "2026-10-25 02:00"),
            ("sun 01:00-04:00", "2026-03-28 12:00", "2026-04-05 02:00"),
            ("sun 01:00-04:00", "2026-10-24 12:00", "2026-10-25 03:00"),
            ("sun 02:30-03:15", "2026-03-28 12:00", None),
        ],
    )
    def test_days_on_which_clocks_change(self, hours: str, begin: str, over: str | None) -> None:
        """Nine o'clock stays nine o'clock, and three hours are three hours, also on such a day."""
        found = after(at(begin), 3 * HOUR, read_hours(f"{hours} Europe/Berlin"))

        assert shown(found) == (over or "2026-04-26 03:15")  # the hours of four Sundays, not of that one

    @pytest.mark.parametrize(
        ("hours", "begin", "over"),
        [
            # On the other side of the date line it is Monday when it is Sunday in Berlin.
            ("mon-fri 09:00-17:00 Pacific/Kiritimati", "2026-11-29 20:00", "2026-11-29 23:00"),
            ("mon-fri 09:00-17:00 Pacific/Pago_Pago", "2026-11-30 05:00", "2026-12-01 00:00"),
            ("mon-fri 09:00-17:00 Asia/Kathmandu", "2026-11-30 01:00", "2026-11-30 07:15"),
        ],
    )
    def test_a_zone_far_away(self, hours: str, begin: str, over: str) -> None:
        """The days and hours are those of the zone, wherever the run is."""
        assert shown(after(at(begin), 3 * HOUR, read_hours(hours))) == over

    def test_days_round_the_weekend(self) -> None:
        """From Saturday to Monday is three days, and Tuesday none of them."""
        hours = read_hours("sat-mon 10:00-12:00 Europe/Berlin")

        assert [shown(after(at("2026-11-24 08:00"), each * HOUR, hours)) for each in (2, 3, 6, 7)] == [
            "2026-11-28 12:00",
            "2026-11-29 11:00",
            "2026-11-30 12:00",
            "2026-12-05 11:00",
        ]

    def test_without_hours(self) -> None:
        """Then all time counts, and no time is never."""
        assert (after(1000.5, 60, None), after(1000.5, 0, None), after(1000.5, 0, read_hours(OFFICE))) == (1060.5, 0, 0)

    def test_what_takes_longer_than_ten_years(self) -> None:
        """It ends at the end of working hours all the same, and not before what takes less."""
        rare = read_hours("mon 09:00-09:01 Europe/Berlin")
        begin = at("2026-11-26 10:00")
        less, more = after(begin, 9 * 52 * MINUTE, rare), after(begin, 9999 * 24 * HOUR, rare)

        assert less < more
        assert shown(more).endswith("09:01")


HOURS = st.builds(
    Hours,
    days=st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
    start=st.integers(0, 23 * 4).map(lambda quarters: quarters * 15),
    end=st.just(0),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
).flatmap(
    lambda hours: st.integers(hours.start // 15 + 1, 96).map(
        lambda quarters: hours.model_copy(update={"end": quarters * 15})
    )
)
BEGIN = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 - UTC is said in the same line
    lambda moment: moment.replace(tzinfo=UTC).timestamp() // STEP * STEP
)
WORK = st.integers(1, 20 * 12).map(lambda steps: float(steps * STEP))


def is_open(moment: float, hours: Hours) -> bool:
    """Whether the minutes that begin now are ones of work, as the clock on the wall says."""
    wall = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(hours.zone))
    return wall.isoweekday() in hours.days and hours.start <= wall.hour * 60 + wall.minute < hours.end


def changes(begin: float, end: float, zone: str) -> bool:
    """Whether clocks change in between."""
    moments = (datetime.fromtimestamp(each, ZoneInfo(zone)) for each in [*range(int(begin), int(end), DAY), end])
    return len({moment.utcoffset() for moment in moments}) > 1


@given(hours=HOURS, begin=BEGIN, work=WORK)
def test_exactly_that_much_work(hours: Hours, begin: float, work: float) -> None:
    """Counted step by step on the wall, there is as much work as was asked, and the last of it just ended.

    At night, where an hour may be left out or come twice, the wall does not tell.
    """
    end = after(begin, work, hours)
    assume(hours.start >= NIGHT or not changes(begin, end, hours.zone))

    assert sum(STEP for moment in range(int(begin), int(end), STEP) if is_open(moment, hours)) == work
    assert is_open(end - STEP, hours)


@given(hours=HOURS, begin=BEGIN, first=WORK, second=WORK)
def test_more_takes_longer(hours: Hours, begin: float, first: float, second: float) -> None:
    """One time after another is as long as both at once, whatever clocks do in between; and never shorter."""
    between = after(begin, first, hours)

    assert begin + first <= between < after(begin, first + second, hours)
    assert after(between, second, hours) == after(begin, first + second, hours)
