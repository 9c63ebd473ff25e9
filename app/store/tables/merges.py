"""Merges and deletions of profiles, their history, and the runs of merge rules."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, document, flag, partial_index, small, text


class Lineage(SQLModel, table=True):
    """Who was merged into whom: one row for a merged-away profile, however many events it had.

    Occurrences keep the number of the profile that they happened to and are never rewritten: they count to its root.
    """

    __tablename__ = "lineage"
    __table_args__ = (
        Index("lineage_parent", "workspace_id", "parent_pid"),
        Index("lineage_root", "workspace_id", "root_pid"),
    )

    workspace_id: int = big(key=True)
    member_pid: int = big(key=True)
    #: The profile that it was merged into, which may have been merged itself since.
    parent_pid: int = big()
    #: Whose the occurrences are now: the end of the chain of merges that took them along. A profile merged without its
    #: occurrences is its own root; where the root is no profile, nobody sees them.
    root_pid: int = big()


class Erasure(SQLModel, table=True):
    """A deleted profile, or one that had been merged into it, whose occurrences are still to be deleted."""

    __tablename__ = "erasure"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)


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
        partial_index("merge_record_expiry", "expires_us", where="plan is not null"),
    )

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    kept_pid: int = big()
    merged_pid: int = big()
    kept_braze_id: str = text()
    merged_braze_id: str = text()
    merged_created_us: int = big()
    stream: int = small()
    seq: int = big()
    ordinal: int = big()
    us: int = big()
    key_name: str = text()
    previous: str | None = text(nullable=True)
    kept_updated_us: int = big()
    kept_updated_index: int = big()
    expires_us: int = big()
    #: JSON text of app.domain.merge_plan.MergePlan.
    plan: str | None = text(nullable=True)
    #: JSON text of the merged profile.
    snapshot: str | None = text(nullable=True)
    #: JSON text of app.domain.history.Origin: who undid the merge.
    undone: str | None = text(nullable=True)
    #: JSON text: names of values that the undo could not separate for sure.
    unseparated: str | None = text(nullable=True)


class HistoryRow(SQLModel, table=True):
    """What happened to a profile, one row a line; app.domain.history has the names. Rows are added, never changed."""

    __tablename__ = "history"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    us: int = big(key=True)
    ordinal: int = big(key=True)
    what: str = text(key=True)
    stream: int = small()
    seq: int = big()
    key_name: str = text()
    other: str = text()
    merge_id: str = text()


class Deletion(SQLModel, table=True):
    """That a profile was deleted, under a keyed hash of its braze_id: all that is left of it."""

    __tablename__ = "deletion"

    workspace_id: int = big(key=True)
    erased_id: str = text(key=True)
    stream: int = small()
    seq: int = big()
    ordinal: int = big()
    us: int = big()
    key_name: str = text()


class MergeSetup(SQLModel, table=True):
    """The merge rules of a workspace and their schedule. Without a row: the default rules, and no schedule."""

    __tablename__ = "merge_setup"

    workspace_id: int = big(key=True)
    #: [{"kind", "ties", "prioritization"}, …] of app.domain.merging.match.MergeRule; in this order they are run.
    rules: list[dict[str, Any]] = document()
    scheduled: bool = flag()
    #: Since when: the first run is that of the next day.
    scheduled_us: int = big()


class MergeRun(SQLModel, table=True):
    """A run of merge rules: the job of this id does it, and is kept as long as the run."""

    __tablename__ = "merge_run"
    __table_args__ = (
        Index("merge_run_created", "workspace_id", "created_us"),
        # One run of the schedule on a day.
        partial_index("merge_run_day", "workspace_id", "day", unique=True, where="day is not null"),
    )

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    created_us: int = big()
    #: The day of the workspace, counted from 1970-01-01, on which the schedule started it; None = somebody did.
    day: int | None = big(nullable=True)
    #: As in merge_setup, as they were then.
    rules: list[dict[str, Any]] = document()


class MergeRunRequest(SQLModel, table=True):
    """A request of merges that a run queued in the bulk stream, or the end of one of its rules. Names nobody."""

    __tablename__ = "merge_run_request"

    workspace_id: int = big(key=True)
    run_id: str = text(key=True)
    n: int = big(key=True)
    #: Place in the run's rules.
    rule: int = small()
    #: Number of the request; 0 = the rule is at its end.
    seq: int = big()
    #: Merges that the request asks for.
    merges: int = big()
    #: Identifiers that had been looked at, of all rules.
    scanned: int = big()
    #: JSON text {reason: how many groups} of those that were left alone since the request before.
    alone: str = text()
    #: Of the merges, how many were done; None = the request is not applied yet, or was not looked at.
    merged: int | None = big(nullable=True)
    #: JSON text {reason: how many} of those that were not.
    skipped: str = text()
    #: Number of the request that took the merges back; and what came of it, likewise.
    undo_seq: int | None = big(nullable=True)
    undone: int | None = big(nullable=True)
    left_alone: str = text()
