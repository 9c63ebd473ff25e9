"""Answers about what was accepted and what came of it: exports and the status of requests.

A read waits until the cursor has passed what was accepted before it, so that a client sees its own writes.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection

from app.contract import addresses, export, request_id
from app.contract.errors import RefusedError
from app.contract.export import View
from app.domain import times
from app.domain.commands import STREAM_NORMAL, STREAMS
from app.domain.identifiers import with_former
from app.domain.profile import ALL_SECTIONS, CHANNEL_EMAIL, Address, Identifier
from app.domain.reasons import INVALID_NAME
from app.services import budget
from app.services.accepting.acceptor import Answer
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.waiting import Waiting
from app.store import dead_letters, lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.profiles import look_up

MAX_WAIT_SECONDS: Final = 30.0
#: What is kept of a request's budget for reading once the wait is over.
READ_SECONDS: Final = 0.5
UNKNOWN_REQUEST: Final = "Unknown request id"


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

    async def export_ids(self, caller: Caller, body: bytes) -> Answer:
        """POST /users/export/ids. Raises RefusedError."""
        wanted = export.read(
            body,
            requires_fields=bool(caller.options.get(export.REQUIRES_FIELDS)),
            region=addresses.region_of(caller.options),
        )
        stale = await self.catch_up(caller.workspace_id)
        answer = await self._calls.run(lambda: self._export(caller.workspace_id, wanted))
        return Answer(201, answer, headers=(("X-Onefold-Stale", "true"),) if stale else ())

    async def request_status(self, caller: Caller, text: str, wait: float) -> Answer:
        """GET /v1/requests/{id}. Raises RefusedError(404) for an id that this workspace was never given."""
        place = request_id.read(caller.workspace_secret, caller.workspace_id, text)
        progress = await self._waiting.progress(caller.workspace_id)
        if place is None or place[0] not in STREAMS or not 0 < place[1] <= progress.heads[place[0]]:
            raise RefusedError(404, UNKNOWN_REQUEST)
        stream, seq = place
        wait = min(wait, MAX_WAIT_SECONDS)
        budget.extend(wait)
        await self._waiting.until(caller.workspace_id, {stream: seq}, wait, progress)
        return Answer(200, await self._calls.run(lambda: self._status(caller, stream, seq, text)))

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

    def _export(self, workspace_id: int, wanted: export.ExportRequest) -> bytes:
        keys: set[Identifier] = set()
        for selector in wanted.selectors:
            if selector.key is not None:
                keys.update(with_former(selector.key))
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, keys)
            order: dict[int, None] = {}
            invalid: list[str] = []
            for selector in wanted.selectors:
                pids = _holders(index, selector.key)
                order |= dict.fromkeys(pids)
                if not pids and selector.sent is not None:
                    invalid.append(selector.sent)
            views = self._views(connection, workspace_id, list(order))
        return export.answer(views, invalid, wanted)

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

    def _status(self, caller: Caller, stream: int, seq: int, identifier: str) -> bytes:
        workspace_id, secret = caller.workspace_id, caller.workspace_secret
        with self._database.read(self._database.inbox) as connection:
            accepted_us = inbox.accepted_us(connection, workspace_id, stream, seq)
        with self._database.read() as connection:
            found = lane.read(connection, workspace_id)
            applied = found is not None and found.cursors[stream] >= seq
            skipped = lane.problems(connection, workspace_id, stream, seq) if applied else []
            letter = dead_letters.get(connection, workspace_id, stream, seq) if applied else None
        document: dict[str, object] = {
            "id": identifier,
            "status": "queued" if not applied else "applied" if letter is None else "dead",
            "accepted_at": None if accepted_us is None else times.iso(accepted_us),
            "skipped": [
                # The name of a field may be empty, which is then what is wrong with it.
                {"input_array": array, "index": index, "reason": reason}
                | ({"field": field} if field or reason == INVALID_NAME else {})
                for array, index, field, reason in skipped
            ],
        }
        if letter is not None:
            document["reason"] = letter.reason
            if letter.replayed_seq is not None:
                document["replayed_as"] = request_id.make(secret, workspace_id, stream, letter.replayed_seq)
        return msgspec.json.encode(document | {"message": "success"})


def _holders(index: dict[Identifier, set[int]], key: Identifier | None) -> list[int]:
    if key is None:
        return []
    return sorted(next((index[each] for each in with_former(key) if index[each]), ()))
