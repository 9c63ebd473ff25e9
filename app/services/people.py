"""People for operators: who there is, everything about one of them, and what somebody did, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from app.contract.cursor import Cursors, Page, Position
from app.contract.exported import View
from app.contract.people import Query
from app.domain.identifiers import device_key, identifiers_of
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
    BRAZE,
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    CORE,
    DEPRECATED,
    DEVICE,
    EMAIL,
    EVENTS,
    EXTERNAL,
    PHONE,
    PURCHASES,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.services import segments
from app.services.caller import Caller
from app.services.exporting import views_of
from app.services.reading import Reader, Seen
from app.services.refusals import UnknownProfileError
from app.services.segments import Segments
from app.store.engine import Database
from app.store.profiles import holders, look_up, search, timeline
from app.store.profiles.search import Range
from app.store.profiles.timeline import Happened
from app.store.segments import run

#: Subscription groups of an address that are shown.
MAX_CONSENTS: Final = 1_000

# Where a page of a search ends: among identifiers, or among names.
_IDENTIFIERS: Final = "identifiers"
_NAMES: Final = "names"


@dataclass(frozen=True, slots=True)
class Found:
    """A page of people, with the section `core`."""

    profiles: list[Profile]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of what somebody did, the last first."""

    braze_id: str
    happened: list[Happened]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Everything about somebody."""

    view: View
    consents: list[tuple[Address, AddressState]]
    #: Stored bytes.
    size: int
    timeline: Timeline


class People:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, segments: Segments) -> None:
        self._database = database
        self._reader = reader
        self._segments = segments

    async def find(self, caller: Caller, query: Query) -> Seen[Found]:
        """A page of people. Raises RefusedError for a wrong cursor, UnavailableError.

        With a segment it takes as long as counting it may, and raises UnknownSegmentError, SegmentTooSlowError,
        SegmentTooBroadError.
        """
        if query.segment:
            stale = await self._reader.catch_up(caller.workspace_id)
            now_us = self._reader.now_us()
            seconds = self._segments.seconds
            found = await self._segments.counted(lambda: members(self._database, caller, query, now_us, seconds))
            return Seen(found, stale, now_us)
        return await self._reader.read(caller, lambda: find(self._database, caller, query))

    async def show(self, caller: Caller, braze_id: str, page: Page) -> Seen[Person]:
        """Everything about somebody, with a page of the timeline.

        Raises UnknownProfileError, RefusedError for a wrong cursor, UnavailableError.
        """
        now_us = self._reader.now_us
        return await self._reader.read(caller, lambda: show(self._database, caller, braze_id, page, now_us()))

    async def of_device(self, caller: Caller, app_id: str, device_id: str, page: Page) -> Seen[Person]:
        """As `show`, for whoever uses a device of an app."""
        key = device_key(app_id, device_id)
        now_us = self._reader.now_us
        return await self._reader.read(caller, lambda: _person(self._database, caller, key, page, now_us()))

    async def timeline(self, caller: Caller, braze_id: str, page: Page) -> Seen[Timeline]:
        """What somebody did. Raises as `show`."""
        now_us = self._reader.now_us
        return await self._reader.read(caller, lambda: events_of(self._database, caller, braze_id, page, now_us()))


def find(database: Database, caller: Caller, query: Query) -> Found:
    """As People.find, of what is applied."""
    cursors = Cursors(caller.workspace_id, caller.workspace_secret)
    behind = query.page.behind(cursors, query.question)
    with database.read() as connection:
        if query.search:
            pids, last = _search(connection, caller.workspace_id, query, behind)
        else:
            below = search.TOP if behind is None else int(behind[0])
            limit = query.page.limit
            pids = search.newest(connection, caller.workspace_id, below, limit + 1, query.flag)
            last = [pids[limit - 1]] if len(pids) > limit else None
            pids = pids[:limit]
        profiles = _in_order(connection, caller.workspace_id, pids)
    return Found(profiles, None if last is None else cursors.make(query.question, last))


def members(database: Database, caller: Caller, query: Query, now_us: int, seconds: float | None = None) -> Found:
    """A page of those in a segment, those who were made first in front. Raises UnknownSegmentError, TooBroadError."""
    cursors = Cursors(caller.workspace_id, caller.workspace_secret)
    behind = query.page.behind(cursors, query.question)
    after, limit = None if behind is None else int(behind[0]), query.page.limit
    with database.read(seconds=seconds) as connection:
        wanted = segments.kept(connection, caller, query.segment)
        found = run.members(connection, caller.workspace_id, wanted, now_us, after, limit + 1)
        profiles = _in_order(connection, caller.workspace_id, [member.pid for member in found[:limit]])
    return Found(profiles, cursors.make(query.question, [found[limit - 1].pid]) if len(found) > limit else None)


def _in_order(connection: Connection, workspace_id: int, pids: Sequence[int]) -> list[Profile]:
    found = {one.pid: one for one in look_up.fetch(connection, workspace_id, dict.fromkeys(pids, CORE))}
    return [found[pid] for pid in pids if pid in found]


def _search(
    connection: Connection, workspace_id: int, query: Query, behind: Position | None
) -> tuple[list[int], Position | None]:
    """(numbers of a page, where it ends; None = there is no other). By identifier first, and then by name.

    Who is found in several ways is given at the first of them.
    """
    if "\0" in query.search:  # no stored text has one
        return [], None
    ranges = _ranges(query)
    labels = search.labels(connection, workspace_id)
    limit = query.page.limit
    pids: list[int] = []
    below = search.TOP
    if behind is None or behind[0] == _IDENTIFIERS:
        after = None if behind is None else (int(behind[1]), str(behind[2]), str(behind[3]), int(behind[4]))
        entries = search.identified(connection, workspace_id, ranges, labels, after, limit)
        profiles = {one.pid: one for one in _in_order(connection, workspace_id, list({pid for *_, pid in entries}))}
        pids = [pid for *key, pid in entries if pid in profiles and _first(profiles[pid], ranges, labels) == tuple(key)]
        if len(entries) == limit:
            return pids, [_IDENTIFIERS, *entries[-1]]
    else:
        below = int(behind[1])
    named, end = search.named(connection, workspace_id, query.search, below, limit - len(pids))
    profiles = {one.pid: one for one in _in_order(connection, workspace_id, named)}
    pids += [pid for pid in named if pid in profiles and _first(profiles[pid], ranges, labels) is None]
    return pids, None if end is None else [_NAMES, end]


def _ranges(query: Query) -> list[Range]:
    ranges = [
        Range(EXTERNAL, query.search),
        Range(DEPRECATED, query.search),
        Range(ALIAS, query.search, begins=True),
        Range(BRAZE, query.search),
    ]
    email = query.search.strip().lower()
    if email:
        ranges.append(Range(EMAIL, email, begins=True))
    if query.phone is not None:
        ranges.append(Range(PHONE, query.phone))
    return ranges


def _first(profile: Profile, ranges: Sequence[Range], labels: Sequence[str]) -> Identifier | None:
    """The first identifier of a profile by which it is found; None when it is not found by any."""
    keys = {key for key in identifiers_of(profile) if key[0] != ALIAS or key[1] in labels}
    keys.add((BRAZE, "", profile.braze_id))
    return min((key for key in keys if any(one.covers(key) for one in ranges)), default=None)


def show(database: Database, caller: Caller, braze_id: str, page: Page, now_us: int) -> Person:
    """As People.show, of what is applied."""
    return _person(database, caller, (BRAZE, "", braze_id), page, now_us)


def _person(database: Database, caller: Caller, key: Identifier, page: Page, now_us: int) -> Person:
    workspace_id = caller.workspace_id
    with database.read() as connection:
        profile = _profile(connection, workspace_id, key, 0)
        found = look_up.fetch(connection, workspace_id, {profile.pid: ALL_SECTIONS})
        (view,) = views_of(connection, workspace_id, [profile.pid], found, now_us)
        consents: list[tuple[Address, AddressState]] = []
        for channel, name in ((CHANNEL_EMAIL, "email"), (CHANNEL_PHONE, "phone")):
            if isinstance(address := view.core.get(name), str):
                consents += look_up.fetch_consents(connection, workspace_id, channel, address, MAX_CONSENTS)
        size = holders.sizes(connection, workspace_id, [profile.pid])[profile.pid]
        return Person(view, consents, size, _timeline(connection, caller, view.profile, page, now_us))


def events_of(database: Database, caller: Caller, braze_id: str, page: Page, now_us: int) -> Timeline:
    """As People.timeline, of what is applied."""
    with database.read() as connection:
        profile = _profile(connection, caller.workspace_id, (BRAZE, "", braze_id), EVENTS | PURCHASES)
        return _timeline(connection, caller, profile, page, now_us)


def _profile(connection: Connection, workspace_id: int, key: Identifier, sections: int) -> Profile:
    pids = look_up.find(connection, workspace_id, {key})[key]
    for profile in look_up.fetch(connection, workspace_id, dict.fromkeys(pids, sections)):
        return profile
    raise UnknownProfileError(None if key[0] == DEVICE else key)


def _timeline(connection: Connection, caller: Caller, profile: Profile, page: Page, now_us: int) -> Timeline:
    cursors, question = Cursors(caller.workspace_id, caller.workspace_secret), ("timeline", profile.braze_id)
    place = page.behind(cursors, question)
    behind = None if place is None else (int(place[0]), int(place[1]), int(place[2]), int(place[3]))
    happened = timeline.page(connection, caller.workspace_id, profile, now_us, behind, page.limit + 1)
    following = None
    if len(happened) > page.limit:
        happened = happened[: page.limit]
        following = cursors.make(question, [*happened[-1].place])
    return Timeline(profile.braze_id, happened, following)
