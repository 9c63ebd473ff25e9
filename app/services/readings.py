"""Numbers that an API process keeps anyway: they are read when metrics are asked for, and counting costs nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from app.adapters.doorbell import Doorbell
from app.adapters.metrics import Reading
from app.domain.commands import STREAM_NAMES, StreamKey
from app.quota.limiter import Limiter
from app.services.accepting.acceptor import Acceptor
from app.services.accepting.backlog import BacklogWatch
from app.services.accepting.gate import Gate
from app.services.accepting.refused_requests import RefusedRequests
from app.services.accepting.writer import InboxWriter
from app.services.api_usage import UsageCounter
from app.services.canary import Canary
from app.services.connections import Connections
from app.services.database_watch import DatabaseWatch
from app.services.job_watch import JobWatch
from app.services.sdk import SdkCounts
from app.store.engine import Database
from app.store.inbox import backlog
from app.store.origin import Doubt

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ApiReadings:
    """The parts whose counters are read."""

    database: Database
    watch: BacklogWatch
    writer: InboxWriter
    acceptor: Acceptor
    limiter: Limiter
    bell: Doorbell
    gate: Gate
    connections: Connections
    canary: Canary
    jobs: JobWatch
    database_watch: DatabaseWatch
    sdk: SdkCounts
    usage: UsageCounter
    refused: RefusedRequests
    now_us: Callable[[], int]

    def read(self) -> Iterator[Reading]:
        """All of them, now."""
        yield from self._backlog()
        yield from self._jobs()
        yield from self._database()
        yield "onefold_accepted_requests_total", "Requests stored.", (), {(): self.writer.requests}
        yield (
            "onefold_inbox_flushes_total",
            "Commits of the inbox; each holds many requests.",
            (),
            {(): self.writer.flushes},
        )
        quota = {"granted": self.acceptor.granted, "refused": self.acceptor.refused, "degraded": self.limiter.degraded}
        yield (
            "onefold_quota_total",
            "Calls by what the limits said; degraded: decided without Redis.",
            *_by("result", quota),
        )
        yield (
            "onefold_ecommerce_refused_total",
            "Recommended e-commerce events that do not follow their schema, by event and fault.",
            ("event", "fault"),
            {of: float(count) for of, count in self.acceptor.refused_events.total.items()},
        )
        refused = {"kept": self.refused.kept, "counted": self.refused.counted, "dropped": self.refused.dropped}
        yield (
            "onefold_refused_requests_total",
            "Refused requests of known keys: a row is kept, counted in the row of others, or neither.",
            *_by("log", refused),
        )
        yield "onefold_sdk_batches_total", "Batches of SDK data, by result.", *_by("result", self.sdk.batches)
        yield "onefold_sdk_records_total", "Records of batches that were taken.", *_by("type", self.sdk.records)
        yield (
            "onefold_sdk_records_dropped_total",
            "Records that cannot be taken (gateway), or that devices lost before they sent them (device).",
            *_by("by", self.sdk.dropped),
        )
        rung = {"rung": self.bell.rung, "suppressed": self.bell.suppressed, "failed": self.bell.failed}
        yield "onefold_doorbells_total", "Doorbells; suppressed: one was outstanding.", *_by("result", rung)
        yield (
            "onefold_usage_lost_total",
            "Answers that are missing in the usage of keys: the database was away for too long.",
            (),
            {(): self.usage.lost},
        )
        yield "onefold_requests_in_hand", "Requests that are being answered.", (), {(): self.gate.inside}
        shed = {
            "process": self.gate.refused,
            "workspace": self.gate.refused_by_owner,
            "bytes": self.gate.refused_bytes,
            "backlog": self.watch.refused,
        }
        yield (
            "onefold_shed_total",
            "Requests answered 503 because there are too many, by what is full.",
            *_by("full", shed),
        )
        yield "onefold_connections", "Connections of clients.", (), {(): len(self.connections)}
        connections = self.connections
        closed = {"full": connections.refused, "made_room": connections.made_room, "late": connections.late}
        yield (
            "onefold_connections_closed_total",
            "Closed by us; full: at once, for want of a place; made_room: for a newcomer; late: took too long.",
            *_by("why", closed),
        )
        yield (
            "onefold_nodes_away",
            "Nodes of the database that do not answer; numbers of all workspaces leave theirs out.",
            (),
            {(): len(self.database.nodes_away)},
        )
        yield "onefold_pool_connections", "Connections to the database in use.", *_by("pool", self._pools())
        yield "onefold_canary_total", "Canary requests by what became of them.", *_by("result", self.canary.results)
        yield "onefold_canary_seconds", "From accept to applied, of the last canary.", (), {(): self.canary.seconds}
        applied = self.canary.applied_us / 1_000_000
        yield "onefold_canary_applied_timestamp_seconds", "When the last canary was applied.", (), {(): applied}

    def _backlog(self) -> Iterator[Reading]:
        now_us, labels = self.now_us(), ("workspace", "stream")
        seen, since = _by_stream(self.watch.seen), _by_stream(self.watch.standing_us)
        queued = {of: float(waiting.requests) for of, waiting in seen.items()}
        ages = {of: backlog.age_seconds(waiting, now_us) for of, waiting in seen.items()}
        standing = {of: max(0, now_us - began) / 1_000_000 for of, began in since.items()}
        attempts = {of: float(number) for of, number in _by_stream(self.watch.failing).items()}
        yield "onefold_backlog_requests", "Accepted and not applied; no value: nothing queued.", labels, queued
        yield "onefold_oldest_queued_seconds", "How long the oldest of them has waited.", labels, ages
        yield "onefold_lane_standing_seconds", "Since when the first of them is the same one.", labels, standing
        yield "onefold_lane_attempts", "Attempts of a first request that fails alone.", labels, attempts

    def _jobs(self) -> Iterator[Reading]:
        now_us, labels = self.now_us(), ("kind", "state")
        seen = self.jobs.seen
        numbers: dict[tuple[str, ...], float] = {of: standing.number for of, standing in seen.items()}
        ages: dict[tuple[str, ...], float] = {
            of: max(0, now_us - standing.since_us) / 1_000_000 for of, standing in seen.items()
        }
        yield "onefold_jobs", "Unfinished jobs: queued and running.", labels, numbers
        yield "onefold_job_oldest_seconds", "How long the oldest of them waits, or runs.", labels, ages

    def _database(self) -> Iterator[Reading]:
        seen, wanted = self.database_watch.seen, self.database_watch.wanted
        standbys: dict[tuple[str, ...], float] = {}
        doubts: dict[tuple[str, ...], float] = {}
        if seen is not None:
            doubts = {(one.value,): float(seen.doubt is one) for one in (Doubt.TIMELINE, Doubt.ELSEWHERE, Doubt.BACK)}
            if wanted and seen.standbys.present is not None:
                standbys = {("wanted",): float(wanted), ("present",): float(seen.standbys.present)}
        yield "onefold_standbys", "That have what is answered for; no value: none is wanted.", ("what",), standbys
        yield "onefold_database_doubt", "1: ids may be given out twice, and why.", ("why",), doubts

    def _pools(self) -> dict[str, int]:
        pools: dict[str, Engine] = {"main": self.database.main}
        if self.database.inbox is not self.database.main:
            pools["inbox"] = self.database.inbox
        return {name: e.pool.checkedout() for name, e in pools.items() if isinstance(e.pool, QueuePool)}


def _by_stream(values: Mapping[StreamKey, _T]) -> dict[tuple[str, ...], _T]:
    """{(workspace, name of the stream): value}"""
    return {(str(key.workspace_id), STREAM_NAMES[key.stream]): value for key, value in values.items()}


def _by(label: str, values: Mapping[str, int]) -> tuple[tuple[str, ...], dict[tuple[str, ...], float]]:
    """Label names and {labels: value} for one label."""
    return (label,), {(name,): float(value) for name, value in values.items()}
