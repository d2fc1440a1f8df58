"""The pytest plugin: what it changes for every test, since it is loaded wherever the package is installed."""

from types import SimpleNamespace
from typing import Any

from temporalio.bridge.proto.activity_task import Cancel
from temporalio.worker._activity import _ActivityWorker


def test_a_cancel_that_comes_too_late_stops_no_worker() -> None:
    """The SDK warns of it in the worker's loop, which ends where warnings are errors, as in these tests."""
    idle: Any = SimpleNamespace(_running_activities={})

    _ActivityWorker._handle_cancel_activity_task(idle, b"ended", Cancel())
