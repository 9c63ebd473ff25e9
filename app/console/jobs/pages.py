"""Jobs: what is queued, how far what runs has come, what has ended and how; and ending one."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.page import WORKSPACE, Page, Visit
from app.contract import jobs as contract
from app.contract.errors import RefusedError
from app.domain.jobs import DONE, FAILED, KINDS, QUEUED, RUNNING, SEGMENT_PREVIEW, STATES
from app.services.accounts import OPERATOR
from app.services.jobs import Job
from app.services.refusals import UnknownJobError

PAGE: Final = "50"
UNKNOWN: Final = "The workspace has no such job."


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the list shows it."""

    job: Job
    #: A class of the style sheet.
    look: str
    target: str
    #: It is begun at this moment or later; None = as soon as it can be.
    due_us: int | None
    #: Until when it has a file.
    file_until_us: int | None

    @property
    def can_end(self) -> bool:
        return self.job.state in (QUEUED, RUNNING)


async def list_jobs(visit: Visit) -> Response:
    """The frame: the form, and a list that comes after it."""
    given = {name: visit.query[name] for name in ("state", "kind", "cursor")}
    try:
        contract.read_page(_sent(given))
    except RefusedError as error:
        return visit.show("jobs/list.html", 422, **_frame(visit, given), wrong=error.message)
    return visit.show("jobs/list.html", **_frame(visit, given), wrong="")


async def listed(visit: Visit) -> Response:
    """The list, as the frame asks for it again and again."""
    given = {name: visit.query[name] for name in ("state", "kind", "cursor")}
    page = contract.read_page({**_sent(given), "limit": PAGE})
    found = await visit.services.jobs.listed(visit.caller, page)
    now = now_us()
    more = ""
    if found.more:
        last = found.jobs[-1]
        more = urlencode({**_sent(given), "cursor": contract.cursor(last.created_us, last.id)})
    return visit.show("jobs/listed.html", rows=[_row(job, now) for job in found.jobs], more=more)


async def cancel(visit: Visit) -> Response:
    visit.target = visit.form["id"][:40]
    try:
        job = await visit.services.jobs.cancel(visit.caller, visit.form["id"])
    except UnknownJobError:
        return visit.go("/jobs", UNKNOWN)
    return visit.go("/jobs", f"The job {job.id} is {job.state}.")


def _frame(visit: Visit, given: dict[str, str]) -> dict[str, Any]:
    live = visit.query["live"] == "on"
    return {"given": given, "query": urlencode(_sent(given)), "live": live, "states": STATES, "kinds": KINDS}


def _sent(given: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value}


def _row(job: Job, now: int) -> Row:
    look = {DONE: "good", FAILED: "bad", RUNNING: "live", QUEUED: "note"}.get(job.state, "")
    return Row(
        job,
        look,
        job.target if job.target != job.id and job.kind != SEGMENT_PREVIEW else "",
        job.due_us if job.state == QUEUED and job.due_us > now else None,
        job.expires_us if job.state == DONE and job.expires_us is not None and job.expires_us > now else None,
    )


PAGES: Final = (
    Page(f"{WORKSPACE}/jobs", list_jobs, title="Jobs"),
    Page(f"{WORKSPACE}/jobs/listed", listed),
    Page(f"{WORKSPACE}/jobs/cancel", cancel, role=OPERATOR, method="POST", act="jobs.cancel"),
)
