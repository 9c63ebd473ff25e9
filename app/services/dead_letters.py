"""Dead letters: the list, and sending them again."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from app.contract import kinds, stored
from app.contract.dead_letters import MAX_REPLAY, Filter, Page
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import DeletionsPendingError
from app.store import dead_letters
from app.store.dead_letters import DeletionPendingError, Letter
from app.store.engine import Database

__all__ = ["DeadLetters", "Letter", "Letters", "Replay"]

#: Bodies that are in memory, and in one transaction, at once.
MAX_BYTES: Final = 16 * 1024 * 1024
#: How often a replay looks whether the deletions before it are applied, and for how long altogether.
LOOKS: Final = 20
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Letters:
    """A page of dead letters."""

    letters: list[Letter]
    #: There are further ones behind the last.
    more: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of letters that were to be sent again."""

    #: Sent, now or before: `replayed_seq` says as what.
    sent: list[Letter]
    #: Not sent, since their bodies are gone.
    gone: list[Letter]
    #: Ids of no dead letter of the workspace.
    unknown: list[str]
    #: A filter selects further letters that can be sent.
    more: bool


class DeadLetters:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        now_us: Callable[[], int],
        ring: Callable[[tuple[int, int]], None],
    ) -> None:
        """`ring` gets every stream that has new requests."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._ring = ring

    async def listed(self, caller: Caller, page: Page) -> Letters:
        """A page of letters in the order of acceptance. Raises UnavailableError."""
        letters = await self._calls.run(
            lambda: find(self._database, caller, page.filter, page.limit + 1, self._now_us(), after_us=page.after_us)
        )
        return Letters(letters[: page.limit], more=len(letters) > page.limit)

    async def replay(self, caller: Caller, wanted: Sequence[str] | Filter) -> Replay:
        """Send letters again, by request id or those that a filter selects: each once, whoever asks and however often.

        Raises UnavailableError, and DeletionsPendingError while deletions wait to be applied; then some letters may
        have been sent.
        """
        unknown: list[str] = []
        more = False
        if isinstance(wanted, Filter):
            letters = await self._calls.run(
                lambda: find(self._database, caller, wanted, MAX_REPLAY + 1, self._now_us(), sendable=True)
            )
            letters, more = letters[:MAX_REPLAY], len(letters) > MAX_REPLAY
        else:
            named = await self._calls.run(lambda: by_id(self._database, caller, wanted))
            letters = sorted(filter(None, named.values()), key=lambda letter: letter.accepted_us)
            unknown = [identifier for identifier, letter in named.items() if letter is None]
        done: list[Letter] = []
        for part in _parts(letters):
            sent = await self._patiently(caller.workspace_id, part)
            for stream in {letter.stream for letter in sent}:
                self._ring((caller.workspace_id, stream))
            done += sent
        return Replay(
            sent=[letter for letter in done if letter.replayed_seq is not None],
            gone=[letter for letter in done if letter.replayed_seq is None],
            unknown=unknown,
            more=more,
        )

    async def _patiently(self, workspace_id: int, letters: list[Letter]) -> list[Letter]:
        """As `_replay`, once the deletions before it are applied. Raises DeletionsPendingError."""
        for _ in range(LOOKS):
            try:
                return await self._calls.run(lambda: self._replay(workspace_id, letters))
            except DeletionPendingError:
                await asyncio.sleep(LOOK_SECONDS)
        raise DeletionsPendingError

    def _replay(self, workspace_id: int, letters: list[Letter]) -> list[Letter]:
        now_us = self._now_us()
        sent = dead_letters.replay(self._database, workspace_id, letters, kinds.DELETE, now_us)
        return [replace(x, replayed_seq=sent.get((x.stream, x.seq), x.replayed_seq)) for x in letters]


def find(
    database: Database,
    caller: Caller,
    wanted: Filter,
    limit: int,
    now_us: int,
    *,
    after_us: int = 0,
    sendable: bool = False,
) -> list[Letter]:
    """Letters of a workspace in the order of acceptance, behind `after_us`. `sendable`: that can be sent again."""
    with database.read() as connection:
        return dead_letters.find(
            connection, caller.workspace_id, limit, now_us, after_us=after_us, sendable=sendable, **asdict(wanted)
        )


def by_id(database: Database, caller: Caller, ids: Iterable[str]) -> dict[str, Letter | None]:
    """{request id: its letter, None = there is none}."""
    places = {identifier: caller.place(identifier) for identifier in ids}
    with database.read() as connection:
        return {
            identifier: None if place is None else dead_letters.get(connection, caller.workspace_id, *place)
            for identifier, place in places.items()
        }


def body(database: Database, caller: Caller, identifier: str) -> bytes | None:
    """The body of a letter as its client sent it, None = it is gone, or there is no such letter."""
    place = caller.place(identifier)
    with database.read() as connection:
        found = None if place is None else dead_letters.body(connection, caller.workspace_id, *place)
    return None if found is None else stored.opened(found.codec, found.body)[2]


def _parts(letters: Sequence[Letter]) -> list[list[Letter]]:
    """The letters in order, in parts whose bodies are at most MAX_BYTES, or one letter."""
    parts: list[list[Letter]] = []
    size = 0
    for letter in letters:
        size += letter.size
        if not parts or size > MAX_BYTES:
            parts.append([])
            size = letter.size
        parts[-1].append(letter)
    return parts
