"""The lane of a workspace: the lock that makes one writer of its profiles, and how far they are applied."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.apply import VERSION
from app.domain.commands import STREAM_BULK, STREAM_NORMAL, StreamKey
from app.domain.progress import Progress
from app.domain.settings import ApplySettings
from app.domain.times import HOUR
from app.store.bulk import encode
from app.store.direct import Direct
from app.store.inbox.log import Stored

STREAM_COLUMNS: Final = ("normal", "bulk")


@dataclass(slots=True)
class Lane:
    """A locked lane: the cursors of both streams, the hours of the requests at the cursors, and `attempts`, the number
    of batches that were begun and not finished."""

    cursors: list[int]
    hours: list[int]
    applied_n: int
    attempts: int
    #: Stream of the batch that was begun last, and the last number that it could reach.
    trial: tuple[int, int]
    settings: ApplySettings
    #: Whether sections are written to `profile_value` as well: see app.store.segments.values.
    with_values: bool
    #: Whether there may be rows in `profile_value`, also such as are being removed.
    has_values: bool
    #: (stream, how many of its commands have taken effect) of the request behind the cursor that is applied in parts.
    #: Until it is finished, nothing else of the workspace is applied.
    begun: tuple[int, int] | None = None
    #: What was remembered of the workspace in another one is no longer true.
    epoch: int = 0
    #: Whether a webhook is told what changes.
    observed: bool = False

    @property
    def place(self) -> list[int]:
        """What is applied: equal places, equal profiles."""
        return [*self.cursors, *(self.begun or ())]


_CREATE = text(
    """
    insert into lane
    (workspace_id, cursor_normal, cursor_bulk, hour_normal, hour_bulk, applied_n, attempts, trial_stream, trial_last,
     settings, epoch)
    values (:workspace_id, 0, 0, 0, 0, 0, 0, 0, 0, '{}', :epoch) on conflict do nothing
    """
)
_COLUMNS: Final = (
    "cursor_normal, cursor_bulk, hour_normal, hour_bulk, applied_n, attempts, trial_stream, trial_last, settings,"
    " with_values, values_at, begun_stream, begun_done, epoch,"
    " exists (select 1 from webhook w where w.workspace_id = :workspace_id and w.enabled)"
)
#: Settles with the other columns that PostgreSQL's commit does not wait for the disk.
_LAZILY: Final = "set_config('synchronous_commit', 'off', true)"
_OF: Final = "from lane where workspace_id = :workspace_id"
_TAKEN: Final = f"{_OF} for update skip locked"
_LOCK_POSTGRESQL = Direct(f"select {_COLUMNS}, null {_TAKEN}")
_LOCK_LAZILY_POSTGRESQL = Direct(f"select {_COLUMNS}, {_LAZILY} {_TAKEN}")
_READ = Direct(f"select {_COLUMNS}, null {_OF}")
#: Takes the lane of a workspace in which nothing was begun, and counts an attempt.
_BEGIN_POSTGRESQL = {
    stream: Direct(
        f"update lane set attempts = 1, trial_stream = {stream}, trial_last = cursor_{name} + :most"
        f" where workspace_id = :workspace_id and workspace_id = (select workspace_id {_OF}"
        " and attempts = 0 and begun_stream is null for update skip locked)"
        f" returning {_COLUMNS}, {_LAZILY}"
    )
    for stream, name in enumerate(STREAM_COLUMNS)
}
_ALL_SETTINGS = text("select workspace_id, settings from lane where true /*here workspace_id*/")
_CURSORS = text("select workspace_id, cursor_normal, cursor_bulk from lane where true /*here workspace_id*/")
_BEGUN = text(
    "select workspace_id, begun_stream, begun_done from lane where begun_stream is not null /*here workspace_id*/"
)
_FAILING = text("select workspace_id, trial_stream, attempts from lane where attempts > 1 /*here workspace_id*/")
_ATTEMPT = text(
    "update lane set attempts = :counted, trial_stream = :stream, trial_last = :last"
    " where workspace_id = :workspace_id and attempts = :attempts"
)
_DISCOUNT = text("update lane set attempts = attempts - 1 where workspace_id = :workspace_id and attempts > 0")
#: `values_at` stays behind for good once a batch was applied that did not move it: see app.store.segments.values.
_ADVANCE = {
    stream: Direct(
        f"update lane set cursor_{name} = :seq, hour_{name} = :hour, applied_n = :n, attempts = :attempts,"
        " trial_stream = :trial_stream, trial_last = :trial_last, values_at ="
        " case when with_values and values_at = cursor_normal + cursor_bulk"
        f" then values_at + :seq - cursor_{name} else values_at end"
        " where workspace_id = :workspace_id"
    )
    for stream, name in enumerate(STREAM_COLUMNS)
}
_SUSPEND = text(
    "update lane set begun_stream = :stream, begun_done = :done, begun = :progress, attempts = 0"
    " where workspace_id = :workspace_id"
)
_FORGET_BEGUN = text(
    "update lane set begun_stream = null, begun_done = null, begun = null"
    " where workspace_id = :workspace_id and begun_stream = :stream"
)
_PROGRESS = text("select begun from lane where workspace_id = :workspace_id")
_SETTINGS = text("update lane set settings = :settings where workspace_id = :workspace_id")
_EXTEND = Direct(
    "update applied set to_seq = :to_seq"
    " where workspace_id = :workspace_id and n = :n and stream = :stream and version = :version"
)
_APPLIED = text(
    "insert into applied (workspace_id, n, stream, from_seq, to_seq, version)"
    " values (:workspace_id, :n, :stream, :from_seq, :to_seq, :version)"
)
_EPOCH = text("update lane set epoch = :epoch")
_RANGES = text("select stream, from_seq, to_seq, version from applied where workspace_id = :workspace_id order by n")
_VERSIONS = text("select distinct version from applied where workspace_id = :workspace_id")


def create(connection: Connection, workspace_id: int) -> None:
    """The lane of a new workspace. Harmless when it exists."""
    connection.execute(_CREATE, {"workspace_id": workspace_id, "epoch": _new_epoch()})


def begin_epoch(connection: Connection) -> None:
    """What a worker remembers of any workspace is not true any more: see app.store.restored."""
    connection.execute(_EPOCH, {"epoch": _new_epoch()})


def forget_begun(connection: Connection, workspace_id: int, stream: int) -> None:
    """The request of which a part is applied is not in the inbox any more."""
    connection.execute(_FORGET_BEGUN, {"workspace_id": workspace_id, "stream": stream})


def _new_epoch() -> int:
    return 1 + secrets.randbits(62)


def _lane(row: Sequence[Any]) -> Lane:
    """`row` begins with _COLUMNS."""
    cursors, hours, trial = row[:2], row[2:4], row[6:8]
    applied_n, attempts = row[4:6]
    settings, with_values, values_at, begun_stream, begun_done, epoch, observed = row[8:15]
    if isinstance(settings, str):
        settings = msgspec.json.decode(settings)
    known = {field.name for field in fields(ApplySettings)}
    return Lane(
        cursors=list(cursors),
        hours=list(hours),
        applied_n=applied_n,
        attempts=attempts,
        trial=tuple(trial),
        settings=ApplySettings(**{name: value for name, value in settings.items() if name in known}),
        with_values=bool(with_values),
        has_values=values_at is not None,
        begun=None if begun_stream is None else (begun_stream, begun_done),
        epoch=epoch,
        observed=bool(observed),
    )


def lock(connection: Connection, workspace_id: int, *, lazily: bool = False) -> Lane | None:
    """Take the lane for this transaction; None when somebody else has it. A SQLite writer has every lane.

    `lazily`: PostgreSQL's commit of what is written then does not wait for the disk.
    """
    statement = _READ
    if connection.dialect.name == "postgresql":
        statement = _LOCK_LAZILY_POSTGRESQL if lazily else _LOCK_POSTGRESQL
    row = statement.row(connection, {"workspace_id": workspace_id})
    return None if row is None else _lane(row)


def begin(connection: Connection, workspace_id: int, stream: int, most: int) -> Lane | None:
    """On PostgreSQL: the lane with an attempt counted at the next `most` requests of a stream, in one statement whose
    commit does not wait for the disk. None when somebody else has it, when something of it was begun, and when the
    attempt before has not ended; nothing is done then."""
    row = _BEGIN_POSTGRESQL[stream].row(connection, {"workspace_id": workspace_id, "most": most})
    return None if row is None else _lane(row)


def read(connection: Connection, workspace_id: int) -> Lane | None:
    """The lane as it was last committed."""
    row = _READ.row(connection, {"workspace_id": workspace_id})
    return None if row is None else _lane(row)


def settings(connection: Connection, workspace_id: int) -> ApplySettings:
    """The settings that are in force."""
    found = read(connection, workspace_id)
    return found.settings if found is not None else ApplySettings()


def rates_until(connection: Connection) -> dict[int, int]:
    """{workspace: last day of the table of reference rates that is in force, 0 where none is}."""
    found = {}
    for workspace_id, document in connection.execute(_ALL_SETTINGS):
        settings = msgspec.json.decode(document) if isinstance(document, str) else document
        found[int(workspace_id)] = settings.get("rates_until") or 0
    return found


def cursors(connection: Connection) -> dict[StreamKey, int]:
    """{(workspace, stream): number of the last applied request} of all workspaces."""
    numbers = {}
    for row in connection.execute(_CURSORS):
        numbers[StreamKey(row.workspace_id, STREAM_NORMAL)] = row.cursor_normal
        numbers[StreamKey(row.workspace_id, STREAM_BULK)] = row.cursor_bulk
    return numbers


def begun(connection: Connection) -> dict[StreamKey, int]:
    """{(workspace, stream): how many commands have taken effect} of the requests that are applied in parts."""
    return {StreamKey(row.workspace_id, row.begun_stream): row.begun_done for row in connection.execute(_BEGUN)}


def progress(connection: Connection, workspace_id: int) -> Progress | None:
    """Of the request that is applied in parts, if there is one."""
    document = connection.execute(_PROGRESS, {"workspace_id": workspace_id}).scalar()
    return None if document is None else msgspec.json.decode(document, type=Progress)


def failing(connection: Connection) -> dict[StreamKey, int]:
    """{(workspace, stream): attempts} of lanes whose first request was tried alone, and failed, more than once."""
    return {StreamKey(row.workspace_id, row.trial_stream): row.attempts for row in connection.execute(_FAILING)}


def count_attempt(
    connection: Connection, workspace_id: int, before: int, attempts: int, stream: int, last: int
) -> None:
    """Record, in a transaction of its own, that a batch begins, which can reach number `last` of a stream.

    If its process dies, the count stays, and tells where the cause is.
    """
    values = {
        "workspace_id": workspace_id,
        "attempts": before,
        "counted": attempts,
        "stream": stream,
        "last": last,
    }
    connection.execute(_ATTEMPT, values)


def discount_attempt(connection: Connection, workspace_id: int) -> None:
    """Take back a counted attempt. The process survived, so the batch did not kill it."""
    connection.execute(_DISCOUNT, {"workspace_id": workspace_id})


def advance(connection: Connection, workspace_id: int, lane: Lane, last: Stored, next_last: int | None = None) -> None:
    """Move the cursor of the stream to a request, and extend the record of what was applied in which order.

    A request that was begun ends with that. `next_last`: another batch has begun behind it, which can reach this
    number, and is counted as an attempt.
    """
    if lane.begun is not None:
        connection.execute(_SUSPEND, {"workspace_id": workspace_id, "stream": None, "done": None, "progress": None})
        lane.begun = None
    stream, seq = last.stream, last.seq
    of = {"workspace_id": workspace_id, "version": VERSION, "stream": stream, "to_seq": seq}
    if not _EXTEND.write(connection, {**of, "n": lane.applied_n}):
        lane.applied_n += 1
        connection.execute(_APPLIED, {**of, "n": lane.applied_n, "from_seq": lane.cursors[stream] + 1})
    lane.cursors[stream], lane.hours[stream], lane.attempts = seq, last.accepted_us // HOUR, 0
    if next_last is not None:
        lane.attempts, lane.trial = 1, (stream, next_last)
    values = {
        "seq": seq,
        "hour": lane.hours[stream],
        "n": lane.applied_n,
        "attempts": lane.attempts,
        "trial_stream": lane.trial[0],
        "trial_last": lane.trial[1],
    }
    _ADVANCE[stream].write(connection, {"workspace_id": workspace_id, **values})


def suspend(connection: Connection, workspace_id: int, lane: Lane, stream: int, progress: Progress) -> None:
    """The request behind the cursor of the stream has taken effect in part; the rest is for a later transaction."""
    lane.begun, lane.attempts = (stream, progress.done), 0
    values = {"stream": stream, "done": progress.done, "progress": encode(progress)}
    connection.execute(_SUSPEND, {"workspace_id": workspace_id, **values})


def save_settings(connection: Connection, workspace_id: int, settings: ApplySettings) -> None:
    connection.execute(_SETTINGS, {"workspace_id": workspace_id, "settings": encode(asdict(settings))})


def ranges(connection: Connection, workspace_id: int) -> list[tuple[int, int, int, int]]:
    """(stream, first, last, version of the reducer) of everything applied, in the order in which it was applied."""
    return [tuple(row) for row in connection.execute(_RANGES, {"workspace_id": workspace_id})]


def versions(connection: Connection, workspace_id: int) -> set[int]:
    """The versions of the reducer that applied something."""
    return set(connection.execute(_VERSIONS, {"workspace_id": workspace_id}).scalars())
