"""Series of a workspace: sums by day and hour, and those of the people in a segment."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from app.contract.errors import RefusedError
from app.contract.segment_requests import NOT_TRACKED
from app.contract.series import HOUR, Point, Question
from app.domain import series as kinds
from app.domain import times
from app.services import segments
from app.services.caller import Caller
from app.services.reading import Reader, Seen
from app.services.segments import Segments
from app.store import lane, series
from app.store.engine import Database
from app.store.segments import run


class Series:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, of_segments: Segments, now_us: Callable[[], int]) -> None:
        self._database = database
        self._reader = reader
        self._segments = of_segments
        self._now_us = now_us

    async def read(self, caller: Caller, question: Question) -> Seen[list[Point]]:
        """The days or hours of a question, the oldest first, also those without anything.

        Raises UnavailableError; of a segment RefusedError, UnknownSegmentError, and as Segments.counted.
        """
        if question.segment_id is None:
            return await self._reader.read(caller, partial(read, self._database, caller, question, self._now_us()))
        stale = await self._reader.catch_up(caller.workspace_id)
        now_us = self._now_us()
        seconds = self._segments.seconds
        points = await self._segments.counted(partial(read, self._database, caller, question, now_us, seconds=seconds))
        return Seen(points, stale, now_us)


def read(
    database: Database, caller: Caller, question: Question, now_us: int, *, seconds: float | None = None
) -> list[Point]:
    """As Series.read, with `seconds` of Database.read. Raises TooBroadError too."""
    with database.read(seconds=seconds) as connection:
        zone = lane.settings(connection, caller.workspace_id).time_zone
        ending_us = now_us if question.ending_us is None else question.ending_us
        listed = kinds.hours if question.unit == HOUR else kinds.days
        wanted = listed(zone, now_us, ending_us, question.length)
        if question.segment_id is not None:
            return _of_segment(connection, caller, question, wanted, zone, now_us)
        if not wanted:
            return []
        stored = series.hours if question.unit == HOUR else series.days
        sums = stored(
            connection, caller.workspace_id, question.kind, question.name, question.app, wanted[0], wanted[-1]
        )
    return [(at, *sums.get(at, (0, 0))) for at in wanted]


def _of_segment(
    connection: Connection, caller: Caller, question: Question, wanted: list[int], zone: str, now_us: int
) -> list[Point]:
    """Counts of what people did who are in the segment now: as far back as single occurrences are kept."""
    segment_id = question.segment_id or ""
    if not segments.segment_of(connection, caller, segment_id).tracked:
        raise RefusedError(400, NOT_TRACKED)
    definition = segments.kept(connection, caller, segment_id)
    # Occurrences of 32 days are kept, so those of the last 31 are whole wherever the day begins.
    first = kinds.place(zone, (now_us - (kinds.HOUR_DAYS - 1) * times.DAY) // kinds.QUARTER_US)
    sums = {at: 0 for at in wanted if at >= first[question.unit == HOUR]}
    if not sums:
        return []
    quarters = run.quarters(
        connection, caller.workspace_id, definition, now_us, question.kind, question.name, question.app
    )
    for quarter, count in quarters.items():
        at = kinds.place(zone, quarter)[question.unit == HOUR]
        if at in sums:
            sums[at] += count
    return [(at, count, 0) for at, count in sums.items()]
