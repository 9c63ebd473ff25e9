"""Merges before and after: answers of our own endpoints."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_BrazeId = Annotated[str, Meta(min_length=1)]
_MergeId = Annotated[str, Meta(min_length=24, max_length=24)]
_KeyName = Annotated[str | None, Meta(description="Name of the API key; null where it is not known.")]


class Changed(Struct, forbid_unknown_fields=True):
    """A value of the kept profile, that of the merged one, and what comes of them."""

    field: Annotated[str, Meta(examples=["first_name", "custom_attributes.tier"])]
    kept: Any
    merged: Any
    result: Any


class AliasConflict(Struct, forbid_unknown_fields=True):
    alias_label: str
    kept_alias_name: str
    merged_alias_name: Annotated[str, Meta(description="Is free after the merge.")]


class State(Struct, forbid_unknown_fields=True):
    state: Literal["opted_in", "subscribed", "unsubscribed"]
    changed_at: _Moment


class Consent(Struct, forbid_unknown_fields=True):
    """The address becomes more restrictive, since somebody without an address had refused."""

    email: str
    kept: State | None
    result: State | None


class GroupConsent(Struct, forbid_unknown_fields=True):
    """The state of a subscription group that the kept profile's address gets."""

    subscription_group_id: str
    kept: State | None
    result: State | None
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET


class _Plan(Struct, forbid_unknown_fields=True, kw_only=True):
    policy: Literal["merge", "none"]
    changes: Annotated[list[Changed], Meta(description="Values of the kept profile that change.")]
    lost: Annotated[list[Changed], Meta(description="Values of the merged profile that nobody has afterwards.")]
    moved_identifiers: list[dict[str, Any]]
    retired_identifiers: Annotated[list[dict[str, Any]], Meta(description="They lead to nobody afterwards.")]
    alias_conflicts: list[AliasConflict]
    consent: Consent | UnsetType = UNSET
    group_consents: list[GroupConsent] | UnsetType = UNSET


class PlannedMerge(_Plan, forbid_unknown_fields=True, kw_only=True):
    index: Annotated[int, Meta(ge=0, description="Place in `merge_updates`.")]
    kept_braze_id: _BrazeId
    merged_braze_id: _BrazeId


class WithoutEffect(Struct, forbid_unknown_fields=True):
    index: Annotated[int, Meta(ge=0)]
    reason: str
    field: str | UnsetType = UNSET


class Preview(Struct, forbid_unknown_fields=True):
    plans: list[PlannedMerge]
    skipped: Annotated[list[WithoutEffect], Meta(description="Pairs that would not be merged, and why.")]
    message: Literal["success"]


class Merge(Struct, forbid_unknown_fields=True, kw_only=True):
    """A merge that was performed. What it changed is shown while it can be undone."""

    id: _MergeId
    status: Literal["merged", "undone"]
    merged_at: _Moment
    request_id: str
    key_name: _KeyName
    kept_braze_id: _BrazeId
    merged_braze_id: _BrazeId
    undo_until: _Moment | UnsetType = UNSET
    undone_at: _Moment | UnsetType = UNSET
    undone_by_request_id: str | UnsetType = UNSET
    undone_by_key_name: str | UnsetType | None = UNSET
    unseparated: (
        Annotated[
            list[str],
            Meta(
                description="Fields that both the merge and a later write may have set: they were taken as the merge's."
            ),
        ]
        | UnsetType
    ) = UNSET
    policy: Literal["merge", "none"] | UnsetType = UNSET
    changes: list[Changed] | UnsetType = UNSET
    lost: list[Changed] | UnsetType = UNSET
    moved_identifiers: list[dict[str, Any]] | UnsetType = UNSET
    retired_identifiers: list[dict[str, Any]] | UnsetType = UNSET
    alias_conflicts: list[AliasConflict] | UnsetType = UNSET
    consent: Consent | UnsetType = UNSET
    group_consents: list[GroupConsent] | UnsetType = UNSET


class MergeList(Struct, forbid_unknown_fields=True):
    merges: Annotated[list[Merge], Meta(description="The newest first.")]
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(min_length=1, description="There are more.")] | UnsetType = UNSET


class Undone(Struct, forbid_unknown_fields=True):
    merge: Merge
    message: Literal["success"]


class Returned(Struct, forbid_unknown_fields=True):
    """A value of the profile that has everything now, and what it would be."""

    field: Annotated[str, Meta(examples=["first_name", "custom_attributes.tier"])]
    now: Any
    after: Any


class ReturnedConsent(Struct, forbid_unknown_fields=True):
    """What would be recorded of an address; null is nothing."""

    after: State | None
    subscription_group_id: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET


class LaterMerge(Struct, forbid_unknown_fields=True):
    id: _MergeId
    merged_at: _Moment
    kept_braze_id: _BrazeId
    merged_braze_id: _BrazeId


class UndoPreview(Struct, forbid_unknown_fields=True):
    merge_id: _MergeId
    kept_braze_id: _BrazeId
    merged_braze_id: Annotated[str, Meta(min_length=1, description="The profile that would come back.")]
    braze_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="The profile that has everything now: the kept one, or the one that it was merged into.",
        ),
    ]
    changes: Annotated[list[Returned], Meta(description="Values of that profile that would change.")]
    consents: Annotated[list[ReturnedConsent], Meta(description="Recorded states of addresses that would change.")]
    restored_identifiers: list[dict[str, Any]]
    unseparated: Annotated[
        list[str],
        Meta(description="Fields that both a merge and a later write may have set: they are taken as the merge's."),
    ]
    later_merges: Annotated[
        list[LaterMerge],
        Meta(description="They stand on this one and would stay, as if it had not been done. The oldest first."),
    ]
    message: Literal["success"]


class UndoRefusal(Struct, forbid_unknown_fields=True):
    message: Annotated[str, Meta(min_length=1)]
    reason: Annotated[str, Meta(examples=["merge_too_old", "identifier_reused"])]


class Line(Struct, forbid_unknown_fields=True):
    what: Literal[
        "created",
        "identified",
        "alias_added",
        "alias_updated",
        "renamed",
        "external_id_removed",
        "flagged",
        "blocked",
        "merged",
        "merged_into",
        "unmerged",
        "restored",
        "deleted",
    ]
    at: _Moment
    request_id: str
    key_name: _KeyName
    other_braze_id: Annotated[str, Meta(description="The other profile of a merge.")] | UnsetType = UNSET
    merge_id: _MergeId | UnsetType = UNSET


class History(Struct, forbid_unknown_fields=True, kw_only=True):
    braze_id: str
    status: Literal["active", "merged", "deleted"]
    history: Annotated[list[Line], Meta(description="The oldest first.")]
    message: Literal["success"]
    merged_into_braze_id: _BrazeId | UnsetType = UNSET
    next_cursor: Annotated[str, Meta(min_length=1, description="There are more lines.")] | UnsetType = UNSET
