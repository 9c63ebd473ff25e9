"""When profiles of imported push tokens are cleaned up: on the first of each month, at 05:30 of the workspace's zone.

The job is queued in the first days of a month alone, since it is not known for longer that it was; where no sweeper ran
then, the next month has its turn.
"""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from app.domain.jobs import TOKEN_CLEAN_UP
from app.domain.times import DAY
from app.store import workspaces
from app.store.engine import Database
from app.store.profiles import imported
from app.store.tables import Workspace
from workers.scheduled import Scheduled

#: How long after it was due the job is queued; shorter than jobs are kept.
WINDOW_US: Final = 5 * DAY
#: The zones in which a month begins first and last: a day apart, so that it is the time of one of them whenever it is
#: that of any.
_FIRST_AND_LAST: Final = ("Etc/GMT-14", "Etc/GMT+12")


def due_us(now_us: int, zone: ZoneInfo) -> int:
    """The first of this month, 05:30, of a time zone. It may be to come."""
    now = datetime.fromtimestamp(now_us / 1_000_000, zone)
    return int(datetime(now.year, now.month, 1, 5, 30, tzinfo=zone).timestamp()) * 1_000_000


def _is_wanted(_connection: Connection, _workspace: Workspace, due: int, now_us: int) -> bool:
    return now_us < due + WINDOW_US


def _candidates(database: Database, now_us: int) -> list[Workspace]:
    """Those that have such profiles. Nobody looks for these while it is no zone's time."""
    if not any(0 <= now_us - due_us(now_us, ZoneInfo(zone)) < WINDOW_US for zone in _FIRST_AND_LAST):
        return []
    with database.read() as connection:
        having = imported.workspaces(connection)
    return [one for one in workspaces.listed(database) if one.id in having] if having else []


SCHEDULED: Final = Scheduled(TOKEN_CLEAN_UP, "onefold token clean-up", due_us, _is_wanted, _candidates)
