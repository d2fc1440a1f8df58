"""Trace and span ids, derived from the first execution run id and the step. Neither side; pure.

Ids are lower-case hex, as in W3C trace contexts: 32 characters for a trace, 16 for a span. They survive
continue-as-new and reset, so a span exported live and one rebuilt years later are the same.
"""

from hashlib import sha256

RUN = "run"
"""The step of a run's root span."""
ADMIT = "admit"


def trace_id(first: str, traceparent: str = "") -> str:
    """The trace of a run: the caller's where it gave one, else made from the first execution run id."""
    given = traceparent[3:35]
    return given if given.strip("0") else sha256(first.encode()).hexdigest()[:32]


def span_id(first: str, step: str) -> str:
    """The span of a step: a path of ordinals, or `run`, `admit`, `wait/N`."""
    return sha256(f"{first}/{step}".encode()).hexdigest()[:16]


def caller(traceparent: str) -> str:
    """The caller's span id, parent of the root span ("" where the run was started without one)."""
    return traceparent[36:52]


def wait_step(request: str) -> str:
    """The step of the wait for a person on this request."""
    return f"wait/{request}"


def parent_step(step: str) -> str:
    """The step one level up: `2.1` for `2.1.3`, and the root for `2` and `admit`."""
    return step.rpartition(".")[0] or RUN
