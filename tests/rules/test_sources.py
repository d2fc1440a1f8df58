"""Rules over every Python file: sizes, docstrings, names, and that the engine does not know its application."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("mainspring", "agents", "tools", "workflows", "tests", "benchmarks", "examples", "deploy")
FILES = sorted([*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))])
ENGINE = [path for path in FILES if path.is_relative_to(ROOT / "mainspring")]
VAGUE = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
SIDES = {"durable": "Workflow side", "effects": "Activity side"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    """Yields every function of a file, nested ones too."""
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function from `def` to its end, less its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        first = function.body[0]
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def public(tree: ast.Module) -> Iterator[ast.ClassDef | Function]:
    """Yields the public classes, functions and methods of a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                methods = (item for item in node.body if isinstance(item, Function))
                yield from (method for method in methods if not method.name.startswith("_"))


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports absolutely."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def where(path: Path, line: int) -> str:
    """A place that an editor can jump to."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_files_stay_short() -> None:
    """No file is longer than 500 lines."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}

    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def test_functions_stay_short() -> None:
    """No function is longer than 60 lines, its docstring not counted."""
    long = {where(path, item.lineno): length(item) for path in FILES for item in functions(path) if length(item) > 60}

    assert long == {}


def test_every_module_says_what_it_is() -> None:
    """Every module of the engine and of the application begins with a docstring."""
    modules = [path for path in FILES if not path.is_relative_to(ROOT / "tests")]
    silent = [where(path, 1) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]

    assert silent == []


def test_every_test_says_what_it_shows() -> None:
    """Every test has a docstring: one sentence of behaviour."""
    tests = [(path, item) for path in FILES if path.name.startswith("test_") for item in functions(path)]
    named = [(path, item) for path, item in tests if item.name.startswith("test_")]

    assert named
    assert [where(path, item.lineno) for path, item in named if not ast.get_docstring(item)] == []


def test_everything_public_is_documented() -> None:
    """Every public class, function and method of the engine has a docstring."""
    silent = [
        f"{where(path, node.lineno)} {node.name}"
        for path in ENGINE
        for node in public(ast.parse(path.read_text()))
        if not ast.get_docstring(node) and not overrides(node)
    ]

    assert silent == []


def overrides(node: ast.ClassDef | Function) -> bool:
    """Whether a method carries `@override` or `@overload`, and so the docstring of another."""
    marks = {ast.unparse(mark).rsplit(".")[-1] for mark in node.decorator_list}
    return bool(marks & {"override", "overload"})


@pytest.mark.parametrize("folder", SIDES)
def test_modules_name_their_side(folder: str) -> None:
    """Every module in `durable` and `effects` says in its first words on which side of Temporal it runs."""
    modules = sorted((ROOT / "mainspring" / folder).rglob("*.py"))
    nameless = [
        where(path, 1)
        for path in modules
        if not (ast.get_docstring(ast.parse(path.read_text())) or "").startswith(SIDES[folder])
    ]

    assert modules
    assert nameless == []


def test_names_say_something() -> None:
    """No module is named for nothing in particular, such as `utils`."""
    assert [where(path, 1) for path in FILES if VAGUE & {path.stem, path.parent.name}] == []


def test_engine_does_not_know_the_application() -> None:
    """The engine imports neither `worker.py` nor the application's folders (import-linter cannot see `worker`)."""
    application = {"worker", "agents", "tools", "workflows"}

    assert [where(path, 1) for path in ENGINE if imported(path) & application] == []
