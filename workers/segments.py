"""Sizes of segments, counted once on each day of their workspace."""

import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from app.contract.errors import RefusedError
from app.contract.segments import read_definition
from app.domain.segments.clock import Clock
from app.domain.segments.model import Definition
from app.domain.times import DAY
from app.store import workspaces
from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments import run as segments
from app.store.segments import saved
from app.store.segments.compile import TooBroadError
from app.store.segments.patterns import is_pattern
from app.store.tables import Segment, SegmentSize

log = structlog.get_logger()

INTERVAL_S: Final = 60.0
#: Sizes are kept for this long.
KEPT_DAYS: Final = 1_100
#: Ordinal of 1970-01-01.
_EPOCH: Final = 719_163


def record(database: Database, now_us: int, stop: threading.Event | None = None) -> int:
    """Count the segments whose sizes are kept and that were not counted on this day; how many were.

    A segment that takes too long, or cannot be counted, is left out and tried again in the next round.
    """
    counted = 0
    with database.read() as connection:
        tracking = saved.tracking(connection)
    for workspace in workspaces.listed(database) if tracking else ():
        number = workspaces.number(workspace)
        if number not in tracking:
            continue
        with database.read() as connection:
            day = Clock(now_us, segments.zone_of(connection, number)).today.toordinal() - _EPOCH
            waiting = saved.uncounted(connection, number, day)
        for segment in waiting:
            if stop is not None and stop.is_set():
                return counted
            try:
                size = _size(database, segment, now_us)
            except (RefusedError, TooBroadError, *DATABASE_ERRORS) as error:
                log.warning("segment_not_counted", workspace=number, segment=segment.id, error=type(error).__name__)
                continue
            with database.write() as connection:
                saved.record(connection, SegmentSize(workspace_id=number, segment_id=segment.id, day=day, size=size))
            counted += 1
    with database.write() as connection:
        saved.expire(connection, now_us // DAY - KEPT_DAYS)
    return counted


def _size(database: Database, segment: Segment, now_us: int) -> int:
    with database.read() as connection:
        definition = definition_of(connection, segment.workspace_id, segment.definition)
        return segments.count(connection, segment.workspace_id, definition, now_us, hurried=False)


def definition_of(connection: Connection, workspace_id: int, document: dict[str, Any]) -> Definition:
    """What a definition says, with the segments that it names. Raises RefusedError."""

    def find(segment_id: str) -> dict[str, Any] | None:
        other = saved.fetch(connection, workspace_id, segment_id)
        return None if other is None else other.definition

    return read_definition(document, is_pattern, find)


def run(database: Database, now_us: Callable[[], int], stop: threading.Event) -> None:
    """Count what is due every minute, until `stop`."""
    while not stop.wait(INTERVAL_S):
        try:
            counted = record(database, now_us(), stop)
            if counted:
                log.info("segments_counted", segments=counted)
        except DATABASE_ERRORS as error:
            log.warning("segments_failed", error=type(error).__name__)
