"""YAML with the place of every part: what rule files and playbooks are read through.

Pure: text in, a tree of `Part`s out. A scalar stays the text that was written, whatever YAML would
make of it (`no`, `1e3`), and nothing is ever constructed from a tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from mainspring.core.canonical import mended
from mainspring.errors import PolicyError

_YAML_TAG = "tag:yaml.org,2002:"
_MOST = 100_000
"""Parts of a file: anchors that hold anchors make more of a few lines than fits anywhere."""


@dataclass(frozen=True)
class Part:
    """A text, list or mapping of a file.

    `line` and `column` count from 1: where a text or a list item begins, or where the key of a list or mapping stands.
    They are 0 for an empty file. Of a text, `is_literal` tells whether its lines are those of the file, and `is_quoted`
    whether it is text whatever it says.
    """

    value: "str | list[Part] | dict[str, Part]"
    line: int
    column: int = 0
    is_literal: bool = False
    is_quoted: bool = False

    def at(self, path: Sequence[str | int]) -> "Part":
        """The deepest part there is on a path of keys and indexes."""
        below: dict[Any, Part] = {}
        if not isinstance(self.value, str):
            below |= self.value if isinstance(self.value, dict) else enumerate(self.value)
        return below[path[0]].at(path[1:]) if path and path[0] in below else self

    def plain(self) -> Any:
        """The same as text, lists and dicts."""
        if isinstance(self.value, dict):
            return {key: part.plain() for key, part in self.value.items()}
        return [part.plain() for part in self.value] if isinstance(self.value, list) else self.value


class Problems:
    """What is wrong with a file, gathered to refuse it all at once. `source` is the file as its author named it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._found: list[tuple[int, int, str]] = []

    def wrong(self, place: Part | tuple[int, int], problem: str) -> None:
        """Note a problem of a part, or of a place by line and column."""
        line, column = (place.line, place.column) if isinstance(place, Part) else place
        self._found.append((line, column, problem))

    def errors(self) -> list[PolicyError]:
        """What was noted, by line."""
        found = sorted(self._found, key=lambda found: found[:2])
        return [PolicyError(self.source, line, problem, column) for line, column, problem in found]

    def close(self) -> None:
        """Raise `PolicyError` for the first problem by line, the others below it."""
        _raise(self.errors())


class ProblemsByFile(dict[str, Problems]):
    """What is wrong with several files, by their names; a file is added when something is noted of it."""

    def __missing__(self, source: str) -> Problems:
        """Begin the list of a file."""
        return self.setdefault(source, Problems(source))

    def close(self) -> None:
        """Raise `PolicyError` for the first problem of the first file, all others below it."""
        _raise([error for problems in self.values() for error in problems.errors()])


def _raise(errors: Sequence[PolicyError]) -> None:
    if errors:
        first, *others = errors
        more = "".join(f"\n{other}" for other in others)
        raise PolicyError(first.source, first.line, first.problem + more, first.column)


def read(text: str, problems: Problems) -> Part:
    """Read a file. Keys written twice and texts that became tags are noted, to be raised with what else is wrong.

    Raises:
        PolicyError: this is not YAML, or nothing one could read to its end.
    """
    source = problems.source
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not YAML: {error.problem or error.context}."
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise PolicyError(source, line, problem, column) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise PolicyError(source, line, f"this is not YAML: {error.reason}.") from None
    except RecursionError:
        raise PolicyError(source, 0, "this is nested too deeply; no file needs that.") from None
    except (ValueError, OverflowError):  # of an escape such as \UFFFFFFFF
        raise PolicyError(source, 0, "this is not YAML: an escape (\\U) names no character.") from None
    if node is None:
        return Part("", 0)
    try:
        return _Reader(text, problems).part(node, _place(node), "the file")
    except RecursionError:
        raise PolicyError(source, 0, "an anchor (&) contains itself, so the file has no end.") from None


class _Reader:
    """Makes parts of the nodes of one text."""

    def __init__(self, text: str, problems: Problems) -> None:
        self._lines = text.splitlines()
        self._problems = problems
        self._left = _MOST

    def part(self, node: yaml.Node, place: tuple[int, int], name: str) -> Part:
        self._left -= 1
        if self._left < 0:
            raise PolicyError(self._problems.source, 0, f"this has more than {_MOST:,} parts; no file needs that.")
        tagged = not node.tag.startswith(_YAML_TAG)
        if tagged:
            self._problems.wrong(_place(node), f"{name} starts with '!', which YAML reads as a tag. Put it in quotes.")
        if isinstance(node, yaml.SequenceNode):
            items = cast("list[yaml.Node]", node.value)
            return Part([self.part(item, _place(item), f"an item of {name}") for item in items], *place)
        if isinstance(node, yaml.MappingNode):
            return Part(self._fields(node), *place)
        # A tagged text is no second problem of being empty.
        value = node.tag if tagged else str(node.value)
        if mended(value) != value:
            self._problems.wrong(_place(node), f"{name} has half of a character (\\ud800 to \\udfff) in it.")
        line, column = _place(node)
        style = node.style if isinstance(node, yaml.ScalarNode) else ""
        if style in ("|", ">"):  # the words begin below the sign
            words = self._lines[line] if line < len(self._lines) else ""
            return Part(value, line + 1, len(words) - len(words.lstrip()) + 1, style == "|", is_quoted=True)
        is_one_line = node.end_mark.line == node.start_mark.line
        return Part(value, line, column + bool(style), is_one_line, is_quoted=bool(style))

    def _fields(self, node: yaml.MappingNode) -> dict[str, Part]:
        fields: dict[str, Part] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            word = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or mended(word) != word:
                self._problems.wrong(_place(key), "the name of a key is a text.")
            elif word in fields:
                self._problems.wrong(_place(key), f"{word!r} is written twice; only one can count.")
            else:
                fields[word] = self.part(value, _place(key), repr(word))
        return fields


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
