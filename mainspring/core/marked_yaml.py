"""YAML with the line of every part: what rule files and playbooks are read through.

Pure: text in, a tree of `Part`s out. A scalar stays the text that was written, whatever YAML would
make of it (`no`, `1e3`), and nothing is ever constructed from a tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from mainspring.errors import PolicyError

_YAML_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Part:
    """A text, list or mapping of a file.

    `line` counts from 1: where a text or a list item begins, or where the key of a list or mapping stands.
    It is 0 for an empty file.
    """

    value: "str | list[Part] | dict[str, Part]"
    line: int

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
        self._found: list[tuple[int, str]] = []

    def wrong(self, place: Part | int, problem: str) -> None:
        """Note a problem of a part or a line."""
        self._found.append((place if isinstance(place, int) else place.line, problem))

    def close(self) -> None:
        """Raise `PolicyError` for the first problem by line, the others below it."""
        if not self._found:
            return
        (line, problem), *others = sorted(self._found, key=lambda found: found[0])
        more = "".join(f"\n{PolicyError(self.source, *other)}" for other in others)
        raise PolicyError(self.source, line, problem + more)


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
        raise PolicyError(source, mark.line + 1 if mark else 0, problem) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise PolicyError(source, line, f"this is not YAML: {error.reason}.") from None
    except RecursionError:
        raise PolicyError(source, 0, "this is nested too deeply; no file needs that.") from None
    if node is None:
        return Part("", 0)
    try:
        return _part(node, _line(node), "the file", problems)
    except RecursionError:
        raise PolicyError(source, 0, "an anchor (&) contains itself, so the file has no end.") from None


def _part(node: yaml.Node, line: int, name: str, problems: Problems) -> Part:
    tagged = not node.tag.startswith(_YAML_TAG)
    if tagged:
        problems.wrong(_line(node), f"{name} starts with '!', which YAML reads as a tag. Put it in quotes.")
    if isinstance(node, yaml.SequenceNode):
        items = cast("list[yaml.Node]", node.value)
        return Part([_part(item, _line(item), f"an item of {name}", problems) for item in items], line)
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Part] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            word = str(key.value)
            if word in fields:
                problems.wrong(_line(key), f"{word!r} is written twice; only one can count.")
            else:
                fields[word] = _part(value, _line(key), repr(word), problems)
        return Part(fields, line)
    # The words of a block (| or >) begin below its sign; a tagged text is no second problem of being empty.
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return Part(node.tag if tagged else str(node.value), _line(node) + block)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
