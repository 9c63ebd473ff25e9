"""The address of a job's file: unguessable, so that whoever has it needs no key (spec export-delete-rename.md 2.1)."""

from base64 import urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from app.domain.ids import lasting

_PERSON: Final = b"onefold file"


def object_prefix(job_id: str, created_us: int) -> str:
    """`<uuid>-<epoch seconds>`: the name of the file without its ending."""
    return f"{job_id}-{created_us // 1_000_000}"


def token(secret: bytes, workspace_id: int, job_id: str) -> str:
    """The unguessable part, made of the workspace's secret: nothing has to be stored of it."""
    place = b"%d/%s" % (workspace_id, job_id.encode())
    digest = blake2b(place, key=lasting(secret), person=_PERSON, digest_size=32).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_token(secret: bytes, workspace_id: int, job_id: str, sent: str) -> bool:
    """Whether what was sent is the token, in a time that tells nothing."""
    return compare_digest(token(secret, workspace_id, job_id).encode(), sent.encode())


def url(base: str, secret: bytes, workspace_id: int, job_id: str, created_us: int, form: str) -> str:
    """The whole address. `base` is where the API is reached, `form` the ending."""
    name = f"{object_prefix(job_id, created_us)}.{form}"
    return f"{base.rstrip('/')}/files/{job_id}/{token(secret, workspace_id, job_id)}/{name}"
