"""The lock: everything pinned with hashes, for every extra and the tests, and nothing of the machine that wrote it."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = re.findall(r"^([a-z0-9][^ =]*)==([^ ;]+)(?: ;[^\\]*)? \\\n((?:    --hash=.*\n)*)", LOCK, re.MULTILINE)
LARGE = {"presidio"}  # some 300 MB that a first `make demo` need not fetch; see benchmarks/locks
WANTED = [
    *PROJECT["project"]["dependencies"],
    *(
        line
        for name, extra in PROJECT["project"]["optional-dependencies"].items()
        if name not in LARGE
        for line in extra
    ),
    *PROJECT["dependency-groups"]["dev"],
]


def test_everything_has_hashes() -> None:
    """Each line that is no comment belongs to a pinned package, and each of these has a hash."""
    starts = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]

    assert len(starts) == len(PINS)
    assert [name for name, _, hashes in PINS if "--hash=sha256:" not in hashes] == []


def test_lock_names_no_place() -> None:
    """The lock holds no address, no path and no option of an index."""
    assert re.findall(r"://|^-|--(?!hash=)[a-z-]+|/(?:opt|root|home|tmp|work)/", LOCK, re.MULTILINE) == []


@pytest.mark.parametrize("line", WANTED)
def test_lock_satisfies_the_project(line: str) -> None:
    """Every dependency of the project, of its extras and of its tests is pinned to a version that it allows."""
    wanted = Requirement(line)
    pinned = [version for name, version, _ in PINS if name == canonicalize_name(wanted.name)]

    assert pinned, "run 'make lock'"
    assert all(wanted.specifier.contains(version, prereleases=True) for version in pinned)
