"""Metrics for Prometheus: numbers of the service, none of them about a person. Workspaces appear by number.

Processes of one machine share them through files (PROMETHEUS_MULTIPROC_DIR, which `onefold up` and `onefold worker`
set for their children): whoever is asked answers for all. An API process that runs alone keeps them in memory.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, start_http_server
from prometheus_client import values as kinds
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.adapters.metric_files import SharedMetrics

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

#: Kinds of onefold_applied_objects: all that app.domain.changes.Counts counts, except what is counted by reason.
OBJECTS: Final = (
    "attributes", "events", "purchases", "identified", "merged", "aliases", "deleted", "renamed", "flagged",
    "blocked", "ignored",
)  # fmt: skip

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_JOB_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_LAG_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 21600.0)


def choose_values() -> None:
    """Count in files where there is a DIRECTORY, else in memory, from here on. prometheus_client chooses when it is
    imported, and that was in another process where this one was forked."""
    if (kinds.ValueClass is kinds.MutexValue) == bool(os.environ.get(DIRECTORY)):
        kinds.ValueClass = kinds.get_value_class()  # type: ignore[no-untyped-call]


class Metrics:
    """What this process counts; one per process, made after any fork."""

    def __init__(self) -> None:
        choose_values()
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("onefold_requests", "Answers of the API.", ["endpoint", "status"], **made)
        self._request_seconds = Histogram(
            "onefold_request_seconds",
            "From a request's head to its answer.",
            ["endpoint"],
            buckets=_SECONDS,
            **made,
        )
        self._drains = Counter(
            "onefold_drains",
            "Goes at a lane: done, behind (yielded), busy (held by another), failed.",
            ["result"],
            **made,
        )
        self._drain_seconds = Histogram("onefold_drain_seconds", "Time of a drain.", buckets=_SECONDS, **made)
        self._lag_seconds = Histogram(
            "onefold_apply_lag_seconds",
            "Age of the oldest request of a drain when it was applied.",
            buckets=_LAG_SECONDS,
            **made,
        )
        self._applied = Counter("onefold_applied_requests", "Requests applied.", **made)
        self._objects = Counter("onefold_applied_objects", "What was applied, by kind.", ["kind"], **made)
        self._batches = Counter("onefold_apply_batches", "Transactions of the drain.", **made)
        self._skipped = Counter("onefold_skipped", "Parts of requests without effect, by reason.", ["reason"], **made)
        self._dead = Counter("onefold_dead_letters", "Requests that could not be applied.", **made)
        self._jobs = Counter(
            "onefold_job_attempts", "Attempts at jobs: done, failed, released, lost.", ["kind", "result"], **made
        )
        self._job_seconds = Histogram(
            "onefold_job_seconds", "Time of an attempt at a job.", ["kind"], buckets=_JOB_SECONDS, **made
        )
        self._swept = Counter("onefold_swept_lanes", "Lanes that the sweeper drained by itself.", **made)
        self._aged = Counter(
            "onefold_aged_out", "Partitions dropped, rows deleted, bodies forgotten.", ["what"], **made
        )

    def answered(self, endpoint: str) -> Callable[[int, float], None]:
        """Counts answers of an endpoint: status and seconds."""
        by_status: dict[int, Counter] = {}
        seconds_of = self._request_seconds.labels(endpoint)

        def count(status: int, seconds: float) -> None:
            counter = by_status.get(status)
            if counter is None:
                counter = by_status[status] = self._requests.labels(endpoint, str(status))
            counter.inc()
            seconds_of.observe(seconds)

        return count

    def drained(self, summary: dict[str, Any]) -> None:
        """Count a drain: workers.apply.Summary as a dict."""
        result = "busy" if summary["busy"] else "behind" if summary["behind"] else "done"
        self._drains.labels(result).inc()
        if summary["batches"] == 0 and summary["dead"] == 0:
            return
        self._drain_seconds.observe(summary["ms"] / 1000)
        self._lag_seconds.observe(summary["lag_ms"] / 1000)
        self._applied.inc(summary["requests"])
        self._batches.inc(summary["batches"])
        self._dead.inc(summary["dead"])
        for kind in OBJECTS:
            self._objects.labels(kind).inc(summary.get(kind, 0))
        for reason, number in summary["skipped_by_reason"].items():
            self._skipped.labels(reason).inc(number)

    def drain_failed(self) -> None:
        self._drains.labels("failed").inc()

    def worked(self, summary: dict[str, Any]) -> None:
        """Count an attempt at a job: workers.jobs.run.Summary as a dict."""
        if summary["job"]:
            self._jobs.labels(summary["kind"], summary["state"]).inc()
            self._job_seconds.labels(summary["kind"]).observe(summary["ms"] / 1000)

    def swept(self) -> None:
        self._swept.inc()

    def aged_out(self, dropped: dict[str, int]) -> None:
        for what, number in dropped.items():
            self._aged.labels(what).inc(number)

    def exposition(self, readings: Collector | None = None) -> bytes:
        """Everything as Prometheus reads it, with what `readings` reads now."""
        registry = CollectorRegistry()
        if folder := os.environ.get(DIRECTORY):
            registry.register(SharedMetrics(Path(folder)))
        else:
            registry.register(_Registered(self.registry))
        if readings is not None:
            registry.register(readings)
        return generate_latest(registry)


def serve(host: str, port: int) -> None:
    """Serve what the processes of this machine count, in a thread. For machines without an API.

    Raises OSError when the port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(SharedMetrics(Path(os.environ[DIRECTORY])))
    start_http_server(port, host, registry)


class _Registered(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        return self._registry.collect()


class Readings(Collector):
    """Numbers that are read when they are asked for: {name: (help, label names, values by labels)} of a function."""

    def __init__(self, read: Callable[[], Iterator["Reading"]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, text, labels, values in self._read():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=labels)
            for of, value in values.items():
                family.add_metric(of, value)
            yield family


#: Name, help, label names, {labels: value}. A name that ends in `_total` only ever grows.
Reading = tuple[str, str, tuple[str, ...], dict[tuple[str, ...], float]]
