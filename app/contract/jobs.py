"""GET /v1/jobs: what may be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.contract.errors import RefusedError
from app.domain.jobs import KINDS, STATES

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 500

UNKNOWN_JOB: Final = "Unknown job id"
UNKNOWN_FILE: Final = "There is no such file, or it is not ready yet, or it is there no longer"
TOO_MANY_JOBS: Final = "Too many jobs of the workspace are queued or running"
STORAGE_FULL: Final = "The files of the workspace take up all of their space: delete jobs, or wait until files expire"


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs of a state and a kind, newest first, behind the one of `before`: (created_us, id)."""

    state: str | None
    kind: str | None
    limit: int
    before: tuple[int, str]


def read_page(parameters: Mapping[str, str]) -> Page:
    """The query of GET /v1/jobs. Raises RefusedError(400)."""
    known = {"state", "kind", "limit", "cursor"}
    if parameters.keys() - known:
        raise RefusedError(400, f"Only these may be asked for: {', '.join(sorted(known))}")
    state, kind = parameters.get("state"), parameters.get("kind")
    if state is not None and state not in STATES:
        raise RefusedError(400, f"'state' must be one of {', '.join(STATES)}")
    if kind is not None and kind not in KINDS:
        raise RefusedError(400, f"'kind' must be one of {', '.join(KINDS)}")
    limit = parameters.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 1 <= int(limit) <= MAX_PAGE):
        raise RefusedError(400, f"'limit' must be a number from 1 to {MAX_PAGE}")
    us, _, id_ = parameters.get("cursor", f"{2**62}.").partition(".")
    if not (us.isascii() and us.isdigit() and len(us) < 20 and len(id_) < 40 and "\0" not in id_):
        raise RefusedError(400, "'cursor' must be `next_cursor` of the page before")
    return Page(state, kind, int(limit), (int(us), id_))


def cursor(created_us: int, id_: str) -> str:
    """The cursor of the page behind a job."""
    return f"{created_us}.{id_}"
