"""National identity, tax and social security numbers of persons: shapes by RE2, then the check digits by `stdnum`.

A shape that tells little, such as nine digits, needs a word near it: of such numbers one in ten passes the check by
chance. What has letters or signs of its own in the right places is found wherever it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mainspring.adapters.recognisers.compiled import compiled
from mainspring.adapters.recognisers.surroundings import is_told, stands_alone
from mainspring.ports.recogniser import Found


@dataclass(frozen=True)
class _Number:
    """A number of one country: its shape, who checks it, and the words it needs before it ("" for none)."""

    shape: str
    check: str = ""
    words: str = ""


_SEP = r"[ ./-]?"
_NUMBERS = (
    _Number(r"\d{3}-\d{2}-\d{4}", "us.ssn"),
    _Number(r"\d{3} ?\d{2} ?\d{4}", "us.ssn", r"ssn|social|social security(?: number| no)?"),
    _Number(
        rf"\d{{2}}{_SEP}\d{{3}}{_SEP}\d{{3}}{_SEP}\d{{3}}",
        "de.idnr",
        r"steuer[ _-]?id(?:nr|entifikationsnummer)?|idnr|identifikationsnummer|tin|tax[ _]?id|steuerliche",
    ),
    _Number(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AaBb]) ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    _Number(r"\d{8}[ -]?[A-Za-z]|\d{2}\.\d{3}\.\d{3}[ -]?[A-Za-z]", "es.dni"),
    _Number(r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]", "es.nie"),
    _Number(r"[A-Za-z]{6}\d{2}[A-Ea-eHhLlMmPpRrSsTt]\d{2}[A-Za-z]\d{3}[A-Za-z]", "it.codicefiscale"),
    _Number(rf"\d{{4}}{_SEP}\d{{2}}{_SEP}\d{{3}}", "nl.bsn", r"bsn|burgerservicenummer|sofinummer|sofi"),
    _Number(
        r"[A-CEGHJ-PQR-TW-Z][A-CEGHJ-NPQR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        words=r"ni|nino|national insurance|insurance",
    ),
    _Number(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", r"nhs"),
    _Number(r"\d{11}", "pl.pesel", r"pesel"),
    _Number(r"(?:19|20)?\d{6}[-+]\d{4}", "se.personnummer"),
    _Number(r"\d{6} ?\d{5}", "no.fodselsnummer", r"f[øo]dselsnummer|f[øo]dselsnr|fnr|personnummer"),
    _Number(r"\d{6}-?\d{4}", "dk.cpr", r"cpr|cpr-nr|personnummer|cpr-nummer"),
    _Number(r"\d{6}[-+A-FYXWVUa-fyxwvu]\d{3}[0-9A-FHJ-NPR-Ya-fhj-npr-y]", "fi.hetu"),
    _Number(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    _Number(
        r"\d{11}", "be.nn", r"rijksregister(?:nummer)?|registre national|nationaal nummer|insz|niss|num[ée]ro national"
    ),
    _Number(r"756\.?\d{4}\.?\d{4}\.?\d{2}", "ch.ssn"),
    _Number(r"\d{4} ?\d{6}", "at.vnr", r"svnr|sv-nr|sozialversicherungsnummer|versicherungsnummer"),
    _Number(r"\d{6}/\d{3,4}", "cz.rc"),
    _Number(r"\d{9}", "pt.nif", r"nif|contribuinte"),
    _Number(r"\d{3}[ -]?\d{3}[ -]?\d{3}", "ca.sin", r"sin|social insurance(?: number)?|nas"),
    _Number(r"\d{7}[A-Wa-w][A-Ia-iWw]?", "ie.pps", r"pps|ppsn|pps number"),
    _Number(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _Number(r"\d{11}", "br.cpf", r"cpf"),
    _Number(r"\d{4} ?\d{4} ?\d{4}", "in_.aadhaar", r"aadhaar|aadhar|uidai"),
    _Number(r"\d{13}", "ro.cnp", r"cnp"),
)


_GAPS = str.maketrans("", "", " .")
"""What not every checker takes off."""


class _Compiled:
    """A number of one country, ready to look for."""

    def __init__(self, number: _Number) -> None:
        self.shape = compiled(rf"\b(?:{number.shape})\b")
        self.words = compiled(rf"(?i)(?:\b|_)(?:{number.words})(?:\b|_)") if number.words else None
        self._check: Any = import_module(f"stdnum.{number.check}") if number.check else None

    def is_right(self, written: str) -> bool:
        """Whether the check digits are right."""
        return self._check is None or bool(self._check.is_valid(written.translate(_GAPS)))


_COMPILED = tuple(map(_Compiled, _NUMBERS))


def find_national_ids(text: str) -> Iterator[Found]:
    """National numbers in a folded text; the same place may come more than once."""
    for number in _COMPILED:
        if number.words is not None and not number.words.search(text):
            continue
        for match in number.shape.finditer(text):
            start, end = match.span()
            if number.words is not None and not is_told(number.words, text, start):
                continue
            if stands_alone(text, start, end) and number.is_right(match[0]):
                yield Found("national_id", start, end)
