"""Where the processor time of a stack's process goes, by who owns the code. Standard library only; Linux and macOS.

A signal comes after every few milliseconds of processor time, of whatever thread. What the main thread does then
counts for whoever owns the innermost frame that has an owner; where it waits, what another Python thread does. Where
all of these wait, it was a thread that is not Python's.
"""

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EVERY = 0.002
"""Seconds of processor time from one look to the next."""
OWNERS = (
    ("/mainspring/durable/", "our workflow code"),
    ("/mainspring/effects/", "our activities"),
    ("/mainspring/", "our other code"),
    ("/benchmarks/job", "the job itself"),
    ("/benchmarks/stacks/", "the job itself"),
    ("/temporalio/bridge/_visitor", "Temporal SDK: walks over payloads"),
    ("/temporalio/worker/_command_aware_visitor", "Temporal SDK: walks over payloads"),
    ("/temporalio/client/", "Temporal SDK: client"),
    ("/temporalio/", "Temporal SDK: worker"),
)
"""The first part that stands in a file's path, and whose it is."""
WALKS = frozenset({"decode_activation", "encode_completion"})
WALK = "Temporal SDK: walks over payloads"
LOOP, NATIVE = "event loop", "threads that are not Python's"
IDLE = ("selectors.py", "threading.py", "concurrent/futures/thread.py")
"""Files whose functions, innermost, wait."""


@contextmanager
def profiled() -> Iterator[Counter[str]]:
    """Count looks by owner while the block runs. In the main thread only."""
    looks: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        others = sys._current_frames().values()  # noqa: SLF001 - the documented way to see other threads
        found = _main(frame) or next(filter(None, map(owner, others)), "")
        looks[found or NATIVE] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        yield looks
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def owner(frame: FrameType) -> str:
    """Whose a stack is, by its innermost frame that somebody owns; "" where nobody does, or it waits."""
    files = list(_frames(frame))
    if files[0][0].endswith(IDLE):
        return ""
    found = next((whose for path, _ in files for part, whose in OWNERS if part in path), "")
    walks = found.startswith("Temporal SDK") and any(name in WALKS for _, name in files)
    return WALK if walks else found


def _main(frame: FrameType | None) -> str:
    """Whose the main thread's stack is; it is the event loop's where it does not wait and nobody else owns it."""
    if frame is None or frame.f_code.co_filename.endswith(IDLE):
        return ""
    return owner(frame) or LOOP


def _frames(frame: FrameType) -> Iterator[tuple[str, str]]:
    each: FrameType | None = frame
    while each is not None:
        yield each.f_code.co_filename, each.f_code.co_name
        each = each.f_back
