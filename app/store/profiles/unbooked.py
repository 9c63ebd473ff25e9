"""Profiles with revenue that had no rate when it came."""

from typing import Final

from sqlalchemy import Connection, text

from app.domain.profile import COMMERCE
from app.store.profiles import look_up

#: Rows of sections that one look reads at most.
MOST: Final = 20_000

_PAGE = text(
    """
    select pid, case when part = :part then doc like '%"unbooked":%' else false end as waits
    from (select pid, part, doc from profile_part where workspace_id = :workspace_id and pid > :after
          order by pid, part limit :most) as page order by pid
    """
)


def page(connection: Connection, workspace_id: int, after: int, most: int = MOST) -> tuple[list[str], int | None]:
    """(braze_ids of profiles with unbooked revenue, the number of the profile behind which the next page begins).

    The second is None behind the last page. A page reads `most` sections, whoever has some.
    """
    values = {"workspace_id": workspace_id, "after": after, "most": most, "part": COMMERCE}
    rows = connection.execute(_PAGE, values).all()
    last = None
    if len(rows) == most:  # the sections of the last one may go on behind the page
        rows = [row for row in rows if row.pid != rows[-1].pid]
        last = rows[-1].pid
    pids = [row.pid for row in rows if row.waits]
    found = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, 0)) if pids else []
    return [profile.braze_id for profile in found], last
