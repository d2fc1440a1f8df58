"""The key that tokens are made with: the operator's, or one that is made once and kept in the state folder."""

import os
import secrets
import tempfile
from pathlib import Path

from mainspring.errors import SetupError

_BYTES = 32


def read_token_key(given: str, file: Path) -> bytes:
    """The key given (64 hex characters), else that of the file, which is made where it is not there.

    Raises:
        SetupError: the file cannot be read or written, or holds no key.
    """
    if given:
        return bytes.fromhex(given)
    try:
        text = _made(file) if not file.exists() else file.read_text(encoding="ascii")
        return _key(text)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no key of 64 hex characters"
        raise SetupError(
            f"the key file {str(file)!r} cannot be used: {why}. Set MAINSPRING_TOKEN_KEY instead."
        ) from None


def _key(text: str) -> bytes:
    key = bytes.fromhex(text.strip())
    if len(key) != _BYTES:
        raise ValueError(f"{len(key)} bytes")
    return key


def _made(file: Path) -> str:
    """Write a new key, unless another process was quicker; the key that is there then."""
    file.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_hex(_BYTES)
    number, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)  # which its owner alone can read
    with os.fdopen(number, "w") as opened:
        opened.write(key + "\n")
    try:
        os.link(draft, file)  # fails where there is one, which is then never half written
    except FileExistsError:
        key = file.read_text(encoding="ascii")
    finally:
        Path(draft).unlink()
    return key
