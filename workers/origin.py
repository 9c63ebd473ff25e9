"""Looks whether the database still is the one that gave out its numbers: see app.store.origin."""

import threading
from typing import Final

import structlog
from redis.exceptions import RedisError

from app.adapters.remembered import RememberedNumbers
from app.domain.commands import StreamKey
from app.store import origin
from app.store.engine import DATABASE_ERRORS, Database
from app.store.inbox import log as inbox
from app.store.origin import Doubt

log = structlog.get_logger()

INTERVAL_S: Final = 5.0


class OriginWatch:
    """Has Redis remember the numbers of the database, and says so where they are smaller than they were."""

    def __init__(self, database: Database, remembered: RememberedNumbers) -> None:
        self._database = database
        self._remembered = remembered
        self._told: tuple[str, Doubt | None] | None = None

    def look(self) -> Doubt | None:
        """One look. Raises what the database and Redis raise."""
        with self._database.read() as connection:
            found = origin.read(connection)
        if found is None:
            return None
        # What is remembered first: numbers that are given out in between are larger.
        before, back = self._remembered.read(found.key)
        with self._database.read(self._database.inbox) as connection:
            heads = inbox.heads(connection)
        fallen: list[StreamKey] = origin.fallen(before, heads)
        grown = {key: head for key, head in heads.items() if before.get(key) != head and key not in fallen}
        self._remembered.write(found.key, grown, before.keys() - heads.keys(), back=bool(fallen))
        doubt = Doubt.BACK if fallen or back else found.doubt
        if doubt is not None and self._told != (found.key, doubt):
            log.warning("database_was_put_back" if doubt is Doubt.BACK else "database_moved", state=doubt.value)
        self._told = (found.key, doubt)
        return doubt

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`."""
        try:
            while not stop.is_set():
                try:
                    self.look()
                except RedisError:
                    pass  # it is told of elsewhere; what it does not remember gives no sign
                except DATABASE_ERRORS as error:
                    log.warning("origin_not_read", error=type(error).__name__)
                stop.wait(INTERVAL_S)
        finally:
            self._remembered.close()
