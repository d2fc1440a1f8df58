"""YAML with lines: what rule files and playbooks are read through."""

import pytest

from mainspring.core.marked_yaml import Part, Problems, read
from mainspring.errors import PolicyError

FILE = """\
name: no
steps:
  - one
  - when: |
      x > 1
      && y
    then: [1e3, ~]
"""


def page(text: str) -> Part:
    """The file, which has no problem."""
    problems = Problems("f.yaml")
    part = read(text, problems)
    problems.close()
    return part


def refusal(text: str) -> str:
    """The message the file is refused with."""
    with pytest.raises(PolicyError) as caught:
        page(text)
    return str(caught.value)


def test_scalars_are_texts():
    """What YAML would make of a word does not matter."""
    assert page(FILE).plain() == {"name": "no", "steps": ["one", {"when": "x > 1\n&& y\n", "then": ["1e3", "~"]}]}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("steps",), 2),
        (("steps", 1), 4),
        (("steps", 1, "when"), 5),
        (("steps", 1, "then", 0), 7),
        (("steps", 1, "else", "x"), 4),
        (("steps", 9), 2),
        (("name", "x"), 1),
    ],
)
def test_lines(path: tuple[str | int, ...], line: int):
    """Each part has its line, a block that of its first word; what is not there has that of what surrounds it."""
    assert page(FILE).at(path).line == line


def test_empty_file():
    """A file without anything in it has no line."""
    assert page("# nothing\n") == Part("", 0)


def test_problems_are_told_together():
    """A key written twice and a text that became a tag are told in the order of the file."""
    message = refusal("a: 1\nb: !c.d\na: 2\n")

    assert message.splitlines() == [
        "f.yaml:2:4: 'b' starts with '!', which YAML reads as a tag. Put it in quotes.",
        "f.yaml:3:1: 'a' is written twice; only one can count.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "f.yaml:1:5: this is not YAML: "),
        ("a: 1\nb: \0", "f.yaml:2: this is not YAML: "),
        ("[" * 600, "f.yaml: this is nested too deeply"),
        ("a: &b {c: *b}", "f.yaml: an anchor (&) contains itself"),
        ("a: *b", "f.yaml:1:4: this is not YAML: found undefined alias"),
    ],
)
def test_unreadable(text: str, message: str):
    """What cannot be read to its end is refused at once."""
    assert refusal(text).startswith(message)
