"""Shows the results: in the terminal, and in `docs/recognisers.md`. Pure but for the page that it writes."""

from dataclasses import dataclass

from benchmarks.environments import ROOT
from benchmarks.recognisers.score import Fault, Score, Scored
from benchmarks.report import table

PAGE = ROOT / "docs" / "recognisers.md"
TARGET = 5.0
NOTE = "<!-- Written by `make bench-recognisers`. Do not edit: benchmarks/recognisers/page.py has the words. -->"
KINDS = {
    "card": "a card number: how a network's cards begin, their length, the check digit",
    "email": "an address of mail, also written `ana [at] example [dot] org`",
    "iban": "a bank account: its country's length, the check digits",
    "ip": "the address of a machine, IPv4 or IPv6",
    "national_id": (
        "a tax, health or identity number of a person in one of some twenty countries: its check digits, and where "
        "these say little, a word before it such as `SSN`"
    ),
    "phone": (
        "a telephone number with its country code; without one, of the United States, Great Britain, Germany, France, "
        "Spain, Italy or the Netherlands, by the numbering plan"
    ),
    "secret": "a key or token of known shape, a private key, what follows `password:` and the like",
}
ABOUT = f"""
`make bench-recognisers` looks for personal data and secrets in labelled texts: tickets, mails, chats, log lines and
JSON as tools give it, in some fifteen languages, many of them with nothing in them but what looks like it. A find
counts where it has the kind and both ends of the label. All numbers are made up, or published for tests.
Where presidio-analyzer is installed, it is measured as well.

{table(("Kind", "What it is, and how it is known"), [(f"`{kind}`", text) for kind, text in KINDS.items()])}

A text is looked at as it reads: full-width digits, no-break spaces, invisible characters and the escapes of JSON hide
nothing. All patterns are RE2's, so the time grows with the length of the text, whatever a stranger writes in it.

**Not found:** the names of persons, and where they live. They have no shape. Nor what is spelled out in words, encoded,
or read backwards; nor a password that nothing nearby calls one.
"""
READ = """
`benchmarks/recognisers/labelled.yaml` was written before the code, its last part after it, and the code was put right
twice where it failed there: so it shows what is meant to work. `unseen.yaml` was written last, and nothing was changed
for it: it is the better guess at texts of yours. Both are by the same authors, and small.
"""


@dataclass(frozen=True)
class Measured:
    """What came of one recogniser: by set of texts, and its time for texts of about 1 KB and of 10 KB."""

    name: str
    sets: dict[str, Scored]
    small: float
    large: float


def show(ours: Measured, presidio: Measured | None) -> int:
    """Print what was seen, write the page; gives the exit code, 1 where it takes too long."""
    parts = [READ.strip()]
    for name, scored in ours.sets.items():
        rows = [*scored.kinds.items(), ("*all*", scored.whole)]
        parts.append(f"## {name}\n\n{_table(rows)}\n\n{_faults(scored.faults)}")
    parts.append(_times(ours, presidio))
    if presidio:
        parts.append(_presidio(ours, presidio))
    text = "\n\n".join(parts)
    print(text)
    PAGE.write_text(f"# Recognisers\n\n{NOTE}\n{ABOUT}\n{text}\n", encoding="utf-8")
    return 1 if max(ours.small, ours.large) > TARGET else 0


def _table(rows: list[tuple[str, Score]]) -> str:
    head = ("Kind", "labels", "precision", "recall", "F1")
    return table(head, [(name, str(score.labels), *_figures(score)) for name, score in rows])


def _figures(score: Score) -> tuple[str, str, str]:
    return f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}"


def _faults(faults: tuple[Fault, ...]) -> str:
    if not faults:
        return "Nothing was missed, and nothing found that is none."
    rows = [
        ("missed" if each.missed else "false find", each.id, each.kind, f"`{_line(each.words)}`") for each in faults
    ]
    return table(("What", "text", "kind", "words"), rows)


def _line(words: str) -> str:
    return words.replace("\n", " ").replace("|", " ").encode("ascii", "backslashreplace").decode()


def _times(ours: Measured, presidio: Measured | None) -> str:
    rows = [(each.name, f"{each.small:.1f}", f"{each.large:.1f}") for each in (ours, presidio) if each]
    said = f"Milliseconds of processor time for a KB, on the same texts joined; the target is at most {TARGET:.0f}."
    return f"## Time\n\n{said}\n\n{table(('Recognisers', 'texts of 1 KB', 'texts of 10 KB'), rows)}"


def _presidio(ours: Measured, presidio: Measured) -> str:
    rows = [
        (each.name, name, str(scored.whole.labels), *_figures(scored.whole))
        for each in (ours, presidio)
        for name, scored in each.sets.items()
    ]
    head = ("Recognisers", "texts", "labels", "precision", "recall", "F1")
    said = (
        "The patterns of [presidio](https://github.com/microsoft/presidio) alone, without a language model, on the "
        "labels of the kinds that both know; ours with all kinds. It was made for other texts than these."
    )
    return f"## presidio\n\n{said}\n\n{table(head, rows)}"
