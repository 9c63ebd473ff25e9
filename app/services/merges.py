"""Merges before, during and after: previews, the list, histories, and undoing. No other writer than the inbox."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from app.contract import merge_records, merge_request
from app.contract.checked import commands_checked
from app.contract.cursor import Cursors, Page
from app.contract.merge_records import MAX_HOLDERS
from app.domain.address_book import TooFewLoadedError
from app.domain.apply import reduce
from app.domain.commands import STREAM_NORMAL, Command, Merge, Request, UndoMerge
from app.domain.history import DELETED, Happening, Origin
from app.domain.identifiers import with_former
from app.domain.ids import erased_id, place_of
from app.domain.merging.plan import MergeRecord
from app.domain.merging.undo import UndoPlan, plan_undo
from app.domain.profile import BRAZE, Identifier, Problem
from app.domain.reasons import MERGE_NOT_FOUND
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader, Seen
from app.services.refusals import NotUndoneError, ProfilesTooLargeError, TooManyHoldersError, UnknownProfileError
from app.services.synchronous import Synchronous
from app.store import lane
from app.store import merges as store
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import IdempotencyKey
from app.store.profiles import crowds, look_up
from app.store.profiles.load import Loader, TooMuchError

#: What a profile is of which there is a history; DELETED is the third.
ACTIVE: Final = "active"
MERGED: Final = "merged"

#: Bytes of profiles that one preview may load.
PREVIEW_BYTES: Final = 24_000_000


@dataclass(frozen=True, slots=True)
class Preview:
    """Merges that would be performed, and those that would have no effect."""

    records: list[MergeRecord]
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class History:
    """What happened to a profile, oldest line first."""

    braze_id: str
    #: ACTIVE, MERGED or DELETED.
    status: str
    #: Who made it, for a history that does not tell.
    created: Origin | None
    lines: list[Happening]
    #: The profile that has everything now.
    merged_into: str | None = None
    #: Leads to the lines behind them.
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Merges, newest first."""

    records: list[MergeRecord]
    #: Leads to the merges behind them.
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Undone:
    """A merge that was taken back."""

    request_id: str
    record: MergeRecord
    now_us: int


class Merges:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        synchronous: Synchronous,
        calls: StoreCalls,
        now_us: Callable[[], int],
    ) -> None:
        self._database = database
        self._reader = reader
        self._synchronous = synchronous
        self._calls = calls
        self._now_us = now_us

    async def preview(self, caller: Caller, commands: list[Merge]) -> Seen[Preview]:
        """What a request with these merges would do if it were the next one. Raises UnavailableError."""
        return await self._reader.read(caller, lambda: self._preview(caller, commands))

    async def preview_pair(self, caller: Caller, merged_braze_id: str, kept_braze_id: str) -> Seen[Preview]:
        """As `preview`, of one merge by braze_ids."""
        return await self.preview(caller, merge_request.pair(merged_braze_id, kept_braze_id))

    async def merge(self, caller: Caller, merged_braze_id: str, kept_braze_id: str) -> str:
        """Merge a profile into another one. Returns why that had no effect, or not its full effect; "" = it had.

        Raises as Synchronous.apply.
        """
        checked = commands_checked(merge_request.pair(merged_braze_id, kept_braze_id))
        outcome = await self._synchronous.apply(caller, checked)
        return outcome.problems[0][3] if outcome.problems else ""

    async def listed(self, caller: Caller, key: Identifier | None, page: Page) -> Seen[Listed]:
        """Merges of whoever has the identifier, and of all that was merged into it, newest first.

        None is an identifier that nobody can have. Raises TooManyHoldersError, RefusedError for a wrong cursor,
        UnavailableError.
        """
        return await self._reader.read(caller, lambda: listed(self._database, caller, key, page))

    async def history(self, caller: Caller, braze_id: str, page: Page) -> Seen[History]:
        """What happened to a profile. Raises UnknownProfileError, RefusedError for a wrong cursor, UnavailableError."""
        return await self._reader.read(caller, lambda: self._history(caller, braze_id, page))

    async def undo(self, caller: Caller, merge_id: str, key: IdempotencyKey | None = None) -> Undone:
        """Take a merge back. A repeat gets the result of the first request.

        Raises NotUndoneError; else as Synchronous.apply.
        """
        if not merge_records.is_id(merge_id):
            raise NotUndoneError(MERGE_NOT_FOUND)
        outcome = await self._synchronous.apply(caller, merge_records.undo(merge_id), key)
        if outcome.problems:
            raise NotUndoneError(outcome.problems[0][3], outcome.request_id)
        record = await self._calls.run(lambda: self._record(caller, merge_id))
        if record is None:  # deleted in between
            raise NotUndoneError(MERGE_NOT_FOUND, outcome.request_id)
        return Undone(outcome.request_id, record, self._now_us())

    async def undo_preview(self, caller: Caller, merge_id: str) -> Seen[UndoPlan]:
        """What taking a merge back would do if it were the next request. Raises NotUndoneError, UnavailableError."""
        return await self._reader.read(caller, lambda: undo_preview(self._database, caller, merge_id, self._now_us()))

    def _preview(self, caller: Caller, commands: list[Merge]) -> Preview:
        with self._database.read(self._database.inbox) as connection:
            head = inbox.head(connection, caller.workspace_id, STREAM_NORMAL)
        with self._database.read() as connection:
            found = lane.read(connection, caller.workspace_id)
            settings = ApplySettings() if found is None else found.settings
            state = self._reduced(connection, caller, [*commands], settings, head + 1)
        records = sorted(
            (record for record in state.records.values() if record is not None),
            key=lambda record: record.origin.ordinal,
        )
        return Preview(records, state.changes.problems)

    def _reduced(
        self, connection: Connection, caller: Caller, commands: list[Command], settings: ApplySettings, seq: int
    ) -> State:
        """The reducer's own work on a copy that is thrown away, so a preview cannot differ from the merge."""
        limits, loader = crowds.Limits(), Loader(connection, caller.workspace_id, crowds.Crowds(), PREVIEW_BYTES)
        while True:
            state = _loaded(loader, commands, settings, limits)
            request = Request(STREAM_NORMAL, seq, self._now_us(), commands, caller.key_name)
            try:
                reduce([request], state, caller.workspace_id, caller.workspace_secret)
            except TooFewLoadedError:
                limits = limits.more()
            else:
                return state

    def _record(self, caller: Caller, merge_id: str) -> MergeRecord | None:
        with self._database.read() as connection:
            return store.fetch(connection, caller.workspace_id, [merge_id])[merge_id]

    def _history(self, caller: Caller, braze_id: str, page: Page) -> History:
        workspace_id = caller.workspace_id
        cursors, question = Cursors(workspace_id, caller.workspace_secret), ("history", braze_id)
        behind = page.behind(cursors, question)
        erased = erased_id(caller.workspace_secret, workspace_id, braze_id)
        with self._database.read() as connection:
            pids = look_up.find(connection, workspace_id, {(BRAZE, "", braze_id)})[BRAZE, "", braze_id]
            living = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, 0))
            record = None if living else store.merged_away(connection, workspace_id, braze_id)
            deletion = store.deletion(connection, workspace_id, erased)
            pid = living[0].pid if living else record.merged_pid if record is not None else None
            lines = [] if pid is None else store.history(connection, workspace_id, pid, page.limit + 1, behind)
        following = None
        if len(lines) > page.limit:
            lines = lines[: page.limit]
            last = lines[-1]
            following = cursors.make(question, [last.origin.us, last.origin.ordinal, last.what])
        if living:
            created = None if behind else _created(living[0].pid, living[0].created_us)
            return History(braze_id, ACTIVE, created, lines, next_cursor=following)
        if record is not None:
            created = None if behind else _created(record.merged_pid, record.merged_created_us)
            return History(braze_id, MERGED, created, lines, record.kept_braze_id, following)
        if deletion is not None:
            return History(braze_id, DELETED, None, [Happening(DELETED, deletion)])
        raise UnknownProfileError((BRAZE, "", braze_id))


def listed(database: Database, caller: Caller, key: Identifier | None, page: Page) -> Listed:
    """As Merges.listed, of what is applied."""
    cursors, question = Cursors(caller.workspace_id, caller.workspace_secret), ("merges", *(key or ()))
    behind = page.behind(cursors, question)
    if key is None:
        return Listed([])
    with database.read() as connection:
        pids = _holders(connection, caller.workspace_id, key)
        records, more = store.listed(connection, caller.workspace_id, pids, page.limit, skip=page.skip, behind=behind)
    return Listed(records, cursors.make(question, store.place(records[-1])) if more else None)


def undo_preview(database: Database, caller: Caller, merge_id: str, now_us: int) -> UndoPlan:
    """As Merges.undo_preview, of what is applied."""
    if not merge_records.is_id(merge_id):
        raise NotUndoneError(MERGE_NOT_FOUND)
    with database.read() as connection:
        found = lane.read(connection, caller.workspace_id)
        settings = ApplySettings() if found is None else found.settings
        loader = Loader(connection, caller.workspace_id, crowds.Crowds(), PREVIEW_BYTES)
        state = _loaded(loader, [UndoMerge(0, merge_id)], settings, crowds.Limits())
    state.now_us = now_us
    plan = plan_undo(state, merge_id, now_us)
    if isinstance(plan, str):
        raise NotUndoneError(plan)
    return plan


def _holders(connection: Connection, workspace_id: int, key: Identifier) -> set[int]:
    """Who has the identifier, or had the braze_id before a merge. Raises TooManyHoldersError for a crowd."""
    keys = with_former(key)
    index = look_up.find(connection, workspace_id, keys, MAX_HOLDERS + 1)
    holders = {pid for pids in index.values() for pid in pids}
    if len(holders) > MAX_HOLDERS:
        raise TooManyHoldersError
    if not holders and key[0] == BRAZE:
        record = store.merged_away(connection, workspace_id, key[2])
        holders = set() if record is None else {record.merged_pid}
    return holders


def _created(pid: int, created_us: int) -> Origin:
    """Of a profile whose history does not tell it: its number is the place of the request that made it."""
    return Origin(*place_of(pid), created_us)


def _loaded(loader: Loader, commands: list[Command], settings: ApplySettings, limits: crowds.Limits) -> State:
    try:
        return loader.load(commands, settings, limits)
    except TooMuchError:
        if len(commands) > 1:
            raise ProfilesTooLargeError from None
        return loader.load_alone(commands[0], settings, limits)
