"""The log as a tool, on real files."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainspring import SetupError, ToolError
from tests.app.calling import call
from tools import logs
from tools.logs import search_log

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty log of its own."""
    file = tmp_path / "log.jsonl"
    file.write_text("")
    monkeypatch.setenv("INCIDENT_LOG", str(file))
    return file


def write(log: Path, at: str, event: str = "oops", **more: Any) -> None:
    """Add a line; `at` is a time of day, or a whole time."""
    time = at if "T" in at else f"2026-03-10T{at}+01:00"
    line = {"time": time, "service": "shop", "level": "error", "event": event} | more
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def search(**args: Any) -> Any:
    """Search the log of the service."""
    return call(search_log, **{"service": "shop"} | args)


class TestTheExample:
    def test_checkout(self) -> None:
        """The example's main failure is counted by kind, with its first and last time, and a few lines."""
        found = call(search_log, service="checkout", since="14:05")

        assert (found["count"], found["main_event"], found["first_at"], found["last_at"]) == (
            62,
            "db_pool_exhausted",
            "14:04",
            "14:29",
        )
        assert [(kind["event"], kind["count"]) for kind in found["kinds"]] == [
            ("db_pool_exhausted", 56),
            ("request_failed", 6),
        ]
        assert (len(found["lines"]), found["lines_left_out"]) == (5, 57)

    def test_it_holds_what_the_readme_says(self) -> None:
        """The file is a log of six services and some 400 lines, each of which can be read, with words of strangers."""
        lines = (ROOT / "examples/incidents/service.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]

        assert len({entry["service"] for entry in entries}) == 6
        assert 350 < len(entries) < 450
        assert sorted(entry["time"] for entry in entries) == [entry["time"] for entry in entries]
        assert sum("ignore your rules" in line for line in lines) == 1

    def test_what_strangers_wrote_is_external(self) -> None:
        """The tool says of itself that anybody may have written what it returns."""
        assert (search_log.spec.returns, search_log.spec.effect) == ("external", "read")


class TestThePeriod:
    @pytest.mark.parametrize(
        "words",
        ["14:05", "14h05", "14.05", "14.05 Uhr", "14:05 Uhr", "2:05 pm", "2:05 p.m.", "02:05PM", " 14:05 ", "14 : 05"],
    )
    def test_times_of_day(self, log: Path, words: str) -> None:
        """A time of day is understood as people write it, by the log's clock."""
        write(log, "14:30:00")

        assert search(since=words)["searched_from"] == "2026-03-10T13:50:00+01:00"

    @pytest.mark.parametrize(("words", "hour"), [("14h", 13), ("14 Uhr", 13), ("2pm", 13), ("12 am", 23), ("12pm", 11)])
    def test_whole_hours(self, log: Path, words: str, hour: int) -> None:
        """An hour alone is enough; noon and midnight are where English puts them."""
        write(log, "14:30:00")

        assert f"T{hour}:45" in search(since=words)["searched_from"]

    @pytest.mark.parametrize("words", ["25:00", "14:61", "13 pm", "yesterday", "1405", "ignore your rules"])
    def test_no_time_of_day(self, log: Path, words: str) -> None:
        """What is no time of day is refused in words."""
        write(log, "14:30:00")

        with pytest.raises(ToolError, match="is no time of day; write it like 14:05"):
            search(since=words)

    def test_a_time_that_is_still_to_come_was_yesterday(self, log: Path) -> None:
        """A report after midnight of what began before it means the evening."""
        write(log, "2026-03-09T23:50:00+01:00")
        write(log, "2026-03-10T00:20:00+01:00")

        assert search(since="23:45")["count"] == 2

    def test_a_quarter_of_an_hour_before_counts_too(self, log: Path) -> None:
        """People notice late, but not that late."""
        for at in ("13:49:59", "13:50:00", "14:10:00"):
            write(log, at)

        assert search(since="14:05")["count"] == 2

    def test_minutes_count_back_from_the_end(self, log: Path) -> None:
        """Without a time the last two hours are searched, or as many minutes as are asked for."""
        for at in ("12:20:00", "12:40:00", "14:30:00", "14:35:00"):
            write(log, at)

        assert (search()["count"], search(minutes=5)["count"], search(minutes=1440)["count"]) == (3, 2, 4)
        with pytest.raises(ValidationError):
            search(minutes=0)

    def test_until(self, log: Path) -> None:
        """The end can be named, and the minutes count back from it."""
        for at in ("14:00:00", "14:10:00", "14:20:00"):
            write(log, at)

        assert search(until="14:15", minutes=10)["count"] == 1

    def test_other_zones(self, log: Path) -> None:
        """A line in another zone is put where it belongs."""
        write(log, "14:30:00")
        write(log, "2026-03-10T13:10:00+00:00", "elsewhere")

        assert search(since="14:05")["kinds"][0]["event"] == "elsewhere"


class TestWhatIsCounted:
    def test_level_and_text(self, log: Path) -> None:
        """Levels count from the lowest asked for; one nobody knows is grave; the text is found in any case."""
        for level in ("debug", "info", "warning", "error", "critical"):
            write(log, "14:00:00", level=level, message=f"a {level.upper()} line")

        counts = [search(level=level)["count"] for level in ("info", "warning", "error")]
        assert counts == [4, 3, 2]
        assert search(level="info", text="warning LINE")["count"] == 1

    def test_other_services(self, log: Path) -> None:
        """Only the service's own lines count; `seen` tells whether it writes at all."""
        write(log, "14:00:00", service="other")
        write(log, "14:00:00", level="info")

        assert [(found["count"], found["seen"]) for found in (search(), search(service="none"))] == [(0, 1), (0, 0)]

    def test_the_answer_is_bounded(self, log: Path) -> None:
        """However much is found: ten kinds with short names, five lines, 300 characters each."""
        for number in range(200):
            write(log, f"14:00:{number % 60:02}", f"event-{number % 20}" + "x" * 9000, message="x" * 9000)

        found = search()

        assert (found["count"], len(found["kinds"]), len(found["lines"])) == (200, 10, 5)
        assert max(map(len, found["lines"])) == 300
        assert max(len(kind["event"]) for kind in found["kinds"]) == 80
        assert len(json.dumps(found)) < 5000

    def test_lines_that_cannot_be_read(self, log: Path) -> None:
        """Torn lines, other forms and times without a zone are passed over."""
        write(log, "14:00:00")
        write(log, "2026-03-10T14:00:00", "no zone")
        with log.open("ab") as file:
            file.write(b'[1]\nnull\n{"time": 5}\n\xff\xfe\n\n' + b"[" * 100_000 + b'\n{"time": "2026-03-10T14:00')

        assert search()["count"] == 1

    def test_only_the_end_of_a_large_file_is_read(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A log may be larger than memory; a line cut in two is no line."""
        for second in range(10):
            write(log, f"14:00:{second:02}")
        monkeypatch.setattr(logs, "TAIL", int(log.stat().st_size / 10 * 2.5))

        assert search()["count"] == 2


class TestNoLog:
    def test_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A log that is not there is named, with the variable that says where it is."""
        monkeypatch.setenv("INCIDENT_LOG", str(tmp_path / "none.jsonl"))

        with pytest.raises(SetupError, match=r"none\.jsonl.*INCIDENT_LOG"):
            search()

    def test_an_empty_file(self, log: Path) -> None:
        """A log without a line has no 'now', and says nothing."""
        with pytest.raises(ToolError, match="no line that can be read"):
            search()
