"""Other people's code, and long work, off the event loop."""

import threading

import pytest

from mainspring.effects.threads import beside, in_thread


async def test_long_work_is_done_beside_the_event_loop() -> None:
    """What is short stays where it is: a thread costs more."""
    assert await beside(100, threading.get_ident) == threading.get_ident()
    assert await beside(1_000_000, threading.get_ident) != threading.get_ident()


async def test_an_error_comes_back_whatever_it_is() -> None:
    """Also the one that a future cannot hold, which else nobody would hear of."""

    def stop() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="it raised StopIteration"):
        await in_thread(stop)
    with pytest.raises(KeyError):
        await in_thread({}.__getitem__, 1)
