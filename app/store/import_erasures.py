"""Who was deleted while a file was still to be imported: the import leaves them out.

Kept as parts of the job, without profiles: keyed hashes of what the deleted people were called. They go with its end.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from sqlalchemy import Connection, text

from app.domain.ids import lasting
from app.domain.jobs import IMPORT
from app.store import job_parts
from app.store.jobs import Job

_DIGEST_BYTES: Final = 16
_UNFINISHED: Final = text(
    f"select id from job where workspace_id = :workspace_id and kind = '{IMPORT}' and state in ('queued', 'running')"
)
#: No profile has the number 0, so no deletion finds these parts by it.
_ADD: Final = text(
    """
    insert into job_part (workspace_id, job_id, n, first_pid, last_pid, pids)
    select :workspace_id, :job_id, coalesce(max(n), 0) + 1, 0, 0, :digests from job_part
    where workspace_id = :workspace_id and job_id = :job_id
    """
)
_OF: Final = text("select pids from job_part where workspace_id = :workspace_id and job_id = :job_id")


def digest(secret: bytes, name: str) -> bytes:
    """What stands for an identifier."""
    key, value = lasting(secret), name.encode("utf-8", "surrogatepass")
    return blake2b(value, key=key, digest_size=_DIGEST_BYTES, person=b"erased").digest()


def note(connection: Connection, workspace_id: int, secret: bytes, names: Iterable[str]) -> None:
    """Tell all unfinished imports of a workspace who is deleted. Part of the transaction that deletes."""
    unfinished = connection.execute(_UNFINISHED, {"workspace_id": workspace_id}).scalars().all()
    if not unfinished:
        return
    job_parts.lock(connection, workspace_id)
    digests = b"".join(sorted(digest(secret, name) for name in names))
    for job_id in unfinished:
        connection.execute(_ADD, {"workspace_id": workspace_id, "job_id": job_id, "digests": digests})


def of(connection: Connection, job: Job) -> frozenset[bytes]:
    """The digests of whoever was deleted since the job was queued."""
    found = connection.execute(_OF, {"workspace_id": job.workspace_id, "job_id": job.id}).scalars()
    stored = [bytes(one) for one in found]
    return frozenset(one[at : at + _DIGEST_BYTES] for one in stored for at in range(0, len(one), _DIGEST_BYTES))
