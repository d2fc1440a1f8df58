"""The environment of each stack: made once from its lock into `.bench/`, and reused while the lock stays the same."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".bench"
LOCKS = ROOT / "benchmarks" / "locks"


class Missing(Exception):  # noqa: N818 - it is said to a person, as a sentence
    """Something that a stack needs is not there; the text says what to install."""


def python_of(lock: str) -> Path:
    """The Python of an environment, which is made where it is missing or stale.

    Raises:
        Missing: it could not be made.
    """
    if not lock:
        return Path(sys.executable)
    text = (LOCKS / f"{lock}.txt").read_bytes() + sys.version.encode()
    stamp, home = hashlib.sha256(text).hexdigest(), HOME / "environments" / lock
    python, mark = home / "bin" / "python", home / ".from-lock"
    if python.exists() and mark.is_file() and mark.read_text() == stamp:
        return python
    print(f"Making the environment of {lock!r} (once)", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    _call(lock, [uv, "venv", "--quiet", "--no-config", "--python", sys.executable, str(home)])
    install = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(python), "--require-hashes"]
    # Compiled here, as pip does it: else the first start of a stack would pay for it.
    _call(lock, [*install, "--compile-bytecode", "-r", str(LOCKS / f"{lock}.txt")])
    mark.write_text(stamp)
    return python


def _call(lock: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    except FileNotFoundError:
        raise Missing("The command 'uv' was not found. `make env` brings it.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Missing(f"The environment of {lock!r} could not be made from benchmarks/locks/{lock}.txt: {last}")
