"""Application: what the incident desk knows of the services, and what it sets going, as tools of an agent.

`INCIDENT_DB` names the SQLite file, the logbook (default `.mainspring/incidents.db`); the first use makes it,
with the inventory below. Only our own systems write in it, so what it says of a service is trusted. The pager
and the roll-backs of this example are rows in the logbook: nobody's telephone rings.
"""

import sqlite3
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field

from mainspring import Context, ToolError, tool
from tools.database import Database, alone

SCHEMA = (
    """CREATE TABLE services (
        service TEXT PRIMARY KEY,
        team TEXT NOT NULL,
        on_call TEXT NOT NULL,
        phone TEXT NOT NULL,
        runbook TEXT NOT NULL,
        critical INTEGER NOT NULL CHECK (critical IN (0, 1)),
        version TEXT NOT NULL,
        previous_version TEXT NOT NULL,
        deployed_at TEXT NOT NULL)""",
    """CREATE TABLE incidents (
        incident INTEGER PRIMARY KEY,
        service TEXT NOT NULL REFERENCES services,
        severity INTEGER NOT NULL CHECK (severity BETWEEN 1 AND 3),
        opened_at TEXT NOT NULL,
        closed_at TEXT)""",
    """CREATE TABLE reports (
        report INTEGER PRIMARY KEY,
        incident INTEGER NOT NULL REFERENCES incidents,
        title TEXT NOT NULL,
        reporter TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE)""",
    """CREATE TABLE pages (
        page INTEGER PRIMARY KEY,
        incident INTEGER NOT NULL REFERENCES incidents,
        team TEXT NOT NULL,
        message TEXT NOT NULL,
        paged_at TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE)""",
    """CREATE TABLE roll_backs (
        roll_back INTEGER PRIMARY KEY,
        service TEXT NOT NULL REFERENCES services,
        version TEXT NOT NULL,
        ordered_at TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE)""",
)

# All people are invented. The day is that of the example's log.
INVENTORY = (
    ("checkout", "storefront", "Lena Prado", "+49 30 5550 101", 1, "4.12.0", "4.11.3", "2026-03-10T14:02:10+01:00"),
    ("payments", "payments", "Kaspar Lund", "+49 30 5550 102", 1, "2.30.1", "2.30.0", "2026-03-04T10:15:00+01:00"),
    ("search", "discovery", "Yara Ulrich", "+49 30 5550 103", 0, "9.4.0", "9.3.8", "2026-03-09T16:40:00+01:00"),
    ("media", "platform", "Wim Arden", "+49 30 5550 104", 0, "1.18.2", "1.18.1", "2026-02-24T09:05:00+01:00"),
    ("notifications", "platform", "Wim Arden", "+49 30 5550 104", 0, "3.2.0", "3.1.9", "2026-03-02T11:30:00+01:00"),
    ("invoices", "payments", "Kaspar Lund", "+49 30 5550 102", 0, "5.0.4", "5.0.3", "2026-01-20T14:00:00+01:00"),
)


class Service(BaseModel):
    """What the inventory says of a service; `critical` where customers cannot buy without it."""

    service: str
    team: str
    on_call: str
    phone: str
    runbook: str
    critical: bool
    version: str
    previous_version: str
    deployed_at: str


class Incident(BaseModel):
    """An open incident; `is_new` where this report opened it, `paged` where its on-call was paged already."""

    incident: int
    service: str
    team: str
    severity: int
    is_new: bool
    paged: bool


class Page(BaseModel):
    """A page that was sent."""

    page: int
    team: str


class RollBack(BaseModel):
    """A roll-back that is under way."""

    service: str
    version: str


@tool(effect="read", returns="trusted personal")
def service_status(service: str) -> Service:
    """Look up in the inventory who owns a service, who is on call, the runbook and the last deploy.

    Args:
        service: Its name, such as checkout.
    """
    with LOGBOOK.opened() as logbook:
        return _service(logbook, service)


@tool(effect="idempotent", returns="trusted")
def open_incident(service: str, severity: Annotated[int, Field(ge=1, le=3)], title: str, context: Context) -> Incident:
    """Open an incident; where one of the service is open, the report joins it, and the graver severity holds.

    Args:
        service: The service it is about.
        severity: 1 is the gravest, 3 the least.
        title: The reporter's own words, one line.
        context: Its key marks the report, so a repeated call finds the same incident.
    """
    with LOGBOOK.opened() as logbook, alone(logbook, "no incident was opened"):
        _service(logbook, service)
        found = logbook.execute("SELECT incident FROM reports WHERE key = ?", (context.idempotency_key,)).fetchone()
        number = found["incident"] if found else _joined(logbook, service, severity)
        logbook.execute(
            "INSERT INTO reports (incident, title, reporter, key) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (number, title, context.user, context.idempotency_key),
        )
        return _incident(logbook, number, context.idempotency_key)


@tool(effect="once", returns="trusted")
def page_on_call(incident: int, team: str, message: str, context: Context) -> Page:
    """Page whoever is on call in a team. It wakes a person up.

    Args:
        incident: The number of the open incident it is about.
        team: The team that owns the incident's service.
        message: What the person reads.
        context: Its key marks the page.
    """
    with LOGBOOK.opened() as logbook, alone(logbook, "nobody was paged"):
        owner = logbook.execute(
            "SELECT team FROM incidents JOIN services USING (service) WHERE incident = ? AND closed_at IS NULL",
            (incident,),
        ).fetchone()
        if owner is None:
            raise ToolError(f"there is no open incident {incident}")
        if owner["team"] != team:
            raise ToolError(f"incident {incident} is with team {owner['team']!r}, not {team!r}")
        logbook.execute(
            "INSERT INTO pages (incident, team, message, paged_at, key) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO NOTHING",
            (incident, team, message, _now(), context.idempotency_key),
        )
        (page,) = logbook.execute("SELECT page FROM pages WHERE key = ?", (context.idempotency_key,)).fetchone()
    return Page(page=page, team=team)


@tool(effect="once", returns="trusted")
def roll_back(service: str, to_version: str, context: Context) -> RollBack:
    """Roll a service back to the version before its last deploy. Customers notice it.

    Args:
        service: The service.
        to_version: The version the inventory names as the previous one.
        context: Its key marks the roll-back.
    """
    with LOGBOOK.opened() as logbook, alone(logbook, "nothing was rolled back"):
        done = logbook.execute("SELECT 1 FROM roll_backs WHERE key = ?", (context.idempotency_key,)).fetchone()
        if not done:
            before = _service(logbook, service).previous_version
            if to_version != before:
                raise ToolError(f"{service} can be rolled back to {before} only, not to {to_version!r}")
            logbook.execute(
                "INSERT INTO roll_backs (service, version, ordered_at, key) VALUES (?, ?, ?, ?)",
                (service, to_version, _now(), context.idempotency_key),
            )
    return RollBack(service=service, version=to_version)


def _service(logbook: sqlite3.Connection, service: str) -> Service:
    row = logbook.execute("SELECT * FROM services WHERE service = ?", (service,)).fetchone()
    if row is None:
        known = ", ".join(each[0] for each in logbook.execute("SELECT service FROM services ORDER BY rowid"))
        raise ToolError(f"there is no service {service!r}; there are: {known}")
    return Service.model_validate(dict(row))


def _joined(logbook: sqlite3.Connection, service: str, severity: int) -> int:
    """The number of the open incident of a service, which is opened where there is none."""
    row = logbook.execute(
        "SELECT incident FROM incidents WHERE service = ? AND closed_at IS NULL ORDER BY incident", (service,)
    ).fetchone()
    if row is None:
        row = logbook.execute(
            "INSERT INTO incidents (service, severity, opened_at) VALUES (?, ?, ?) RETURNING incident",
            (service, severity, _now()),
        ).fetchone()
    logbook.execute("UPDATE incidents SET severity = min(severity, ?) WHERE incident = ?", (severity, row["incident"]))
    return int(row["incident"])


def _incident(logbook: sqlite3.Connection, number: int, key: str) -> Incident:
    row = logbook.execute(
        """SELECT incident, service, team, severity,
            (SELECT key FROM reports WHERE incident = ? ORDER BY report) = ? AS is_new,
            EXISTS (SELECT 1 FROM pages WHERE pages.incident = incidents.incident) AS paged
        FROM incidents JOIN services USING (service) WHERE incident = ?""",
        (number, key, number),
    ).fetchone()
    return Incident.model_validate(dict(row))


def _fill(logbook: sqlite3.Connection) -> None:
    rows = [(*each[:4], f"https://runbooks.example.com/{each[0]}", *each[4:]) for each in INVENTORY]
    logbook.executemany("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


LOGBOOK = Database("logbook", "INCIDENT_DB", ".mainspring/incidents.db", SCHEMA, _fill)
"""`INCIDENT_DB` says where the logbook is."""
