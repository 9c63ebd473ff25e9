"""Profiles that were not written to for long."""

from typing import Final

from sqlalchemy import Connection, text

from app.store.profiles.flagged import WINDOW

_COUNT: Final = text("select count(*) from (select 1 from profile where workspace_id = :workspace_id limit :most) p")
_PAGE: Final = text(
    "select pid from profile where workspace_id = :workspace_id and pid > :after and pid <= :upto"
    " and updated_us < :before_us and coalesce(last_session_us, 0) < :before_us and flags & :kept = 0"
    " order by pid limit :most"
)
_EDGE: Final = text(
    "select max(pid) from (select pid from profile where workspace_id = :workspace_id and pid > :after"
    " order by pid limit :window) w"
)


def has_profiles(connection: Connection, workspace_id: int, most: int) -> bool:
    """Whether a workspace has so many profiles."""
    found = connection.execute(_COUNT, {"workspace_id": workspace_id, "most": most}).scalar_one()
    return int(found) >= most


def page(
    connection: Connection, workspace_id: int, before_us: int, kept: int, after: int, most: int
) -> tuple[list[int], int | None]:
    """(some profiles without update and session since, and without the flags `kept`; behind which number to go on)."""
    values = {"workspace_id": workspace_id, "after": after, "window": WINDOW}
    upto = connection.execute(_EDGE, values).scalar()
    if upto is None:
        return [], None
    found = connection.execute(_PAGE, {**values, "upto": upto, "before_us": before_us, "kept": kept, "most": most})
    pids = list(found.scalars())
    return pids, pids[-1] if len(pids) == most else int(upto)
