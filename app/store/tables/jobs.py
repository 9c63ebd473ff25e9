"""Jobs, and which profiles their files hold."""

from sqlalchemy import Index
from sqlmodel import SQLModel

from app.store.tables.columns import big, binary, partial_index, text


class JobRow(SQLModel, table=True):
    """A job: what it is to do, who works on it, and what came of it. app.domain.jobs has the names."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_id", "id"),
        Index("job_created", "workspace_id", "created_us"),
        Index("job_started", "workspace_id", "started_us"),
        # One unfinished job of a kind for a target.
        partial_index(
            "job_target", "workspace_id", "kind", "target", unique=True, where="state in ('queued', 'running')"
        ),
        # What is to be worked on, of all workspaces at once.
        partial_index("job_unfinished", "state", "lease_us", where="state in ('queued', 'running')"),
        partial_index("job_callback", "callback_us", where="callback = 'due'"),
    )

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    kind: str = text()
    #: What it is about: a segment's id, the braze_id of a profile; "" for the whole workspace.
    target: str = text()
    #: JSON text.
    parameters: str = text()
    #: Name of the API key.
    created_by: str = text()
    state: str = text()
    created_us: int = big()
    #: Of the last attempt.
    started_us: int | None = big(nullable=True)
    finished_us: int | None = big(nullable=True)
    attempts: int = big()
    #: Who works on it: only its holder may write, and only until `lease_us`, which it keeps moving on.
    owner: str = text()
    lease_us: int = big()
    progress: int = big()
    total: int | None = big(nullable=True)
    #: JSON text.
    result: str = text()
    error: str = text()
    #: Of its file, or of the parts that it is made of so far.
    bytes: int = big()
    #: Until when its file is served; None = it has none.
    expires_us: int | None = big(nullable=True)
    #: "" = there is none.
    callback: str = text()
    #: When it is to be tried next.
    callback_us: int = big()
    callback_attempts: int = big()
    #: Nobody begins it before.
    due_us: int = big(default=0)


class JobPartRow(SQLModel, table=True):
    """Which profiles a part of a job's file holds, so that a deletion reaches the file."""

    __tablename__ = "job_part"

    workspace_id: int = big(key=True)
    job_id: str = text(key=True)
    n: int = big(key=True)
    first_pid: int = big()
    last_pid: int = big()
    #: Eight bytes for each line of the part, in its order; 0 where the profile was deleted since.
    pids: bytes = binary()
