"""Files that definitions are made of: found from the module that makes the definition, upwards."""

import inspect
from pathlib import Path

from mainspring.errors import DefinitionError


def place_of_caller() -> Path:
    """The folder of the module that makes the definition."""
    return Path(inspect.stack(0)[2].filename).parent


def is_file(text: str | Path) -> bool:
    """Whether instructions are the path of a Markdown file."""
    return isinstance(text, Path) or (text.endswith(".md") and "\n" not in text)


def read(path: str | Path, near: Path, owner: str) -> str:
    """The text of a file in a folder or one above it.

    Raises:
        DefinitionError: there is none, or it is no text.
    """
    tried = [folder / path for folder in (near, *near.parents)]
    for place in tried:
        if place.is_file():
            try:
                return place.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
                raise DefinitionError(f"{owner}: the file {str(path)!r} cannot be read: {why}.") from None
    raise DefinitionError(f"{owner}: there is no file {str(path)!r} in {near} or any folder above it.")
