"""The monthly clean-up of a workspace: profiles that were made for an imported push token, and have none any more.

A job that was killed begins anew: who was deleted is not found again.
"""

from typing import Final

from app.domain.commands import CleanUpImport
from app.domain.devices import is_left
from app.domain.jobs import TARGET_GONE
from app.domain.profile import CORE, DEVICES
from app.store import jobs
from app.store.inbox import log as inbox
from app.store.profiles import imported, look_up
from workers.jobs import bulk
from workers.jobs.run import JobFailedError, LostError, Run

#: Profiles that are looked at at once, and that one request deletes at most.
PART_PEOPLE: Final = 500


def clean_up(run: Run) -> None:
    """Delete whoever is left without a push token."""
    job, parts = run.job, run.parts
    done = sent = last = after = 0
    while True:
        with parts.database.read() as connection:
            pids = imported.page(connection, job.workspace_id, after, PART_PEOPLE)
            people = look_up.fetch(connection, job.workspace_id, dict.fromkeys(pids, CORE | DEVICES))
        if not pids:
            break
        left = [one.braze_id for one in people if is_left(one)]
        try:
            last = bulk.send(run, [CleanUpImport(n, braze_id) for n, braze_id in enumerate(left)]) or last
        except inbox.UnknownWorkspaceError:
            raise JobFailedError(TARGET_GONE) from None
        parts.after_step(job, "part_sent")
        done, sent, after = done + len(pids), sent + len(left), pids[-1]
        bulk.progress(run, done, None)
    bulk.wait(run, last)
    with parts.database.write() as connection:
        if not jobs.finish(connection, job, parts.now_us(), result={"users": sent}):
            raise LostError
