"""Values for segments: made beside everything else where a workspace begins to use segments, removed where it ends."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.domain.times import DAY
from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments import upkeep, values

log = structlog.get_logger()

INTERVAL_S: Final = 5.0
#: A workspace's turn; a large one does not keep the others from theirs.
TURN_S: Final = 10.0
#: Values go so many days after a segment was there last, or a preview was asked for. Unless set otherwise.
DAYS: Final = 7.0


def tick(database: Database, now_us: int, days: float = DAYS, seconds: float = TURN_S) -> int:
    """Give each workspace whose values are to be made, or to be removed, some time; how many got all of them."""
    if not database.is_postgresql:
        return 0
    since_us = now_us - int(days * DAY)
    upkeep.note_uses(database, now_us)
    with database.read() as connection:
        behind, unused = upkeep.behind(connection), upkeep.unused(connection, since_us)
    for workspace_id in behind:
        upkeep.end(database, workspace_id, now_us)
        log.warning("values_behind", workspace=workspace_id)
    for workspace_id in unused:
        upkeep.end(database, workspace_id)
        log.info("values_unused", workspace=workspace_id)
    with database.read() as connection:
        leaving = upkeep.leaving(connection)
    _turns(leaving, "values_removed", lambda workspace_id: upkeep.remove(database, workspace_id, since_us, seconds))

    def fill(workspace_id: int) -> bool:
        values.begin(database, workspace_id, now_us)
        return values.fill(database, workspace_id, seconds)

    with database.read() as connection:
        waiting = values.waiting(connection, since_us)
    return _turns(waiting, "values_filled", fill)


def _turns(workspaces: list[int], done: str, turn: Callable[[int], bool]) -> int:
    """How many came to their end. Whatever stops one, the others have their turn."""
    ended = 0
    for workspace_id in workspaces:
        try:
            if turn(workspace_id):
                log.info(done, workspace=workspace_id)
                ended += 1
        except SQLAlchemyError as error:
            log.warning("values_stopped", workspace=workspace_id, error=type(error).__name__)
    return ended


def run(database: Database, now_us: Callable[[], int], days: float, stop: threading.Event) -> None:
    """Look for such workspaces again and again, until `stop`. An outage of the database is waited out."""
    while not stop.wait(INTERVAL_S):
        try:
            tick(database, now_us(), days)
        except DATABASE_ERRORS as error:
            log.warning("values_failed", error=type(error).__name__)
