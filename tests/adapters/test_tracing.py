"""Traces: where nobody asks for them nothing is imported, and no value of a client leaves the process."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar, Final

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode

from app.adapters import otel, tracing
from app.adapters.tracing import place_of
from tests.spans import links_of, place, spans

ROOT: Final = Path(__file__).resolve().parents[2]
MARK: Final = "zq7mark"


def started(file: Path, share: float = 1.0) -> otel.OtelTraces:
    return otel.OtelTraces(SimpleSpanProcessor(otel.Allowed(otel.Lines(file))), share, tracing.API)


def test_a_batch_links_to_what_was_accepted_and_both_know_of_the_call(tmp_path: Path) -> None:
    traces = started(tmp_path / "spans")
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with traces.answering("POST", {"traceparent": caller}) as told:
        traces.accepted("r1", 7, "normal")
        traces.accepted("r2", 7, "normal")
        told("/users/track", 201)
    traces.applied(["r1", "r2", "r3"], 7, "normal", 1)
    first, second, call, batch = spans(tmp_path / "spans")
    assert [place(one) for one in (first, second)] == [place_of("r1"), place_of("r2")]
    assert first["attributes"] == {"onefold.request": "r1", "onefold.workspace": 7, "onefold.stream": "normal"}
    assert (first["start_time"], first["parent_id"]) == (call["start_time"], None)
    assert links_of(first) == links_of(second) == [place(call)]
    assert call["name"] == "POST /users/track"
    assert (call["context"]["trace_id"], call["parent_id"]) == (f"0x{caller[3:35]}", f"0x{caller[36:52]}")
    assert links_of(call) == [place_of("r1"), place_of("r2")]
    assert (batch["name"], batch["attributes"]["onefold.requests"]) == ("onefold.apply", 3)
    assert links_of(batch) == [place_of("r1"), place_of("r2"), place_of("r3")]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_requests_has_traces_and_both_sides_take_the_same(tmp_path: Path, share: float) -> None:
    traces = started(tmp_path / "spans", share)
    requests = [f"r{number}" for number in range(200)]
    for one in requests:
        traces.accepted(one, 7, "normal")
    traces.applied(requests, 7, "normal", 1)
    found = spans(tmp_path / "spans") if share else []
    accepted = [place(span) for span in found if span["name"] == otel.ACCEPT]
    assert abs(len(accepted) - 200 * share) < 25
    assert [links_of(span) for span in found if span["name"] == otel.APPLY] == ([accepted] if accepted else [])


def test_nothing_of_a_client_is_in_a_span(tmp_path: Path) -> None:
    traces = started(tmp_path / "spans")
    tracer = traces.provider.get_tracer("a library")
    attributes = {"celery.task_name": "onefold.apply", "celery.args": MARK}
    with suppress(ValueError), tracer.start_as_current_span("run/onefold.apply", attributes=attributes) as span:
        span.add_event(MARK)
        raise ValueError(f"Key (external_id)=({MARK}) already exists")
    text = (tmp_path / "spans").read_text()
    assert MARK not in text
    (shown,) = spans(tmp_path / "spans")
    assert (shown["attributes"], shown["status"]) == (
        {"celery.task_name": "onefold.apply"},
        {"status_code": StatusCode.ERROR.name},
    )
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_file_of_spans_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "spans"
    traces = otel.OtelTraces(SimpleSpanProcessor(otel.Lines(file, most=2_000)), 1.0, tracing.API)
    for number in range(20):
        traces.accepted(f"r{number}", 7, "normal")
    assert 2_000 <= file.stat().st_size < 3_500
    assert len(spans(file)) < 5


class Collector(BaseHTTPRequestHandler):
    """Takes what is exported by OTLP over HTTP."""

    taken: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.taken.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of the standard library
        """Nothing."""


def test_a_collector_gets_them() -> None:
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            traces = otel.begin(f"http://127.0.0.1:{server.server_port}/", 1.0, tracing.API)
            traces.accepted("r1", 7, "normal")
            traces.close()
        finally:
            server.shutdown()
            thread.join()
    ((path, body),) = Collector.taken
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (span,) = resource.scope_spans[0].spans
    assert (path, span.name) == ("/v1/traces", "onefold.accept")
    assert (int.from_bytes(span.trace_id), int.from_bytes(span.span_id)) == place_of("r1")
    services = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
    assert services == [tracing.API]


def run(code: str, env: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    argv = ["env", *env, sys.executable, "-c", code]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_where_nobody_asks_for_traces_nothing_of_it_is_imported(tmp_path: Path) -> None:
    # redis-py and FastAPI look for OpenTelemetry by themselves, and find it where the extra is installed.
    code = "import sys, app.asgi, workers.celery_app; print('app.adapters.otel' in sys.modules)"
    assert run(code, (f"ONEFOLD_DATA_DIR={tmp_path}",)).stdout == "False\n"


def test_without_opentelemetry_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None\n"
    done = run(code + "from app.adapters import tracing\ntracing.begin('http://127.0.0.1:1', 1.0, tracing.API)")
    assert (done.returncode, done.stderr) == (1, tracing.NOT_INSTALLED + "\n")
