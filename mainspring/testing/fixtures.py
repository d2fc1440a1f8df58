"""The fixtures: `temporal_server` (one a session) and `mainspring` (one a test). Test side only.

The event loop of the tests must be the session's (`asyncio_default_test_loop_scope = "session"`),
since the server's client is made once.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    import pytest

    from mainspring.devserver import DevServer
    from mainspring.testing.bench import Bench


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_server(tmp_path_factory: "pytest.TempPathFactory") -> "AsyncGenerator[DevServer]":
    """A real Temporal server with Web UI on free ports, empty at first, for all tests of the session."""
    from mainspring.devserver import DevServer

    server = DevServer(tmp_path_factory.mktemp("temporal"), port=0, ui_port=0)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def mainspring(temporal_server: "DevServer", tmp_path: Path) -> "AsyncGenerator[Bench]":
    """A bench on the real server: starts runs on workers of their own, which end with the test."""
    from mainspring.testing.bench import Bench, connect

    bench = Bench(await connect(temporal_server.address, tmp_path / "state"), tmp_path / "state")
    try:
        yield bench
    finally:
        await bench.close()
