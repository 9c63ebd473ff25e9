"""Standbys that commits of PostgreSQL wait for: how many there should be, and how many there are.

Without one, a commit that has to wait for one waits for ever; a primary that has just taken over waits for nobody, and
says so nowhere.
"""

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from app.store.engine import Database

_NAMES: Final = text("select current_setting('synchronous_standby_names')")
#: A role without pg_read_all_stats sees that there is a row, and nothing in it.
_FOLLOWING: Final = text(
    "select count(*) as rows, count(sync_state) as told,"
    " count(*) filter (where state = 'streaming' and sync_state in ('sync', 'quorum')) as following"
    " from pg_stat_replication"
)
#: `FIRST 2 (a, b)`, `ANY 1 (a, b)`, `2 (a, b)`; a list without a number means one.
_NUMBER: Final = re.compile(r"\s*(?:(?:first|any)\s+)?(\d+)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Standbys:
    """How many standbys a commit waits for, and how many of those that count are there; None = we may not see it."""

    asked: int
    following: int | None

    @property
    def present(self) -> int | None:
        """How many standbys have what is answered for: no more than are waited for."""
        return None if self.following is None else min(self.asked, self.following)

    def lacking(self, wanted: int) -> bool:
        """Whether there are fewer than the server waits for, or than are `wanted`."""
        return self.present is not None and self.present < max(self.asked, wanted)


def asked(names: str) -> int:
    """How many standbys a commit waits for, by `synchronous_standby_names`."""
    if not names.strip():
        return 0
    found = _NUMBER.match(names)
    return 1 if found is None else int(found[1])


def read(database: Database) -> Standbys:
    """Those of PostgreSQL; SQLite has none. Raises what the database raises."""
    if not database.is_postgresql:
        return Standbys(0, 0)
    with database.read() as connection:
        number = asked(connection.execute(_NAMES).scalar_one())
        row = connection.execute(_FOLLOWING).one()
    return Standbys(number, row.following if number == 0 or row.rows == row.told else None)
