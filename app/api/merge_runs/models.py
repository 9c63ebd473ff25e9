"""Merge rules and their runs: bodies and answers of our own endpoints."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_BrazeId = Annotated[str, Meta(min_length=1)]
_Identifier = Literal["email", "phone"]
_Count = Annotated[int, Meta(ge=0)]
_Reasons = Annotated[dict[str, _Count], Meta(examples=[{"tied": 3}], description="Reason -> how many.")]
_Cursor = Annotated[str, Meta(min_length=1, description="There are more.")]


class MergeRule(Struct, forbid_unknown_fields=True):
    """How duplicates are found, and which of them is kept: one with an external id, if there is any; among these the
    first by the time."""

    identifier: _Identifier
    resolve_ties_using: Literal["created_at", "updated_at", "last_session"] = "updated_at"
    prioritization: Literal["newest", "oldest"] = "newest"


class MergeRules(Struct, forbid_unknown_fields=True):
    merge_rules: Annotated[list[MergeRule], Meta(min_length=1, max_length=2, description="At most one an identifier.")]


class RulesShown(Struct, forbid_unknown_fields=True):
    merge_rules: list[MergeRule]
    message: Literal["success"]


class PreviewBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    identifier: Annotated[_Identifier, Meta(description="Whose rule; the first one by default.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=500, description="Groups in a page.")] = 50
    cursor: str | UnsetType = UNSET


class WholePreviewBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    identifier: Annotated[_Identifier, Meta(description="Whose rule; the first one by default.")] | UnsetType = UNSET


class Person(Struct, forbid_unknown_fields=True):
    braze_id: _BrazeId
    external_id: str | UnsetType = UNSET


class LeftAlone(Struct, forbid_unknown_fields=True, kw_only=True):
    braze_id: _BrazeId
    external_id: str | UnsetType = UNSET
    reason: str


class DuplicateGroup(Struct, forbid_unknown_fields=True, kw_only=True):
    """Profiles that share an identifier."""

    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    profiles: Annotated[int, Meta(ge=0, description="How many share it.")]
    keep: Person | UnsetType = UNSET
    merge: Annotated[list[Person], Meta(description="In this order they would be merged.")] | UnsetType = UNSET
    left_alone: list[LeftAlone] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why nothing would be merged.", examples=["tied"])] | UnsetType = UNSET


class MergePreview(Struct, forbid_unknown_fields=True):
    merge_rule: MergeRule
    groups: Annotated[list[DuplicateGroup], Meta(description="A page may be empty, and more follow.")]
    message: Literal["success"]
    next_cursor: _Cursor | UnsetType = UNSET


class RunBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    identifier: Annotated[_Identifier, Meta(description="Whose rule; all rules by default.")] | UnsetType = UNSET


class RunMerges(Struct, forbid_unknown_fields=True):
    queued: _Count
    merged: _Count
    waiting: Annotated[int, Meta(ge=0, description="Not applied yet.")]
    skipped: _Reasons


class RunUndo(Struct, forbid_unknown_fields=True, kw_only=True):
    """What came of taking the run back."""

    undone: _Count
    left: _Reasons
    state: Literal["queued", "running", "done", "failed", "cancelled"] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class MergeRun(Struct, forbid_unknown_fields=True, kw_only=True):
    id: Annotated[str, Meta(description="Also that of its job.")]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: _Moment
    key_name: Annotated[str, Meta(description="Name of the API key; of a run of the schedule, `schedule`.")]
    merge_rules: list[MergeRule]
    looked_at: Annotated[int, Meta(ge=0, description="Identifiers so far.")]
    total: Annotated[int, Meta(ge=0, description="Identifiers altogether.")] | UnsetType = UNSET
    merges: RunMerges
    groups_left_alone: _Reasons
    scheduled_on: Annotated[str, Meta(description="The day whose run it is.", examples=["2026-02-10"])] | UnsetType = (
        UNSET
    )
    started_at: _Moment | UnsetType = UNSET
    finished_at: _Moment | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why it failed.", examples=["time_limit"])] | UnsetType = UNSET
    undo: RunUndo | UnsetType = UNSET


class RunShown(Struct, forbid_unknown_fields=True):
    merge_run: MergeRun
    message: Literal["success"]


class RunList(Struct, forbid_unknown_fields=True):
    merge_runs: Annotated[list[MergeRun], Meta(description="The newest first.")]
    message: Literal["success"]
    next_cursor: _Cursor | UnsetType = UNSET


class MergeOfRun(Struct, forbid_unknown_fields=True, kw_only=True):
    request_id: str
    index: Annotated[int, Meta(ge=0, description="Place in the request.")]
    status: Annotated[
        Literal["waiting", "merged", "undone", "skipped", "gone"],
        Meta(description="`gone`: with somebody who was deleted."),
    ]
    merge_id: str | UnsetType = UNSET
    kept_braze_id: _BrazeId | UnsetType = UNSET
    merged_braze_id: _BrazeId | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why it was skipped, or why an undo left it.")] | UnsetType = UNSET


class RunMergeList(Struct, forbid_unknown_fields=True):
    merges: Annotated[list[MergeOfRun], Meta(description="In their order.")]
    message: Literal["success"]
    next_cursor: _Cursor | UnsetType = UNSET


class ScheduleBody(Struct, forbid_unknown_fields=False):
    enabled: bool


class Schedule(Struct, forbid_unknown_fields=True):
    enabled: bool
    message: Literal["success"]
    next_run_on: (
        Annotated[str, Meta(description="At the beginning of this day of the workspace.", examples=["2026-02-10"])]
        | UnsetType
    ) = UNSET
