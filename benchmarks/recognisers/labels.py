"""Reads the labelled texts."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from mainspring.ports.recogniser import Found

HERE = Path(__file__).parent
_MARK = re.compile(r"⟦([a-z_]+)\|(.*?)⟧", re.DOTALL)
_JOINER = "⁀"
"""Keeps programs that look for leaked keys away from the file; no part of the text."""


@dataclass(frozen=True)
class Labelled:
    """A text, and what is to be found in it."""

    id: str
    text: str
    labels: frozenset[Found]


def read(name: str) -> tuple[Labelled, ...]:
    """The texts of one of the files here."""
    written: dict[str, str] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return tuple(_parsed(id_, text.replace(_JOINER, "")) for id_, text in written.items())


def _parsed(id_: str, marked: str) -> Labelled:
    text, last, labels = "", 0, set[Found]()
    for mark in _MARK.finditer(marked):
        text += marked[last : mark.start()]
        labels.add(Found(mark[1], len(text), len(text) + len(mark[2])))
        text += mark[2]
        last = mark.end()
    return Labelled(id_, text + marked[last:], frozenset(labels))
