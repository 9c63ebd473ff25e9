"""Merges and histories as JSON."""

from app.contract import merge_records
from app.contract.merge_records import Renderer
from app.domain.merging.plan import MergeRecord
from app.domain.merging.undo import UndoPlan
from app.services.caller import Caller
from app.services.merges import History, Listed, Preview


def preview(found: Preview) -> dict[str, object]:
    """The document of POST /v1/merges/preview."""
    plans = [
        {
            "index": record.origin.ordinal,
            "kept_braze_id": record.kept_braze_id,
            "merged_braze_id": record.merged_braze_id,
            **merge_records.plan(record.plan),
        }
        for record in found.records
        if record.plan is not None
    ]
    skipped = [
        {"index": problem.index, "reason": problem.reason} | ({"field": problem.field} if problem.field else {})
        for problem in found.problems
    ]
    return {"plans": plans, "skipped": skipped}


def listed(caller: Caller, found: Listed, now_us: int) -> dict[str, object]:
    """The document of GET /v1/merges."""
    document: dict[str, object] = {"merges": [record(caller, one, now_us) for one in found.records]}
    return document if found.next_cursor is None else document | {"next_cursor": found.next_cursor}


def history(caller: Caller, found: History) -> dict[str, object]:
    """The document of GET /v1/profiles/{braze_id}/history."""
    document: dict[str, object] = {"braze_id": found.braze_id, "status": found.status}
    if found.merged_into is not None:
        document["merged_into_braze_id"] = found.merged_into
    if found.next_cursor is not None:
        document["next_cursor"] = found.next_cursor
    return document | {"history": _renderer(caller).lines(found.created, found.lines)}


def undo_preview(found: UndoPlan) -> dict[str, object]:
    """The document of POST /v1/merges/{id}/undo/preview."""
    return merge_records.undo_plan(found)


def undone(caller: Caller, merge: MergeRecord, now_us: int) -> dict[str, object]:
    """The document of POST /v1/merges/{id}/undo."""
    return {"merge": record(caller, merge, now_us)}


def record(caller: Caller, merge: MergeRecord, now_us: int) -> dict[str, object]:
    """A merge that was performed, as the API shows it at `now_us`."""
    return _renderer(caller).record(merge, now_us)


def _renderer(caller: Caller) -> Renderer:
    return Renderer(caller.workspace_id, caller.workspace_secret)
