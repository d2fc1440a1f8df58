"""`mainspring inbox`: what it says at a terminal, and how it ends."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import httpx
import pytest

from mainspring.cli import inbox as command
from mainspring.cli.inbox import _login
from mainspring.devserver import DevServer
from mainspring.errors import SetupError, UsageError
from mainspring.inbox.people import Oidc
from mainspring.settings import Settings, read_settings
from tests.inbox.asked import ROUTE, asked
from tests.inbox.conftest import Ask

OIDC = {
    "inbox_oidc_issuer": "https://login.example.com",
    "inbox_oidc_client_id": "inbox",
    "inbox_oidc_secret": "not to be told",
}
ROOT = Path(__file__).parents[2]
PROGRAM = "from mainspring.cli import main; main()"


async def start(*options: str, cwd: Path, **variables: str) -> Process:
    """Start the command as a shell does."""
    environment = os.environ | variables
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, "inbox", *options, cwd=cwd, env=environment, stdout=PIPE, stderr=PIPE
    )


async def serving(person: str, server: DevServer, *, cwd: Path) -> tuple[Process, str]:
    """The command once it serves somebody, and where."""
    process = await start("--as", person, "--port", "0", cwd=cwd, TEMPORAL_ADDRESS=server.address)
    assert process.stdout
    url = re.search(r"http://\S+", (await process.stdout.readline()).decode())
    assert url, await process.communicate()
    return process, url[0]


async def refusal(*options: str, cwd: Path, **variables: str) -> str:
    """What the command says where it does not start."""
    process = await start(*options, cwd=cwd, **variables)
    _, said = await process.communicate()
    assert process.returncode == 1, said
    return said.decode()


async def test_it_serves_until_ctrl_c(temporal_server: DevServer, tmp_path: Path):
    """It says where it is, answers there, logs no address, and ends on Ctrl-C."""
    process, url = await serving("ada@example.com", temporal_server, cwd=tmp_path)

    async with httpx.AsyncClient() as http:
        page = await http.get(f"{url}/?tool=the-token")
        process.send_signal(signal.SIGINT)
        out, said = await process.communicate()

    assert "ada@example.com" in page.text
    assert "server" not in page.headers
    assert process.returncode == 130
    assert b"the-token" not in out + said
    assert b"Traceback" not in said
    assert b"There is no worker.py" in said


async def test_for_me_knows_the_groups_of_the_rule_files(temporal_server: DevServer, ask: Ask):
    """Started in a project's folder, it knows who is in finance there."""
    run = await ask(asked(route=ROUTE))
    process, url = await serving("farah@example.com", temporal_server, cwd=ROOT)

    async with httpx.AsyncClient() as http:
        page = await http.get(f"{url}/requests/default/{run.id}/1")
        process.send_signal(signal.SIGINT)
        _, said = await process.communicate()

    assert "(you are among them)" in page.text
    assert b"worker.py" not in said


async def test_a_port_that_is_taken_is_said(temporal_server: DevServer, tmp_path: Path):
    """Another program on the port is an error in words, not a stack trace."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = await refusal("--as", "ada", "--port", port, cwd=tmp_path)

    assert f"cannot listen on '127.0.0.1', port {port}" in said
    assert "--port" in said


async def test_who_decides_must_be_known(tmp_path: Path):
    """Started with neither way, it says both."""
    said = await refusal(cwd=tmp_path)

    assert "MAINSPRING_INBOX_OIDC_ISSUER" in said
    assert "mainspring inbox --as ada@example.com" in said


@pytest.mark.parametrize(
    ("person", "host", "settings", "said"),
    [
        ("ada", "0.0.0.0", {}, "it listens on this machine only, not on '0.0.0.0'"),
        (" ", "127.0.0.1", {}, "must be a name or a mail address"),
        (
            "",
            "127.0.0.1",
            {"inbox_oidc_client_id": "x"},
            "MAINSPRING_INBOX_OIDC_ISSUER and MAINSPRING_INBOX_OIDC_SECRET",
        ),
        ("", "0.0.0.0", OIDC, "MAINSPRING_INBOX_URL must say where browsers find the inbox"),
    ],
)
def test_what_does_not_go_together_is_said(person: str, host: str, settings: dict[str, str], said: str):
    """A person of this machine is none for others, and a login needs all its parts."""
    with pytest.raises(UsageError, match=re.escape(said)):
        _login(Settings(**settings), person, host)  # type: ignore[arg-type]


def test_a_login_is_what_the_settings_say():
    """With all its parts, people log in at the provider, whose secret no text of it tells."""
    login = _login(Settings(**OIDC), "", "127.0.0.1")  # type: ignore[arg-type]

    assert login == Oidc("https://login.example.com", "inbox", "not to be told")
    assert "not to be told" not in repr(login)


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """Where the extra is not installed, the command names it."""
    monkeypatch.setattr(command, "find_spec", lambda name: None)

    with pytest.raises(SetupError, match=re.escape("pip install 'mainspring[inbox]'")):
        command.inbox()


@pytest.mark.parametrize(("name", "value"), [("INBOX_SECRET", "too short"), ("INBOX_OIDC_SECRET", "")])
def test_no_message_tells_a_secret(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """A secret that cannot be used is named, never quoted."""
    monkeypatch.setenv(f"MAINSPRING_{name}", value)
    monkeypatch.setenv("MAINSPRING_INBOX_HOURS", "-1")

    with pytest.raises(SetupError) as refused:
        read_settings()

    assert "MAINSPRING_INBOX_HOURS" in str(refused.value)
    assert "too short" not in str(refused.value)
