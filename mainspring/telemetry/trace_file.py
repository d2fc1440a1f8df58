"""The local trace file: one span a line, in OpenTelemetry's own file format. Neither side; reads and writes a file.

Each line is an OTLP/JSON `TracesData`, so a collector can take the file in later (`otlpjsonfile` receiver).
"""

import json
import logging
import os
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mainspring.errors import SetupError
from mainspring.telemetry import attributes as a
from mainspring.telemetry.spans import Attributes, Span, SpanEvent
from mainspring.telemetry.trace import Trace, in_order

log = logging.getLogger(__name__)
Data = dict[str, Any]


class FileExporter(SpanExporter):
    """Appends spans to a file. Several processes may share it: each line is one appending write."""

    def __init__(self, path: Path) -> None:
        """Make the file if need be.

        Raises:
            SetupError: it cannot be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(self._open())
        except OSError as error:
            raise SetupError(
                f"traces cannot be written to {str(path)!r}: {error.strerror}. "
                "Make the folder writable, or choose another file."
            ) from None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write each span as a line; a full disk is logged, and costs nothing but the spans."""
        try:
            opened = self._open()
            try:
                for line in _lines(spans):
                    os.write(opened, line)
            finally:
                os.close(opened)
        except OSError as error:
            log.warning("%d spans could not be written to %s: %s.", len(spans), self._path, error.strerror)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open between writes."""

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def read_trace(path: Path, run: str) -> Trace:
    """What the file holds of one run (no spans: nothing); `run` is a workflow id or a first execution run id.

    A span written twice (its worker died before it could report) counts as written last. Where several runs had
    the workflow id, the newest is read. Lines that are no spans, such as a torn one, are skipped.
    """
    text = path.read_text(errors="replace") if path.exists() else ""
    spans = {span.id: span for line in text.splitlines() for span in _spans(line)}
    named = [span for span in spans.values() if span.text(a.WORKFLOW_ID) == run]
    first = max(named, key=lambda span: span.start).text(a.RUN) if named else run
    return Trace(run=first, spans=in_order(span for span in spans.values() if span.text(a.RUN) == first))


def _lines(spans: Sequence[ReadableSpan]) -> Iterator[bytes]:
    """A line for each span. Resource and scope are the same for all of a worker, so they are encoded once."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    data: Data = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in data["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP's JSON writes ids in hex, where protobuf's own mapping takes base64.
                ids = (key for key in ("traceId", "spanId", "parentSpanId") if key in span)
                span.update({key: b64decode(span[key]).hex() for key in ids})
                one = {**resource, "scopeSpans": [{**scope, "spans": [span]}]}
                yield json.dumps({"resourceSpans": [one]}, separators=(",", ":")).encode() + b"\n"


def _spans(line: str) -> list[Span]:
    try:
        return [_span(each) for each in _inner(json.loads(line))]
    except (ValueError, KeyError, TypeError):
        return []


def _inner(data: Data) -> list[Data]:
    return [span for r in data["resourceSpans"] for scope in r["scopeSpans"] for span in scope["spans"]]


def _span(data: Data) -> Span:
    return Span(
        trace=data["traceId"],
        id=data["spanId"],
        parent=data.get("parentSpanId", ""),
        name=data["name"],
        kind="client" if data["kind"] == 3 else "internal",  # noqa: PLR2004 - SPAN_KIND_CLIENT
        start=int(data["startTimeUnixNano"]),
        end=int(data["endTimeUnixNano"]),
        attributes=_attributes(data),
        events=tuple(
            SpanEvent(name=event["name"], at=int(event["timeUnixNano"]), attributes=_attributes(event))
            for event in data.get("events", ())
        ),
        error=data.get("status", {}).get("message", ""),
    )


def _attributes(data: Data) -> Attributes:
    return {each["key"]: _value(each["value"]) for each in data.get("attributes", ())}


def _value(value: Data) -> str | int | bool | tuple[str, ...]:
    if "arrayValue" in value:
        return tuple(each["stringValue"] for each in value["arrayValue"].get("values", ()))
    if "intValue" in value:
        return int(value["intValue"])
    return value["boolValue"] if "boolValue" in value else value["stringValue"]
