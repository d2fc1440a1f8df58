"""The documents tell the truth: their programs run, their data parse, their commands and options exist.

In a Markdown file the blocks marked `python` are one program, in order: it is run from the repository's root, by pytest
where it defines a test. A block marked `python no-run` is only compiled: it needs a key or a server, and says so.
A block of the tutorial marked with a file's name is that file: test_tutorial.py does what the tutorial says.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from agents.parcel_desk import parcel_desk
from agents.refund_desk import refund_agent
from mainspring.core.limit_file import check_tools
from mainspring.core.marked_yaml import Problems
from mainspring.core.playbook import Table
from mainspring.core.playbook import parse as parse_playbook
from mainspring.core.rule_file import parse as parse_rules
from mainspring.core.rules import Judge

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "examples", "deploy", "benchmarks")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
TUTORIAL = ROOT / "docs" / "tutorial" / "first-agent.md"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
DATA = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads}
SHELL = {"console", "bash", "sh", "shell"}
# Commands of others, which a reader has or is told to install.
ORDINARY = {
    "cd",
    "cp",
    "cat",
    "curl",
    "docker",
    "export",
    "git",
    "ls",
    "pip",
    "pytest",
    "python",
    "source",
    "sqlite3",
    "uv",
}


class Block(NamedTuple):
    """A fenced block of a document, and the line its text starts on."""

    document: Path
    line: int
    info: str
    body: str

    def __str__(self) -> str:
        """Reads as a place that an editor can jump to."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = document.read_text()
    return [
        Block(document, text.count("\n", 0, match.start("body")) + 1, match["info"].strip(), match["body"])
        for match in FENCE.finditer(text)
    ]


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
PROGRAMS = sorted({block.document for block in BLOCKS if block.info == "python"})


def program(document: Path) -> str:
    """The runnable Python of a document, each line where the document has it, so that a traceback points there."""
    lines: list[str] = []
    for block in blocks(document):
        if block.info == "python":
            lines += [""] * (block.line - 1 - len(lines)) + block.body.splitlines()
    return "\n".join(lines) + "\n"


def commands(block: Block) -> list[list[str]]:
    """The command lines of a shell block as words; where some start with `$ `, the others are output."""
    lines = block.body.replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
    parsed = [shlex.split(line, comments=True) for line in typed if line.strip()]
    return [words for words in map(without_assignments, parsed) if words]


def without_assignments(words: list[str]) -> list[str]:
    """A command without the environment variables set before it, its program without its folder."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
        words = words[1:]
    return [Path(words[0]).name, *words[1:]] if words else []


@cache
def help_of(*command: str) -> str | None:
    """What `COMMAND --help` prints, or None where it is no command."""
    programs = {"mainspring": [sys.executable, "-c", "from mainspring.cli import main; main()"]}
    start = programs.get(command[0], [str(Path(sys.executable).with_name(command[0]))])
    environment = os.environ | {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [*start, *command[1:], "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def wrong_with(words: list[str]) -> str:
    """Why a command line of a document could not be typed as it stands; empty where it could."""
    name, *rest = words
    if name == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        unknown = [word for word in rest if "=" not in word and word not in targets]
        return f"the Makefile has no target {unknown[0]!r}" if unknown else ""
    if name not in {"mainspring", "temporal"}:
        return "" if name in ORDINARY else f"{name!r} is no command that a reader is known to have"
    levels = 3 if name == "temporal" else 2 if rest[:1] in (["guards"], ["keys"]) else 1
    command = [name, *takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), rest[:levels])]
    text = help_of(*command)
    if text is None:
        return f"{' '.join(command)!r} is no command"
    options = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    unknown = [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)]
    return f"{' '.join(command)!r} has no option {unknown[0]!r}" if unknown else ""


@pytest.mark.parametrize("document", PROGRAMS, ids=lambda path: path.name)
def test_programs_run(document: Path, tmp_path: Path) -> None:
    """The Python of a document runs as it stands; where it defines a test, the test passes."""
    source = program(document)
    file = tmp_path / f"test_{document.stem.replace('-', '_').lower()}.py"
    file.write_text(source)
    tested = re.search(r"^(async )?def test_", source, re.MULTILINE)
    start = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={ROOT}",
        f"--config-file={ROOT / 'pyproject.toml'}",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *(start if tested else []), file],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.info == "python no-run"], ids=str)
def test_programs_that_cannot_run_here_compile(block: Block) -> None:
    """A program that needs a key or a server is Python all the same."""
    compile(block.body, str(block), "exec")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.info in DATA], ids=str)
def test_data_parse(block: Block) -> None:
    """Every block of YAML, JSON or TOML is well-formed."""
    DATA[block.info](block.body)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.info in SHELL], ids=str)
def test_commands_exist(block: Block) -> None:
    """Every command in a document exists and has the options it is given."""
    problems = {shlex.join(words): wrong_with(words) for words in commands(block)}

    assert {line: problem for line, problem in problems.items() if problem} == {}


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.info == "yaml" and b.document != TUTORIAL], ids=str)
def test_rules_limits_and_playbooks_fit_the_refund_desk(block: Block) -> None:
    """Rules, limits and playbooks in documents are right for the agents of this repository, as when a worker starts."""
    parts = yaml.safe_load(block.body)
    tools = (*refund_agent.spec("").tools, *parcel_desk.spec("").tools)
    if parts.keys() & {"rules", "limits"}:
        policy = parse_rules(block.body, str(block))
        Judge(policy, tools, "refund-agent")
        problems = Problems(policy.source)
        check_tools(problems, policy.limits, [tool.name for tool in tools], "refund-agent")
        problems.close()
    if "rows" in parts:
        Table(parse_playbook(block.body, str(block)), tools, None, "parcel-desk")


def test_every_block_starts_its_line() -> None:
    """No block is indented, in a list for example: it would not be found, and so not be checked."""
    assert [str(path) for path in DOCUMENTS if re.search(r"^[ \t>]+```", path.read_text(), re.MULTILINE)] == []


def test_every_block_says_what_it_holds() -> None:
    """Every block has a kind that is checked here, or says `text` (or `mermaid`)."""
    known = {"python", "python no-run", "text", "mermaid", "make", *DATA, *SHELL}

    others = [block for block in BLOCKS if block.info not in known]
    files = [block for block in others if block.document == TUTORIAL and re.fullmatch(r"\w+ \S+/\S+", block.info)]

    assert [f"{block}: {block.info!r}" for block in others if block not in files] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document leads to a file of the repository."""
    text = FENCE.sub("", document.read_text())
    found = re.findall(r"(?:\]\(|src=\"|href=\")([^)\s\"]+)", text)
    targets = [target.split("#")[0] for target in found if "://" not in target]

    assert [target for target in targets if target and not (document.parent / target).exists()] == []


def test_readme_shows_the_main_thing_at_once() -> None:
    """The first program of the README starts by line 30."""
    assert min(block.line for block in BLOCKS if block.document == ROOT / "README.md") <= 30
