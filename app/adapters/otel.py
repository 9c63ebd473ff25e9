"""Traces by OpenTelemetry. Only app.adapters.tracing imports this, where somebody asks for traces.

Spans say numbers, states and request ids. Their attributes are an allow-list, as are the fields of app.adapters.logs.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from app.adapters.tracing import WORKER, place_of

ACCEPT: Final = "onefold.accept"
APPLY: Final = "onefold.apply"
#: Of one span; a batch that applies more requests has no links to the rest.
MOST_LINKS: Final = 1_000
#: A file of spans is for looking at things on one machine: it takes no more than this.
MOST_FILE_BYTES: Final = 256 * 1024 * 1024
#: Attributes that leave the process. The name of a task is one of ours, and a message's id is Celery's.
ATTRIBUTES: Final = frozenset(
    {
        "onefold.request", "onefold.workspace", "onefold.stream", "onefold.requests",
        "http.request.method", "http.route", "http.response.status_code",
        "celery.action", "celery.task_name", "celery.state", "messaging.message.id", "messaging.destination",
    }
)  # fmt: skip
_SHARES: Final = 1 << 64


def begin(url: str, share: float, service: str) -> "OtelTraces":
    """As app.adapters.tracing.begin. In a worker the tasks of Celery have spans as well."""
    traces = OtelTraces(BatchSpanProcessor(Allowed(_exporter(url))), share, service)
    if service == WORKER:
        CeleryInstrumentor().instrument(tracer_provider=traces.provider)  # type: ignore[no-untyped-call]
    return traces


class OtelTraces:
    """See app.adapters.tracing.Traces."""

    def __init__(self, processor: SpanProcessor, share: float, service: str) -> None:
        self._ids = PlacedIds()
        self.provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            sampler=Shared(share),
            id_generator=self._ids,
            span_limits=SpanLimits(max_links=MOST_LINKS),
        )
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("onefold")
        self._share = share
        self._callers = TraceContextTextMapPropagator()

    @contextmanager
    def answering(self, method: str, headers: Mapping[str, str]) -> Iterator[Callable[[str, int], None]]:
        caller = self._callers.extract(headers)
        attributes = {"http.request.method": method}
        with self._tracer.start_as_current_span(method, caller, SpanKind.SERVER, attributes) as span:

            def told(route: str, status: int) -> None:
                span.update_name(f"{method} {route}".rstrip())
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)

            yield told

    def accepted(self, request_id: str, workspace_id: int, stream: str) -> None:
        place = place_of(request_id)
        if not _is_in(self._share, place[0]):
            return
        call = trace.get_current_span()
        links = [Link(call.get_span_context())] if call.get_span_context().is_valid else []
        attributes: Attributes = {
            "onefold.request": request_id,
            "onefold.workspace": workspace_id,
            "onefold.stream": stream,
        }
        with self._ids.at(place):
            span = self._tracer.start_span(
                ACCEPT, Context(), attributes=attributes, links=links, start_time=_start_of(call)
            )
        span.end()
        call.add_link(span.get_span_context())

    def applied(self, request_ids: Sequence[str], workspace_id: int, stream: str, began_ns: int) -> None:
        places = [place for place in map(place_of, request_ids) if _is_in(self._share, place[0])]
        if not places:
            return
        attributes: Attributes = {
            "onefold.workspace": workspace_id,
            "onefold.stream": stream,
            "onefold.requests": len(request_ids),
        }
        flags = TraceFlags(TraceFlags.SAMPLED)
        links = [Link(SpanContext(*place, is_remote=True, trace_flags=flags)) for place in places[:MOST_LINKS]]
        # A part of the task, where the task itself has a span.
        task = None if trace.get_current_span().is_recording() else Context()
        self._tracer.start_span(APPLY, task, attributes=attributes, links=links, start_time=began_ns).end()

    def close(self) -> None:
        self.provider.shutdown()


class PlacedIds(RandomIdGenerator):
    """Random ids, except for the span whose place is known."""

    def __init__(self) -> None:
        self._known = threading.local()

    @contextmanager
    def at(self, place: tuple[int, int]) -> Iterator[None]:
        """A block in which this thread begins the root span that has these ids."""
        self._known.place = place
        try:
            yield
        finally:
            self._known.place = None

    def generate_trace_id(self) -> int:
        place: tuple[int, int] | None = getattr(self._known, "place", None)
        return super().generate_trace_id() if place is None else place[0]

    def generate_span_id(self) -> int:
        place: tuple[int, int] | None = getattr(self._known, "place", None)
        return super().generate_span_id() if place is None else place[1]


class Shared(Sampler):
    """By the id of the trace, so that all processes decide alike. A batch that has a request with a trace has one."""

    def __init__(self, share: float) -> None:
        self._share = share

    def should_sample(
        self,
        parent_context: Context | None,  # noqa: ARG002 - the interface of OpenTelemetry, as the rest
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,  # noqa: ARG002
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        trace_state: TraceState | None = None,  # noqa: ARG002
    ) -> SamplingResult:
        taken = name == APPLY or _is_in(self._share, trace_id)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if taken else Decision.DROP, attributes)

    def get_description(self) -> str:
        return f"share {self._share:g}"


class Allowed(SpanExporter):
    """Spans without what is not on the list, without events, and without the words of a status: those of an error have
    its message, which may quote a row."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_plain(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Lines(SpanExporter):
    """A line of JSON for each span, until the file has `most` bytes. Several processes write to it."""

    def __init__(self, path: Path, most: int = MOST_FILE_BYTES) -> None:
        self._path = path
        self._most = most

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(f"{span.to_json(indent=None)}\n" for span in spans)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size >= self._most:
                return SpanExportResult.FAILURE
            os.write(file, lines.encode())
        finally:
            os.close(file)
        return SpanExportResult.SUCCESS


def _exporter(url: str) -> SpanExporter:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Lines(Path(unquote(parts.path)))
    return OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces")


def _is_in(share: float, trace_id: int) -> bool:
    return trace_id % _SHARES < share * _SHARES


def _start_of(span: object) -> int:
    """When a span began, in nanoseconds since 1970; now where it is not recorded."""
    start = getattr(span, "start_time", None)
    return start if isinstance(start, int) else time.time_ns()


def _plain(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in ATTRIBUTES},
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
