"""The reference is what the code says today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script that writes the reference."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generate: ModuleType) -> None:
    """Every page of the reference is as the script would write it now; `python docs/generate.py` writes it anew."""
    written = {path.name: path.read_text() for path in (DOCS / "reference").iterdir()}

    assert written == {name: make() for name, make in generate.PAGES.items()}


def test_words_must_fit_the_code(generate: ModuleType) -> None:
    """A new setting, fact, failure or attribute without words stops the script."""
    with pytest.raises(SystemExit, match="color"):
        generate.matched("settings", ["model", "color"], {"model": "the model"})
