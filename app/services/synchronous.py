"""Requests that are answered after they were applied: accept, ring, wait, read what came of it.

They go through the inbox like all others, so they are as durable and as much in order. Only the answer waits.
"""

from dataclasses import dataclass
from functools import partial

import msgspec

from app.contract import addresses, external_ids, request_id, track_sync
from app.contract.checked import Checked
from app.contract.errors import RefusedError, not_applied
from app.domain.commands import STREAM_NORMAL
from app.domain.identifiers import with_former
from app.domain.profile import Identifier, Profile
from app.domain.resolve import find
from app.domain.state import State
from app.services import budget
from app.services.accepting.acceptor import Acceptor, Answer
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.waiting import Waiting
from app.store import dead_letters, lane
from app.store.dead_letters import Letter
from app.store.engine import Database
from app.store.inbox.log import IdempotencyKey
from app.store.profiles import look_up

TIMED_OUT = "timeout"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request that was applied."""

    request_id: str
    #: (input_array, index, field, reason) of what had no effect; field is "" for a whole object.
    problems: list[tuple[str, int, str, str]]


class Synchronous:
    """Accepts requests and waits for them; one per API process."""

    def __init__(
        self, database: Database, acceptor: Acceptor, waiting: Waiting, calls: StoreCalls, wait_seconds: float
    ) -> None:
        self._database = database
        self._acceptor = acceptor
        self._waiting = waiting
        self._calls = calls
        self._wait_seconds = wait_seconds

    async def apply(self, caller: Caller, checked: Checked, key: IdempotencyKey | None = None) -> Outcome:
        """Commit a request to the normal stream and wait until it is applied; or, for a repeat with an idempotency
        key, wait until the first one is.

        Raises RefusedError: as Acceptor.append; 503 `timeout` when it takes too long, and then the request stays queued
        and the answer has its id; 503 when it could not be applied at all, which is a bug of ours: it is kept as a dead
        letter, and once it was sent again, a repeat with its idempotency key gets what came of that.
        """
        seq = (await self._acceptor.append(caller, STREAM_NORMAL, checked, key)).seq
        identifier = request_id.make(caller.workspace_secret, caller.workspace_id, STREAM_NORMAL, seq)
        budget.extend(self._wait_seconds)
        try:
            problems = await self._problems(caller.workspace_id, seq)
        except RefusedError as refused:
            refused.headers["X-Request-Id"] = identifier
            raise
        return Outcome(identifier, problems)

    async def track(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Answer:
        """POST /users/track/sync: one object, answered with the values that it led to. Raises RefusedError."""
        checked, asked = track_sync.check(body, addresses.region_of(caller.options))
        outcome = await self.apply(caller, checked, key)
        found = None
        if not asked.met_nobody(outcome.problems):
            found = await self._calls.run(lambda: self._profile(caller.workspace_id, asked.identifier, asked.sections))
        return Answer(201, msgspec.json.encode(asked.answer(found)), outcome.request_id)

    async def rename(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Answer:
        """POST /users/external_ids/rename, answered with the result of every item. Raises RefusedError."""
        return await self._items(caller, external_ids.read_renames(body), key)

    async def remove(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Answer:
        """POST /users/external_ids/remove, answered with the result of every item. Raises RefusedError."""
        return await self._items(caller, external_ids.read_removals(body), key)

    async def _items(
        self, caller: Caller, items: external_ids.Renames | external_ids.Removals, key: IdempotencyKey | None
    ) -> Answer:
        if not items.commands:  # nothing to apply: every item is malformed
            return Answer(201, items.answer(()))
        outcome = await self.apply(caller, items.checked, key)
        return Answer(201, items.answer(outcome.problems), outcome.request_id)

    async def _problems(self, workspace_id: int, seq: int) -> list[tuple[str, int, str, str]]:
        """What had no effect, once the request is applied: by itself, or as the one that its dead letter became."""
        while True:
            progress = await self._waiting.until(workspace_id, {STREAM_NORMAL: seq}, self._wait_seconds)
            if not progress.reached({STREAM_NORMAL: seq}):
                raise RefusedError(503, TIMED_OUT, headers={"Retry-After": "1"})
            letter, problems = await self._calls.run(partial(self._outcome, workspace_id, seq))
            if letter is None:
                return problems
            if letter.replayed_seq is None:
                raise not_applied()
            seq = letter.replayed_seq  # a later one each time

    def _outcome(self, workspace_id: int, seq: int) -> tuple[Letter | None, list[tuple[str, int, str, str]]]:
        with self._database.read() as connection:
            letter = dead_letters.get(connection, workspace_id, STREAM_NORMAL, seq)
            return letter, lane.problems(connection, workspace_id, STREAM_NORMAL, seq)

    def _profile(self, workspace_id: int, key: Identifier, sections: int) -> Profile | None:
        """Who has the identifier now, which is whom the request went to unless somebody moved it since."""
        keys = with_former(key)
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, keys)
            wanted = {pid: sections for pids in index.values() for pid in pids}
            return find(State(look_up.fetch(connection, workspace_id, wanted), index), key)
