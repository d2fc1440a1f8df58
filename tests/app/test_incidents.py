"""The logbook's tools, on a real SQLite file."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mainspring import NotDone, SetupError, Tool, ToolError
from tests.app.calling import call, rows
from tools import database, incidents, logs
from tools.incidents import open_incident, page_on_call, roll_back, service_status


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A logbook of its own for each test; not made yet."""
    path = tmp_path / "new" / "incidents.db"
    monkeypatch.setenv("INCIDENT_DB", str(path))
    return path


def opened(key: str = "key-1", service: str = "checkout", severity: int = 1) -> Any:
    """Open an incident."""
    return call(open_incident, key, service=service, severity=severity, title="It is down")


def paged(key: str = "page-1", incident: int = 1, team: str = "storefront") -> Any:
    """Page a team."""
    return call(page_on_call, key, incident=incident, team=team, message="It is down")


def test_a_service() -> None:
    """The inventory tells the owner, who is on call, the runbook and the last deploy."""
    found = call(service_status, service="checkout")

    assert (found["team"], found["on_call"], found["critical"]) == ("storefront", "Lena Prado", True)
    assert (found["version"], found["previous_version"]) == ("4.12.0", "4.11.3")
    assert found["runbook"] == "https://runbooks.example.com/checkout"


def test_an_unknown_service() -> None:
    """A name that is no service is answered with those there are, by every tool that takes one."""
    for tool in (service_status, open_incident, roll_back):
        given = {"service": "gateway", "severity": 1, "title": "x", "to_version": "1"}
        args = {name: given[name] for name in tool.spec.input_schema["properties"]}
        with pytest.raises(ToolError, match="no service 'gateway'; there are: checkout, payments"):
            call(tool, **args)
    assert incidents.LOGBOOK.place().exists()


class TestIncidents:
    def test_one_call_is_one_report(self, file: Path) -> None:
        """The same call attempted twice is one report of one incident."""
        assert opened() == opened()
        assert rows(file, "SELECT incident, title FROM reports") == [(1, "It is down")]

    def test_a_second_report_joins(self, file: Path) -> None:
        """While an incident of the service is open, another report joins it; the graver severity holds."""
        first, graver, lesser = opened("a", severity=2), opened("b", severity=1), opened("c", severity=3)

        assert [each["incident"] for each in (first, graver, lesser)] == [1, 1, 1]
        assert [each["severity"] for each in (first, graver, lesser)] == [2, 1, 1]
        assert [each["is_new"] for each in (first, graver, lesser)] == [True, False, False]
        assert opened("d", service="search")["incident"] == 2

    def test_a_closed_incident_is_not_joined(self, file: Path) -> None:
        """After it was closed, a report opens a new one."""
        opened("a")
        with closing(sqlite3.connect(file)) as logbook, logbook:
            logbook.execute("UPDATE incidents SET closed_at = 'now'")

        assert (opened("b")["incident"], opened("b")["is_new"]) == (2, True)

    def test_reports_at_the_same_moment(self, file: Path) -> None:
        """Of reports that come at once, one opens the incident."""
        call(service_status, service="checkout")
        with ThreadPoolExecutor(8) as threads:
            new = [each["is_new"] for each in threads.map(opened, "abcdefgh")]

        assert sorted(new) == [False] * 7 + [True]
        assert rows(file, "SELECT count(*) FROM incidents") == [(1,)]

    @pytest.mark.parametrize("severity", [0, 4])
    def test_severity(self, severity: int) -> None:
        """There are three."""
        with pytest.raises(ValidationError):
            opened(severity=severity)


class TestPages:
    def test_one_page_per_key(self, file: Path) -> None:
        """The same call attempted twice pages once, and later reports know that it did."""
        opened()
        assert [paged("a"), paged("a"), paged("b")] == [{"page": n, "team": "storefront"} for n in (1, 1, 2)]
        assert opened("later")["paged"]

    def test_a_closed_incident(self, file: Path) -> None:
        """Nobody is paged for what is over."""
        opened()
        with closing(sqlite3.connect(file)) as logbook, logbook:
            logbook.execute("UPDATE incidents SET closed_at = 'now'")

        with pytest.raises(ToolError, match="no open incident 1"):
            paged()

    @pytest.mark.parametrize(
        ("args", "words"),
        [({"team": "platform"}, "with team 'storefront', not 'platform'"), ({"incident": 7}, "no open incident 7")],
    )
    def test_somebody_else(self, file: Path, args: dict[str, Any], words: str) -> None:
        """Only the team that owns the incident's service can be paged, while it is open."""
        opened()

        with pytest.raises(ToolError, match=words):
            paged(**args)
        assert rows(file, "SELECT count(*) FROM pages") == [(0,)]


class TestRollBacks:
    def test_once_per_key(self, file: Path) -> None:
        """The same call attempted twice rolls back once."""
        for _ in range(2):
            assert call(roll_back, service="checkout", to_version="4.11.3")["version"] == "4.11.3"
        assert rows(file, "SELECT service, version FROM roll_backs") == [("checkout", "4.11.3")]

    def test_another_version(self, file: Path) -> None:
        """No other version than the previous one can be named."""
        with pytest.raises(ToolError, match=r"to 4\.11\.3 only, not to '0\.0\.1'"):
            call(roll_back, service="checkout", to_version="0.0.1")
        assert rows(file, "SELECT count(*) FROM roll_backs") == [(0,)]


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (opened, "no incident was opened"),
        (paged, "nobody was paged"),
        (lambda: call(roll_back, service="checkout", to_version="4.11.3"), "nothing was rolled back"),
    ],
)
def test_busy_logbook(file: Path, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], Any], words: str) -> None:
    """A logbook that another writer holds is a certain 'not done', so the engine may try again."""
    call(service_status, service="checkout")
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotDone, match=words):
            attempt()


def test_not_a_logbook(file: Path) -> None:
    """A database of somebody else is refused by name, and left alone."""
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (x)")

    with pytest.raises(SetupError, match=r"incidents\.db.*not a logbook.*INCIDENT_DB"):
        opened()
    assert rows(file, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_every_tool_tells_the_model_what_to_give() -> None:
    """Every argument of every tool has a description, and effects and labels are as declared."""
    tools = [each for module in (incidents, logs) for each in vars(module).values() if isinstance(each, Tool)]

    for each in tools:
        properties: Any = each.spec.input_schema["properties"]
        assert all(field.get("description") for field in properties.values()), each.name
    assert {each.name: (each.spec.effect, each.spec.returns, each.spec.accepts) for each in tools} == {
        "service_status": ("read", "trusted personal", "external"),
        "search_log": ("read", "external", "external"),
        "open_incident": ("idempotent", "trusted", "user"),
        "page_on_call": ("once", "trusted", "user"),
        "roll_back": ("once", "trusted", "user"),
    }
