"""Merges before, during and after: previews, the list, histories, and undoing. No other writer than the inbox."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from app.contract import addresses, merge_records, merge_request
from app.contract.errors import RefusedError
from app.contract.merge_records import MAX_HOLDERS, REFUSALS, TOO_MANY_HOLDERS, UNKNOWN_PROFILE, Renderer
from app.domain.apply import reduce
from app.domain.commands import STREAM_NORMAL, Command, Merge, Request
from app.domain.history import DELETED, Happening, Origin
from app.domain.identifiers import with_former
from app.domain.ids import erased_id, place_of
from app.domain.profile import BRAZE, Identifier
from app.domain.reasons import MERGE_NOT_FOUND
from app.domain.settings import ApplySettings
from app.domain.state import State, TooFewLoadedError
from app.services.accepting.acceptor import Answer
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.services.synchronous import Synchronous
from app.store import lane
from app.store import merges as store
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import IdempotencyKey
from app.store.profiles import crowds, look_up
from app.store.profiles.load import load

_STALE = (("X-Onefold-Stale", "true"),)


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

    async def preview(self, caller: Caller, body: bytes) -> Answer:
        """What a request to /users/merge would do if it were the next one. Raises RefusedError."""
        commands = merge_request.read(body, addresses.region_of(caller.options))
        return await self._read(caller, lambda: self._preview(caller, commands))

    async def listed(self, caller: Caller, parameters: Mapping[str, str]) -> Answer:
        """Merges of a profile and of all that was merged into it. Raises RefusedError."""
        key, (limit, skip) = merge_records.whose(parameters), merge_records.page(parameters)
        return await self._read(caller, lambda: self._listed(caller, key, limit, skip))

    async def history(self, caller: Caller, braze_id: str) -> Answer:
        """What happened to a profile. Raises RefusedError(404)."""
        if "\0" in braze_id:  # no stored text has one
            raise RefusedError(404, UNKNOWN_PROFILE)
        return await self._read(caller, lambda: self._history(caller, braze_id))

    async def undo(self, caller: Caller, merge_id: str, key: IdempotencyKey | None = None) -> Answer:
        """Take a merge back, and tell what could not be separated; a repeat is told what came of the first request.

        Raises RefusedError.
        """
        if not merge_records.is_id(merge_id):
            return _refusal(MERGE_NOT_FOUND)
        outcome = await self._synchronous.apply(caller, merge_records.undo(merge_id), key)
        if outcome.problems:
            return _refusal(outcome.problems[0][3], outcome.request_id)
        document = await self._calls.run(lambda: self._record(caller, merge_id))
        return Answer(200, _encode({"merge": document, "message": "success"}), outcome.request_id)

    async def _read(self, caller: Caller, work: Callable[[], dict[str, object]]) -> Answer:
        """The answer, once everything accepted so far is applied, or with the header that says that it is not."""
        stale = await self._reader.catch_up(caller.workspace_id)
        document = await self._calls.run(work)
        return Answer(200, _encode(document | {"message": "success"}), headers=_STALE if stale else ())

    def _preview(self, caller: Caller, commands: list[Merge]) -> dict[str, object]:
        with self._database.read(self._database.inbox) as connection:
            head = inbox.head(connection, caller.workspace_id, STREAM_NORMAL)
        with self._database.read() as connection:
            found = lane.read(connection, caller.workspace_id)
            settings = ApplySettings() if found is None else found.settings
            state = self._reduced(connection, caller, [*commands], settings, head + 1)
        done = sorted(
            (record for record in state.records.values() if record is not None),
            key=lambda record: record.origin.ordinal,
        )
        plans = [
            {
                "index": record.origin.ordinal,
                "kept_braze_id": record.kept_braze_id,
                "merged_braze_id": record.merged_braze_id,
                **merge_records.plan(record.plan),
            }
            for record in done
            if record.plan is not None
        ]
        skipped: list[dict[str, Any]] = [
            {"index": problem.index, "reason": problem.reason} | ({"field": problem.field} if problem.field else {})
            for problem in state.changes.problems
        ]
        return {"plans": plans, "skipped": skipped}

    def _reduced(
        self, connection: Connection, caller: Caller, commands: list[Command], settings: ApplySettings, seq: int
    ) -> State:
        """The reducer's own work on a copy that is thrown away, so a preview cannot differ from the merge."""
        limits, known = crowds.Limits(), crowds.Crowds()
        while True:
            state = load(connection, caller.workspace_id, commands, settings, limits, known)
            request = Request(STREAM_NORMAL, seq, self._now_us(), commands, caller.key_name)
            try:
                reduce([request], state, caller.workspace_id, caller.workspace_secret)
            except TooFewLoadedError:
                limits = limits.more()
            else:
                return state

    def _listed(self, caller: Caller, key: Identifier | None, limit: int, skip: int) -> dict[str, object]:
        if key is None:
            return {"merges": []}
        render, now_us = Renderer(caller.workspace_id, caller.workspace_secret), self._now_us()
        with self._database.read() as connection:
            pids = self._holders(connection, caller.workspace_id, key)
            found = store.listed(connection, caller.workspace_id, pids, limit, skip)
        return {"merges": [render.record(record, now_us) for record in found]}

    def _holders(self, connection: Connection, workspace_id: int, key: Identifier) -> set[int]:
        """Who has the identifier, or had the braze_id before a merge. Raises RefusedError for a crowd."""
        keys = with_former(key)
        index = look_up.find(connection, workspace_id, keys, MAX_HOLDERS + 1)
        found = {pid for pids in index.values() for pid in pids}
        if len(found) > MAX_HOLDERS:
            raise RefusedError(400, TOO_MANY_HOLDERS)
        if not found and key[0] == BRAZE:
            record = store.merged_away(connection, workspace_id, key[2])
            found = set() if record is None else {record.merged_pid}
        return found

    def _record(self, caller: Caller, merge_id: str) -> dict[str, object]:
        with self._database.read() as connection:
            record = store.fetch(connection, caller.workspace_id, [merge_id])[merge_id]
        if record is None:  # deleted in between
            raise RefusedError(*REFUSALS["merge_not_found"])
        return Renderer(caller.workspace_id, caller.workspace_secret).record(record, self._now_us())

    def _history(self, caller: Caller, braze_id: str) -> dict[str, object]:
        workspace_id = caller.workspace_id
        render = Renderer(workspace_id, caller.workspace_secret)
        erased = erased_id(caller.workspace_secret, workspace_id, braze_id)
        with self._database.read() as connection:
            pids = look_up.find(connection, workspace_id, {(BRAZE, "", braze_id)})[BRAZE, "", braze_id]
            living = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, 0))
            record = None if living else store.merged_away(connection, workspace_id, braze_id)
            deletion = store.deletion(connection, workspace_id, erased)
            pid = living[0].pid if living else record.merged_pid if record is not None else None
            lines = [] if pid is None else store.history(connection, workspace_id, pid)
        document: dict[str, object] = {"braze_id": braze_id}
        if living:
            return document | {
                "status": "active",
                "history": render.lines(_created(living[0].pid, living[0].created_us), lines),
            }
        if record is not None:
            created = _created(record.merged_pid, record.merged_created_us)
            document |= {"status": "merged", "merged_into_braze_id": record.kept_braze_id}
            return document | {"history": render.lines(created, lines)}
        if deletion is not None:
            return document | {"status": "deleted", "history": render.lines(None, [Happening(DELETED, deletion)])}
        raise RefusedError(404, UNKNOWN_PROFILE)


def _created(pid: int, created_us: int) -> Origin:
    """Of a profile whose history does not tell it: its number is the place of the request that made it."""
    return Origin(*place_of(pid), created_us)


def _refusal(reason: str, request_id: str = "") -> Answer:
    status, sentence = REFUSALS[reason]
    return Answer(status, _encode({"message": sentence, "reason": reason}), request_id)


def _encode(document: object) -> bytes:
    return msgspec.json.encode(document)
