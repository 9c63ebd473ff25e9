"""Answers about what was accepted and what came of it: exports and the status of requests.

A read waits until the cursor has passed what was accepted before it, so that a client sees its own writes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from app.contract.export import Selector, View
from app.domain.commands import STREAM_NORMAL, STREAMS
from app.domain.identifiers import with_former
from app.domain.profile import ALL_SECTIONS, CHANNEL_EMAIL, Address, Identifier
from app.services import budget, requests
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnknownRequestError
from app.services.requests import RequestStatus
from app.services.waiting import Waiting
from app.store.engine import Database
from app.store.profiles import look_up

MAX_WAIT_SECONDS: Final = 30.0
#: What is kept of a request's budget for reading once the wait is over.
READ_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Exported:
    """Profiles in the order of the request, and what nobody has."""

    views: list[View]
    unknown: list[str]
    #: Some of what was accepted before is not in them yet.
    stale: bool


class Reader:
    """Reads for the API, in threads: the store's calls block."""

    def __init__(
        self,
        database: Database,
        waiting: Waiting,
        calls: StoreCalls,
        now_us: Callable[[], int],
        wait_seconds: float,
    ) -> None:
        """`wait_seconds` bounds the wait for queued writes."""
        self._database = database
        self._waiting = waiting
        self._calls = calls
        self._now_us = now_us
        self._wait_seconds = wait_seconds

    async def export(self, caller: Caller, selectors: Sequence[Selector]) -> Exported:
        """Profiles by identifier. Raises UnavailableError."""
        stale = await self.catch_up(caller.workspace_id)
        views, unknown = await self._calls.run(lambda: self._export(caller.workspace_id, selectors))
        return Exported(views, unknown, stale)

    async def request_status(self, caller: Caller, identifier: str, wait: float) -> RequestStatus:
        """Where a request stands, after at most `wait` seconds, in which it may be applied.

        Raises UnknownRequestError for an id that this workspace was never given, UnavailableError.
        """
        stream, seq = requests.place_of(caller, identifier)
        progress = await self._waiting.progress(caller.workspace_id)
        if stream not in STREAMS or not 0 < seq <= progress.heads[stream]:
            raise UnknownRequestError
        wait = min(wait, MAX_WAIT_SECONDS)
        budget.extend(wait)
        await self._waiting.until(caller.workspace_id, {stream: seq}, wait, progress)
        return await self._calls.run(partial(requests.status, self._database, caller, stream, seq))

    async def catch_up(self, workspace_id: int) -> bool:
        """Wait for everything accepted so far. True when some of it is still not applied.

        A backfill on the bulk stream may take hours: nobody waits for it, but the answer says that it is not done.
        """
        progress = await self._waiting.progress(workspace_id)
        heads = progress.heads
        wanted = {STREAM_NORMAL: heads[STREAM_NORMAL]}
        seconds = min(self._wait_seconds, budget.left(math.inf) - READ_SECONDS)
        progress = await self._waiting.until(workspace_id, wanted, seconds, progress)
        return any(cursor < head for cursor, head in zip(progress.cursors, heads, strict=True))

    def _export(self, workspace_id: int, selectors: Sequence[Selector]) -> tuple[list[View], list[str]]:
        keys: set[Identifier] = set()
        for selector in selectors:
            if selector.key is not None:
                keys.update(with_former(selector.key))
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, keys)
            order: dict[int, None] = {}
            unknown: list[str] = []
            for selector in selectors:
                pids = _holders(index, selector.key)
                order |= dict.fromkeys(pids)
                if not pids and selector.sent is not None:
                    unknown.append(selector.sent)
            return self._views(connection, workspace_id, list(order)), unknown

    def _views(self, connection: Connection, workspace_id: int, pids: list[int]) -> list[View]:
        found = {p.pid: p for p in look_up.fetch(connection, workspace_id, dict.fromkeys(pids, ALL_SECTIONS))}
        emails: dict[int, Address] = {}
        for pid, profile in found.items():
            email = (profile.core or {}).get("email")
            if isinstance(email, str):
                emails[pid] = (CHANNEL_EMAIL, email, "")
        states = look_up.fetch_addresses(connection, workspace_id, emails.values())
        now_us = self._now_us()
        return [
            View(found[pid], states[emails[pid]] if pid in emails else None, now_us) for pid in pids if pid in found
        ]


def _holders(index: dict[Identifier, set[int]], key: Identifier | None) -> list[int]:
    if key is None:
        return []
    return sorted(next((index[each] for each in with_former(key) if index[each]), ()))
