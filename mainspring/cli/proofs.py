"""How a decision at a terminal proves whose it is: a key signs a token for it, or one is given. The edge."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from mainspring.errors import UsageError

if TYPE_CHECKING:
    from temporalio.client import Client

SECONDS = 300.0
"""How long a token is valid that is signed here: long enough for a worker that is just being started."""

AsOption = Annotated[
    str, typer.Option("--as", help="Who you are, where it need not be proved; else this machine's user.")
]
KeyOption = Annotated[
    Path | None, typer.Option(help="Prove who you are with the private key in this file.", show_default=False)
]
TokenOption = Annotated[
    str, typer.Option(help="Prove it with a token of your identity provider: itself, @FILE, or - to read it.")
]


class Proof(NamedTuple):
    """A file with a private key, or a token that is there already."""

    key: Path | None
    given: str

    async def token(self, client: "Client", run: str, choice: str, form: dict[str, Any]) -> str:
        """The token that goes with a decision: signed for this request as it is now, and for nothing else.

        Raises:
            UsageError: there is no such run or request, or it takes no token; no worker answers.
            SetupError: the file holds no key.
        """
        if self.key is None:
            return self.given
        from mainspring.adapters.approval_keys import read_personal_key, sign_as
        from mainspring.core.approvals import form_digest

        key = read_personal_key(self.key)
        binding = await _binding(client, run, form, choice)
        return sign_as(key, binding=binding, form=form_digest(choice, form), now=time.time(), seconds=SECONDS)


def proof_of(key: Path | None, token: str) -> Proof | None:
    """What was given to prove it; None where nothing was.

    Raises:
        BadParameter: both were given, or there is no token where it was said to be.
    """
    if key and token:
        raise typer.BadParameter("give one of them.", param_hint="'--key', '--token'")
    if key:
        return Proof(key, "")
    return Proof(None, _read(token)) if token else None


def _read(given: str) -> str:
    text = given
    try:
        if given == "-":
            text = sys.stdin.read()
        elif given.startswith("@"):
            text = Path(given[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{given[1:]!r} cannot be read: {error.strerror}.", param_hint="'--token'") from None
    except UnicodeDecodeError:
        text = ""
    if not text.strip():
        raise typer.BadParameter("there is no token there.", param_hint="'--token'")
    return text.strip()


async def _binding(client: "Client", run: str, form: dict[str, Any], choice: str) -> str:
    """What a token must name to decide a request; who agrees to one that was changed has to name it themselves."""
    from mainspring.cli import runs
    from mainspring.core.approvals import unseen
    from mainspring.core.deciding import AGREEING

    number, given = form["request"], form.get("binding", "")

    requests = await runs.waiting(client, run)
    found = next((each for each in requests if each.id == number), None)
    if found is None:
        listed = ", ".join(f"request {each.id} ({each.tool})" for each in requests)
        raise UsageError(
            f"There is no request {number}. " + (f"Waiting: {listed}." if listed else "Nothing waits for a person now.")
        )
    if not found.binding:
        raise UsageError(f"Request {number} asks nobody who they are, so it takes no token. Leave '--key' out.")
    if given not in ("", found.binding):
        raise UsageError(f"Request {number} was changed meanwhile. Look at it again, then decide.")
    if not given and choice in AGREEING and (why := unseen(found)):
        raise UsageError(why)
    return found.binding
