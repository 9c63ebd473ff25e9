"""The log of requests: who asked for what, what came of it, and what was refused and why."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from app.contract.cursor import Cursors, Page, Position
from app.contract.request_log import Filter
from app.domain.commands import STREAMS
from app.services import request_search
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.request_search import Entry, Piece, is_wanted
from app.store import refused
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.refused import Refused

#: What one answer works for, and one call of the store: its thread is free for others in between.
SEARCH_SECONDS: Final = 0.8
PIECE_SECONDS: Final = 0.1
PAUSE_SECONDS: Final = 0.01
#: Refused requests that are read at once, and kinds of errors that are told of.
ROWS_AT_ONCE: Final = 1_000
MOST_GROUPS: Final = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """Since when requests are kept, in microseconds: of each stream, and refused ones. None = there are none."""

    streams: tuple[int | None, ...]
    refused: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the log."""

    entries: list[Entry]
    #: Where the next page begins; "" = there is none. There may be one behind an empty page: the search took long.
    cursor: str
    #: Everything later than this moment was looked at.
    back_to_us: int
    kept: Kept


@dataclass(slots=True)
class ErrorGroup:
    """Refused requests with the same error at the same endpoint. One with two errors is in two groups."""

    endpoint: str
    status: int
    type: str
    code: str
    first_us: int
    last_us: int
    count: int = 0


class RequestLog:
    """One per API process."""

    def __init__(self, database: Database, calls: StoreCalls) -> None:
        """`calls` are of the log alone: a search must not hold up others."""
        self._database = database
        self._calls = calls

    async def find(self, caller: Caller, wanted: Filter, page: Page) -> Found:
        """Requests that a filter selects, the latest one first. Raises RefusedError(400) and UnavailableError."""
        cursors = Cursors(caller.workspace_id, caller.workspace_secret)
        position = page.behind(cursors, wanted.question)
        if position is None:
            position = await self._calls.run(partial(request_search.start, self._database, caller, wanted))
        kept = await self._calls.run(partial(kept_since, self._database, caller))
        entries: list[Entry] = []
        place: Position | None = position
        back_to_us, ends = wanted.to_us, time.monotonic() + SEARCH_SECONDS
        while place is not None and len(entries) < page.limit and time.monotonic() < ends:
            piece = await self._calls.run(partial(self._look, caller, wanted, place, page.limit - len(entries)))
            entries += piece.entries
            place, back_to_us = piece.position, piece.back_to_us
            if place is not None and len(entries) < page.limit:
                await asyncio.sleep(PAUSE_SECONDS)
        cursor = "" if place is None else cursors.make(wanted.question, place)
        return Found(entries, cursor, back_to_us, kept)

    async def errors(self, caller: Caller, wanted: Filter) -> tuple[list[ErrorGroup], Kept]:
        """Refused requests by endpoint, status and error, the most frequent first; and how far back they go.

        Raises UnavailableError.
        """
        kept = await self._calls.run(partial(kept_since, self._database, caller))
        return await self._calls.run(partial(error_groups, self._database, caller, wanted)), kept

    def _look(self, caller: Caller, wanted: Filter, position: Position, limit: int) -> Piece:
        return request_search.look(self._database, caller, wanted, position, limit, PIECE_SECONDS)


def kept_since(database: Database, caller: Caller) -> Kept:
    """How far back the log goes."""
    workspace_id = caller.workspace_id
    with database.read(database.inbox) as connection:
        numbers = [inbox.oldest(connection, workspace_id, stream) for stream in STREAMS]
        streams = [
            inbox.accepted_us(connection, workspace_id, stream, seq)
            for stream, seq in zip(STREAMS, numbers, strict=True)
        ]
    with database.read() as connection:
        return Kept(tuple(streams), refused.oldest(connection, workspace_id))


def error_groups(database: Database, caller: Caller, wanted: Filter) -> list[ErrorGroup]:
    """As RequestLog.errors. All rows of a workspace are read: the setting `refused_requests` bounds them."""
    groups: dict[tuple[str, int, str, str], ErrorGroup] = {}
    before = (wanted.to_us, -1)
    while True:
        with database.read() as connection:
            rows = refused.read_back(connection, caller.workspace_id, before, wanted.from_us, ROWS_AT_ONCE)
        _group(groups, (row for row in rows if is_wanted(row, wanted)))
        if len(rows) < ROWS_AT_ONCE:
            break
        before = (rows[-1].us, rows[-1].n)
    return sorted(groups.values(), key=lambda group: (-group.count, -group.last_us, group.type))[:MOST_GROUPS]


def _group(groups: dict[tuple[str, int, str, str], ErrorGroup], rows: Iterable[Refused]) -> None:
    """Count rows, the latest ones first."""
    for row in rows:
        for type_, code in dict.fromkeys((type_, code) for type_, _, _, code in row.errors):
            key = (row.endpoint, row.status, type_, code)
            group = groups.setdefault(key, ErrorGroup(*key, row.us, row.us))
            group.first_us = min(group.first_us, row.us)
            group.last_us = max(group.last_us, row.us)
            group.count += row.count
