"""Jobs as JSON."""

from app.contract import jobs as contract
from app.domain import times
from app.domain.jobs import QUEUED, SEGMENT_PREVIEW
from app.domain.profile import Profile
from app.services import jobs
from app.services.caller import Caller
from app.services.jobs import Job, Listed


def listed(caller: Caller, page: Listed, now_us: int) -> dict[str, object]:
    """The document of GET /v1/jobs."""
    document: dict[str, object] = {"jobs": [job_of(caller, job, now_us) for job in page.jobs]}
    if page.more:
        document["next_cursor"] = contract.cursor(page.jobs[-1].created_us, page.jobs[-1].id)
    return document


def job_of(caller: Caller, job: Job, now_us: int) -> dict[str, object]:
    """One job."""
    document: dict[str, object] = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created_at": times.iso(job.created_us),
        "key_name": job.created_by,
        "attempts": job.attempts,
        "progress": job.progress,
    }
    if job.target and job.target != job.id and job.kind != SEGMENT_PREVIEW:
        document["target"] = job.target
    if job.total is not None:
        document["total"] = job.total
    for name, us in (("started_at", job.started_us), ("finished_at", job.finished_us)):
        if us is not None:
            document[name] = times.iso(us)
    if job.state == QUEUED and job.due_us > now_us:
        document["due_at"] = times.iso(job.due_us)
    if job.error:
        document["error"] = job.error
    document |= {name: job.result[name] for name in ("users", "size", "import") if name in job.result}
    if job.bytes:
        document["bytes"] = job.bytes
    if job.expires_us is not None and job.expires_us > now_us:
        document["expires_at"] = times.iso(job.expires_us)
    if (url := jobs.shown_url(caller, job, now_us)) is not None:
        document["url"] = url
    if job.callback:
        document["callback"] = {"state": job.callback, "tries": job.callback_attempts}
    return document


def sample(people: list[Profile]) -> list[dict[str, object]]:
    """People of a preview."""
    return [{"braze_id": profile.braze_id, "external_id": profile.external_id} for profile in people]
