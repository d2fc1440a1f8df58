"""The repository is everybody's: no address of an index, no path of one machine, nothing built, no secret."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each pattern is written so that it does not match its own line.
FOREIGN = {
    "a package index": r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|--(?:extra-)?index-url|--find[-]links",
    "a path of one machine": r"(?<![\w.])/(?:work|opt|root|home/\w+|Users/\w+)/",
    "a local file address": r"file:///\w",
    "a key": r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16})\b|-----BEGIN [A-Z ]*PRIVATE[ ]KEY",
}
BUILT = re.compile(
    r"(^|/)(uv\.lock|\.venv|__pycache__|\.mainspring|dist|node_modules|\.env)(/|$)|\.(pyc|whl|db|sqlite)$"
)


def read(path: Path) -> str:
    """The text of a file; of a picture or another binary, nothing."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode()


def test_files_name_no_foreign_place(repository_files: list[Path]) -> None:
    """No file names a package index, a path of one machine or a secret."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {what}"
        for path in repository_files
        for number, line in enumerate(read(path).splitlines(), start=1)
        for what, pattern in FOREIGN.items()
        if re.search(pattern, line)
    ]

    assert found == []


def test_nothing_built_is_kept(repository_files: list[Path]) -> None:
    """No environment, cache, database or second lock is in the repository."""
    names = [path.relative_to(ROOT).as_posix() for path in repository_files]

    assert [name for name in names if BUILT.search(name)] == []


def test_text_files_end_with_a_newline(repository_files: list[Path]) -> None:
    """Every text file ends with one newline and has Unix line ends (mails, *.eml, keep their own)."""
    texts = {path: read(path) for path in repository_files if path.suffix != ".eml"}

    assert [str(path) for path, text in texts.items() if text and (not text.endswith("\n") or "\r" in text)] == []


def test_every_test_file_has_its_own_name() -> None:
    """No two test files share a name, so that a report's file name tells which one is meant."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted({name for name in names if names.count(name) > 1}) == []
