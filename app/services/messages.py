"""What is known of a person's messages, once what was accepted before is applied."""

from dataclasses import dataclass

from app.contract.merge_records import MAX_HOLDERS
from app.domain.identifiers import with_former
from app.domain.profile import MESSAGES, Identifier, Profile
from app.domain.resolve import find
from app.domain.state import State
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader
from app.services.refusals import TooManyHoldersError, UnknownProfileError
from app.store.engine import Database
from app.store.profiles import look_up


@dataclass(frozen=True, slots=True)
class Reading:
    """A profile with the section `messages`."""

    profile: Profile
    #: Some of what was accepted before is not in it yet.
    stale: bool


class Messages:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, calls: StoreCalls) -> None:
        self._database = database
        self._reader = reader
        self._calls = calls

    async def of(self, caller: Caller, key: Identifier | None) -> Reading:
        """Of whoever has the identifier; None is an identifier that nobody can have.

        Raises UnknownProfileError, TooManyHoldersError, UnavailableError.
        """
        if key is None:
            raise UnknownProfileError
        stale = await self._reader.catch_up(caller.workspace_id)
        return Reading(await self._calls.run(lambda: self._of(caller.workspace_id, key)), stale)

    def _of(self, workspace_id: int, key: Identifier) -> Profile:
        with self._database.read() as connection:
            index = look_up.find(connection, workspace_id, with_former(key), MAX_HOLDERS + 1)
            pids = {pid for holders in index.values() for pid in holders}
            if len(pids) > MAX_HOLDERS:
                raise TooManyHoldersError
            profiles = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, MESSAGES))
        profile = find(State(profiles, index), key)
        if profile is None:
            raise UnknownProfileError(key)
        return profile
