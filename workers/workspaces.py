"""Deleting workspaces: the rows in the database, and the keys in Redis. Files go with their jobs."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
from redis.exceptions import RedisError

from app.store import workspace_deletions
from app.store.engine import DATABASE_ERRORS, Database

log = structlog.get_logger()

INTERVAL_S: Final = 2.0


class WorkspaceDeleter:
    """Works in a thread of the sweeper's process."""

    def __init__(self, database: Database, forget: Callable[[int], int], now_us: Callable[[], int]) -> None:
        """`forget` removes what Redis has of a workspace, and raises RedisError."""
        self._database = database
        self._forget = forget
        self._now_us = now_us

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. An outage of the database is waited out."""
        while not stop.wait(INTERVAL_S):
            try:
                while self.look() and not stop.is_set():
                    pass
            except DATABASE_ERRORS as error:
                log.warning("workspace_deletion_failed", error=type(error).__name__)

    def look(self) -> bool:
        """Some work for each workspace that is being deleted. True when there is more.

        Raises what the database raises.
        """
        with self._database.read() as connection:
            waiting = workspace_deletions.unfinished(connection)
        more = False
        for deletion in waiting:
            now_us = self._now_us()
            rows, done = workspace_deletions.work(self._database, deletion, now_us)
            more = more or not done
            if rows:
                log.info("workspace_emptied", workspace=deletion.workspace_id, rows=rows, done=done)
            if done and (rows or deletion.emptied_us is None):
                self._forget_keys(deletion.workspace_id)
        return more

    def _forget_keys(self, workspace_id: int) -> None:
        try:
            self._forget(workspace_id)
        except RedisError as error:  # they expire within a day
            log.warning("workspace_keys_not_forgotten", workspace=workspace_id, error=type(error).__name__)
