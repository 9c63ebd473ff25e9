"""The sweeper: finds workspaces whose cursor is behind although nobody works on them, and sees to it.

Doorbells may be lost, brokers may die. Work that was not touched for one interval is rung for once more; when that does
not help either, because the broker is away or no worker listens, the sweeper drains the lane itself.
"""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from app.adapters.doorbell import Doorbell
from app.adapters.metrics import Metrics
from app.domain.commands import StreamKey
from app.store import lane, sessions
from app.store.engine import DATABASE_ERRORS, Database, is_lost, ping
from app.store.inbox import backlog
from workers.apply import MOST_SECONDS, YIELD_SECONDS, Applier
from workers.summary import Summary

log = structlog.get_logger()

#: Looks at the same cursor before the sweeper drains by itself.
PATIENCE: Final = 2
#: Looks at which it is told that a lane does not move; from the last on, at each multiple of it.
_TOLD: Final = (10, 60)


class Sweeper:
    """Looks at all workspaces every `interval` seconds."""

    def __init__(self, database: Database, applier: Applier, bell: Doorbell, interval: float, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._applier = applier
        self._bell = bell
        self._interval = interval
        #: Stream -> (place when first seen behind, looks since): a cursor, and how far the next request is.
        self._stuck: dict[StreamKey, tuple[tuple[int, int], int]] = {}
        #: The broker did not take the last doorbell: nobody else is on the way to any work.
        self._alone = False
        #: Nodes that did not answer at the last look.
        self._away: list[str] = []

    def run(self, stop: threading.Event, also: Callable[[], None] = lambda: None) -> None:
        """Sweep until `stop`. `also` is called after every look. An outage of the database is waited out."""
        lost = False
        while not stop.is_set():
            pause = self._interval
            try:
                if any(summary.behind for summary in self.look()):
                    pause = 0.0
                also()
                lost = False
            except DATABASE_ERRORS as error:
                log.warning("sweep_failed", error=type(error).__name__)
                lost = not lost and is_lost(error)
                if lost:  # its connection died while it was idle: the next one is new
                    pause = 0.0
            stop.wait(pause)

    def look(self) -> list[Summary]:
        """One look at everything. Returns what the sweeper drained itself."""
        done = []
        if ended := sessions.end_stalled(self._database):
            log.warning("stalled_sessions_ended", sessions=ended)
        behind = self._behind()
        if (away := self._database.nodes_away) != self._away:
            log.warning("nodes_away" if away else "nodes_answer", nodes=", ".join(away or self._away))
            self._away = away
        for (workspace_id, stream), looks in behind.items():
            if looks == 1 and not self._alone:
                continue  # seen for the first time: its doorbell is probably on the way
            if looks <= PATIENCE:
                self._alone = not self._bell.send(workspace_id)
                if not self._alone:
                    continue
            if looks in _TOLD or looks % _TOLD[-1] == 0:
                log.warning("lane_does_not_move", workspace=workspace_id, stream=stream, looks=looks)
            try:
                summary = self._drain(workspace_id)
            except Exception as error:  # noqa: BLE001 - whatever stops a lane, the others have their turn
                log.warning("drain_failed", workspace=workspace_id, error=type(error).__name__)
                if isinstance(error, DATABASE_ERRORS):
                    ping(self._database)  # raises when it is away for all of them
                continue
            log.info("swept", workspace=workspace_id, stream=stream, requests=summary.requests, busy=summary.busy)
            done.append(summary)
        return done

    def _drain(self, workspace_id: int) -> Summary:
        try:
            summary = self._applier.drain(workspace_id, YIELD_SECONDS, MOST_SECONDS)
        except BaseException:
            self._metrics.drain_failed()
            raise
        self._metrics.drained(summary.as_dict())
        self._metrics.swept()
        return summary

    def _behind(self) -> dict[StreamKey, int]:
        """Streams with queued requests -> for how many looks nothing of them was applied."""
        with self._database.read() as connection:
            begun = lane.begun(connection)
        stuck: dict[StreamKey, tuple[tuple[int, int], int]] = {}
        for key, found in backlog.behind(self._database).items():
            before = self._stuck.get(key)
            place = (found.cursor, begun.get(key, 0))
            looks = before[1] + 1 if before is not None and before[0] == place else 1
            stuck[key] = (place, looks)
        self._stuck = stuck
        return {key: looks for key, (_, looks) in stuck.items()}
