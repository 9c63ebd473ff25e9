"""Following the log of requests: each is told once, in the order of its stream, when it is known what became of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from app.contract.request_log import MOMENT_END, QUEUED, Filter
from app.domain.commands import STREAMS
from app.domain.times import SECOND
from app.services import request_search
from app.services.caller import Caller
from app.services.request_search import Entry
from app.store import interruption
from app.store.engine import Database
from app.store.inbox import log as inbox

#: A request that is still queued after so long is told as such.
SETTLE_US: Final = 2 * SECOND
#: What was refused is written about a second later, and by several processes.
LATE_US: Final = 10 * SECOND


class RequestTail:
    """What is new in the log of one workspace."""

    def __init__(self, database: Database, caller: Caller, wanted: Filter, now_us: Callable[[], int]) -> None:
        """Begins at the end. The times of the filter are not looked at."""
        self._database = database
        self._caller = caller
        self._wanted = wanted
        self._now_us = now_us
        self._since_us = now_us()
        #: Numbers of the last requests that were told, or were not wanted.
        self._floor = self._heads()
        #: (moment, number) of refused ones that were told.
        self._told: set[tuple[int, int]] = set()

    def last(self, number: int) -> list[Entry]:
        """The last requests before now, the latest one last: at most `number`, as far as a second of search finds."""
        position = [head + 1 for head in self._floor] + [self._since_us, -1]
        piece = request_search.look(self._database, self._caller, self._wanted, [*position], number, 1.0)
        return piece.entries[::-1]

    def news(self) -> list[Entry]:
        """Requests that were not told before, the latest one last."""
        now_us, heads = self._now_us(), self._heads()
        wanted = replace(self._wanted, from_us=max(0, self._since_us - LATE_US), to_us=MOMENT_END)
        # Whatever its outcome is to be: it may still change.
        wanted = replace(wanted, outcome="" if wanted.outcome and wanted.outcome != "refused" else wanted.outcome)
        found: list[Entry] = []
        position = [head + 1 for head in heads] + [MOMENT_END, -1]
        request_search.everything(self._database, self._caller, wanted, [*position], self._floor, found.append)
        found.reverse()
        told = [entry for entry in found if not entry.is_accepted and self._is_new(entry)]
        for stream in STREAMS:
            mine = [entry for entry in found if entry.is_accepted and entry.stream == stream]
            settled = next(
                (n for n, one in enumerate(mine) if one.outcome == QUEUED and one.us > now_us - SETTLE_US), len(mine)
            )
            told += mine[:settled]
            self._floor = self._moved(stream, heads[stream] if settled == len(mine) else mine[settled].seq - 1)
        self._told = {(us, n) for us, n in self._told if us > now_us - 2 * LATE_US}
        self._since_us = now_us
        outcome = self._wanted.outcome
        return sorted((one for one in told if outcome in ("", one.outcome)), key=lambda one: one.us)

    def _is_new(self, entry: Entry) -> bool:
        key = (entry.us, entry.n)
        if key in self._told or entry.us < self._since_us - LATE_US:
            return False
        self._told.add(key)
        return True

    def _moved(self, stream: int, seq: int) -> tuple[int, int]:
        normal, bulk = self._floor
        return (seq, bulk) if stream == STREAMS[0] else (normal, seq)

    def _heads(self) -> tuple[int, int]:
        interruption.check()
        with self._database.read(self._database.inbox) as connection:
            normal, bulk = (inbox.head(connection, self._caller.workspace_id, stream) for stream in STREAMS)
        return normal, bulk
