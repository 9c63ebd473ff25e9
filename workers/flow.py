"""Applying under a backlog: while the database writes one batch, the next one is read and reduced.

Profiles stay in memory from batch to batch (app.store.profiles.resident), so a batch is reduced on top of those before
it, also of the one that is still being written. What is committed is in order all the same: each batch has its
transaction, which locks the lane, finds it where the batch before has left it, and writes profiles and cursor together.
When one fails, whatever was built on it is thrown away with the memory, and workers/apply.py does the same requests
again, one batch at a time.

Only plain commands flow (app.domain.loading.plain_needs): these find their profiles by names that nobody else can have,
so all that they need of what is not written yet is in memory. Requests with others are applied as outside a flow, by
workers/parts.py, in a transaction of their own: it begins behind the commit of what comes before them, and nothing is
read for what comes behind them before its commit. The memory forgets what they changed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from app.adapters import rates
from app.domain.identifiers import ChannelAddress
from app.domain.loading import addresses_needed, shared_addresses
from app.domain.observing import Observer
from app.domain.order import left
from app.domain.state import State
from app.store import lane
from app.store.bulk import Statement, execute, pipelined
from app.store.engine import Database
from app.store.inbox.log import Stored
from app.store.lane import Lane
from app.store.names import NameCache
from app.store.profiles.catalogue import has_names, make_names
from app.store.profiles.crowds import Crowds, Limits
from app.store.profiles.load import Loader
from app.store.profiles.look_up import fetch_addresses
from app.store.profiles.resident import Resident
from app.store.profiles.save import delete, writes
from workers.ahead import Batch, ReadAhead, Run, decoded
from workers.batches import FLOW_SECONDS, BatchSize, Patience
from workers.leavings import finish, tell
from workers.parts import Applied, Parts, reduce_requests
from workers.writing import LaneLostError, Writer


class ForgottenError(Exception):
    """What a batch needs was read, and is not in memory."""


@dataclass(slots=True)
class Done:
    """A batch that is committed."""

    applied: Applied
    requests: list[Stored]
    #: When it was committed, in microseconds since 1970.
    us: int
    #: It was reduced while the one before was being written.
    flowed: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What all flows of a worker have in common."""

    database: Database
    ahead: ReadAhead
    names: NameCache
    crowd_limits: Limits
    most_names: int
    most_series: int
    #: Of profiles, for requests that do not flow.
    loaded_bytes: int
    resident_bytes: int
    patience: Patience
    now_us: Callable[[], int]
    before_commit: Callable[[int, list[Stored]], None]


class Flow:
    """The batches of one stream, one behind the other, for as long as there are full ones."""

    def __init__(
        self,
        terms: Terms,
        workspace_id: int,
        stream: int,
        secret: bytes,
        found: Lane,
        resident: Resident,
        known: Crowds,
        size: BatchSize,
        writer: Writer,
        committed: Callable[[Done], None],
        ends: Callable[[], bool],
    ) -> None:
        """`found` is the lane as it was when the flow began, `known` its crowds. `committed` is called behind each
        commit, and `ends` tells whether no further batch should begin."""
        self._terms, self._workspace_id, self._stream, self._secret = terms, workspace_id, stream, secret
        self._lane, self._resident, self._known = found, resident, known
        self._size, self._writer, self._committed, self._ends = size, writer, committed, ends
        #: As Lane.place, behind the run that was written last.
        self.place = found.place
        #: The count of attempts covers a run that comes behind the last one.
        self._is_counted_on = False
        #: More is behind the last run.
        self.is_behind = False
        #: Numbers of the profiles that the run in hand wants.
        self._people: list[int] = []
        #: What the runs so far of the batch in hand have taken, and their requests.
        self._seconds, self._done = 0.0, list[Stored]()

    def check(self, locked: Lane | None) -> Lane:
        """The locked lane, if it is where the flow has left it. Raises LaneLostError."""
        found = self._lane
        if (
            locked is None
            or locked.begun is not None
            or (locked.place, *_terms(locked)) != (self.place, *_terms(found))
        ):
            raise LaneLostError
        return locked

    def run(self, first: Batch) -> None:
        """Apply it, and what comes behind it.

        Raises whatever goes wrong; then what is not committed has to be abandoned, and the resident with it.
        """
        batch: Batch | None = first
        while batch is not None:
            batch = self._next(batch)
        self._writer.close(self._clear if self._is_counted_on else None)

    def _next(self, batch: Batch) -> Batch | None:
        """Apply the first run of a batch. Returns what is behind it, if the flow goes on."""
        began, terms, size, resident = time.monotonic(), self._terms, self._size, self._resident
        batch, run = self._load(batch)
        if batch.is_cut:
            size.hold(_bytes(batch.stored))
        rest, last, next_last = batch.behind(run.requests), batch.stored[run.requests - 1], None
        self.is_behind = rest is not None or batch.flows
        if rest is not None:
            next_last = rest.stored[-1].seq
        elif batch.flows and not resident.is_full(terms.resident_bytes) and not self._ends():
            next_last = last.seq + size.requests
            # What a run that is not plain changes is not read before its commit.
            beside = None if run.wanted is None else resident
            terms.ahead.start(self._workspace_id, self._stream, last, size.requests, size.bytes, beside)
        is_whole = (self._alone if run.wanted is None else self._together)(batch, run, next_last)
        self._is_counted_on = is_whole and next_last is not None
        resident.evict(terms.resident_bytes)
        if not self._is_counted_on:
            self.is_behind = self.is_behind or not is_whole
            return None
        self._seconds += time.monotonic() - began
        self._done += batch.stored[: run.requests]
        if rest is not None:
            return rest
        if not batch.is_cut:
            size.adapt(self._seconds, len(self._done), _bytes(self._done), grow=batch.full, target=FLOW_SECONDS)
        self._seconds, self._done = 0.0, []
        return terms.ahead.take(self._workspace_id, self._stream, last.seq, size.requests)

    def _load(self, batch: Batch) -> tuple[Batch, Run]:
        """The batch with its first run. If that is plain, all that it needs is in memory now."""
        terms, workspace_id, resident = self._terms, self._workspace_id, self._resident
        batch, run = terms.ahead.ready(workspace_id, batch, resident)
        if run.wanted is None or run.read is None:
            return batch, run
        resident.take(run.read)
        people = resident.use(run.wanted)
        if people is None:  # something was forgotten since it was looked for
            batch, run = terms.ahead.ready(workspace_id, replace(batch, run=replace(run, read=None)), resident)
            if run.wanted is None or run.read is None:
                return batch, run
            resident.take(run.read)
            people = resident.use(run.wanted)
        if people is None:
            raise ForgottenError
        self._people = people
        state = resident.state
        state.settings, state.reference_rates = self._lane.settings, rates.usd
        requests = batch.requests[: run.requests]
        needed = [addresses_needed(left(request), state, moving=False) for request in requests]
        unknown = resident.unknown(set[ChannelAddress]().union(*needed))
        if unknown:
            with terms.database.glance() as connection:
                state.know(fetch_addresses(connection, workspace_id, unknown))
        # Whoever may lose an address needs what is recorded of it.
        shared = (
            n for n, some in enumerate(needed) if some and shared_addresses(left(requests[n]), state, moving=False)
        )
        before = next(shared, None)
        if before is not None:
            # What this request does depends on who else has an address, and that is not in memory. So the requests
            # before it are a run, and the next run is this request alone.
            run = Run(before, run.wanted) if before else Run(1, None)
        return batch, run

    def _together(self, batch: Batch, run: Run, next_last: int | None) -> bool:
        """Reduce a plain run on what is in memory, and have it written. False when that was not all of it."""
        terms, state = self._terms, self._resident.state
        observer = Observer(state, self._people) if self._lane.observed else None
        requests = batch.requests[: run.requests]
        done, progress = reduce_requests(state, requests, self._workspace_id, self._secret, terms.patience, observer)
        is_whole = done == run.requests
        applied = Applied(done, progress)
        applied.observe(observer)
        self._write(state, applied, batch.stored[: run.requests], next_last if is_whole else None)
        return is_whole

    def _alone(self, batch: Batch, run: Run, next_last: int | None) -> bool:
        """Apply a run that is not plain as outside a flow. False when that was not all of it, or what comes behind it
        is applied in another way now."""
        terms, workspace_id, found = self._terms, self._workspace_id, self._lane
        connection, locked = self._writer.take()
        stored = batch.stored[: run.requests]
        parts = Parts(
            Loader(connection, workspace_id, self._known, terms.loaded_bytes),
            self._secret,
            found.settings,
            terms.crowd_limits,
            terms.names,
            terms.most_names,
            terms.most_series,
            with_values=found.with_values,
            has_values=found.has_values,
            observed=found.observed,
            patience=terms.patience,
            resident=self._resident,
        )
        applied = parts.apply(batch.requests[: run.requests], lambda n: decoded(stored[n]))
        is_whole = applied.requests == run.requests and applied.settings is None
        tell(connection, workspace_id, applied, None, stored)
        finish(connection, workspace_id, locked, applied, None, stored, next_last if is_whole else None)
        terms.before_commit(workspace_id, stored)
        self._writer.close()
        self.place = locked.place
        self._committed(Done(applied, stored[: applied.requests], terms.now_us(), flowed=False))
        return is_whole

    def _write(self, state: State, applied: Applied, batch: list[Stored], next_last: int | None) -> None:
        """Have the batch written, as it is now."""
        terms, workspace_id, changes, found = self._terms, self._workspace_id, state.changes, self._lane
        self._resident.applied()
        made: NameCache = {}
        has_all_names = has_names(workspace_id, changes, terms.names)
        if not has_all_names:
            connection, _ = self._writer.take()
            made = make_names(connection, workspace_id, changes, terms.names, terms.most_names, terms.most_series)
        known = self._resident.known
        statements: list[Statement] = [
            one
            for write, rows in writes(
                workspace_id, state, made, terms.names, with_values=found.with_values, known=known
            )
            for one in write.statements(workspace_id, rows, terms.database.dialect)
        ]
        self._known.correct(state)
        applied.add(changes, state.settings, made)
        stored = batch[: applied.requests]

        def job(connection: Connection, locked: Lane) -> None:
            delete(connection, workspace_id, changes, has_values=found.has_values or found.with_values)
            with pipelined(connection):
                execute(connection, statements)
            tell(connection, workspace_id, applied, None, batch)
            finish(connection, workspace_id, locked, applied, None, batch, next_last)
            self.place = locked.place
            terms.before_commit(workspace_id, batch)

        def committed() -> None:
            self._committed(Done(applied, stored, terms.now_us(), flowed=True))

        self._writer.write(job, committed)
        if not has_all_names:  # they are not known before they are committed
            self._writer.take()

    def _clear(self, connection: Connection, _locked: Lane) -> None:
        lane.discount_attempt(connection, self._workspace_id)


def _terms(found: Lane) -> tuple[object, ...]:
    """What a batch is reduced and written by."""
    return (found.epoch, found.settings, found.with_values, found.has_values, found.observed)


def _bytes(requests: Sequence[Stored]) -> int:
    return sum(len(request.body) for request in requests)
