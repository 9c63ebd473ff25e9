"""Accepted requests: the inbox, how far it is applied, and what had no effect."""

from typing import Any, Final

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, binary, document, flag, small, text


class InboxHead(SQLModel, table=True):
    """Number and time of the last accepted request of a stream. Its row lock orders the accepts of a workspace."""

    __tablename__ = "inbox_head"

    workspace_id: int = big(key=True)
    stream: int = small(key=True)
    head: int = big()
    last_us: int = big()


class Inbox(SQLModel, table=True):
    """The queue of record: every accepted request."""

    __tablename__ = "inbox"

    workspace_id: int = big(key=True)
    stream: int = small(key=True)
    seq: int = big(key=True)
    #: Hours since 1970; the partition key on PostgreSQL.
    hour: int = big(key=True)
    #: What the body asks for, and how it is encoded.
    kind: int = small()
    codec: int = small()
    body: bytes = binary()
    accepted_us: int = big()


class Idempotency(SQLModel, table=True):
    """An Idempotency-Key that was used, with the place and the answer of its request. Hashes, no value of a client."""

    __tablename__ = "idempotency"

    workspace_id: int = big(key=True)
    #: Of endpoint and key. Unique without `day`, which the lock of the stream's counter row sees to.
    digest: bytes = binary(key=True)
    #: Days since 1970; the partition key on PostgreSQL.
    day: int = big(key=True)
    #: Of the body.
    fingerprint: bytes = binary()
    stream: int = small()
    seq: int = big()
    #: 0: the answer is made from what became of the request.
    status: int = small()
    answer: bytes = binary()


class InboxMessage(SQLModel, table=True):
    """By what a call of a tracking SDK is known, once it was accepted. Hashes, no value of a client."""

    __tablename__ = "inbox_message"
    __table_args__ = (Index("inbox_message_app", "workspace_id", "app", "n"),)

    workspace_id: int = big(key=True)
    #: Of app and message id, that of the app first. Unique without `day` while it is remembered, which the lock of the
    #: stream's counter row sees to.
    digest: bytes = binary(key=True)
    #: Days since 1970; the partition key on PostgreSQL.
    day: int = big(key=True)
    #: Of the app.
    app: bytes = binary()
    #: One more for each of the app, as long as any is remembered.
    n: int = big()


class ImportFile(SQLModel, table=True):
    """A file that was imported, and how far: written with the requests that hold its rows. No value of the file."""

    __tablename__ = "import_file"

    workspace_id: int = big(key=True)
    #: Keyed hash of the file and of how it is read.
    digest: bytes = binary(key=True)
    #: So many of its rows are in the inbox.
    done: int = big()
    begun_us: int = big()
    changed_us: int = big()


class Lane(SQLModel, table=True):
    """How far a workspace is applied. Whoever holds the row lock is the only writer of its profiles."""

    __tablename__ = "lane"

    workspace_id: int = big(key=True)
    cursor_normal: int = big()
    cursor_bulk: int = big()
    #: `hour` of the request at the cursor, so that reading on starts in the right partition.
    hour_normal: int = big()
    hour_bulk: int = big()
    #: Last number in `applied`.
    applied_n: int = big()
    #: Batches begun since the last one that was committed: more than one means that a batch killed its process.
    attempts: int = big()
    #: Stream of the batch that was begun last, and the last number that it could reach.
    trial_stream: int = small()
    trial_last: int = big()
    settings: dict[str, Any] = document()
    #: Whether batches write `profile_value` as well.
    with_values: bool = flag()
    #: The sum of both cursors up to which they did, without a gap. None: there is nothing in `profile_value`.
    values_at: int | None = big(nullable=True)
    #: Of the request behind the cursor that is applied in parts: its stream, how many of its commands have taken
    #: effect, and app.domain.progress.Progress as JSON. None: there is none.
    begun_stream: int | None = big(nullable=True)
    begun_done: int | None = big(nullable=True)
    begun: str | None = text(nullable=True)
    #: Any number, another one since the database was restored. What a worker remembers of the workspace (ids of names,
    #: crowds, keys of ids) is true for one epoch.
    epoch: int = big(default=0)


class Applied(SQLModel, table=True):
    """The order in which ranges of the two streams were applied: profiles are the result of replaying it."""

    __tablename__ = "applied"

    workspace_id: int = big(key=True)
    n: int = big(key=True)
    stream: int = small()
    from_seq: int = big()
    to_seq: int = big()
    #: app.domain.apply.VERSION of whoever applied them; 0 = it was not recorded yet.
    version: int = big(default=0)


class ProblemRow(SQLModel, table=True):
    """What of an accepted request had no effect, and why, in one row a request. Holds no value of a client."""

    __tablename__ = "problem"

    workspace_id: int = big(key=True)
    stream: int = small(key=True)
    seq: int = big(key=True)
    #: Days since 1970 of acceptance; the partition key on PostgreSQL.
    day: int = big(key=True)
    #: JSON text: [[input_array, position, field, reason], …], within app.domain.step.MAX_PROBLEM_BYTES_PER_REQUEST.
    doc: str = text()


class Dead(SQLModel, table=True):
    """A request that could not be applied. Its body is kept so that it can be looked at and sent again."""

    __tablename__ = "dead"
    __table_args__ = (Index("dead_accepted", "workspace_id", "accepted_us"),)

    workspace_id: int = big(key=True)
    stream: int = small(key=True)
    seq: int = big(key=True)
    kind: int = small()
    codec: int = small()
    #: Empty once it is gone: kept for a time, see app.store.dead_letters, and erased with a person whom it names.
    body: bytes = binary()
    accepted_us: int = big()
    dead_us: int = big()
    reason: str = text()
    #: The request that it was sent as again, in the same stream, and when.
    replayed_seq: int | None = big(nullable=True)
    replayed_us: int | None = big(nullable=True)
    #: How many of its commands had taken effect: it was applied in parts.
    done: int = big(default=0)


class RefusedRow(SQLModel, table=True):
    """A request of a known key that was refused, whole or in part. Holds no value of a client."""

    __tablename__ = "refused_request"

    workspace_id: int = big(key=True)
    us: int = big(key=True)
    #: By chance, so that no two API processes have to agree.
    n: int = big(key=True)
    #: Name of the API key; empty where several were refused of which no more is kept.
    key_name: str = text()
    endpoint: str = text()
    #: Of HTTP; 201 or 200 where the rest of the request was accepted.
    status: int = small()
    #: How many the row stands for.
    count: int = big()
    #: JSON text: [[type, input_array, index, code], …]
    errors: str = text()
    #: Keyed hashes of the identifiers that it names, app.contract.named.DIGEST_BYTES each.
    named: bytes = binary()
    #: Where the rest of it stands in the inbox; 0 = nothing was accepted.
    stream: int = small()
    seq: int = big()


#: Tables that live in the inbox's own file on SQLite, so that accepting and applying never wait for each other.
INBOX_TABLES: Final = ("inbox_head", "inbox", "idempotency", "inbox_message", "import_file")
