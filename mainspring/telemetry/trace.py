"""A run's trace: all its spans, and questions one asks of them. Neither side; pure."""

from collections.abc import Iterable

from mainspring.core.canonical import Value
from mainspring.telemetry import attributes as a
from mainspring.telemetry import ids
from mainspring.telemetry.spans import Span


class Trace(Value):
    """The spans of one run, in the order they began. `run` is its first execution run id.

    `live` are the ids of those that a worker exported when their activity ended.
    """

    run: str
    spans: tuple[Span, ...]
    live: frozenset[str] = frozenset()

    @property
    def root(self) -> Span | None:
        """The span of the run itself; None where the local file never got it."""
        return next((span for span in self.spans if span.text(a.STEP) == ids.RUN), None)

    @property
    def waiting(self) -> tuple[Span, ...]:
        """The waits for a person that go on now."""
        return tuple(span for span in self.spans if span.end is None and a.ASKED in span.attributes)


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans as they began; of those that began at once, the outer first."""
    return tuple(sorted(spans, key=lambda span: (span.start, span.text(a.STEP) != ids.RUN, _path(span))))


def closing_spans(trace: Trace) -> tuple[Span, ...]:
    """The spans that only end with the run, and so were not exported before."""
    return tuple(span for span in trace.spans if span.end is not None and span.id not in trace.live)


def orphans(trace: Trace) -> tuple[Span, ...]:
    """Spans whose parent is not in the trace. The root's parent is the caller's, if anyone's."""
    known = {span.id for span in trace.spans}
    return tuple(span for span in trace.spans if span.parent not in known and span.text(a.STEP) != ids.RUN)


def _path(span: Span) -> list[int]:
    return [int(part) for part in span.text(a.STEP).split(".") if part.isdigit()]
