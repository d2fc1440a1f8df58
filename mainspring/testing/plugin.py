"""The pytest plugin that comes with the package: it brings `mainspring.testing.fixtures`. Test side only.

Every pytest where Mainspring is installed loads it, so without the extra `testing` it offers nothing
instead of failing.
"""

from importlib.util import find_spec

if find_spec("pytest_asyncio"):
    from mainspring.testing.fixtures import mainspring, temporal_server

    __all__ = ["mainspring", "temporal_server"]
