"""Deleting a workspace: asked for by a key of it that may, or by the operator of the installation."""

from collections.abc import Callable

import structlog

from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnknownWorkspaceNameError
from app.store import workspace_deletions as store
from app.store import workspaces
from app.store.engine import Database
from app.store.workspace_deletions import Deletion

__all__ = ["Deletion", "WorkspaceDeletions", "begin", "finish", "listed"]

log = structlog.get_logger()


class WorkspaceDeletions:
    """One per API process."""

    def __init__(
        self, database: Database, calls: StoreCalls, now_us: Callable[[], int], forget: Callable[[int], None]
    ) -> None:
        """`forget` makes this process look the keys of a workspace up again."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._forget = forget

    async def begin(self, caller: Caller, name: str) -> None:
        """Delete the caller's workspace, which has this name. Raises UnknownWorkspaceNameError, UnavailableError."""
        if name != caller.workspace_name:
            raise UnknownWorkspaceNameError
        await self._calls.run(lambda: begin(self._database, caller, self._now_us()))
        self._forget(caller.workspace_id)


def begin(database: Database, caller: Caller, now_us: int) -> None:
    """Close a workspace for good; the sweeper deletes what it has."""
    store.begin(database, caller.workspace_id, now_us)
    log.warning("workspace_deletion_begun", workspace=caller.workspace_id, key=caller.key_id)


def finish(database: Database, workspace_id: int, now_us: Callable[[], int]) -> int:
    """Delete what a closed workspace has, all of it; how many rows. The sweeper does the same, and looks once more."""
    rows, done = 0, False
    while not done:
        deletion = next((one for one in listed(database) if one.workspace_id == workspace_id), None)
        if deletion is None or deletion.emptied_us is not None:
            return rows
        deleted, done = store.work(database, deletion, now_us())
        rows += deleted
    return rows


def listed(database: Database) -> list[Deletion]:
    """Workspaces that were deleted, the oldest first."""
    with database.read() as connection:
        return store.listed(connection)


def number_of(database: Database, name: str) -> int:
    """Raises UnknownNameError, also for a workspace of Onefold's own."""
    if name == workspaces.CANARY:
        raise workspaces.UnknownNameError(name)
    return workspaces.number(workspaces.get(database, name))
