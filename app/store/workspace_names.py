"""Names of workspaces by number, for what operators look at."""

import time
from typing import Final

from sqlalchemy import text

from app.store.engine import DATABASE_ERRORS, Database
from app.store.workspaces import CANARY

#: So long a name may be another one by now.
SECONDS: Final = 60.0
MOST: Final = 10_000

_NAME: Final = text("select name from workspace where id = :id")


class WorkspaceNames:
    """Remembers names. It may be asked by any thread: two that ask at once ask the database twice."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: {number: (name, until when)}
        self._known: dict[int, tuple[str | None, float]] = {}

    def __call__(self, workspace_id: int) -> str | None:
        """The name; None for the workspace of the canary. A number that has none, or while the database is away, "".

        Never raises.
        """
        now = time.monotonic()
        known = self._known.get(workspace_id)
        if known is not None and now < known[1]:
            return known[0]
        try:
            with self._database.read() as connection:
                found = connection.execute(_NAME, {"id": workspace_id}).scalar()
            name = None if found == CANARY else str(found or "")
        except DATABASE_ERRORS:
            name = "" if known is None else known[0]
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[workspace_id] = (name, now + SECONDS)
        return name
