"""Dead letters for the API: the list, and sending them again."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Final

import msgspec

from app.contract import kinds, request_id
from app.contract.dead_letters import MAX_REPLAY, Filter, Page, read_replay
from app.contract.errors import RefusedError
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services.accepting.acceptor import Answer
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.store import dead_letters
from app.store.dead_letters import DeletionPendingError, Letter
from app.store.engine import Database

#: Bodies that are in memory, and in one transaction, at once.
MAX_BYTES: Final = 16 * 1024 * 1024
#: How often a replay looks whether the deletions before it are applied, and for how long altogether.
LOOKS: Final = 20
LOOK_SECONDS: Final = 0.05

DELETION_PENDING: Final = "Deletions wait to be applied; nothing can be sent again before"


class DeadLetters:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        now_us: Callable[[], int],
        ring: Callable[[tuple[int, int]], None],
    ) -> None:
        """`ring` is told of every stream that got requests."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._ring = ring

    async def listed(self, caller: Caller, page: Page) -> Answer:
        """GET /v1/dead-letters, in the order of acceptance. Raises RefusedError(503)."""
        letters = await self._calls.run(
            lambda: self._find(caller.workspace_id, page.filter, page.limit + 1, page.after_us)
        )
        document: dict[str, object] = {"dead_letters": [_shown(caller, letter) for letter in letters[: page.limit]]}
        if len(letters) > page.limit:
            document["next_cursor"] = str(letters[page.limit - 1].accepted_us)
        return Answer(200, msgspec.json.encode(document | {"message": "success"}))

    async def replay(self, caller: Caller, body: bytes) -> Answer:
        """POST /v1/dead-letters/replay: each letter is sent once, whoever asks and however often.

        The answer names what letters were sent as, now or before, and why some were not. A filter means letters that
        can still be sent; `more` says that there are further ones. Raises RefusedError 400 or 503; also 503 while
        deletions wait to be applied, and then some letters may have been sent.
        """
        wanted = read_replay(body)
        refused: list[dict[str, str]] = []
        more = False
        if isinstance(wanted, Filter):
            letters = await self._calls.run(
                lambda: self._find(caller.workspace_id, wanted, MAX_REPLAY + 1, sendable=True)
            )
            letters, more = letters[:MAX_REPLAY], len(letters) > MAX_REPLAY
        else:
            found = await self._calls.run(lambda: self._named(caller, wanted))
            letters = sorted(filter(None, found), key=lambda letter: letter.accepted_us)
            refused = [
                {"id": identifier, "reason": "not_a_dead_letter"}
                for identifier, letter in zip(wanted, found, strict=True)
                if letter is None
            ]
        done: list[Letter] = []
        for part in chunks(letters):
            sent = await self._patiently(caller.workspace_id, part)
            for stream in {letter.stream for letter in sent}:
                self._ring((caller.workspace_id, stream))
            done += sent
        refused += [
            {"id": _id(caller, letter.stream, letter.seq), "reason": "body_is_gone"}
            for letter in done
            if letter.replayed_seq is None
        ]
        replayed = [
            {
                "id": _id(caller, letter.stream, letter.seq),
                "replayed_as": _id(caller, letter.stream, letter.replayed_seq),
            }
            for letter in done
            if letter.replayed_seq is not None
        ]
        document = {"replayed": replayed, "not_replayed": refused, "more": more, "message": "success"}
        return Answer(201, msgspec.json.encode(document))

    def _find(
        self, workspace_id: int, wanted: Filter, limit: int, after_us: int = 0, *, sendable: bool = False
    ) -> list[Letter]:
        chosen = asdict(wanted)
        with self._database.read() as connection:
            return dead_letters.find(
                connection, workspace_id, limit, self._now_us(), after_us=after_us, sendable=sendable, **chosen
            )

    def _named(self, caller: Caller, ids: Sequence[str]) -> list[Letter | None]:
        places = [request_id.read(caller.workspace_secret, caller.workspace_id, identifier) for identifier in ids]
        with self._database.read() as connection:
            return [
                None if place is None else dead_letters.get(connection, caller.workspace_id, *place) for place in places
            ]

    async def _patiently(self, workspace_id: int, letters: list[Letter]) -> list[Letter]:
        """As `_replay`, once the deletions before it are applied. Raises RefusedError(503)."""
        for _ in range(LOOKS):
            try:
                return await self._calls.run(lambda: self._replay(workspace_id, letters))
            except DeletionPendingError:
                await asyncio.sleep(LOOK_SECONDS)
        raise RefusedError(503, DELETION_PENDING, headers={"Retry-After": "1"})

    def _replay(self, workspace_id: int, letters: list[Letter]) -> list[Letter]:
        now_us = self._now_us()
        sent = dead_letters.replay(self._database, workspace_id, letters, kinds.DELETE, now_us)
        return [replace(x, replayed_seq=sent.get((x.stream, x.seq), x.replayed_seq)) for x in letters]


def chunks(letters: Sequence[Letter]) -> list[list[Letter]]:
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


def _id(caller: Caller, stream: int, seq: int) -> str:
    return request_id.make(caller.workspace_secret, caller.workspace_id, stream, seq)


def _shown(caller: Caller, letter: Letter) -> dict[str, object]:
    document: dict[str, object] = {
        "id": _id(caller, letter.stream, letter.seq),
        "stream": STREAM_NAMES[letter.stream],
        "kind": kinds.name_of(letter.kind),
        "reason": letter.reason,
        "accepted_at": times.iso(letter.accepted_us),
        "dead_at": times.iso(letter.dead_us),
        "bytes": letter.size,
    }
    if letter.replayed_seq is not None and letter.replayed_us is not None:
        document["replayed_as"] = _id(caller, letter.stream, letter.replayed_seq)
        document["replayed_at"] = times.iso(letter.replayed_us)
    return document
