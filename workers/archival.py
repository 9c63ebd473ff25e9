"""When workspaces are archived: on Sundays at 05:30 of their time zone, those that want it."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from app.domain.jobs import ARCHIVAL
from app.store import workspaces
from app.store.engine import Database
from app.store.tables import Workspace
from workers.scheduled import Scheduled

#: Option of a workspace: since when it wants it, in microseconds; null = it does not.
OPTION: Final = "archival"
_SUNDAY: Final = 6


def due_us(now_us: int, zone: ZoneInfo) -> int:
    """The last Sunday, 05:30, of a time zone."""
    now = datetime.fromtimestamp(now_us / 1_000_000, zone)
    day = now.date() - timedelta(days=(now.weekday() - _SUNDAY) % 7)
    at = datetime(day.year, day.month, day.day, 5, 30, tzinfo=zone)
    if at > now:
        at = datetime(day.year, day.month, day.day, 5, 30, tzinfo=zone) - timedelta(days=7)
    return int(at.timestamp()) * 1_000_000


def _candidates(database: Database, _now_us: int) -> list[Workspace]:
    return [one for one in workspaces.reachable(database) if isinstance(one.options.get(OPTION), int)]


def _is_wanted(_connection: Connection, workspace: Workspace, due: int, _now_us: int) -> bool:
    return bool(workspace.options[OPTION] < due)


SCHEDULED: Final = Scheduled(ARCHIVAL, "onefold archival", due_us, _is_wanted, _candidates)
