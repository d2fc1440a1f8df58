"""Who is in which group, as the rule files of this folder's project say. The edge."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.core.routes import People


def people_here() -> "Mapping[str, People] | None":
    """The groups and delegations of each agent and graph, by its name; None where there is no project.

    Raises:
        MainspringError: the project cannot be loaded.
    """
    from mainspring.serve import load_project

    folder = Path.cwd()
    return load_project(folder).people() if (folder / "worker.py").is_file() else None
