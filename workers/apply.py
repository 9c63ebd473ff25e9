"""The drain: applies the inbox of a workspace to its profiles, in order, each request exactly once.

One transaction does one batch: it holds the lane's row lock, reads the cursor first, and writes profiles and cursor
together. Whatever kills the process leaves either both or neither. Nobody else writes profiles. Of a request that takes
too long for one transaction, each does a part, and writes how far it came together with the profiles.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.contract import kinds, request_id
from app.domain.commands import STREAM_BULK, STREAM_NAMES, STREAM_NORMAL, STREAMS, Request, StreamKey
from app.domain.progress import Progress
from app.store import lane
from app.store.engine import DATABASE_ERRORS, Database, is_lost, is_transient, since
from app.store.inbox import backlog
from app.store.inbox.backlog import Waiting
from app.store.inbox.log import Stored
from app.store.lane import Lane
from app.store.names import NameCache
from app.store.profiles import crowds
from app.store.profiles.catalogue import MAX_NAMES, remember
from app.store.profiles.load import Loader
from app.store.series import MAX_SERIES
from workers.ahead import LEAST_PLAIN, ReadAhead, decoded, is_full, is_much
from workers.attempts import ATTEMPTS_BEFORE_DEAD, Attempts, Begun
from workers.batches import BatchSize, Patience
from workers.flow import Done, Terms
from workers.flows import Flows
from workers.leavings import bury, finish, tell
from workers.parts import Parts
from workers.summary import Summary

log = structlog.get_logger()

#: A worker leaves a lane after this long when others have work, so that a flood in one workspace starves nobody.
YIELD_SECONDS: Final = 0.5
#: It leaves after this long in any case: a doorbell may be about something else.
MOST_SECONDS: Final = 2.0
#: The bulk stream gets at least this part of a busy lane's time.
BULK_SHARE: Final = 1 / 8
#: Bytes of profiles that a worker loads at once, by app.domain.sizes; they take three to ten times as much memory.
LOADED_BYTES: Final = 16_000_000

#: A batch of a flow loads no more than this part of that.
FLOW_SHARE: Final = 2
#: Bytes of memory, about, that profiles may take which stay from one batch of a backlog to the next.
RESIDENT_BYTES: Final = 64_000_000
_CROWD_LIMITS: Final = crowds.Limits()
_PATIENCE: Final = Patience()


class Bell(Protocol):
    """The doorbell of a workspace: whether somebody has already been told that it has work."""

    def clear(self, workspace_id: int) -> None:
        """Let the next accept ring again. Must not raise."""


class PoisonError(Exception):
    """Applying raised and it was not the fault of a connection or a resource: the data of some request does it."""

    def __init__(self, batch: list[Stored], cause: BaseException) -> None:
        super().__init__(type(cause).__name__)
        self.batch = batch
        self.cause = cause


class Applier:
    """Drains lanes; one per worker process. Not for use by several threads at once."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        now_us: Callable[[], int],
        secret: Callable[[int], bytes],
        *,
        crowd_limits: crowds.Limits = _CROWD_LIMITS,
        loaded_bytes: int = LOADED_BYTES,
        resident_bytes: int = RESIDENT_BYTES,
        least_plain: int = LEAST_PLAIN,
        most_names: int = MAX_NAMES,
        most_series: int = MAX_SERIES,
        patience: Patience = _PATIENCE,
        on_dead: Callable[[int, Stored, str], None] = lambda _workspace, _request, _reason: None,
        before_commit: Callable[[int, list[Stored]], None] = lambda _workspace, _batch: None,
        on_applied: Callable[[int, bytes, Sequence[Stored], int], None] | None = None,
    ) -> None:
        """`secret` gives the id key of a workspace. `before_commit` lets a test stop a batch where it hurts most.

        `on_applied` hears of each committed batch: workspace, its id key, requests, when it began in nanoseconds.
        """
        self._on_applied = on_applied
        self._began_ns = 0
        self._database = database
        self._bell = bell
        self._now_us = now_us
        self._secret = secret
        self._crowd_limits = crowd_limits
        self._loaded_bytes = loaded_bytes
        self._most_names = most_names
        self._most_series = most_series
        self._patience = patience
        self._crowds = crowds.Memory()
        self._on_dead = on_dead
        self._before_commit = before_commit
        self._ahead = ReadAhead(database, loaded_bytes // FLOW_SHARE, least_plain)
        self._names: NameCache = {}
        #: When the last batch was committed that names and crowds are remembered of.
        self._remembered = float("-inf")
        self._secrets: dict[int, bytes] = {}
        #: Of each workspace, that in which the rest is remembered.
        self._epochs: dict[int, int] = {}
        self._sizes = {stream: BatchSize() for stream in STREAMS}
        self._attempts = Attempts(database)
        self._seconds: Counter[int] = Counter()
        self._flows = Flows(
            Terms(
                database,
                self._ahead,
                self._names,
                crowd_limits,
                most_names,
                most_series,
                loaded_bytes,
                resident_bytes,
                patience,
                now_us,
                before_commit,
            )
        )

    def drain(self, workspace_id: int, yield_seconds: float = 10.0, most_seconds: float = 10.0) -> Summary:
        """Apply everything that is queued, for at most about `most_seconds`, or `yield_seconds` when others have work.

        Raises what the database raises when it is away; nothing is lost then, and nothing half done.
        """
        summary, started = Summary(), time.monotonic()
        self._seconds.clear()
        while True:
            elapsed = time.monotonic() - started
            if self._database.is_away(workspace_id):  # a sweeper finds it when it is back, and whoever accepts rings
                self._bell.clear(workspace_id)
                break
            try:
                if self._turn(
                    workspace_id, summary, lambda: self._must_yield(workspace_id, started, yield_seconds, most_seconds)
                ):
                    break
            except DATABASE_ERRORS as error:
                # Its connection may have died long ago, in the pool; the next one is new, and its batch is shorter.
                # Where no connection can be made at all, somebody rings again.
                if elapsed > most_seconds or not is_lost(error):
                    raise
        summary.ms = int((time.monotonic() - started) * 1000)
        return summary

    def _must_yield(self, workspace_id: int, started: float, yield_seconds: float, most_seconds: float) -> bool:
        elapsed = time.monotonic() - started
        return elapsed > most_seconds or (elapsed > yield_seconds and self._others_wait(workspace_id))

    def _turn(self, workspace_id: int, summary: Summary, must_yield: Callable[[], bool]) -> bool:
        """One batch, if there is work. True when the drain ends here."""
        waiting = backlog.waiting(self._database, workspace_id)
        if not any(waiting.streams.values()):
            # Whoever accepts after this line rings again; whoever accepted before it is seen by the next look.
            self._bell.clear(workspace_id)
            waiting = backlog.waiting(self._database, workspace_id)
            if not any(waiting.streams.values()):
                return True
        if must_yield():
            summary.behind = True
            return True
        summary.busy = not self._step(workspace_id, self._next_stream(waiting), summary, must_yield)
        return summary.busy

    def _others_wait(self, workspace_id: int) -> bool:
        """Whether any other workspace has requests behind its cursor, also where another worker is at it."""
        return any(place.workspace_id != workspace_id for place in backlog.behind(self._database))

    def _next_stream(self, waiting: Waiting) -> int:
        if waiting.next is not None and waiting.streams[waiting.next]:
            return waiting.next  # a batch of the other stream would begin the count of attempts again
        if not waiting.streams[STREAM_BULK]:
            return STREAM_NORMAL
        if not waiting.streams[STREAM_NORMAL]:
            return STREAM_BULK
        starved = self._seconds[STREAM_BULK] < BULK_SHARE * self._seconds.total()
        return STREAM_BULK if starved else STREAM_NORMAL

    def _step(self, workspace_id: int, stream: int, summary: Summary, must_yield: Callable[[], bool]) -> bool:
        """One batch, or the part of it that can be applied; of a backlog perhaps many. False when another worker holds
        the lane."""
        began = time.monotonic()
        try:
            found = self._batch(workspace_id, stream, summary, must_yield)
        except PoisonError as poison:
            found = True
            if len(poison.batch) > 1:
                self._attempts.suspect(StreamKey(workspace_id, stream), poison.batch[-1].seq)
            else:
                found = self._bury(workspace_id, poison, summary)
        self._seconds[stream] += time.monotonic() - began  # type: ignore[assignment]
        return found

    def _batch(self, workspace_id: int, stream: int, summary: Summary, must_yield: Callable[[], bool]) -> bool:
        key = StreamKey(workspace_id, stream)
        self._began_ns = time.time_ns()
        flows = self._flows.is_due(key)
        begun = self._attempts.begin(key, (self._flows.sizes if flows else self._sizes)[stream].requests)
        if begun is None:
            return False
        if flows and not begun.careful and self._flow(key, begun, summary, must_yield):
            return True
        attempts, limit = begun.attempts, min(begun.limit, self._sizes[stream].requests)
        began, cpu = time.monotonic(), time.process_time()
        try:
            return self._attempt(workspace_id, stream, limit, attempts, summary)
        except Exception as error:
            if not is_transient(error) or not self._attempts.is_caused(
                error, time.monotonic() - began, time.process_time() - cpu
            ):
                # This process lives on: the batch does not kill. An outage is not its fault at all.
                self._attempts.discount(workspace_id)
            else:
                log.warning(
                    "attempt_failed", workspace=workspace_id, stream=stream, attempts=attempts, alone=limit == 1
                )
            if is_transient(error):
                # Where connections do not last, a shorter batch may fit between two losses.
                self._sizes[stream].halve()
            raise

    def _attempt(self, workspace_id: int, stream: int, limit: int, attempts: int, summary: Summary) -> bool:
        began, most, key = time.monotonic(), self._sizes[stream].bytes, StreamKey(workspace_id, stream)
        is_cut = limit < self._sizes[stream].requests
        with self._database.write() as connection:
            locked = self._attempts.lock(connection, workspace_id)
            if locked is None or (locked.begun is not None and locked.begun[0] != stream):
                return False
            if since(connection) > self._remembered:
                self._forget()
            self._enter(workspace_id, locked.epoch)
            resident = self._flows.resident(workspace_id, locked.place)
            after, hour = locked.cursors[stream], locked.hours[stream]
            ready = self._ahead.take(workspace_id, stream, after, limit)
            batch = ready.stored if ready else self._ahead.read(workspace_id, stream, after, hour, limit, most)
            if not batch:
                return True
            if limit == 1 and attempts > ATTEMPTS_BEFORE_DEAD:
                raise PoisonError(batch, RuntimeError("attempts exhausted"))
            try:
                begun = None if locked.begun is None else lane.progress(connection, workspace_id)
                if begun is not None:
                    batch = batch[:1]
                    requests = [_going_on(batch[0], begun)]
                else:
                    requests = ready.requests if ready else [decoded(request) for request in batch]
                known = self._crowds.recall(workspace_id, locked.place)
                known.looked = False
                loader = Loader(connection, workspace_id, known, self._loaded_bytes)
                secret = self._secret_of(workspace_id)
                parts = Parts(
                    loader,
                    secret,
                    locked.settings,
                    self._crowd_limits,
                    self._names,
                    self._most_names,
                    self._most_series,
                    with_values=locked.with_values,
                    has_values=locked.has_values,
                    observed=locked.observed,
                    patience=self._patience,
                    resident=resident,
                )
                much = is_much(requests)
                applied = parts.apply(requests, lambda n: _going_on(batch[n], begun))
                # Otherwise the next batch begins with one of these, or there is none.
                full = ready.full if ready else is_full(batch, limit, most)
                if applied.requests == len(batch) and full:
                    self._ahead.start(workspace_id, stream, batch[-1], limit, most)
                tell(connection, workspace_id, applied, begun, batch)
                finish(connection, workspace_id, locked, applied, begun, batch)
            except Exception as error:
                # The only place that may catch anything: whatever a request's data can raise is that request's death.
                if is_transient(error):
                    raise
                raise PoisonError(batch, error) from error
            self._before_commit(workspace_id, batch)
        if resident is not None:
            resident.place = locked.place
        self._flows.saw(key, full=(full or much) and not is_cut)
        done = batch[: applied.requests]
        if done and begun is None:  # the parts of a request say nothing about others
            size = sum(len(request.body) for request in done)
            # Looking a crowd over takes the same time for any batch: smaller ones would only do it more often.
            self._sizes[stream].adapt(time.monotonic() - began, len(done), size, shrink=not known.looked)
        self._crowds.remember(workspace_id, locked.place, known)
        self._count(key.workspace_id, Done(applied, done, self._now_us(), flowed=False), summary)
        return True

    def _flow(self, key: StreamKey, begun: Begun, summary: Summary, must_yield: Callable[[], bool]) -> bool:
        """Apply a backlog as a flow, as far as that goes. False when nothing was done that way."""
        self._enter(key.workspace_id, begun.lane.epoch)
        known = self._crowds.recall(key.workspace_id, begun.lane.place)
        batches = summary.batches
        try:
            place = self._flows.run(
                key,
                begun,
                self._secret_of(key.workspace_id),
                known,
                lambda done: self._count(key.workspace_id, done, summary),
                lambda: must_yield() or self._other_stream_waits(key),
                lambda connection: self._flow_lock(connection, key.workspace_id),
            )
        except Exception as error:  # noqa: BLE001 - the same requests are applied alone now, and raise what they raise
            log.debug("flow_ended", workspace=key.workspace_id, stream=key.stream, reason=type(error).__name__)
            if summary.batches > batches:
                self._attempts.discount(key.workspace_id)
            # Else the attempt that was counted goes on: of the same requests, alone, which may kill the process yet.
        else:
            self._crowds.remember(key.workspace_id, place, known)
        return summary.batches > batches

    def _flow_lock(self, connection: Connection, workspace_id: int) -> Lane | None:
        """None also where the database may have lost what is remembered."""
        return None if since(connection) > self._remembered else self._attempts.lock(connection, workspace_id)

    def _other_stream_waits(self, key: StreamKey) -> bool:
        streams = backlog.waiting(self._database, key.workspace_id).streams
        return any(waits for stream, waits in streams.items() if stream != key.stream)

    def _count(self, workspace_id: int, done: Done, summary: Summary) -> None:
        """Take in a batch that is committed."""
        applied = done.applied
        if applied.names:  # else the thread that reduces may be looking names up
            remember(self._names, applied.names)
        self._remembered = time.monotonic()
        summary.requests += applied.requests
        summary.batches += 1
        summary.flowed += done.flowed
        summary.add(applied.counts, applied.problems, applied.uncounted)
        if done.requests:
            summary.lag_ms = max(summary.lag_ms, (done.us - done.requests[0].accepted_us) // 1000)
            if self._on_applied is not None:
                self._on_applied(workspace_id, self._secret_of(workspace_id), done.requests, self._began_ns)
                self._began_ns = time.time_ns()  # of the next one of a flow

    def _enter(self, workspace_id: int, epoch: int) -> None:
        """Forget what is remembered of a workspace where its lane has another epoch: its database was restored."""
        if self._epochs.setdefault(workspace_id, epoch) != epoch:
            self._epochs[workspace_id] = epoch
            self._secrets.pop(workspace_id, None)
            self._ahead.forget()
            self._attempts.forget(workspace_id)
            self._forget()

    def _forget(self) -> None:
        """Forget cached ids and crowds unless this connection is older than the last batch: after a database crash, ids
        may have been given out again."""
        self._crowds.forget()
        self._names.clear()
        self._flows.forget()

    def _bury(self, workspace_id: int, poison: PoisonError, summary: Summary) -> bool:
        """Put the one request that cannot be applied aside and go on behind it."""
        request = poison.batch[0]
        reason = type(poison.cause).__name__
        if isinstance(poison.cause, DBAPIError) and poison.cause.orig is not None:
            reason = type(poison.cause.orig).__name__
        with self._database.write() as connection:
            locked = self._attempts.lock(connection, workspace_id)
            if locked is None:
                return False
            if locked.cursors[request.stream] != request.seq - 1:
                return True
            if locked.begun is not None and locked.begun[0] != request.stream:
                return True
            progress = None if locked.begun is None else lane.progress(connection, workspace_id)
            bury(connection, workspace_id, request, reason, self._now_us(), progress)
            lane.advance(connection, workspace_id, locked, request)
        summary.dead += 1
        log.warning(
            "dead_letter",
            workspace=workspace_id,
            request=request_id.make(self._secret_of(workspace_id), workspace_id, request.stream, request.seq),
            stream=STREAM_NAMES[request.stream],
            kind=kinds.name_of(request.kind),
            reason=reason,
        )
        self._on_dead(workspace_id, request, reason)
        return True

    def _secret_of(self, workspace_id: int) -> bytes:
        found = self._secrets.get(workspace_id)
        if found is None:
            found = self._secrets[workspace_id] = self._secret(workspace_id)
        return found


def _going_on(request: Stored, begun: Progress | None) -> Request:
    found = decoded(request)
    return found if begun is None else replace(found, begun=begun)
