"""A job as it is shown."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]


class Callback(Struct, forbid_unknown_fields=True):
    state: Literal["due", "delivered", "failed"]
    tries: Annotated[int, Meta(ge=0)]


class LeftOut(Struct, forbid_unknown_fields=True):
    """A field that could not be read."""

    field: str
    reason: str
    count: Annotated[int, Meta(ge=1)]


class ImportReport(Struct, forbid_unknown_fields=True):
    """What became of the rows of a file."""

    taken: Annotated[
        dict[Literal["users", "attributes", "events", "purchases"], int], Meta(description="Rows of each kind.")
    ]
    imported_before: Annotated[int, Meta(ge=0, description="Those of them that an earlier attempt or file brought.")]
    refused: Annotated[int, Meta(ge=0, description="The job's file lists them: file, line, reason.")]
    left_out: Annotated[list[LeftOut], Meta(description="Fields of users that were left out most often.")]
    known_users: Annotated[int, Meta(ge=0, description="Of a dry run: users whom somebody is here.")] | UnsetType = (
        UNSET
    )


class Person(Struct, forbid_unknown_fields=True):
    """Somebody of a preview."""

    braze_id: str
    external_id: str | None


class Job(Struct, forbid_unknown_fields=True, kw_only=True):
    """Work that takes longer than an answer may."""

    id: str
    kind: Literal[
        "export_segment",
        "export_global_control_group",
        "archive",
        "segment_preview",
        "merge_run",
        "merge_undo",
        "delete_segment",
        "unmark_segment",
        "archival",
        "token_clean_up",
        "import",
    ]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: _Moment
    key_name: Annotated[str, Meta(description="Name of the API key that asked for it.")]
    attempts: Annotated[int, Meta(ge=0, description="How often it was begun.")]
    progress: Annotated[int, Meta(ge=0, description="Users so far; rows of an import.")]
    target: Annotated[str, Meta(description="What it is about: the segment's id, or a braze_id.")] | UnsetType = UNSET
    total: Annotated[int, Meta(ge=0, description="Users altogether, where that is known.")] | UnsetType = UNSET
    started_at: Annotated[_Moment, Meta(description="The last attempt.")] | UnsetType = UNSET
    finished_at: _Moment | UnsetType = UNSET
    due_at: Annotated[_Moment, Meta(description="It goes on then.")] | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why it failed.", examples=["time_limit"])] | UnsetType = UNSET
    users: Annotated[int, Meta(ge=0, description="Users in the file, or that were deleted.")] | UnsetType = UNSET
    size: Annotated[int, Meta(ge=0, description="People in the segment of a preview.")] | UnsetType = UNSET
    import_: ImportReport | UnsetType = field(name="import", default=UNSET)
    sample: (
        Annotated[list[Person], Meta(description="Some of them, for keys that may ask for previews.")] | UnsetType
    ) = UNSET
    bytes: Annotated[int, Meta(ge=0, description="Of the file, while it is there.")] | UnsetType = UNSET
    expires_at: Annotated[_Moment, Meta(description="Until when the file is served.")] | UnsetType = UNSET
    url: (
        Annotated[str, Meta(description="Of the file; for keys that may have such files made. It needs no key.")]
        | UnsetType
    ) = UNSET
    callback: Callback | UnsetType = UNSET


class JobShown(Struct, forbid_unknown_fields=True):
    job: Job
    message: Literal["success"]


class JobList(Struct, forbid_unknown_fields=True):
    jobs: Annotated[list[Job], Meta(description="The newest first.")]
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(description="`cursor` of the next page.")] | UnsetType = UNSET
