"""What every report of `examples/incidents` must come to by the playbook."""

import json
from dataclasses import dataclass
from pathlib import Path

from mainspring.core.canonical import Json
from tests.app.calling import rows

FOLDER = Path(__file__).parents[2] / "examples/incidents"


@dataclass(frozen=True)
class Expected:
    """How a report ends: the playbook's last row, and the incident's severity, 0 where there is none."""

    language: str
    row: str
    says: str
    severity: int = 0
    paged: bool = False
    asks: str = ""
    """The rule that asks a person; where it does, the person approves."""


BY_A_PERSON = "roll-back-by-a-person"

EXPECTED = {
    "checkout-502": Expected(
        "en", "opened", "62 errors of checkout, the first at 14:04, the last at", 1, paged=True, asks=BY_A_PERSON
    ),
    "kasse": Expected(
        "de", "opened", "62 Fehler von checkout, den ersten um 14:04, den letzten um", 1, paged=True, asks=BY_A_PERSON
    ),
    "caisse": Expected(
        "fr", "opened", "62 erreurs de checkout, la première à 14:04, la dernière à", 1, paged=True, asks=BY_A_PERSON
    ),
    "carrito": Expected(
        "es", "opened", "62 errores de checkout, el primero a las 14:04, el", 1, paged=True, asks=BY_A_PERSON
    ),
    "paiements": Expected("fr", "opened", "31 erreurs de payments, la première à 13:12", 1, paged=True),
    "late-payments": Expected("en", "opened", "severity 2. Team payments sees it in its queue.", 2),
    "bilder": Expected("de", "opened", "9 Fehler von media, den ersten um 14:06", 2),
    "busqueda": Expected("es", "opened", "3 errores de search, el primero a las 12:48", 3),
    "vague": Expected("de", "which-service", "Um welchen Dienst geht es"),
    "two-services": Expected("en", "one-at-a-time", "You name search and media."),
    "mails": Expected("en", "no-errors", "no errors of notifications in that time"),
    "rechnungen": Expected("de", "silent", "keine einzige Zeile von invoices"),
    "de-guardia": Expected("es", "who-is-on-call", "Kaspar Lund está de guardia para payments"),
    "no-fault": Expected("fr", "not-for-this-desk", "Veuillez écrire au centre de services"),
    "boss": Expected("en", "opened", "severity 1", 1, paged=True, asks=BY_A_PERSON),
}


DOWN = {
    "en": "Checkout is failing since 14:05",
    "de": "Die Kasse geht seit 14:05 Uhr nicht",
    "fr": "La caisse ne marche plus depuis 14h05",
    "es": "El carrito no funciona desde las 14:05",
}
"""The same report in each language."""


def given(name: str) -> dict[str, Json]:
    """A report as a run is started with it."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def made(logbook: Path) -> tuple[int, ...]:
    """How many incidents, pages and roll-backs there are."""
    return tuple(len(rows(logbook, f"SELECT 1 FROM {name}")) for name in ("incidents", "pages", "roll_backs"))
