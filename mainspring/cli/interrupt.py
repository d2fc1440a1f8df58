"""Runs a command's coroutine so that it ends in order, however it is told to end. The edge."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C, SIGTERM and a closed terminal cancel it first, so that it puts away what it started.

    Raises:
        KeyboardInterrupt: it was told to end, and has.
    """
    with _like_ctrl_c(signal.SIGTERM, signal.SIGHUP):
        return asyncio.run(main)


@contextmanager
def _like_ctrl_c(*signals: signal.Signals) -> Generator[None, None, None]:
    if threading.current_thread() is not threading.main_thread():  # Python lets only that one set handlers
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {each: signal.signal(each, interrupt) for each in signals}
    # A shell starts what it runs in the background with SIGINT ignored, and then nothing would end it.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
