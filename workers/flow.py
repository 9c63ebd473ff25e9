"""Applying under a backlog: while the database writes one batch, the next one is read and reduced.

Profiles stay in memory from batch to batch (app.store.profiles.resident), so a batch is reduced on top of those before
it, also of the one that is still being written. What is committed is in order all the same: each batch has its
transaction, which locks the lane, finds it where the batch before has left it, and writes profiles and cursor together.
When one fails, whatever was built on it is thrown away with the memory, and workers/apply.py does the same requests
again, one batch at a time.

Only batches of plain commands flow (app.domain.loading.plain_needs): these find their profiles by names that nobody
else can have, so all that they need of what is not written yet is in memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from app.adapters import rates
from app.domain.loading import addresses_needed, shared_addresses
from app.domain.observing import Observer
from app.domain.order import left
from app.domain.profile import Identifier
from app.domain.state import State
from app.store import lane
from app.store.bulk import Statement, execute, pipelined
from app.store.engine import Database
from app.store.inbox.log import Stored
from app.store.lane import Lane
from app.store.names import NameCache
from app.store.profiles.crowds import Crowds
from app.store.profiles.look_up import fetch_addresses
from app.store.profiles.resident import Resident
from app.store.profiles.save import delete, has_names, make_names, writes
from workers.ahead import Batch, ReadAhead
from workers.batches import FLOW_SECONDS, BatchSize, Patience
from workers.leavings import finish, tell
from workers.parts import Applied, reduce_requests
from workers.writing import LaneLostError, Writer


class NotPlainError(Exception):
    """The batch needs something that may be in a batch which is not written yet."""


@dataclass(slots=True)
class Done:
    """A batch that is committed."""

    applied: Applied
    requests: list[Stored]
    #: When it was committed, in microseconds since 1970.
    us: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What all flows of a worker have in common."""

    database: Database
    ahead: ReadAhead
    names: NameCache
    most_names: int
    most_series: int
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
        #: As Lane.place, behind the batch that was written last.
        self.place = found.place
        #: The count of attempts covers a batch that comes behind the last one.
        self._is_counted_on = False
        #: A full batch was the last one.
        self.is_behind = False

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

    def run(self, first: Batch) -> Batch | None:
        """Apply it, and what comes behind it. Returns the batch before which it ended, if it was read already.

        Raises whatever goes wrong; then what is not committed has to be abandoned, and the resident with it.
        """
        batch: Batch | None = first
        while batch is not None and batch.wanted:
            batch = self._next(batch, batch.wanted)
        self._writer.close(self._clear if self._is_counted_on else None)
        return batch

    def _next(self, batch: Batch, wanted: dict[Identifier, int]) -> Batch | None:
        """Apply a batch. Returns the one behind it, if the flow goes on."""
        began, terms, size = time.monotonic(), self._terms, self._size
        last = batch.stored[-1]
        self.is_behind = batch.full
        goes_on = batch.full and not self._resident.is_full and not self._ends()
        if batch.read is None:
            batch = terms.ahead.fitting(self._workspace_id, batch, wanted, self._resident)
            wanted, last = batch.wanted or wanted, batch.stored[-1]
        if batch.is_cut:
            size.hold(sum(len(one.body) for one in batch.stored))
        if goes_on:
            terms.ahead.start(self._workspace_id, self._stream, last, size.requests, size.bytes, self._resident)
        state, people = self._load(batch, wanted)
        observer = Observer(state, people) if self._lane.observed else None
        done, progress = reduce_requests(
            state, batch.requests, self._workspace_id, self._secret, terms.patience, observer
        )
        goes_on = goes_on and done == len(batch.stored)
        applied = Applied(done, progress)
        applied.observe(observer)
        next_last = last.seq + size.requests if goes_on else None
        self._write(state, applied, batch.stored, next_last)
        self._is_counted_on = goes_on
        self._resident.evict(terms.resident_bytes)
        if not goes_on:
            self.is_behind = self.is_behind or done < len(batch.stored)
            return None
        if not batch.is_cut:
            size.adapt(time.monotonic() - began, done, sum(len(one.body) for one in batch.stored), target=FLOW_SECONDS)
        return terms.ahead.take(self._workspace_id, self._stream, last.seq, size.requests)

    def _load(self, batch: Batch, wanted: dict[Identifier, int]) -> tuple[State, list[int]]:
        """The state with all that the batch needs, and the numbers of its profiles."""
        resident = self._resident
        database, workspace_id = self._terms.database, self._workspace_id
        if batch.read is not None:
            resident.take(batch.read)
        people = resident.use(wanted)
        if people is None:  # something was forgotten since it was looked for
            with database.read() as connection:
                resident.take(resident.read(connection, workspace_id, wanted, self._terms.loaded_bytes))
            people = resident.use(wanted)
        if people is None:
            raise NotPlainError
        state = resident.state
        state.settings, state.reference_rates = self._lane.settings, rates.usd
        commands = [command for request in batch.requests for command in left(request)]
        unknown = resident.unknown(addresses_needed(commands, state, moving=False))
        if unknown:
            with database.read() as connection:
                state.know(fetch_addresses(connection, workspace_id, unknown))
        if shared_addresses(commands, state, moving=False):
            raise NotPlainError
        return state, people

    def _write(self, state: State, applied: Applied, batch: list[Stored], next_last: int | None) -> None:
        """Have the batch written, as it is now."""
        terms, workspace_id, changes, found = self._terms, self._workspace_id, state.changes, self._lane
        made: NameCache = {}
        has_all_names = has_names(workspace_id, changes, terms.names)
        if not has_all_names:
            connection, _ = self._writer.take()
            made = make_names(connection, workspace_id, changes, terms.names, terms.most_names, terms.most_series)
        rows = list(writes(workspace_id, state, made, terms.names, with_values=found.with_values))
        statements: list[Statement] = []
        if terms.database.is_postgresql:
            statements = [one for write, some in rows for one in write.statements(workspace_id, some)]
            rows = []
        self._known.correct(state)
        self._resident.applied()
        applied.add(changes, state.settings, made)
        stored = batch[: applied.requests]

        def job(connection: Connection, locked: Lane) -> None:
            delete(connection, workspace_id, changes, has_values=found.has_values or found.with_values)
            if statements:
                with pipelined(connection):
                    execute(connection, statements)
            for write, some in rows:
                write.run(connection, workspace_id, some)
            tell(connection, workspace_id, applied, None, batch)
            finish(connection, workspace_id, locked, applied, None, batch, next_last)
            self.place = locked.place
            terms.before_commit(workspace_id, batch)

        def committed() -> None:
            self._committed(Done(applied, stored, terms.now_us()))

        self._writer.write(job, committed)
        if not has_all_names:  # they are not known before they are committed
            self._writer.take()

    def _clear(self, connection: Connection, _locked: Lane) -> None:
        lane.discount_attempt(connection, self._workspace_id)


def _terms(found: Lane) -> tuple[object, ...]:
    """What a batch is reduced and written by."""
    return (found.epoch, found.settings, found.with_values, found.has_values, found.observed)
