"""What jobs ask of the reducer: requests on the bulk stream, never too many ahead of the drain."""

import time
from collections.abc import Sequence
from typing import Final

from app.contract import stored
from app.contract.checked import commands_checked
from app.domain.commands import STREAM_BULK, Command, StreamKey
from app.domain.jobs import TARGET_GONE
from app.store import lane
from app.store.inbox import log as inbox
from workers.jobs.run import JobFailedError, Run

#: Requests of a job that may wait to be applied.
MOST_AHEAD: Final = 20
_PAUSE_SECONDS: Final = 0.1


def progress(run: Run, done: int, total: int | None) -> None:
    """Record how far the job is. Raises LostError."""
    with run.parts.database.write() as connection:
        run.progressed(connection, done, total, 0)


def send(run: Run, commands: Sequence[Command]) -> int:
    """Accept a request on the bulk stream, once not too many wait there; its number. 0 for no commands."""
    if not commands:
        return 0
    database, job = run.parts.database, run.job
    with database.read(database.inbox) as connection:
        head = inbox.head(connection, job.workspace_id, STREAM_BULK)
    wait(run, head - MOST_AHEAD)
    checked = commands_checked(commands)
    codec, body = stored.signed(checked.codec, checked.body, job.created_by)
    with database.write(database.inbox) as connection:
        entries = [inbox.Entry(checked.kind, codec, body)]
        (appended,) = inbox.append(connection, job.workspace_id, STREAM_BULK, entries, run.parts.now_us())
    run.parts.ring(StreamKey(job.workspace_id, STREAM_BULK))
    return appended.seq


def wait(run: Run, seq: int) -> None:
    """Until a request of the bulk stream is applied. Raises LostError, JobFailedError when the time is over."""
    while True:
        run.check()
        with run.parts.database.read() as connection:
            found = lane.read(connection, run.job.workspace_id)
        if found is None:
            raise JobFailedError(TARGET_GONE)
        if found.cursors[STREAM_BULK] >= seq:
            return
        time.sleep(_PAUSE_SECONDS)
