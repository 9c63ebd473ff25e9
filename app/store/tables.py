"""The tables, with their index inventory: one file of more than 300 lines, since the schema is read as a whole.

Times are bigint microseconds UTC. Every key begins with workspace_id. What only PostgreSQL has (partitions, fillfactor,
collation, compression) is in the migrations; the columns and indexes here are the same on both stores.

    table            key                                              further indexes
    company          id                                               name
    workspace        id                                               name
    workspace_deletion  workspace_id                                  -
    api_key          workspace_id, key_id                             key_id
    inbox_head       workspace_id, stream                             -
    inbox            workspace_id, stream, seq, hour                  -   (by hour)
    idempotency      workspace_id, digest, day                        -   (by day)
    lane             workspace_id                                     -
    applied          workspace_id, n                                  -
    problem          workspace_id, stream, seq, day                   -   (by day)
    dead             workspace_id, stream, seq                        accepted_us
    profile          workspace_id, pid                                braze_id; pid where external_id is null,
                                                                      where flags <> 0, and where it is blocked
    profile_core     workspace_id, pid                                -
    profile_custom   workspace_id, pid                                -
    profile_part     workspace_id, pid, part                          -
    identifier       workspace_id, kind, label, value, pid            kind, label, value unique for kinds 1 to 3,
                                                                      and for 7 and 8
    lineage          workspace_id, member_pid                         parent_pid; root_pid
    erasure          workspace_id, pid                                -
    merge_record     workspace_id, id                                 kept_pid; merged_pid; merged_braze_id; expires_us
    history          workspace_id, pid, us, ordinal, what             -
    deletion         workspace_id, erased_id                          -
    address_state    workspace_id, channel, address, group_id         three of what is listed; forget_us
    subscription_group  workspace_id, id                              -
    name             workspace_id, kind, name                         id
    name_count       workspace_id, kind, name, type                   -
    occurrence       workspace_id, day, stream, seq, ordinal          name_id, day, pid   (by day)
    series           workspace_id, kind, name, app                    id
    series_day       workspace_id, series_id, day                     -
    series_hour      workspace_id, series_id, hour                    -
    job              workspace_id, id                                 id; created_us; started_us; kind, target unique
                                                                      and state, lease_us where unfinished; callback_us
    job_part         workspace_id, job_id, n                          -
    app              workspace_id, id                                 sdk_key
    segment          workspace_id, id                                 -
    segment_size     workspace_id, segment_id, day                    -
    merge_setup      workspace_id                                     -
    merge_run        workspace_id, id                                 created_us; day unique where scheduled
    merge_run_request  workspace_id, run_id, n                        -
"""

from json import loads
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, LargeBinary, SmallInteger, Text, false, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

#: A JSON document: jsonb on PostgreSQL, text on SQLite.
_DOCUMENT: Final = JSON().with_variant(JSONB(), "postgresql")


def _big(*, key: bool = False, nullable: bool = False, default: int | None = None) -> Any:
    shown = None if default is None else str(default)
    column = Column(BigInteger, primary_key=key, autoincrement=False, nullable=nullable, server_default=shown)
    return _with_default(column, default)


def _small(*, key: bool = False) -> Any:
    return Field(sa_column=Column(SmallInteger, primary_key=key, autoincrement=False, nullable=False))


def _text(*, key: bool = False, nullable: bool = False, default: str | None = None) -> Any:
    return _with_default(Column(Text, primary_key=key, nullable=nullable, server_default=default), default)


def _document(*, nullable: bool = False, default: str | None = None) -> Any:
    column = Column(_DOCUMENT, nullable=nullable, server_default=default)
    return _with_default(column, None if default is None else loads(default))


def _flag() -> Any:
    return _with_default(Column(Boolean, nullable=False, server_default=false()), value=False)


def _with_default(column: Column[Any], value: Any) -> Any:
    return Field(sa_column=column) if value is None else Field(default=value, sa_column=column)


def _bytes(*, key: bool = False, nullable: bool = False) -> Any:
    return Field(sa_column=Column(LargeBinary, primary_key=key, nullable=nullable))


class Company(SQLModel, table=True):
    """What some workspaces may use of /users/track together, besides their own limits. None = no such limit."""

    __tablename__ = "company"
    __table_args__ = (Index("company_name", "name", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = _text()
    hourly_limit: int | None = _big(nullable=True)
    burst_limit: int | None = _big(nullable=True)
    burst_window_seconds: int = _big()
    hourly_refill: str = _text()
    created_us: int = _big()


class Workspace(SQLModel, table=True):
    """A tenant. `secret` keys the ids that Onefold makes for it; limits that are None come from the plan."""

    __tablename__ = "workspace"
    __table_args__ = (Index("workspace_name", "name", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = _text()
    plan: str = _text()
    hourly_limit: int | None = _big(nullable=True)
    burst_limit: int | None = _big(nullable=True)
    burst_window_seconds: int | None = _big(nullable=True)
    secret: bytes = _bytes()
    created_us: int = _big()
    company_id: int | None = _big(nullable=True)
    max_objects_combined: int | None = _big(nullable=True)
    max_objects_per_array: int | None = _big(nullable=True)
    #: "continuous" or "clock_hour".
    hourly_refill: str = _text(default="continuous")
    #: "epoch" or "seconds".
    track_reset_style: str = _text(default="epoch")
    #: {group: [requests, seconds]}, and {"track-bulk": "plan"}: limits other than those of app.contract.plans.
    group_limits: dict[str, Any] = _document(default="{}")
    #: Switches that change how this workspace's API answers, such as `export_requires_fields`.
    options: dict[str, Any] = _document(default="{}")
    legacy_api_key_auth: bool = _flag()
    disabled: bool = _flag()


class WorkspaceDeletion(SQLModel, table=True):
    """That a workspace was deleted. It stays, so that no other workspace gets the number: see
    app.store.workspace_deletions."""

    __tablename__ = "workspace_deletion"

    workspace_id: int = _big(key=True)
    #: When it was asked for.
    us: int = _big()
    #: When everything had been looked for once, and for the last time.
    emptied_us: int | None = _big(nullable=True)
    finished_us: int | None = _big(nullable=True)


class ApiKey(SQLModel, table=True):
    """A REST API key: its public id, and the SHA-256 of its secret part. The key itself is shown once."""

    __tablename__ = "api_key"
    __table_args__ = (Index("api_key_key_id", "key_id", unique=True),)

    workspace_id: int = _big(key=True)
    key_id: str = _text(key=True)
    name: str = _text()
    digest: bytes = _bytes()
    permissions: list[str] = _document()
    created_us: int = _big()
    revoked_us: int | None = _big(nullable=True)
    #: Networks from which it may be used; empty = any.
    ip_allowlist: list[str] = _document(default="[]")
    expires_us: int | None = _big(nullable=True)
    #: To the minute.
    last_seen_us: int | None = _big(nullable=True)
    created_by: str = _text(default="")


class InboxHead(SQLModel, table=True):
    """Number and time of the last accepted request of a stream. Its row lock orders the accepts of a workspace."""

    __tablename__ = "inbox_head"

    workspace_id: int = _big(key=True)
    stream: int = _small(key=True)
    head: int = _big()
    last_us: int = _big()


class Inbox(SQLModel, table=True):
    """The queue of record: every accepted request."""

    __tablename__ = "inbox"

    workspace_id: int = _big(key=True)
    stream: int = _small(key=True)
    seq: int = _big(key=True)
    #: Hours since 1970; the partition key on PostgreSQL.
    hour: int = _big(key=True)
    #: What the body asks for, and how it is encoded.
    kind: int = _small()
    codec: int = _small()
    body: bytes = _bytes()
    accepted_us: int = _big()


class Idempotency(SQLModel, table=True):
    """An Idempotency-Key that was used, with the place and the answer of its request. Hashes, no value of a client."""

    __tablename__ = "idempotency"

    workspace_id: int = _big(key=True)
    #: Of endpoint and key. Unique without `day`, which the lock of the stream's counter row sees to.
    digest: bytes = _bytes(key=True)
    #: Days since 1970; the partition key on PostgreSQL.
    day: int = _big(key=True)
    #: Of the body.
    fingerprint: bytes = _bytes()
    stream: int = _small()
    seq: int = _big()
    #: 0: the answer is made from what became of the request.
    status: int = _small()
    answer: bytes = _bytes()


class Lane(SQLModel, table=True):
    """How far a workspace is applied. Whoever holds the row lock is the only writer of its profiles."""

    __tablename__ = "lane"

    workspace_id: int = _big(key=True)
    cursor_normal: int = _big()
    cursor_bulk: int = _big()
    #: `hour` of the request at the cursor, so that reading on starts in the right partition.
    hour_normal: int = _big()
    hour_bulk: int = _big()
    #: Last number in `applied`.
    applied_n: int = _big()
    #: Batches begun since the last one that was committed: more than one means that a batch killed its process.
    attempts: int = _big()
    #: Stream of the batch that was begun last, and the last number that it could reach.
    trial_stream: int = _small()
    trial_last: int = _big()
    settings: dict[str, Any] = _document()


class Applied(SQLModel, table=True):
    """The order in which ranges of the two streams were applied: profiles are the result of replaying it."""

    __tablename__ = "applied"

    workspace_id: int = _big(key=True)
    n: int = _big(key=True)
    stream: int = _small()
    from_seq: int = _big()
    to_seq: int = _big()


class ProblemRow(SQLModel, table=True):
    """What of an accepted request had no effect, and why, in one row a request. Holds no value of a client."""

    __tablename__ = "problem"

    workspace_id: int = _big(key=True)
    stream: int = _small(key=True)
    seq: int = _big(key=True)
    #: Days since 1970 of acceptance; the partition key on PostgreSQL.
    day: int = _big(key=True)
    #: JSON text: [[input_array, position, field, reason], …], within app.domain.step.MAX_PROBLEM_BYTES_PER_REQUEST.
    doc: str = _text()


class Dead(SQLModel, table=True):
    """A request that could not be applied. Its body is kept so that it can be looked at and sent again."""

    __tablename__ = "dead"
    __table_args__ = (Index("dead_accepted", "workspace_id", "accepted_us"),)

    workspace_id: int = _big(key=True)
    stream: int = _small(key=True)
    seq: int = _big(key=True)
    kind: int = _small()
    codec: int = _small()
    #: Empty once it is gone: kept for a time, see app.store.dead_letters, and erased with a person whom it names.
    body: bytes = _bytes()
    accepted_us: int = _big()
    dead_us: int = _big()
    reason: str = _text()
    #: The request that it was sent as again, in the same stream, and when.
    replayed_seq: int | None = _big(nullable=True)
    replayed_us: int | None = _big(nullable=True)


class ProfileRow(SQLModel, table=True):
    """The narrow and hot part of a profile. updated_us is in no index, so that updates stay in their page."""

    __tablename__ = "profile"
    __table_args__ = (
        Index("profile_braze_id", "workspace_id", "braze_id", unique=True),
        Index(
            "profile_anonymous",
            "workspace_id",
            "pid",
            postgresql_where=text("external_id is null"),
            sqlite_where=text("external_id is null"),
        ),
        Index(
            "profile_flagged",
            "workspace_id",
            "pid",
            postgresql_where=text("flags <> 0"),
            sqlite_where=text("flags <> 0"),
        ),
        Index(
            "profile_blocked",
            "workspace_id",
            "pid",
            postgresql_where=text("(flags & 8) <> 0"),
            sqlite_where=text("(flags & 8) <> 0"),
        ),
    )

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)
    braze_id: str = _text()
    external_id: str | None = _text(nullable=True)
    created_us: int = _big()
    updated_us: int = _big()
    updated_index: int = _big()
    created_from: str = _text()
    random_bucket: int = _big()
    flags: int = _big()
    revenue_cents: int = _big()
    purchase_count: int = _big()
    first_purchase_us: int | None = _big(nullable=True)
    last_purchase_us: int | None = _big(nullable=True)
    session_count: int = _big()
    first_session_us: int | None = _big(nullable=True)
    last_session_us: int | None = _big(nullable=True)
    #: As app.domain.sizes counts; 0 = not counted since an earlier version wrote the profile.
    size: int = _big(default=0)


class ProfileCore(SQLModel, table=True):
    """Reserved fields that have a value, aliases and deprecated ids: what app.domain.profile.CORE_FIELDS lists."""

    __tablename__ = "profile_core"

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)
    #: JSON text.
    doc: str = _text()


class ProfileCustom(SQLModel, table=True):
    """Custom attributes: {name: value}."""

    __tablename__ = "profile_custom"

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)
    #: JSON text.
    doc: str = _text()


class ProfilePart(SQLModel, table=True):
    """The other sections, one row each; `part` is the section's bit in app.domain.profile."""

    __tablename__ = "profile_part"

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)
    part: int = _small(key=True)
    #: JSON text.
    doc: str = _text()


class AppRow(SQLModel, table=True):
    """An app of a workspace. It is never deleted, since what was recorded names it."""

    __tablename__ = "app"
    __table_args__ = (Index("app_sdk_key", "sdk_key", unique=True),)

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    name: str = _text()
    platform: str = _text()
    #: Public; whoever has it can write for devices of the app.
    sdk_key: str = _text()
    #: Origins of pages that may send; `*` = any.
    allowed_origins: list[str] = _document()
    #: Whether data of known people needs a signature, by one of these keys (PEM).
    sdk_authentication: bool = _flag()
    public_keys: list[str] = _document()
    disabled: bool = _flag()
    created_us: int = _big()


class IdentifierRow(SQLModel, table=True):
    """Who has which identifier: an index of what profile and profile_core say, written in the same transaction."""

    __tablename__ = "identifier"
    __table_args__ = (
        Index(
            "identifier_unique",
            "workspace_id",
            "kind",
            "label",
            "value",
            unique=True,
            postgresql_where=text("kind <= 3"),
            sqlite_where=text("kind <= 3"),
        ),
        Index(
            "identifier_of_device",
            "workspace_id",
            "kind",
            "label",
            "value",
            unique=True,
            postgresql_where=text("kind >= 7"),
            sqlite_where=text("kind >= 7"),
        ),
    )

    workspace_id: int = _big(key=True)
    kind: int = _small(key=True)
    label: str = _text(key=True)
    value: str = _text(key=True)
    pid: int = _big(key=True)


class Lineage(SQLModel, table=True):
    """Who was merged into whom: one row for a merged-away profile, however many events it had.

    Occurrences keep the number of the profile that they happened to and are never rewritten: they count to its root.
    """

    __tablename__ = "lineage"
    __table_args__ = (
        Index("lineage_parent", "workspace_id", "parent_pid"),
        Index("lineage_root", "workspace_id", "root_pid"),
    )

    workspace_id: int = _big(key=True)
    member_pid: int = _big(key=True)
    #: The profile that it was merged into, which may have been merged itself since.
    parent_pid: int = _big()
    #: Whose the occurrences are now: the end of the chain of merges that took them along. A profile merged without its
    #: occurrences is its own root; where the root is no profile, nobody sees them.
    root_pid: int = _big()


class Erasure(SQLModel, table=True):
    """A deleted profile, or one that had been merged into it, whose occurrences are still to be deleted."""

    __tablename__ = "erasure"

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)


class MergeRecordRow(SQLModel, table=True):
    """A merge: what it did, and until it is too old for an undo, the merged profile as it was.

    Also the pointer from the braze_id of a merged-away profile to the one that it went into.
    """

    __tablename__ = "merge_record"
    __table_args__ = (
        Index("merge_record_kept", "workspace_id", "kept_pid"),
        Index("merge_record_merged", "workspace_id", "merged_pid"),
        Index("merge_record_braze_id", "workspace_id", "merged_braze_id"),
        # What ages out, of all workspaces at once.
        Index(
            "merge_record_expiry",
            "expires_us",
            postgresql_where=text("plan is not null"),
            sqlite_where=text("plan is not null"),
        ),
    )

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    kept_pid: int = _big()
    merged_pid: int = _big()
    kept_braze_id: str = _text()
    merged_braze_id: str = _text()
    merged_created_us: int = _big()
    stream: int = _small()
    seq: int = _big()
    ordinal: int = _big()
    us: int = _big()
    key_name: str = _text()
    previous: str | None = _text(nullable=True)
    kept_updated_us: int = _big()
    kept_updated_index: int = _big()
    expires_us: int = _big()
    #: JSON text of app.domain.merge_plan.MergePlan.
    plan: str | None = _text(nullable=True)
    #: JSON text of the merged profile.
    snapshot: str | None = _text(nullable=True)
    #: JSON text of app.domain.history.Origin: who undid the merge.
    undone: str | None = _text(nullable=True)
    #: JSON text: names of values that the undo could not separate for sure.
    unseparated: str | None = _text(nullable=True)


class HistoryRow(SQLModel, table=True):
    """What happened to a profile, one row a line; app.domain.history has the names. Rows are added, never changed."""

    __tablename__ = "history"

    workspace_id: int = _big(key=True)
    pid: int = _big(key=True)
    us: int = _big(key=True)
    ordinal: int = _big(key=True)
    what: str = _text(key=True)
    stream: int = _small()
    seq: int = _big()
    key_name: str = _text()
    other: str = _text()
    merge_id: str = _text()


class Deletion(SQLModel, table=True):
    """That a profile was deleted, under a keyed hash of its braze_id: all that is left of it."""

    __tablename__ = "deletion"

    workspace_id: int = _big(key=True)
    erased_id: str = _text(key=True)
    stream: int = _small()
    seq: int = _big()
    ordinal: int = _big()
    us: int = _big()
    key_name: str = _text()


def _listed(name: str, where: str) -> Index:
    """An index of the addresses that a list shows, by time."""
    where_text = text(where)
    columns = ("workspace_id", "changed_us", "address")
    return Index(name, *columns, postgresql_where=where_text, sqlite_where=where_text)


class AddressStateRow(SQLModel, table=True):
    """What is recorded of an address, which reaches every profile that has it, now or later."""

    __tablename__ = "address_state"
    __table_args__ = (
        _listed("address_unsubscribed", "group_id = '' and state = 'unsubscribed'"),
        _listed("address_bounced", "group_id = '~hard_bounced'"),
        _listed("address_invalid", "group_id = '~invalid'"),
        # What ages out, of all workspaces at once.
        Index(
            "address_forgotten",
            "forget_us",
            postgresql_where=text("forget_us is not null"),
            sqlite_where=text("forget_us is not null"),
        ),
    )

    workspace_id: int = _big(key=True)
    channel: int = _small(key=True)
    address: str = _text(key=True)
    #: "" for the channel's global state, the id of a subscription group, or one of the marks of app.domain.profile.
    group_id: str = _text(key=True)
    state: str = _text()
    changed_us: int = _big()
    #: While nobody has the address: from this moment on nothing is recorded any more.
    forget_us: int | None = _big(nullable=True)


class SubscriptionGroup(SQLModel, table=True):
    """A subscription group. Its channel never changes."""

    __tablename__ = "subscription_group"

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    name: str = _text()
    #: email, sms or whatsapp.
    channel: str = _text()
    created_us: int = _big()


class Name(SQLModel, table=True):
    """Dictionary of the names of attributes, events and products that were ever applied: the catalogue of a workspace,
    which has at most app.store.profiles.save.MAX_NAMES. Attributes of before version 0.1 come in when they are written.
    """

    __tablename__ = "name"
    __table_args__ = (Index("name_id", "workspace_id", "id", unique=True),)

    workspace_id: int = _big(key=True)
    kind: int = _small(key=True)
    name: str = _text(key=True)
    id: int = _big()


class NameCount(SQLModel, table=True):
    """How often a name was written: events that occurred, pieces that were bought, new values of an attribute."""

    __tablename__ = "name_count"

    workspace_id: int = _big(key=True)
    kind: int = _small(key=True)
    name: str = _text(key=True)
    #: One of app.domain.data_rules.TYPES for attributes, else "".
    type: str = _text(key=True)
    count: int = _big()


class OccurrenceRow(SQLModel, table=True):
    """One event or purchase of the last 32 days, for filters such as X times in Y days."""

    __tablename__ = "occurrence"
    __table_args__ = (Index("occurrence_name", "workspace_id", "name_id", "day", "pid"),)

    workspace_id: int = _big(key=True)
    #: Days since 1970 of the event; the partition key on PostgreSQL.
    day: int = _big(key=True)
    stream: int = _small(key=True)
    seq: int = _big(key=True)
    ordinal: int = _big(key=True)
    pid: int = _big()
    name_id: int = _big()
    time_us: int = _big()
    app_id: str | None = _text(nullable=True)
    properties: dict[str, Any] | None = _document(nullable=True)
    quantity: int = _big()
    cents: int = _big()


class Series(SQLModel, table=True):
    """What is summed by day and hour: something that happens, under a name and in an app. Rows are never changed."""

    __tablename__ = "series"
    __table_args__ = (Index("series_id", "workspace_id", "id", unique=True),)

    workspace_id: int = _big(key=True)
    #: One of app.domain.series.
    kind: int = _small(key=True)
    name: str = _text(key=True)
    #: "" = none, and what is of an app that has no series of its own.
    app: str = _text(key=True)
    id: int = _big()


class SeriesDay(SQLModel, table=True):
    """A series on a day of the workspace."""

    __tablename__ = "series_day"

    workspace_id: int = _big(key=True)
    series_id: int = _big(key=True)
    #: Days since 1970, by the calendar of the workspace.
    day: int = _big(key=True)
    count: int = _big()
    #: The amount is high * app.store.series.HIGH + low.
    high: int = _big()
    low: int = _big()


class SeriesHour(SQLModel, table=True):
    """A series in an hour of the workspace's clock."""

    __tablename__ = "series_hour"

    workspace_id: int = _big(key=True)
    series_id: int = _big(key=True)
    #: Its beginning, in minutes since 1970.
    hour: int = _big(key=True)
    count: int = _big()
    high: int = _big()
    low: int = _big()


class JobRow(SQLModel, table=True):
    """A job: what it is to do, who works on it, and what came of it. app.domain.jobs has the names."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_id", "id", unique=True),
        Index("job_created", "workspace_id", "created_us"),
        Index("job_started", "workspace_id", "started_us"),
        # One unfinished job of a kind for a target.
        Index(
            "job_target",
            "workspace_id",
            "kind",
            "target",
            unique=True,
            postgresql_where=text("state in ('queued', 'running')"),
            sqlite_where=text("state in ('queued', 'running')"),
        ),
        # What is to be worked on, of all workspaces at once.
        Index(
            "job_unfinished",
            "state",
            "lease_us",
            postgresql_where=text("state in ('queued', 'running')"),
            sqlite_where=text("state in ('queued', 'running')"),
        ),
        Index(
            "job_callback",
            "callback_us",
            postgresql_where=text("callback = 'due'"),
            sqlite_where=text("callback = 'due'"),
        ),
    )

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    kind: str = _text()
    #: What it is about: a segment's id, the braze_id of a profile; "" for the whole workspace.
    target: str = _text()
    #: JSON text.
    parameters: str = _text()
    #: Name of the API key.
    created_by: str = _text()
    state: str = _text()
    created_us: int = _big()
    #: Of the last attempt.
    started_us: int | None = _big(nullable=True)
    finished_us: int | None = _big(nullable=True)
    attempts: int = _big()
    #: Who works on it: only its holder may write, and only until `lease_us`, which it keeps moving on.
    owner: str = _text()
    lease_us: int = _big()
    progress: int = _big()
    total: int | None = _big(nullable=True)
    #: JSON text.
    result: str = _text()
    error: str = _text()
    #: Of its file, or of the parts that it is made of so far.
    bytes: int = _big()
    #: Until when its file is served; None = it has none.
    expires_us: int | None = _big(nullable=True)
    #: "" = there is none.
    callback: str = _text()
    #: When it is to be tried next.
    callback_us: int = _big()
    callback_attempts: int = _big()
    #: Nobody begins it before.
    due_us: int = _big(default=0)


class JobPartRow(SQLModel, table=True):
    """Which profiles a part of a job's file holds, so that a deletion reaches the file."""

    __tablename__ = "job_part"

    workspace_id: int = _big(key=True)
    job_id: str = _text(key=True)
    n: int = _big(key=True)
    first_pid: int = _big()
    last_pid: int = _big()
    #: Eight bytes for each line of the part, in its order; 0 where the profile was deleted since.
    pids: bytes = _bytes()


class Segment(SQLModel, table=True):
    """People by filters: see app.domain.segments. Who they are is asked for and never stored."""

    __tablename__ = "segment"

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    name: str = _text()
    description: str = _text()
    tags: list[str] = _document()
    #: Whether its size of each day is kept.
    tracked: bool = Field(sa_column=Column(Boolean, nullable=False))
    #: As clients write it, checked by app.contract.segments.
    definition: dict[str, Any] = _document()
    created_us: int = _big()
    updated_us: int = _big()


class SegmentSize(SQLModel, table=True):
    """How many people a segment had on a day of the workspace, counted once."""

    __tablename__ = "segment_size"

    workspace_id: int = _big(key=True)
    segment_id: str = _text(key=True)
    #: Days since 1970.
    day: int = _big(key=True)
    size: int = _big()


class MergeSetup(SQLModel, table=True):
    """The merge rules of a workspace and their schedule. Without a row: the default rules, and no schedule."""

    __tablename__ = "merge_setup"

    workspace_id: int = _big(key=True)
    #: [{"kind", "ties", "prioritization"}, …] of app.domain.merging.match.MergeRule; in this order they are run.
    rules: list[dict[str, Any]] = _document()
    scheduled: bool = _flag()
    #: Since when: the first run is that of the next day.
    scheduled_us: int = _big()


class MergeRun(SQLModel, table=True):
    """A run of merge rules: the job of this id does it, and is kept as long as the run."""

    __tablename__ = "merge_run"
    __table_args__ = (
        Index("merge_run_created", "workspace_id", "created_us"),
        # One run of the schedule on a day.
        Index(
            "merge_run_day",
            "workspace_id",
            "day",
            unique=True,
            postgresql_where=text("day is not null"),
            sqlite_where=text("day is not null"),
        ),
    )

    workspace_id: int = _big(key=True)
    id: str = _text(key=True)
    created_us: int = _big()
    #: The day of the workspace, counted from 1970-01-01, on which the schedule started it; None = somebody did.
    day: int | None = _big(nullable=True)
    #: As in merge_setup, as they were then.
    rules: list[dict[str, Any]] = _document()


class MergeRunRequest(SQLModel, table=True):
    """A request of merges that a run queued in the bulk stream, or the end of one of its rules. Names nobody."""

    __tablename__ = "merge_run_request"

    workspace_id: int = _big(key=True)
    run_id: str = _text(key=True)
    n: int = _big(key=True)
    #: Place in the run's rules.
    rule: int = _small()
    #: Number of the request; 0 = the rule is at its end.
    seq: int = _big()
    #: Merges that the request asks for.
    merges: int = _big()
    #: Identifiers that had been looked at, of all rules.
    scanned: int = _big()
    #: JSON text {reason: how many groups} of those that were left alone since the request before.
    alone: str = _text()
    #: Of the merges, how many were done; None = the request is not applied yet, or was not looked at.
    merged: int | None = _big(nullable=True)
    #: JSON text {reason: how many} of those that were not.
    skipped: str = _text()
    #: Number of the request that took the merges back; and what came of it, likewise.
    undo_seq: int | None = _big(nullable=True)
    undone: int | None = _big(nullable=True)
    left_alone: str = _text()


#: Tables that live in the inbox's own file on SQLite, so that accepting and applying never wait for each other.
INBOX_TABLES: Final = ("inbox_head", "inbox", "idempotency")
