"""How many jobs are unfinished, of all workspaces together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

_UNFINISHED: Final = text(
    """
    select kind, state, count(*) as number,
           min(case when state = 'running' then started_us else created_us end) as since_us
    from job where state in ('queued', 'running') /*here workspace_id*/ group by kind, state
    """
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Jobs of a kind in a state: how many, and since when the oldest waits, or runs."""

    number: int
    since_us: int


def unfinished(connection: Connection) -> Mapping[tuple[str, str], Standing]:
    """{(kind, state): what stands there}, where there is anything."""
    return {(row.kind, row.state): Standing(row.number, row.since_us) for row in connection.execute(_UNFINISHED)}
