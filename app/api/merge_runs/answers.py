"""Merge rules, previews and runs as JSON."""

from app.contract import merge_rules as contract
from app.contract.segment_requests import day_text
from app.domain import times
from app.services.merge_runs import Listed, Preview, Run, RunMerge, RunMerges, Setup


def rules(setup: Setup) -> dict[str, object]:
    """The document of GET /v1/merge_rules."""
    return {"merge_rules": [contract.shown_rule(rule) for rule in setup.rules]}


def schedule(setup: Setup, next_day: str | None) -> dict[str, object]:
    """The document of GET /v1/merge_schedule."""
    document: dict[str, object] = {"enabled": setup.scheduled_us is not None}
    return document if next_day is None else document | {"next_run_on": next_day}


def preview(found: Preview) -> dict[str, object]:
    """The document of POST /v1/merge_previews."""
    document: dict[str, object] = {
        "merge_rule": contract.shown_rule(found.rule),
        "groups": [contract.shown_group(group) for group in found.groups],
    }
    return _paged(document, found.next_cursor)


def shown(found: Run) -> dict[str, object]:
    """One run."""
    run, job, report = found.run, found.job, found.report
    document: dict[str, object] = {
        "id": run.id,
        "state": job.state,
        "created_at": times.iso(run.created_us),
        "key_name": job.created_by,
        "merge_rules": [contract.shown_rule(rule) for rule in found.rules],
        "looked_at": job.progress,
        "merges": {
            "queued": report.queued,
            "merged": report.merged,
            "waiting": report.waiting,
            "skipped": report.skipped,
        },
        "groups_left_alone": report.alone,
    }
    if run.day is not None:
        document["scheduled_on"] = day_text(run.day)
    if job.total is not None:
        document["total"] = job.total
    for name, us in (("started_at", job.started_us), ("finished_at", job.finished_us)):
        if us is not None:
            document[name] = times.iso(us)
    if job.error:
        document["error"] = job.error
    if found.undo is not None or report.undone is not None:
        undo: dict[str, object] = {"undone": report.undone or 0, "left": report.left_alone}
        if found.undo is not None:
            undo["state"] = found.undo.state
            if found.undo.error:
                undo["error"] = found.undo.error
        document["undo"] = undo
    return document


def listed(found: Listed) -> dict[str, object]:
    """The document of GET /v1/merge_runs."""
    return _paged({"merge_runs": [shown(run) for run in found.runs]}, found.next_cursor)


def merges(found: RunMerges) -> dict[str, object]:
    """The document of GET /v1/merge_runs/{id}/merges."""
    return _paged({"merges": [_merge(merge) for merge in found.merges]}, found.next_cursor)


def _merge(merge: RunMerge) -> dict[str, object]:
    known = {
        "merge_id": merge.id,
        "kept_braze_id": merge.kept_braze_id,
        "merged_braze_id": merge.merged_braze_id,
        "reason": merge.reason,
    }
    return {"request_id": merge.request_id, "index": merge.index, "status": merge.status} | {
        name: value for name, value in known.items() if value
    }


def _paged(document: dict[str, object], next_cursor: str | None) -> dict[str, object]:
    return document if next_cursor is None else document | {"next_cursor": next_cursor}
