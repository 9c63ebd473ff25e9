"""Which work each kind of job is: a kind joins by a row."""

from collections.abc import Mapping
from typing import Final

from app.domain.jobs import (
    ARCHIVAL,
    ARCHIVE,
    DELETE_SEGMENT,
    EXPORT_CONTROL_GROUP,
    EXPORT_SEGMENT,
    IMPORT,
    MERGE_RUN,
    MERGE_UNDO,
    SEGMENT_PREVIEW,
    TOKEN_CLEAN_UP,
    UNMARK_SEGMENT,
)
from workers.jobs import archival, archive, export, importing, merging, preview, segment_deletion, token_clean_up
from workers.jobs.importing import Begin
from workers.jobs.run import Work

WORKS: Final[Mapping[str, Work]] = {
    EXPORT_SEGMENT: export.segment,
    EXPORT_CONTROL_GROUP: export.control_group,
    ARCHIVE: archive.make,
    MERGE_RUN: merging.run_rules,
    MERGE_UNDO: merging.undo_run,
    SEGMENT_PREVIEW: preview.make,
    DELETE_SEGMENT: segment_deletion.delete,
    UNMARK_SEGMENT: segment_deletion.unmark,
    ARCHIVAL: archival.archive,
    TOKEN_CLEAN_UP: token_clean_up.clean_up,
}


def works(begin_import: Begin) -> Mapping[str, Work]:
    """All of them. `begin_import` begins the import of a file, which needs more than workers know."""
    return {**WORKS, IMPORT: importing.importing(begin_import)}
