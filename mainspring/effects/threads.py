"""Activity side. Other people's sync code, run off the event loop."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any

_LARGE = 50_000
"""Characters from which on the event loop, on which all heartbeats stand, is not held up by looking into them."""


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread of its own: one that hangs holds up no other, nor the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(value)

    def work() -> None:
        value, failed = None, None
        try:
            value = function(*args)
        except StopIteration:  # which a future cannot raise
            failed = RuntimeError("it raised StopIteration")
        except BaseException as error:  # noqa: BLE001 - it is raised where the function is awaited
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits for this any more
            loop.call_soon_threadsafe(settle, value, failed)

    name = getattr(function, "__name__", "mainspring")
    threading.Thread(target=contextvars.copy_context().run, args=(work,), name=name, daemon=True).start()
    return await done


async def beside(size: int, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that works on so many characters: in a thread where that may take long, else here."""
    return await in_thread(function, *args) if size > _LARGE else function(*args)
