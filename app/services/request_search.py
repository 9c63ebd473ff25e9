"""Looking for requests, from the last one backwards, in pieces that are short and can be gone on with.

Three sources are read side by side: the two streams of the inbox, and the requests that were refused. No index helps,
so nothing that accepts or applies has to keep one: a look at the bytes of a body tells nearly always that it does not
name who is looked for.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from app.contract import kinds, named, stored
from app.contract.cursor import Position
from app.contract.named import Place
from app.contract.request_log import APPLIED, DEAD, MOMENT_END, QUEUED, REFUSED, SKIPPED, Filter
from app.domain.commands import STREAM_BULK, STREAM_NORMAL, STREAMS
from app.domain.times import HOUR
from app.services.caller import Caller
from app.services.synchronous import Problems
from app.store import interruption, lane, refused
from app.store.engine import Database
from app.store.inbox import backwards
from app.store.inbox import log as inbox
from app.store.inbox.backwards import Outcome
from app.store.inbox.log import Stored
from app.store.refused import ErrorEntry, Refused

#: Requests that are read at once: few at first, since most questions are about the last ones.
FIRST_READ: Final = 64
MOST_READ: Final = 1_024
MOST_READ_BYTES: Final = 1024 * 1024
#: What of a body says whose key it was.
HEAD_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Entry:
    """A request in the log: accepted, or refused."""

    us: int
    #: Where it stands in the inbox; number 0 = nothing of it was accepted.
    stream: int
    seq: int
    #: QUEUED, APPLIED, SKIPPED, DEAD or REFUSED of app.contract.request_log.
    outcome: str
    #: Empty where it is not kept.
    key_name: str
    #: What operators call what was asked for; empty of a refused one.
    kind: str = ""
    #: Path of the endpoint, and status of HTTP, of a refused one.
    endpoint: str = ""
    status: int = 0
    #: Refused ones that it stands for.
    count: int = 1
    errors: tuple[ErrorEntry, ...] = ()
    skipped: Problems = field(default_factory=list)
    #: The objects that name who is looked for, in the order of effect.
    objects: list[Place] = field(default_factory=list)
    #: Of a dead one: class of the error, and as what it was sent again.
    reason: str = ""
    replayed_seq: int | None = None
    #: Tells refused ones of the same instant apart.
    n: int = 0

    def outcomes(self) -> list[tuple[str, int, str]]:
        """(array, position, what became of it) of the objects that name who is looked for: `applied`, `partly` (some
        of its fields had no effect), `skipped`, `queued` or `dead`."""
        if self.outcome in (QUEUED, DEAD):
            return [(array, index, self.outcome) for array, index in self.objects]
        whole = {(array, index) for array, index, field_, _ in self.skipped if not field_}
        partly = {(array, index) for array, index, field_, _ in self.skipped if field_}
        return [
            (*place, SKIPPED if place in whole else "partly" if place in partly else APPLIED) for place in self.objects
        ]

    @property
    def is_accepted(self) -> bool:
        """Whether it is of the inbox; one of which only some objects were refused is there twice."""
        return bool(self.kind)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one piece of a search found, and where the next one begins; None = there is nothing before."""

    entries: list[Entry]
    position: Position | None
    #: Everything later than this moment was looked at.
    back_to_us: int


class _Source(Protocol):
    def peek(self) -> int | None:
        """When the next request was, going backwards; None = there is none."""

    def take(self) -> Entry | None:
        """That request, if it is one of those that are wanted."""


def start(database: Database, caller: Caller, wanted: Filter) -> Position:
    """Behind the last request that may be wanted. What is accepted later is not looked at."""
    befores: list[int | str] = []
    with database.read(database.inbox) as connection:
        for stream in STREAMS:
            if wanted.to_us >= MOMENT_END:
                befores.append(inbox.head(connection, caller.workspace_id, stream) + 1)
            else:
                befores.append(backwards.before(connection, caller.workspace_id, stream, wanted.to_us))
    return [*befores, wanted.to_us, -1]


def look(
    database: Database,
    caller: Caller,
    wanted: Filter,
    position: Position,
    limit: int,
    seconds: float,
    floor: tuple[int, int] = (0, 0),
) -> Piece:
    """The next requests before a position, at most `limit`, or as many as are found in `seconds` of work.

    `floor`: numbers of the two streams at which the search ends. Raises what the database raises.
    """
    ends = time.monotonic() + seconds
    normal, bulk, us, n = (int(value) for value in position)
    with database.read() as connection:
        found = lane.read(connection, caller.workspace_id)
    cursors = (0, 0) if found is None else tuple(found.cursors)
    streams = [
        _Stream(database, caller, wanted, STREAM_NORMAL, normal, floor[0], cursors),
        _Stream(database, caller, wanted, STREAM_BULK, bulk, floor[1], cursors),
    ]
    refusals = _Refusals(database, caller, wanted, (us, n))
    sources: list[_Source] = [refusals]
    if _may_be_accepted(wanted):
        sources += streams
    entries: list[Entry] = []
    back_to_us = wanted.to_us
    is_over = False
    while not is_over:
        interruption.check()
        nexts = [(moment, source) for source in sources if (moment := source.peek()) is not None]
        if not nexts:
            return Piece(entries, None, wanted.from_us)
        back_to_us, source = max(nexts, key=lambda one: one[0])
        if (entry := source.take()) is not None:
            entries.append(entry)
        is_over = len(entries) >= limit or time.monotonic() >= ends  # after one step at least
    return Piece(entries, [streams[0].before, streams[1].before, *refusals.before], back_to_us)


def _may_be_accepted(wanted: Filter) -> bool:
    """Whether the filter leaves any accepted request."""
    return wanted.outcome != REFUSED and (wanted.statuses is None or wanted.statuses[0] < 300)


class _Stream:
    """A stream of the inbox, backwards."""

    def __init__(
        self,
        database: Database,
        caller: Caller,
        wanted: Filter,
        stream: int,
        before: int,
        floor: int,
        cursors: tuple[int, ...],
    ) -> None:
        self.before = before
        self._database = database
        self._workspace_id = caller.workspace_id
        self._wanted = wanted
        self._stream = stream
        self._floor = floor
        self._cursor = cursors[stream]
        self._may_name = None if wanted.wanted is None else named.may_name(wanted.wanted)
        self._head = HEAD_BYTES if wanted.wanted is None else backwards.WHOLE
        self._size = FIRST_READ
        self._hour = wanted.to_us // HOUR
        #: What was read, the latest one last.
        self._rows: list[Stored] = []
        self._outcomes: dict[int, Outcome] = {}

    def peek(self) -> int | None:
        if not self._rows and self.before > self._floor + 1:
            self._read()
        if not self._rows or self._rows[-1].accepted_us < self._wanted.from_us:
            return None
        return self._rows[-1].accepted_us

    def take(self) -> Entry | None:
        row = self._rows.pop()
        self.before, self._hour = row.seq, row.accepted_us // HOUR
        wanted = self._wanted
        if wanted.endpoint and kinds.name_of(row.kind) != wanted.endpoint:
            return None
        if wanted.outcome == QUEUED and row.seq <= self._cursor:
            return None
        key_name = _key_name(row)
        if wanted.key and key_name != wanted.key:
            return None
        objects: list[Place] = []
        if wanted.wanted is not None and self._may_name is not None:
            if not self._may_name(row.kind, row.body):
                return None
            found = named.places_naming(row.kind, row.codec, row.body, wanted.wanted)
            if found is None:
                return None
            objects = found
        return self._entry(row, key_name, objects)

    def _entry(self, row: Stored, key_name: str, objects: list[Place]) -> Entry | None:
        word, outcome = QUEUED, Outcome([])
        if row.seq <= self._cursor:
            outcome = self._outcome(row)
            word = DEAD if outcome.dead is not None else SKIPPED if outcome.skipped else APPLIED
        if self._wanted.outcome not in ("", word):
            return None
        return Entry(
            row.accepted_us,
            row.stream,
            row.seq,
            word,
            key_name,
            kind=kinds.name_of(row.kind),
            skipped=outcome.skipped,
            objects=objects,
            reason=outcome.dead or "",
            replayed_seq=outcome.replayed_seq,
        )

    def _outcome(self, row: Stored) -> Outcome:
        """What became of a request. Where nobody is looked for, that of all that were read is asked for at once."""
        if row.seq not in self._outcomes:
            asked = [row] if self._may_name is not None else [row, *self._rows]
            accepted = {one.seq: one.accepted_us for one in asked if one.seq <= self._cursor}
            with self._database.read() as connection:
                self._outcomes = backwards.outcomes(connection, self._workspace_id, self._stream, accepted)
        return self._outcomes[row.seq]

    def _read(self) -> None:
        limit = min(self._size, self.before - 1 - self._floor)
        self._size = min(2 * self._size, MOST_READ)
        with self._database.read(self._database.inbox) as connection:
            rows = backwards.read(
                connection,
                self._workspace_id,
                self._stream,
                self.before,
                self._hour,
                limit,
                self._head,
                MOST_READ_BYTES,
            )
        self._rows = rows[::-1]
        if not rows:
            self.before = self._floor + 1


class _Refusals:
    """Requests that were refused, backwards."""

    def __init__(self, database: Database, caller: Caller, wanted: Filter, before: tuple[int, int]) -> None:
        self.before = before
        self._database = database
        self._workspace_id = caller.workspace_id
        self._wanted = wanted
        self._digest = None if wanted.wanted is None else named.digest(caller.workspace_secret, wanted.wanted)
        self._rows: list[Refused] = []
        self._is_over = wanted.outcome not in ("", REFUSED)

    def peek(self) -> int | None:
        if not self._rows and not self._is_over:
            with self._database.read() as connection:
                rows = refused.read_back(connection, self._workspace_id, self.before, self._wanted.from_us, MOST_READ)
            self._rows = rows[::-1]
            self._is_over = not rows
        return self._rows[-1].us if self._rows else None

    def take(self) -> Entry | None:
        row = self._rows.pop()
        self.before = (row.us, row.n)
        if not is_wanted(row, self._wanted) or not self._is_named(row):
            return None
        return Entry(
            row.us,
            row.stream,
            row.seq,
            REFUSED,
            row.key_name,
            endpoint=row.endpoint,
            status=row.status,
            count=row.count,
            errors=row.errors,
            n=row.n,
        )

    def _is_named(self, row: Refused) -> bool:
        size = named.DIGEST_BYTES
        if self._digest is None:
            return True
        return any(row.named[n : n + size] == self._digest for n in range(0, len(row.named), size))


def is_wanted(row: Refused, wanted: Filter) -> bool:
    """Whether a refused request is one that the filter selects, whomever it names."""
    if wanted.key and row.key_name != wanted.key:
        return False
    if wanted.endpoint and row.endpoint != wanted.endpoint:
        return False
    return wanted.statuses is None or wanted.statuses[0] <= row.status <= wanted.statuses[1]


def _key_name(row: Stored) -> str:
    """Name of the API key; "" where it is not kept, or stands too far behind the beginning of a body."""
    if row.codec & stored.BEGUN:
        row_body = row.body[4 + int.from_bytes(row.body[:4]) :]
        return stored.opened(row.codec & ~stored.BEGUN, row_body)[0] if len(row_body) > 2 else ""
    return stored.opened(row.codec, row.body)[0]


def everything(
    database: Database,
    caller: Caller,
    wanted: Filter,
    position: Position,
    floor: tuple[int, int],
    seen: Callable[[Entry], None],
) -> None:
    """Give every request from a position down to a floor to `seen`, the latest one first. For commands."""
    place: Position | None = position
    while place is not None:
        piece = look(database, caller, wanted, place, MOST_READ, 1.0, floor)
        for entry in piece.entries:
            seen(entry)
        place = piece.position
