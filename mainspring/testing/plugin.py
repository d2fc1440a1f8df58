"""The pytest plugin that comes with the package: it brings `mainspring.testing.fixtures`. Test side only.

Every pytest where Mainspring is installed loads it, so without the extra `testing` it offers nothing
instead of failing.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

if find_spec("pytest_asyncio"):
    from mainspring.testing.fixtures import mainspring, temporal_server

    __all__ = ["mainspring", "temporal_server"]


def pytest_configure(config: "pytest.Config") -> None:
    """Keep a warning of the SDK a warning: as an error it stops the worker in the middle of a test.

    A local activity is cancelled with its run, or where its run leaves a full cache, and may just have ended.
    """
    config.addinivalue_line("filterwarnings", "ignore:Cannot find activity to cancel:UserWarning")
