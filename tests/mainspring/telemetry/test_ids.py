from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from mainspring.telemetry import ids

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_ids_are_the_documented_digests():
    """Anyone can compute a trace or span id from the first execution run id and the step."""
    assert ids.trace_id("run-1") == sha256(b"run-1").digest()[:16].hex()
    assert ids.span_id("run-1", "2.1") == sha256(b"run-1/2.1").digest()[:8].hex()


def test_a_caller_s_trace_is_continued():
    """A run started with a trace context belongs to that trace, below the caller's span."""
    assert ids.trace_id("run-1", PARENT) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert ids.caller(PARENT) == "00f067aa0ba902b7"
    assert ids.caller("") == ""


def test_an_invalid_trace_context_is_not_continued():
    """The all-zero trace id, which W3C calls invalid, is replaced by the run's own."""
    assert ids.trace_id("run-1", f"00-{'0' * 32}-00f067aa0ba902b7-01") == ids.trace_id("run-1")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_parents_lead_to_the_root(path: list[int]):
    """From any step, going up one level at a time ends at the run."""
    step, seen = ".".join(map(str, path)), 0
    while step != ids.RUN:
        step, seen = ids.parent_step(step), seen + 1

    assert seen == len(path)
