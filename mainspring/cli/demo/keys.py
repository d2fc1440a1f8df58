"""Single key presses at a terminal. The edge."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def pressed() -> Generator[asyncio.Queue[str], None, None]:
    """Keys as they are pressed, without Enter and without showing them; the terminal is put back afterwards."""
    fd, keys = sys.stdin.fileno(), asyncio.Queue[str]()
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(fd)
    tty.setcbreak(fd)

    def read() -> None:
        typed = os.read(fd, 32)
        if not typed:  # the terminal was closed
            loop.remove_reader(fd)
        for key in typed.decode(errors="ignore"):
            keys.put_nowait(key.lower())

    loop.add_reader(fd, read)
    try:
        yield keys
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
