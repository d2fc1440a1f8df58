import asyncio
import sys
import time
from types import CodeType, FrameType
from typing import Any

import pytest

from benchmarks.profiling import LOOP, NATIVE, WALK, owner, profiled


def frame(*functions: str) -> FrameType:
    """A stack of functions, `file:name`, outermost first."""
    namespace: dict[str, Any] = {"deepest": sys._getframe}
    inner = "deepest"
    for each in reversed(functions):
        file, name = each.split(":")
        body = compile(f"def {name}(): return {inner}()", file, "exec")
        code = next(const for const in body.co_consts if isinstance(const, CodeType))
        inner = f"f{len(namespace)}"
        namespace[inner] = type(frame)(code, namespace)
    return namespace[inner]()


@pytest.mark.parametrize(
    ("functions", "whose"),
    [
        (("/x/asyncio/events.py:run", "/x/mainspring/effects/gate.py:judge"), "our activities"),
        (("/x/mainspring/effects/gate.py:judge", "/x/pydantic/main.py:dump"), "our activities"),
        (("/x/temporalio/worker/_workflow.py:handle", "/x/mainspring/durable/run.py:run"), "our workflow code"),
        (("/x/temporalio/worker/_workflow.py:handle", "/x/google/proto.py:copy"), "Temporal SDK: worker"),
        (("/x/temporalio/bridge/worker.py:decode_activation", "/x/temporalio/converter/a.py:decode"), WALK),
        (("/x/mainspring/serve.py:run", "/x/threading.py:wait"), ""),
        (("/x/asyncio/events.py:run",), ""),
    ],
)
def test_a_stack_belongs_to_whoever_owns_its_innermost_known_frame(functions: tuple[str, ...], whose: str):
    """What a library does, it does for its caller; what waits costs nobody anything."""
    assert owner(frame(*functions)) == whose


def test_looks_count_work_and_not_waiting():
    """Looks come by processor time; the event loop's own count as its own."""

    async def work() -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:  # noqa: ASYNC110 - it is to keep the loop at work
            await asyncio.sleep(0)

    with profiled() as looks:
        asyncio.run(work())

    assert looks[LOOP] > looks[NATIVE]
