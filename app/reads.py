"""Answers about what was accepted and what came of it: exports and the status of requests.

A read waits until the cursor has passed what was accepted before it, so that a client sees its own writes.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.accept import Answer
from app.contract import export, request_id
from app.contract.errors import RefusedError, unavailable
from app.contract.export import View
from app.domain import times
from app.domain.commands import STREAM_NORMAL
from app.domain.profile import ALL_SECTIONS, CHANNEL_EMAIL, DEPRECATED, EXTERNAL, Address, Key
from app.store import inbox, lane, profiles
from app.store.engine import Database
from app.store.workspaces import KeyRecord

log = structlog.get_logger()

MAX_WAIT_SECONDS: Final = 30.0
UNKNOWN_REQUEST: Final = "Unknown request id"
_FIRST_PAUSE: Final = 0.004
_LAST_PAUSE: Final = 0.05

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Progress:
    """Heads and cursors of the two streams at one instant."""

    heads: tuple[int, ...]
    cursors: tuple[int, ...]


class Reader:
    """Reads for the API, in threads: the store's calls block."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        now_us: Callable[[], int],
        wait_seconds: float,
        timeout: float,
        ring: Callable[[tuple[int, int]], None],
    ) -> None:
        """`wait_seconds` bounds the wait for queued writes, `timeout` one call of the store, also in seconds."""
        self._database = database
        self._executor = executor
        self._now_us = now_us
        self._wait_seconds = wait_seconds
        self._timeout = timeout
        self._ring = ring

    async def export_ids(self, caller: KeyRecord, body: bytes) -> Answer:
        """POST /users/export/ids. Raises RefusedError."""
        wanted = export.read(body)
        stale = await self._catch_up(caller.workspace_id)
        answer = await self._run(lambda: self._export(caller.workspace_id, wanted))
        return Answer(201, answer, headers=(("X-Onefold-Stale", "true"),) if stale else ())

    async def request_status(self, caller: KeyRecord, text: str, wait: float) -> Answer:
        """GET /v1/requests/{id}. Raises RefusedError(404) for an id that this workspace was never given."""
        place = request_id.read(caller.workspace_secret, caller.workspace_id, text)
        progress = await self._run(lambda: self._progress(caller.workspace_id))
        if place is None or place[0] not in inbox.STREAMS or not 0 < place[1] <= progress.heads[place[0]]:
            raise RefusedError(404, UNKNOWN_REQUEST)
        stream, seq = place
        deadline = time.monotonic() + min(wait, MAX_WAIT_SECONDS)
        await self._until(caller.workspace_id, {stream: seq}, deadline, progress)
        return Answer(200, await self._run(lambda: self._status(caller.workspace_id, stream, seq, text)))

    async def _catch_up(self, workspace_id: int) -> bool:
        """Wait for everything accepted so far. True when some of it is still not applied.

        A backfill on the bulk stream may take hours: nobody waits for it, but the answer says that it is not done.
        """
        progress = await self._run(lambda: self._progress(workspace_id))
        deadline = time.monotonic() + self._wait_seconds
        heads = progress.heads
        progress = await self._until(workspace_id, {STREAM_NORMAL: heads[STREAM_NORMAL]}, deadline, progress)
        return any(cursor < head for cursor, head in zip(progress.cursors, heads, strict=True))

    async def _until(
        self, workspace_id: int, targets: dict[int, int], deadline: float, progress: _Progress
    ) -> _Progress:
        pause = _FIRST_PAUSE
        while any(progress.cursors[stream] < seq for stream, seq in targets.items()):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if pause == _FIRST_PAUSE:
                for stream in targets:
                    self._ring((workspace_id, stream))
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LAST_PAUSE)
            progress = await self._run(lambda: self._progress(workspace_id))
        return progress

    def _progress(self, workspace_id: int) -> _Progress:
        with self._database.read(self._database.inbox) as connection:
            heads = tuple(inbox.head(connection, workspace_id, stream) for stream in inbox.STREAMS)
        with self._database.read() as connection:
            found = lane.read(connection, workspace_id)
        return _Progress(heads, tuple(found.cursors) if found is not None else (0, 0))

    def _export(self, workspace_id: int, wanted: export.ExportRequest) -> bytes:
        keys: set[Key] = set()
        for selector in wanted.selectors:
            if selector.key is not None:
                keys.add(selector.key)
                if selector.key[0] == EXTERNAL:
                    keys.add((DEPRECATED, "", selector.key[2]))
        with self._database.read() as connection:
            index = profiles.find(connection, workspace_id, keys)
            order: dict[int, None] = {}
            invalid: list[str] = []
            for selector in wanted.selectors:
                pids = _holders(index, selector.key)
                order |= dict.fromkeys(pids)
                if not pids and selector.sent is not None:
                    invalid.append(selector.sent)
            views = self._views(connection, workspace_id, list(order))
        return export.answer(views, invalid, wanted.fields)

    def _views(self, connection: Connection, workspace_id: int, pids: list[int]) -> list[View]:
        found = {p.pid: p for p in profiles.fetch(connection, workspace_id, dict.fromkeys(pids, ALL_SECTIONS))}
        emails: dict[int, Address] = {}
        for pid, profile in found.items():
            email = (profile.core or {}).get("email")
            if isinstance(email, str):
                emails[pid] = (CHANNEL_EMAIL, email, "")
        states = profiles.fetch_addresses(connection, workspace_id, emails.values())
        now_us = self._now_us()
        return [
            View(found[pid], states[emails[pid]] if pid in emails else None, now_us) for pid in pids if pid in found
        ]

    def _status(self, workspace_id: int, stream: int, seq: int, identifier: str) -> bytes:
        with self._database.read(self._database.inbox) as connection:
            accepted_us = inbox.accepted_us(connection, workspace_id, stream, seq)
        with self._database.read() as connection:
            found = lane.read(connection, workspace_id)
            applied = found is not None and found.cursors[stream] >= seq
            skipped = lane.problems(connection, workspace_id, stream, seq) if applied else []
            dead = lane.dead_reason(connection, workspace_id, stream, seq) if applied else None
        document: dict[str, object] = {
            "id": identifier,
            "status": "queued" if not applied else "applied" if dead is None else "dead",
            "accepted_at": None if accepted_us is None else times.iso(accepted_us),
            "skipped": [
                {"input_array": array, "index": index, "reason": reason} | ({"field": field} if field else {})
                for array, index, field, reason in skipped
            ],
        }
        if dead is not None:
            document["reason"] = dead
        return msgspec.json.encode(document | {"message": "success"})

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
            log.warning("read_failed", error=type(error).__name__)
            raise unavailable() from error


def _holders(index: dict[Key, set[int]], key: Key | None) -> list[int]:
    if key is None:
        return []
    pids = index[key]
    if not pids and key[0] == EXTERNAL:
        pids = index[DEPRECATED, "", key[2]]
    return sorted(pids)
