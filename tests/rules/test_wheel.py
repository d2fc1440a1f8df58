"""What users install: the wheel holds the engine alone, declares what it imports, and imports light."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# What the front door may not load: providers, graphs, exporters, the worker.
HEAVY = ("langgraph", "langchain", "openai", "anthropic", "ollama", "opentelemetry.exporter", "temporalio.worker")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel and nothing else of the repository.

    The dependencies are those of the environment of the tests, so that no network is needed: its site-packages follow
    on the path by a `.pth` file. Python reads `.pth` files of its own site-packages only, so this repository's
    editable install, which is one, does not come along: `mainspring` is found in the wheel or not at all.
    """
    home = tmp_path_factory.mktemp("empty")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--offline", "--no-index", "--no-deps"]
    subprocess.run([*command, "--python", python, wheel], check=True)
    [site] = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(*command: str | Path) -> str:
    """What a command prints; run far from the repository, so that nothing is imported from it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_packages() -> set[str]:
    """The third-party packages that the engine imports anywhere, by import name."""
    names: set[str] = set()
    for path in (ROOT / "mainspring").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"mainspring"}


def test_wheel_holds_the_engine_alone(wheel: Path) -> None:
    """The wheel holds `mainspring` and its metadata, no folder whose name belongs to others."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0].split("-")[0] for name in names} == {"mainspring"}
    assert "mainspring/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_every_file_of_the_engine(wheel: Path, repository_files: list[Path]) -> None:
    """Whatever is in `mainspring/` is in the wheel."""
    source = {str(path.relative_to(ROOT)) for path in repository_files if path.is_relative_to(ROOT / "mainspring")}

    assert source - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_wheel_declares_what_it_imports(wheel: Path) -> None:
    """Every package that the engine imports is a dependency or in an extra."""
    archive = zipfile.ZipFile(wheel)
    [metadata] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
    lines = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or []
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    providers = packages_distributions()
    # pydantic comes with the one pydantic_core that fits it.
    missing = {
        name
        for name in imported_packages() - {"pydantic_core"}
        if not declared & {canonicalize_name(distribution) for distribution in providers.get(name, [])}
    }

    assert missing == set()


def test_import_is_light(installed: Path) -> None:
    """`import mainspring` from the wheel loads no provider, no graph library, no exporter and no worker."""
    report = "import json, sys, mainspring; print(json.dumps([mainspring.__file__, sorted(sys.modules)]))"
    file, modules = json.loads(run(installed, "-c", report))

    assert Path(file).is_relative_to(installed.parents[1])
    assert [name for name in modules if name.startswith(HEAVY)] == []


def test_front_door_names_exist(installed: Path) -> None:
    """Every name that `mainspring` exports can be had from the wheel."""
    run(installed, "-c", "import mainspring; [getattr(mainspring, name) for name in mainspring.__all__]")


def test_command_tells_its_version(installed: Path, wheel: Path) -> None:
    """`mainspring --version` tells the version that stands in the wheel's name."""
    assert wheel.name.split("-")[1] in run(installed.with_name("mainspring"), "--version")
