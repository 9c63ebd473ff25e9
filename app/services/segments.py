"""Segments: keeping them, counting them, and why somebody is in one."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from app.contract import segment_requests as requests
from app.contract.errors import RefusedError
from app.contract.merge_records import MAX_HOLDERS
from app.contract.segment_requests import Listing, Series
from app.contract.segments import read_definition, segments_named
from app.domain.identifiers import with_former
from app.domain.profile import Identifier
from app.domain.segments.clock import Clock
from app.domain.segments.model import Definition
from app.services import budget
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.services.refusals import (
    SegmentTooBroadError,
    SegmentTooSlowError,
    TooManyHoldersError,
    UnavailableError,
    UnknownSegmentError,
)
from app.store import webhooks
from app.store.engine import Database
from app.store.profiles import look_up
from app.store.segments import run, saved
from app.store.segments.compile import TooBroadError
from app.store.segments.patterns import is_pattern
from app.store.tables import Segment

__all__ = ["PERMISSION", "Segment", "Segments", "Why"]

_T = TypeVar("_T")

PERMISSION: Final = "admin.segments"


@dataclass(frozen=True, slots=True)
class Why:
    """A person and a segment: whether they are in it, and each filter, in the order of the definition."""

    braze_id: str
    inside: bool
    #: (group or exclusion, its number, number of the filter in it, its field, whether it matches)
    filters: list[tuple[str, int, int, str, bool]]


class Segments:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        calls: StoreCalls,
        counting: StoreCalls,
        now_us: Callable[[], int],
        most: int,
    ) -> None:
        """`counting` has as long as a count may take; `most` segments may a workspace have."""
        self._database = database
        self._reader = reader
        self._calls = calls
        self._counting = counting
        self._now_us = now_us
        self._most = most

    async def add(self, caller: Caller, document: dict[str, Any]) -> Segment:
        """Keep a new segment. Raises RefusedError, UnavailableError."""
        return await self._calls.run(lambda: add(self._database, caller, document, self._now_us(), self._most))

    async def change(self, caller: Caller, segment_id: str, document: dict[str, Any]) -> Segment:
        """Change members of a segment. Raises RefusedError, UnknownSegmentError, UnavailableError."""
        return await self._calls.run(lambda: change(self._database, caller, segment_id, document, self._now_us()))

    async def remove(self, caller: Caller, segment_id: str) -> None:
        """Forget a segment with its sizes. Raises as `change`; refused while another segment has it as a filter, or a
        webhook is about it."""
        await self._calls.run(lambda: remove(self._database, caller, segment_id))

    async def listed(self, caller: Caller, listing: Listing) -> list[Segment]:
        """A page of segments. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller, listing))

    async def one(self, caller: Caller, segment_id: str) -> Segment:
        """Raises UnknownSegmentError, UnavailableError."""
        return await self._calls.run(lambda: one(self._database, caller, segment_id))

    async def series(self, caller: Caller, series: Series) -> list[tuple[int, int]]:
        """(day, size) of the days on which it was counted. Raises as `one`, and RefusedError where none is kept."""
        return await self._calls.run(lambda: sizes(self._database, caller, series, self._now_us()))

    @property
    def seconds(self) -> float:
        """How long a count for an answer may take."""
        return self._counting.seconds

    async def why(self, caller: Caller, segment_id: str, key: Identifier | None) -> tuple[list[Why], bool]:
        """Why whoever has the identifier is in the segment or not, and whether something is not applied yet.

        Raises as `counted`, and UnknownSegmentError, TooManyHoldersError.
        """
        stale = await self._reader.catch_up(caller.workspace_id)
        found = await self.counted(
            lambda: why(self._database, caller, segment_id, key, self._now_us(), seconds=self.seconds)
        )
        return found, stale

    async def counted(self, work: Callable[[], _T]) -> _T:
        """What a call of the store gives that looks at everybody, and may take as long as that does.

        Raises SegmentTooSlowError, SegmentTooBroadError, UnavailableError.
        """
        budget.extend(self._counting.seconds)
        try:
            return await self._counting.run(work)
        except TooBroadError:
            raise SegmentTooBroadError from None
        except UnavailableError as error:
            if isinstance(error.__cause__, TimeoutError):
                raise SegmentTooSlowError from error
            raise


def definition(connection: Connection, workspace_id: int, document: dict[str, Any]) -> Definition:
    """What a definition says, with the segments that it names. Raises RefusedError."""

    def find(segment_id: str) -> dict[str, Any] | None:
        segment = saved.fetch(connection, workspace_id, segment_id)
        return None if segment is None else segment.definition

    return read_definition(document, is_pattern, find)


def add(database: Database, caller: Caller, document: dict[str, Any], now_us: int, most: int) -> Segment:
    """As Segments.add."""
    values = requests.read_segment(document, new=True)
    wanted = requests.definition_of(document)
    with database.write() as connection:
        saved.lock(connection, caller.workspace_id)
        definition(connection, caller.workspace_id, wanted)
        if saved.count(connection, caller.workspace_id) >= most:
            raise RefusedError(400, requests.TOO_MANY)
        segment = Segment(
            workspace_id=caller.workspace_id,
            id=str(uuid.uuid4()),
            definition=wanted,
            created_us=now_us,
            updated_us=now_us,
            **values,
        )
        saved.add(connection, segment)
    return segment


def change(database: Database, caller: Caller, segment_id: str, document: dict[str, Any], now_us: int) -> Segment:
    """As Segments.change."""
    values = requests.read_segment(document, new=False)
    given = requests.definition_of(document)
    with database.write() as connection:
        saved.lock(connection, caller.workspace_id)
        before = segment_of(connection, caller, segment_id)
        if given:
            wanted = {**before.definition, **given}
            definition(connection, caller.workspace_id, wanted)
            if segments_named(wanted) and (
                segment_id in segments_named(wanted) or _users(connection, caller.workspace_id, segment_id)
            ):
                raise RefusedError(400, requests.IN_USE)
            values["definition"] = wanted
        saved.change(connection, caller.workspace_id, segment_id, {**values, "updated_us": now_us})
        return segment_of(connection, caller, segment_id)


def remove(database: Database, caller: Caller, segment_id: str) -> None:
    """As Segments.remove."""
    with database.write() as connection:
        saved.lock(connection, caller.workspace_id)
        segment_of(connection, caller, segment_id)
        if _users(connection, caller.workspace_id, segment_id):
            raise RefusedError(400, requests.IN_USE)
        if webhooks.has_segment(connection, caller.workspace_id, segment_id):
            raise RefusedError(400, requests.WATCHED)
        saved.remove(connection, caller.workspace_id, segment_id)


def listed(database: Database, caller: Caller, listing: Listing) -> list[Segment]:
    """As Segments.listed."""
    with database.read() as connection:
        skip = listing.page * requests.PAGE
        return saved.page(connection, caller.workspace_id, skip, requests.PAGE, newest=listing.newest)


def one(database: Database, caller: Caller, segment_id: str) -> Segment:
    """As Segments.one."""
    with database.read() as connection:
        return segment_of(connection, caller, segment_id)


def sizes(database: Database, caller: Caller, series: Series, now_us: int) -> list[tuple[int, int]]:
    """As Segments.series."""
    with database.read() as connection:
        if not segment_of(connection, caller, series.segment_id).tracked:
            raise RefusedError(400, requests.NOT_TRACKED)
        zone = run.zone_of(connection, caller.workspace_id)
        ending = Clock(now_us, zone).local(now_us if series.ending_us is None else series.ending_us)
        last = ending.toordinal() - _EPOCH
        return saved.sizes(connection, caller.workspace_id, series.segment_id, last - series.length + 1, last)


#: Ordinal of 1970-01-01.
_EPOCH: Final = 719_163


def why(
    database: Database,
    caller: Caller,
    segment_id: str,
    key: Identifier | None,
    now_us: int,
    *,
    seconds: float | None = None,
) -> list[Why]:
    """As Segments.why. Raises UnknownSegmentError, TooManyHoldersError, TooBroadError."""
    with database.read(seconds=seconds) as connection:
        segment = segment_of(connection, caller, segment_id)
        wanted = definition(connection, caller.workspace_id, segment.definition)
        if key is None:
            return []
        index = look_up.find(connection, caller.workspace_id, with_former(key), MAX_HOLDERS + 1)
        pids = {pid for pids in index.values() for pid in pids}
        if len(pids) > MAX_HOLDERS:
            raise TooManyHoldersError
        people = look_up.fetch(connection, caller.workspace_id, dict.fromkeys(pids, 0))
        inside = run.matches(connection, caller.workspace_id, sorted(pids), wanted, now_us)
        places = [
            (kind, n, position, each.field)
            for kind, groups in (("groups", wanted.groups), ("exclude", wanted.exclude))
            for n, group in enumerate(groups)
            for position, each in enumerate(group.filters)
        ]
        filters = list(wanted.filters())
        found = []
        for person in sorted(people, key=lambda one: one.pid):
            results = run.reasons(connection, caller.workspace_id, person.pid, filters, now_us) or []
            lines = [(*place, result) for place, result in zip(places, results, strict=True)]
            found.append(Why(person.braze_id, person.pid in inside, lines))
        return found


def kept(connection: Connection, caller: Caller, segment_id: str) -> Definition:
    """What a segment that is kept says. Raises UnknownSegmentError."""
    return definition(connection, caller.workspace_id, segment_of(connection, caller, segment_id).definition)


def segment_of(connection: Connection, caller: Caller, segment_id: str) -> Segment:
    """One segment. Raises UnknownSegmentError."""
    segment = None if "\0" in segment_id else saved.fetch(connection, caller.workspace_id, segment_id)
    if segment is None:
        raise UnknownSegmentError
    return segment


def _users(connection: Connection, workspace_id: int, segment_id: str) -> bool:
    """Whether another segment has this one as a filter."""
    listed_ = saved.page(connection, workspace_id, 0, _ALL)
    return any(segment_id in segments_named(each.definition) for each in listed_ if each.id != segment_id)


_ALL: Final = 1_000_000
