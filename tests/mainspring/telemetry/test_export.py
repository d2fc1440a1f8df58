import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mainspring.errors import SetupError
from mainspring.telemetry import attributes as a
from mainspring.telemetry.export import Exporter
from mainspring.telemetry.trace import closing_spans, in_order
from mainspring.telemetry.trace_file import read_trace


class Collector(BaseHTTPRequestHandler):
    """An OTLP/HTTP receiver that keeps what it gets."""

    received: list[ExportTraceServiceRequest]

    def do_POST(self) -> None:
        """Take a batch in."""
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        assert self.path == "/v1/traces"
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """A running collector, which the standard variable points to."""
    received: list[ExportTraceServiceRequest] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Collector,), {"received": received}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_collector_gets_every_span_once(refunded, collector, tmp_path):
    """Live and closing spans reach an OTLP collector and the file, each once, with their own ids and parents."""
    trace = await refunded.trace()
    exporter = Exporter(file=tmp_path / "traces.jsonl", otlp=True)
    for span in trace.spans:
        if span.id in trace.live:
            exporter.export([span])
    exporter.export(closing_spans(trace))
    exporter.shutdown()

    got = [s for request in collector for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert sorted(span.span_id.hex() for span in got) == sorted(span.id for span in trace.spans)
    assert {span.trace_id.hex() for span in got} == {trace.spans[0].trace}
    assert {(s.span_id.hex(), s.parent_span_id.hex()) for s in got} == {(s.id, s.parent) for s in trace.spans}
    assert read_trace(tmp_path / "traces.jsonl", "wf-1").spans == trace.spans


async def test_the_service_has_a_name(refunded, collector, monkeypatch):
    """Spans come from the service `mainspring`, unless the standard variable says otherwise."""
    trace = await refunded.trace()
    for name in ("", "desk"):
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        exporter = Exporter(otlp=True)
        exporter.export(trace.spans)
        exporter.shutdown()

    said = [{a.key: a.value.string_value for a in r.resource.attributes} for c in collector for r in c.resource_spans]
    assert [each["service.name"] for each in said] == ["mainspring", "desk"]


async def test_the_file_gives_back_what_was_written(refunded, tmp_path):
    """Every field survives the file, to the nanosecond; a run is found by workflow id or first run id."""
    file = tmp_path / "new" / "traces.jsonl"
    exporter = Exporter(file=file)
    trace = await refunded.trace()
    exporter.export(trace.spans)
    exporter.flush()

    assert read_trace(file, "wf-1").spans == read_trace(file, trace.run).spans == trace.spans
    assert read_trace(file, "another").spans == ()
    assert len(file.read_text().splitlines()) == len(trace.spans)
    exporter.shutdown()


async def test_what_goes_on_is_not_exported(script, tmp_path):
    """A span without an end stays where it is."""
    exporter = Exporter(file=tmp_path / "traces.jsonl")
    exporter.export((await script().trace()).spans)
    exporter.shutdown()

    assert (tmp_path / "traces.jsonl").read_text() == ""


async def test_a_span_written_twice_and_a_torn_line(refunded, tmp_path):
    """Of a span written twice the last counts, and a line that was never finished hides no other."""
    file, trace = tmp_path / "traces.jsonl", await refunded.trace()
    early = [span.model_copy(update={"error": "WorkerLost"}) for span in trace.spans[:2]]
    for spans in (early, trace.spans):
        exporter = Exporter(file=file)
        exporter.export(spans)
        exporter.shutdown()
        with file.open("a") as opened:
            opened.write('{"resourceSpans": [{"scopeSp\n')

    assert read_trace(file, "wf-1").spans == trace.spans


async def test_several_workers_share_a_file(refunded, tmp_path):
    """Many writers at once leave only whole lines."""
    file, trace = tmp_path / "traces.jsonl", await refunded.trace()
    exporters = [Exporter(file=file) for _ in range(4)]

    def work(number: int) -> None:
        renamed = [s.model_copy(update={"id": f"{number:04x}{s.id[4:]}"}) for s in trace.spans]
        exporters[number].export(renamed)
        exporters[number].shutdown()

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, range(4)))

    assert len(read_trace(file, trace.run).spans) == 4 * len(trace.spans)


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    """A worker that cannot write traces says so when it starts, naming the file."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SetupError, match=r"cannot be written to '.*file/traces.jsonl': .*Make the folder writable"):
        Exporter(file=tmp_path / "file" / "traces.jsonl")


async def test_a_file_that_is_gone_later_costs_only_its_spans(refunded, tmp_path, caplog):
    """When the folder vanishes under a worker, exporting goes on without it and says so in the log."""
    file = tmp_path / "there" / "traces.jsonl"
    exporter = Exporter(file=file)
    file.unlink()
    os.rmdir(file.parent)  # noqa: PTH106 - the sync call is the point

    with caplog.at_level(logging.WARNING):
        exporter.export((await refunded.trace()).spans)
        exporter.shutdown()

    (record,) = caplog.records
    assert "spans could not be written" in record.getMessage()
    assert record.exc_info is None


def test_nowhere_is_fine():
    """Without a file or a collector, exporting does nothing."""
    exporter = Exporter()
    exporter.export(())
    exporter.flush()
    exporter.shutdown()


def test_order_puts_the_outer_first(script):
    """Of spans that began at once, the outer one comes first."""
    from mainspring.telemetry.spans import make_span

    ref = script().ref
    steps = ["2.1.10", "2.1.2", "2", "admit", "run", "2.1"]
    spans = [make_span(ref, step, step, start=1, end=2, own={}) for step in steps]

    assert [span.text(a.STEP) for span in in_order(spans)] == ["run", "admit", "2", "2.1", "2.1.2", "2.1.10"]
