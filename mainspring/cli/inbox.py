"""`mainspring inbox`: the web inbox, until Ctrl-C. The edge."""

import secrets
import socket
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.errors import SetupError, UsageError

if TYPE_CHECKING:
    from mainspring.inbox.people import Local, Oidc
    from mainspring.settings import Settings

PORT = 8234
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NEEDED = ("authlib", "itsdangerous", "jinja2", "python_multipart", "starlette", "uvicorn")
_BOTH = (
    "The inbox has to know who decides. For yourself, on this machine: 'mainspring inbox --as ada@example.com'. "
    "For a team: MAINSPRING_INBOX_OIDC_ISSUER, MAINSPRING_INBOX_OIDC_CLIENT_ID and MAINSPRING_INBOX_OIDC_SECRET name "
    "the identity provider at which people log in."
)
_ENDS_WITHIN = 3
"""Seconds that pages under way have to end in."""


def inbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = PORT,
    person: Annotated[
        str, typer.Option("--as", help="Who you are: for this machine alone, not verified.", show_default=False)
    ] = "",
) -> None:
    """Show what waits for people in a browser, with its evidence, and take their decisions, until Ctrl-C."""
    from mainspring.cli import interrupt
    from mainspring.settings import read_settings

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise SetupError(f"The inbox needs the package {missing[0]!r}. Run: pip install 'mainspring[inbox]'")
    settings = read_settings()
    login = _login(settings, person, host)
    interrupt.run(_serve(settings, login, _listen(host, port)))


def _login(settings: "Settings", person: str, host: str) -> "Local | Oidc":
    """Who people are.

    Raises:
        UsageError: neither way is set, both are, or only a part of one.
    """
    from mainspring.inbox.people import Local, Oidc

    oidc = {
        "MAINSPRING_INBOX_OIDC_ISSUER": settings.inbox_oidc_issuer,
        "MAINSPRING_INBOX_OIDC_CLIENT_ID": settings.inbox_oidc_client_id,
        "MAINSPRING_INBOX_OIDC_SECRET": settings.inbox_oidc_secret,
    }
    if person:
        if host not in _LOOPBACK:
            raise UsageError(
                f"With '--as' everybody who reaches the inbox is {person!r}, so it listens on this machine only, not "
                f"on {host!r}. Leave out '--host', or have people log in: {', '.join(oidc)}."
            )
        if not person.isprintable() or person.strip() != person:
            raise UsageError(f"'--as' is {person!r}; it must be a name or a mail address.")
        return Local(person)
    if not any(oidc.values()):
        raise UsageError(_BOTH)
    if missing := [name for name, value in oidc.items() if not value]:
        raise UsageError(f"For the login at an identity provider, {' and '.join(missing)} must be set too.")
    for each in settings.approvers:
        if each.issuer == settings.inbox_oidc_issuer and each.person != "email":
            raise UsageError(
                f"The tokens of {each.issuer!r} name people by {each.person!r}, and the inbox by 'email', so that one "
                "person could count as two. Write person = 'email' in that table of 'approvers'."
            )
    if host not in _LOOPBACK and not settings.inbox_url:
        raise UsageError(
            "MAINSPRING_INBOX_URL must say where browsers find the inbox, such as 'https://inbox.example.com': "
            "the identity provider sends them back there."
        )
    return Oidc(*oidc.values(), roles=settings.inbox_oidc_roles)


def _listen(host: str, port: int) -> socket.socket:
    """The socket that pages are served on.

    Raises:
        SetupError: the port is taken, or the address is not one of this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SetupError(
            f"The inbox cannot listen on {host!r}, port {port}: {error.strerror}. Name another with '--port'."
        ) from None


async def _serve(settings: "Settings", login: "Local | Oidc", listening: socket.socket) -> None:
    import uvicorn

    from mainspring.approving import open_keys, open_own_verifier, sign_in
    from mainspring.cli.people import people_here
    from mainspring.inbox.app import make_app
    from mainspring.inbox.people import Local
    from mainspring.serve import connect

    people = people_here()
    if people is None:
        told = "'for me' knows your name and roles, not the groups of a rule file"
        typer.echo(f"There is no worker.py in {Path.cwd()}: {told}.", err=True)
    client = await connect(settings)
    # Who decides without a token is recorded as this client's user: claimed, not verified.
    who = f":{login.person}" if isinstance(login, Local) else ""
    client.service_client.config.identity = f"mainspring-inbox{who}"
    host, port = listening.getsockname()[:2]
    here = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    app = make_app(
        client,
        login,
        url=settings.inbox_url or here,
        secret=settings.inbox_secret or secrets.token_hex(32),
        sign=partial(sign_in, open_keys(settings)),
        verifier=open_own_verifier(settings),
        people=people,
        session=timedelta(hours=settings.inbox_hours),
    )
    typer.echo(f"Inbox {settings.inbox_url or here}  Ctrl-C ends it.")
    # No access log: an address may hold the token of a link.
    config: Any = {
        "access_log": False,
        "proxy_headers": bool(settings.inbox_url),  # else nobody stands before it who says where a visitor comes from
        "lifespan": "off",
        "log_level": "warning",
        "timeout_graceful_shutdown": _ENDS_WITHIN,
    }
    await uvicorn.Server(uvicorn.Config(app, server_header=False, **config)).serve(sockets=[listening])
