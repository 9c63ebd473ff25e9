"""POST /users/export/ids: who is meant, and their profiles as JSON, of which only a part is in memory at a time.

An answer up to a size is read in one transaction. What comes after it is read portion by portion, while the client
takes what came before, so it shows each profile as it is then.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from app.contract import export, exported
from app.contract.cursor import Cursors, Position
from app.contract.export import MAX_HOLDERS, ExportRequest, Selector
from app.contract.exported import View
from app.domain.identifiers import device_key, with_former
from app.domain.profile import CHANNEL_EMAIL, DEVICE, Address, Identifier, Profile
from app.services import budget
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.services.turns import Turns
from app.store import apps
from app.store.engine import Database
from app.store.interruption import check
from app.store.profiles import holders, look_up

#: Profiles that are read at once, in stored bytes; one that is larger is read alone.
PORTION_BYTES: Final = 1024 * 1024
#: Above this in stored bytes, profiles of a workspace are decoded and encoded one after another: while it is done they
#: take some seven times as much memory, and several threads would not do it faster.
LARGE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Exported:
    """The JSON answer: all of it in `body`, or its beginning, and then the rest."""

    body: bytes
    rest: AsyncIterator[bytes] | None
    #: Some of what was accepted before is not in it yet.
    stale: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """Who is meant, in the order of the answer; what nobody has; where the next page begins."""

    pids: list[int]
    unknown: list[Selector]
    last: Position | None


@dataclass(frozen=True, slots=True)
class _Begun:
    found: _Found
    users: list[bytes]
    #: What did not fit.
    portions: list[list[int]]


class Exporter:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        calls: StoreCalls,
        now_us: Callable[[], int],
        whole_bytes: int,
        answer_seconds: float,
    ) -> None:
        """An answer of more than `whole_bytes` comes in parts, each of which is read within `answer_seconds`."""
        self._database = database
        self._reader = reader
        self._calls = calls
        self._now_us = now_us
        self._whole_bytes = whole_bytes
        self._answer_seconds = answer_seconds
        self._turns = Turns()

    async def export(self, caller: Caller, wanted: ExportRequest) -> Exported:
        """Profiles by identifier. Raises RefusedError for a wrong cursor, UnavailableError; so may the rest."""
        cursors = Cursors(caller.workspace_id, caller.workspace_secret)
        behind = wanted.behind(cursors)
        stale = await self._reader.catch_up(caller.workspace_id)
        begun = await self._calls.run(lambda: self._begin(caller.workspace_id, wanted, behind))
        last, crowd = begun.found.last, wanted.crowd
        following = None if last is None or crowd is None else cursors.make(export.question(crowd), last)
        ending = export.ending(begun.found.unknown, wanted.errors, following)
        beginning = export.BEGINNING + b",".join(begun.users)
        if not begun.portions:
            return Exported(beginning + ending, None, stale)
        return Exported(beginning, self._rest(caller.workspace_id, wanted, begun.portions, ending), stale)

    async def _rest(
        self, workspace_id: int, wanted: ExportRequest, portions: list[list[int]], ending: bytes
    ) -> AsyncIterator[bytes]:
        for portion in portions:
            with budget.answering(self._answer_seconds):
                budget.charge(workspace_id)
                users = await self._calls.run(partial(self._portion, workspace_id, portion, wanted.fields))
            if users:  # else all of them were merged or deleted meanwhile
                yield b"," + b",".join(users)
        yield ending

    def _begin(self, workspace_id: int, wanted: ExportRequest, behind: Position | None) -> _Begun:
        with self._database.read() as connection:
            found = _find(connection, workspace_id, wanted, behind)
            portions = _portions(connection, workspace_id, found.pids)
            users: list[bytes] = []
            size = 0
            while portions and size <= self._whole_bytes:
                check()
                read = self._read(connection, workspace_id, portions.pop(0), wanted.fields)
                users += read
                size += sum(map(len, read))
            return _Begun(found, users, portions)

    def _portion(self, workspace_id: int, pids: list[int], fields: frozenset[str] | None) -> list[bytes]:
        with self._database.read() as connection:
            return self._read(connection, workspace_id, pids, fields)

    def _read(
        self, connection: Connection, workspace_id: int, pids: list[int], fields: frozenset[str] | None
    ) -> list[bytes]:
        sections = dict.fromkeys(pids, exported.sections_of(fields))
        rows = look_up.stored(connection, workspace_id, sections)
        large = look_up.size_of(rows) > LARGE_BYTES
        with self._turns.turn(workspace_id) if large else nullcontext():
            views = views_of(connection, workspace_id, pids, look_up.decoded(rows, sections), self._now_us())
            return [exported.encoded(view, fields) for view in views]


def views_of(
    connection: Connection, workspace_id: int, pids: list[int], found: Iterable[Profile], now_us: int
) -> list[View]:
    """The profiles in the order of their numbers, with the consent of their addresses; who is gone is left out."""
    profiles = {profile.pid: profile for profile in found}
    emails: dict[int, Address] = {}
    for pid, profile in profiles.items():
        email = (profile.core or {}).get("email")
        if isinstance(email, str):
            emails[pid] = (CHANNEL_EMAIL, email, "")
    states = look_up.fetch_addresses(connection, workspace_id, {address[:2] for address in emails.values()})
    return [
        View(profiles[pid], states[emails[pid]] if pid in emails else None, now_us) for pid in pids if pid in profiles
    ]


def _find(connection: Connection, workspace_id: int, wanted: ExportRequest, behind: Position | None) -> _Found:
    """Those whom the other selectors name come first, and those who have the address behind them, a page at a time."""
    crowd = wanted.crowd
    keys = {key for selector in wanted.selectors if selector.key is not None for key in with_former(selector.key)}
    keys = _with_devices(connection, workspace_id, keys)
    index = look_up.find(connection, workspace_id, keys - {crowd})
    named: dict[int, None] = {}
    unknown: list[Selector] = []
    for selector in wanted.selectors:
        if selector.key == crowd and crowd is not None:
            continue
        pids = _holders(index, selector.key)
        named |= dict.fromkeys(pids)
        if not pids:
            unknown.append(selector)
    if crowd is None:
        return _Found(list(named), unknown, None)
    members = holders.newest(connection, workspace_id, crowd, behind, MAX_HOLDERS + 1)
    page, more = members[:MAX_HOLDERS], len(members) > MAX_HOLDERS
    last: Position | None = [*page[-1][1]] if more else None
    if behind is not None:  # the others were on the first page
        return _Found([pid for pid, _ in page if pid not in named], [], last)
    if not members:
        unknown += [selector for selector in wanted.selectors if selector.key == crowd]
    return _Found(list(named | dict.fromkeys(pid for pid, _ in page)), unknown, last)


def _with_devices(connection: Connection, workspace_id: int, keys: set[Identifier]) -> set[Identifier]:
    """A device is one of an app, and clients ask for it by its id alone: it may be a device of any of the apps."""
    wanted = {key for key in keys if key[0] == DEVICE}
    if not wanted:
        return keys
    found = apps.ids(connection, workspace_id)
    return keys | {device_key(app_id, value) for _, _, value in wanted for app_id in found}


def _holders(index: dict[Identifier, set[int]], key: Identifier | None) -> Iterable[int]:
    if key is None:
        return []
    if key[0] == DEVICE:
        return sorted({pid for each, pids in index.items() if each[0] == DEVICE and each[2] == key[2] for pid in pids})
    return sorted(next((index[each] for each in with_former(key) if index[each]), ()))


def _portions(connection: Connection, workspace_id: int, pids: Sequence[int]) -> list[list[int]]:
    """The profiles in their order, in portions that are small enough to be read at once."""
    if len(pids) < 2:
        return [list(pids)] if pids else []
    size_of = holders.sizes(connection, workspace_id, pids)
    portions: list[list[int]] = []
    left = 0
    for pid in pids:
        left -= size_of[pid]
        if left < 0 or not portions:
            portions.append([])
            left = PORTION_BYTES - size_of[pid]
        portions[-1].append(pid)
    return portions
