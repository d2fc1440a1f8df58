"""Sends finished spans out: to the local trace file, and to a collector where one is configured.

Neither side; works in background threads. A run never waits for it and never fails of it: what could not be sent
is rebuilt from history by `mainspring trace`.
"""

from collections.abc import Iterable
from pathlib import Path

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from mainspring.telemetry.spans import Span
from mainspring.telemetry.trace_file import FileExporter

FILE_DELAY_MS = 500
"""How long a span may wait before it is in the file; a killed worker loses no more than that."""
SCOPE = InstrumentationScope("mainspring")
KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}


class Exporter:
    """Where a worker's spans go; made once per process."""

    def __init__(self, *, file: Path | None = None, otlp: bool = False) -> None:
        """Export to a file, a collector, both or nowhere; `otlp` follows the standard `OTEL_*` variables.

        Raises:
            SetupError: the file cannot be written.
        """
        processors: list[SpanProcessor] = []
        if file:
            processors.append(BatchSpanProcessor(FileExporter(file), schedule_delay_millis=FILE_DELAY_MS))
        if otlp:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            processors.append(BatchSpanProcessor(OTLPSpanExporter()))
        self._processors = processors
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
        ours = Resource({"service.name": "mainspring"})
        self._resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())

    def export(self, spans: Iterable[Span]) -> None:
        """Hand over spans that have ended (others are left out); returns at once."""
        for span in spans:
            if span.end is not None:
                readable = _readable(span, self._resource)
                for processor in self._processors:
                    processor.on_end(readable)

    def flush(self) -> None:
        """Wait until everything handed over is written and sent, or given up. Blocks: call it off the event loop."""
        for processor in self._processors:
            processor.force_flush()

    def shutdown(self) -> None:
        """Flush, then stop. Blocks: call it off the event loop."""
        for processor in self._processors:
            processor.shutdown()


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace, span.id),
        parent=_context(span.trace, span.parent) if span.parent else None,
        resource=resource,
        attributes=span.attributes,
        events=[Event(event.name, event.attributes, event.at) for event in span.events],
        kind=KINDS[span.kind],
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=SCOPE,
    )


def _context(trace: str, span: str) -> SpanContext:
    # Processors silently drop what is not marked as sampled.
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
