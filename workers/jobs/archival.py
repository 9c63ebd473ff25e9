"""The weekly archival of a workspace: who may be over is looked for here, and who is, the reducer says when it deletes.

A job that was killed begins anew: who was deleted is not found again.
"""

from typing import Final

from sqlalchemy import Connection

from app.domain.archival import INACTIVE_US, KEPT, is_over
from app.domain.commands import Archive
from app.domain.identifiers import addresses_of
from app.domain.jobs import TARGET_GONE
from app.domain.profile import CORE, DEVICES, MESSAGES, AddressState, Profile
from app.store import jobs
from app.store.inbox import log as inbox
from app.store.profiles import look_up, quiet
from workers.jobs import bulk
from workers.jobs.run import JobFailedError, LostError, Run

#: Profiles that are looked at at once, and people of one request at most.
PART_PEOPLE: Final = 500


def archive(run: Run) -> None:
    """Archive a workspace, if it has profiles enough."""
    job, parts, us = run.job, run.parts, run.parts.now_us()
    with parts.database.read() as connection:
        enough = quiet.has_profiles(connection, job.workspace_id, parts.limits.archival_profiles)
    after: int | None = 0 if enough else None
    done = sent = last = 0
    while after is not None:
        with parts.database.read() as connection:
            found = quiet.page(connection, job.workspace_id, us - INACTIVE_US, KEPT, after, PART_PEOPLE)
            over = _over(connection, job.workspace_id, found[0], us)
        try:
            last = bulk.send(run, [Archive(n, one.braze_id, us) for n, one in enumerate(over)]) or last
        except inbox.UnknownWorkspaceError:
            raise JobFailedError(TARGET_GONE) from None
        parts.after_step(job, "part_sent")
        done, sent, after = done + len(found[0]), sent + len(over), found[1]
        bulk.progress(run, done, None)
    bulk.wait(run, last)
    with parts.database.write() as connection:
        if not jobs.finish(connection, job, parts.now_us(), result={"users": sent}):
            raise LostError


def _over(connection: Connection, workspace_id: int, pids: list[int], us: int) -> list[Profile]:
    people = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, CORE | DEVICES | MESSAGES))
    wanted = {address for one in people for address in addresses_of(one)}
    states = look_up.fetch_addresses(connection, workspace_id, wanted) if wanted else {}
    known: dict[tuple[int, str], dict[str, AddressState]] = {}
    for (channel, address, topic), state in states.items():
        if state is not None:
            known.setdefault((channel, address), {})[topic] = state
    return [one for one in people if is_over(one, lambda channel, address: known.get((channel, address), {}), us)]
