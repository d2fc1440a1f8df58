"""`mainspring keys`: keys that approvals are signed with, and whose are trusted. The edge."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mainspring.core.tokens import Jwk
from mainspring.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from mainspring.settings import Settings

keys = typer.Typer(no_args_is_help=True, help="Make keys that approvals are signed with, and say whose are trusted.")

Trusted = Annotated[
    Path | None,
    typer.Option("--in", help="The team's file; without it the one that the settings name.", show_default=False),
]
KeyFile = Annotated[Path, typer.Argument(help="File of a private key.", show_default=False)]


@keys.command()
def new(
    person: Annotated[str, typer.Option("--as", help="Who you are, as routes name you.", show_default=False)],
    role: Annotated[list[str] | None, typer.Option(help="A role that you have; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the private key goes.", show_default=False)] = None,
) -> None:
    """Make a key of your own: writes the private half, and prints the public one, which your team trusts."""
    from mainspring.adapters.approval_keys import make_personal_key

    file = out or Path(typer.get_app_dir("mainspring")) / "approver-key.json"
    shown = make_personal_key(file, person, tuple(role or ()))
    _print(shown)
    typer.echo(
        f"The private key is in {str(file)!r}: keep it to yourself. Above is its public half, for whoever keeps the "
        "file of your team's keys: mainspring keys trust PUBLIC_KEY_FILE",
        err=True,
    )


@keys.command("public")
def show_public(file: KeyFile) -> None:
    """Print the public half of a private key."""
    from mainspring.adapters.approval_keys import public, read_personal_key

    _print(public(read_personal_key(file)))


@keys.command()
def trust(
    file: Annotated[str, typer.Argument(help="File of a public key; - for standard input.", show_default=False)],
    into: Trusted = None,
) -> None:
    """Trust a public key: whoever has its private half decides as the person that it names."""
    from mainspring.adapters.approval_keys import trust as add
    from mainspring.settings import read_settings

    team = into or _team_file(read_settings())
    for key in _public_keys(file):
        is_new = add(team, key)
        who = _named(key)
        typer.echo(
            f"{who} may decide with the key {key['kid']}, from now on. It is in {str(team)!r}."
            if is_new
            else f"{who} may decide with the key {key['kid']} already; nothing was changed."
        )
    settings = read_settings()
    if team.resolve() not in [each.resolve() for each in _team_files(settings)]:
        typer.echo(
            f"No worker reads that file yet. Add to 'mainspring.toml':\n\n[[approvers]]\nkeys = {_toml(team)}\n",
            err=True,
        )


@keys.command("list")
def show(into: Trusted = None) -> None:
    """List who is trusted to say who decides: people with keys, identity providers, and Mainspring's own keys."""
    from mainspring.adapters.approval_keys import ApprovalKeys, read_trusted
    from mainspring.settings import read_settings

    settings = read_settings()
    rows: list[tuple[str, str, str]] = []
    for team in [into] if into else _team_files(settings):
        rows += [(str(key["kid"]), _named(key), str(team)) for key in read_trusted(team)]
    if not into:
        rows += [("-", f"whom {each.issuer} names", each.keys) for each in settings.approvers if each.issuer]
        if settings.approval_keys_file.exists():
            *older, newest = ApprovalKeys(settings.approval_keys_file).public()
            place = str(settings.approval_keys_file)
            rows += [(str(each["kid"]), "Mainspring itself", place) for each in older]
            rows.append((str(newest["kid"]), "Mainspring itself, signs", place))
    if not rows:
        typer.echo("Nobody is trusted yet. 'mainspring keys new --as you@example.com' makes a key.")
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for kid, who, place in rows:
        typer.echo(f"{kid:<{widths[0]}}  {who:<{widths[1]}}  {place}")


@keys.command()
def remove(
    kid: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.", show_default=False)],
    into: Trusted = None,
) -> None:
    """Trust a key no longer: from now on nothing that it signs decides anything."""
    from mainspring.adapters.approval_keys import ApprovalKeys, distrust, read_trusted
    from mainspring.settings import read_settings

    settings = read_settings()
    known: list[str] = []
    for team in [into] if into else _team_files(settings):
        found = [str(key["kid"]) for key in read_trusted(team)]
        if kid in found:
            gone = distrust(team, kid)
            typer.echo(f"{_named(gone)} may not decide with the key {kid} any more. It was in {str(team)!r}.")
            return
        known += found
    own = ApprovalKeys(settings.approval_keys_file)
    if not into and settings.approval_keys_file.exists():
        found = [str(key["kid"]) for key in own.public()]
        if kid in found:
            own.remove(kid)
            typer.echo(f"The key {kid} of Mainspring itself is trusted no more.")
            return
        known += found
    raise UsageError(f"There is no key {kid!r}, so nothing was changed.{did_you_mean(kid, known)}")


@keys.command()
def rotate() -> None:
    """Add a key of Mainspring itself, which signs from now on; what older ones signed still counts."""
    from mainspring.adapters.approval_keys import ApprovalKeys
    from mainspring.settings import read_settings

    file = read_settings().approval_keys_file
    kid = ApprovalKeys(file).rotate()
    typer.echo(
        f"The key {kid} signs from now on; it is in {str(file)!r}. Workers notice by themselves. Once nothing is "
        "waited for that an older key signed, take that out: mainspring keys remove KID"
    )


def _team_files(settings: "Settings") -> list[Path]:
    return [Path(each.keys) for each in settings.approvers if not each.issuer]


def _team_file(settings: "Settings") -> Path:
    files = _team_files(settings)
    if len(files) == 1:
        return files[0]
    what = (
        f"The settings name {len(files)} files of personal keys"
        if files
        else "The settings name no file of personal keys"
    )
    raise UsageError(f"{what}, so say which one it is: --in policies/approvers.jwks.json")


def _public_keys(file: str) -> list[Jwk]:
    from mainspring.core.tokens import read_keys

    try:
        found = read_keys(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        why = "it is not JSON" if isinstance(error, UnicodeDecodeError) else error
        raise UsageError(f"{file!r} is no public key: {why}.") from None
    if not found:
        raise UsageError(f"{file!r} holds no key.")
    return found


def _named(key: Jwk) -> str:
    """`ada@example.com (finance)`."""
    roles = ", ".join(key.get("roles", ()))
    return f"{key['sub']} ({roles})" if roles else str(key["sub"])


def _print(key: Jwk) -> None:
    import json

    value: Any = key
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _toml(path: Path) -> str:
    """A path as TOML has it: its texts are JSON's, but for what no path holds."""
    import json

    return json.dumps(str(path), ensure_ascii=False)
