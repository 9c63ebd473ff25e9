"""Values for segments: workspaces that begin to use segments get them, beside everything else."""

import threading
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments import values

log = structlog.get_logger()

INTERVAL_S: Final = 5.0
#: A workspace's turn; a large one does not keep the others from theirs.
TURN_S: Final = 10.0


def tick(database: Database, seconds: float = TURN_S) -> int:
    """Give each workspace that waits for its values some time; how many got all of them."""
    with database.read() as connection:
        waiting = values.waiting(connection)
    filled = 0
    for workspace_id in waiting:
        try:
            values.begin(database, workspace_id)
            done = values.fill(database, workspace_id, seconds)
        except SQLAlchemyError as error:  # whatever stops one, the others have their turn
            log.warning("values_not_filled", workspace=workspace_id, error=type(error).__name__)
            continue
        if done:
            log.info("values_filled", workspace=workspace_id)
            filled += 1
    return filled


def run(database: Database, stop: threading.Event) -> None:
    """Look for such workspaces again and again, until `stop`. An outage of the database is waited out."""
    pause = INTERVAL_S
    while not stop.wait(pause):
        pause = INTERVAL_S
        try:
            tick(database)
        except DATABASE_ERRORS as error:
            log.warning("values_failed", error=type(error).__name__)
