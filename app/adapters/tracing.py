"""Traces, where ONEFOLD_TRACES_URL asks for them: what is told of calls, requests and batches.

A request that is accepted has a trace of its own, whose ids are made of its request id: the first 16 bytes of the
SHA-256 are the trace, the next 8 the span. So whoever applies the request knows where to link to without having been
sent anything, however late that is, and whoever has an X-Request-Id can look up its trace.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Final, Protocol

#: Names of the services in traces. The sweeper is a worker.
API: Final = "onefold-api"
WORKER: Final = "onefold-worker"
NOT_INSTALLED: Final = "ONEFOLD_TRACES_URL needs OpenTelemetry: pip install 'onefold[otel]'"


def place_of(request_id: str) -> tuple[int, int]:
    """(trace id, span id) of an accepted request."""
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])


class Traces(Protocol):
    """The spans of this process."""

    def answering(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Callable[[str, int], None]]:
        """A block that answers a call. It belongs to the trace of the caller who sends a `traceparent`.

        Gives a function for the route and the status, once they are known.
        """

    def accepted(self, request_id: str, workspace_id: int, stream: str) -> None:
        """A request is stored: a span from the begin of the call until now, and links between the two."""

    def applied(self, request_ids: Sequence[str], workspace_id: int, stream: str, began_ns: int) -> None:
        """A batch is committed: a span with a link to each of its requests. `began_ns`: nanoseconds since 1970."""

    def close(self) -> None:
        """Send what waits."""


@cache
def begin(url: str, share: float, service: str) -> Traces:
    """Start tracing in this process, once, and behind any fork.

    `url`: of a collector (OTLP over HTTP), or file:///…, where each span becomes a line of JSON. `share`: part of the
    requests that have a trace. Raises SystemExit where OpenTelemetry is not installed.
    """
    try:
        from app.adapters import otel  # noqa: PLC0415 - an extra: nobody else pays for importing it
    except ImportError as error:
        raise SystemExit(NOT_INSTALLED) from error
    return otel.begin(url, share, service)
