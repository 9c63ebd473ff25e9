"""The nouns of jobs: work that takes longer than an answer may. Values without behaviour."""

from typing import Final

# Kinds. The names are stored and shown.
EXPORT_SEGMENT: Final = "export_segment"
EXPORT_CONTROL_GROUP: Final = "export_global_control_group"
ARCHIVE: Final = "archive"
MERGE_RUN: Final = "merge_run"
MERGE_UNDO: Final = "merge_undo"
SEGMENT_PREVIEW: Final = "segment_preview"  # has no file
DELETE_SEGMENT: Final = "delete_segment"
UNMARK_SEGMENT: Final = "unmark_segment"  # what takes the marks of a deletion back that was cancelled, or failed
ARCHIVAL: Final = "archival"  # deleting whom nobody has heard of for long
TOKEN_CLEAN_UP: Final = "token_clean_up"  # noqa: S105 - deleting profiles of imported push tokens
IMPORT: Final = "import"  # of a file that somebody sent
KINDS: Final = (
    EXPORT_SEGMENT,
    EXPORT_CONTROL_GROUP,
    ARCHIVE,
    MERGE_RUN,
    MERGE_UNDO,
    SEGMENT_PREVIEW,
    DELETE_SEGMENT,
    UNMARK_SEGMENT,
    ARCHIVAL,
    TOKEN_CLEAN_UP,
    IMPORT,
)

# States: queued -> running -> done | failed | cancelled. A job whose process died goes back to queued.
QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
STATES: Final = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)

# Why a job failed.
INTERRUPTED: Final = "interrupted"  # its process died or lost the database, time after time
TIME_LIMIT: Final = "time_limit"
FILE_TOO_LARGE: Final = "file_too_large"
STORAGE_FULL: Final = "storage_full"  # the files of the workspace take up all that they may
TARGET_GONE: Final = "target_gone"  # the segment or the profile does not exist any more
SEGMENT_TOO_BROAD: Final = "segment_too_broad"  # a regular expression of it matches too many different values
DISK_FAILED: Final = "disk_failed"
UPLOAD_INCOMPLETE: Final = "upload_incomplete"  # the file that was to be imported did not arrive
UNREADABLE_FILE: Final = "unreadable_file"  # it is damaged, or larger than it may be once it is unpacked
INTERNAL_ERROR: Final = "internal_error"  # a bug: the log has its class
ERRORS: Final = (
    INTERRUPTED,
    TIME_LIMIT,
    FILE_TOO_LARGE,
    STORAGE_FULL,
    TARGET_GONE,
    SEGMENT_TOO_BROAD,
    DISK_FAILED,
    UPLOAD_INCOMPLETE,
    UNREADABLE_FILE,
    INTERNAL_ERROR,
)

# Where the callback of a job stands.
CALLBACK_DUE: Final = "due"
CALLBACK_DELIVERED: Final = "delivered"
CALLBACK_FAILED: Final = "failed"
