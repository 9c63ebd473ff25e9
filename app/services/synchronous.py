"""Requests that are answered after they were applied: accept, ring, wait, read what came of it.

They go through the inbox like all others, so they are as durable and as much in order. Only the answer waits.
"""

from dataclasses import dataclass
from functools import partial

from app.contract import addresses, external_ids, track, track_sync
from app.contract.checked import Checked
from app.domain.commands import STREAM_NORMAL
from app.domain.identifiers import with_former
from app.domain.profile import Identifier, Profile
from app.domain.resolve import find
from app.domain.state import State
from app.services import budget
from app.services.accepting.acceptor import Acceptor
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import NotAppliedError, ServiceError, TimedOutError
from app.services.waiting import Waiting
from app.store import dead_letters, request_problems
from app.store.dead_letters import Letter
from app.store.engine import Database
from app.store.inbox.log import IdempotencyKey
from app.store.profiles import look_up

Items = external_ids.Renames | external_ids.Removals
#: (input_array, index, field, reason) of what had no effect; field is "" for a whole object.
Problems = list[tuple[str, int, str, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request that was applied."""

    request_id: str
    problems: Problems


@dataclass(frozen=True, slots=True)
class Tracked:
    """One object that was applied: what was asked about it, and the profile; None when there is nobody."""

    request_id: str
    asked: track_sync.Asked
    profile: Profile | None


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

        Raises as Acceptor.append; TimedOutError when it takes too long, and then the request stays queued;
        NotAppliedError when it could not be applied at all: it is kept as a dead letter, and once it was sent again, a
        repeat with its idempotency key gets what came of that. Both have the request's id, as has UnavailableError.
        """
        seq = (await self._acceptor.append(caller, STREAM_NORMAL, checked, key)).seq
        identifier = caller.request_id(STREAM_NORMAL, seq)
        budget.extend(self._wait_seconds)
        try:
            return Outcome(identifier, await self._problems(caller.workspace_id, seq))
        except ServiceError as error:
            error.request_id = identifier
            raise

    async def track(self, caller: Caller, body: bytes, key: IdempotencyKey | None = None) -> Tracked:
        """POST /users/track/sync: one object, and what it led to. Raises RefusedError; else as `apply`."""
        named = await self._acceptor.named_by(caller, body)
        check = partial(
            track_sync.check,
            region=addresses.region_of(caller.options),
            ecommerce_events=track.wants_ecommerce(caller.options),
            groups=named.groups,
            blocked=named.blocked,
            platforms=named.platforms,
        )
        checked, asked = await self._acceptor.read(caller, check, body)
        outcome = await self.apply(caller, checked, key)
        profile = None
        if not asked.met_nobody(outcome.problems):
            read = partial(self._profile, caller.workspace_id, asked.identifier, asked.sections)
            profile = await self._calls.run(read)
        return Tracked(outcome.request_id, asked, profile)

    async def items(self, caller: Caller, items: Items, key: IdempotencyKey | None = None) -> Outcome:
        """External ids renamed or removed. Raises as `apply`; when every item is malformed, nothing is accepted."""
        return await self.apply(caller, items.checked, key) if items.commands else Outcome("", [])

    async def _problems(self, workspace_id: int, seq: int) -> Problems:
        """What had no effect, once the request is applied: by itself, or as the one that its dead letter became."""
        while True:
            progress = await self._waiting.until(workspace_id, {STREAM_NORMAL: seq}, self._wait_seconds)
            if not progress.reached({STREAM_NORMAL: seq}):
                raise TimedOutError
            letter, problems = await self._calls.run(partial(self._outcome, workspace_id, seq))
            if letter is None:
                return problems
            if letter.replayed_seq is None:
                raise NotAppliedError
            seq = letter.replayed_seq  # a later one each time

    def _outcome(self, workspace_id: int, seq: int) -> tuple[Letter | None, Problems]:
        with self._database.read() as connection:
            letter = dead_letters.get(connection, workspace_id, STREAM_NORMAL, seq)
            return letter, request_problems.read(connection, workspace_id, STREAM_NORMAL, seq)

    def _profile(self, workspace_id: int, key: Identifier, sections: int) -> Profile | None:
        """The profile that has the identifier now. The request went to it, unless the identifier moved since."""
        keys = with_former(key)
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, keys)
            wanted = {pid: sections for pids in index.values() for pid in pids}
            return find(State(look_up.fetch(connection, workspace_id, wanted), index), key)
