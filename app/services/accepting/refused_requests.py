"""Keeping what was refused: one row for a request, written in groups, off the way of answers.

Whoever sends much that is refused must not cost much. A workspace gets so many rows in a second; what is beyond is
counted by endpoint, status and error, and becomes one row for each of these. All that waits to be written is bounded.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from app.contract import addresses, named
from app.contract.errors import ObjectError
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store import refused
from app.store.engine import DATABASE_ERRORS, Database
from app.store.refused import ErrorEntry, Refused

SECONDS: Final = 1.0
#: Bytes of bodies of one workspace that are read in a second for whom they name.
MOST_BYTES: Final = 256 * 1024
#: Errors of one request that are kept; and characters of one.
MOST_ERRORS: Final = 50
MOST_TEXT: Final = 200
#: Rows for what is only counted, of one workspace; and rows of all workspaces that wait at once.
MOST_COUNTED: Final = 100
MOST_WAITING: Final = 5_000

_Group = tuple[str, int, str, str]
"""(endpoint, status, type, code)"""


@dataclass(slots=True)
class _Waiting:
    """What of a workspace is not written yet."""

    rows: list[Refused] = field(default_factory=list)
    counted: dict[_Group, Refused] = field(default_factory=dict)
    bytes: int = 0

    def __len__(self) -> int:
        return len(self.rows) + len(self.counted)

    def __iter__(self) -> Iterator[Refused]:
        yield from self.rows
        yield from self.counted.values()


class RefusedRequests:
    """One per API process and event loop."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int], rows_per_second: int) -> None:
        """`rows_per_second`: of a workspace; 0 = nothing is kept."""
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._rows_per_second = rows_per_second
        self._waiting: dict[int, _Waiting] = {}
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        #: Refused requests of which a row is kept, that are only counted in one, and of which nothing is kept.
        self.kept = self.counted = self.dropped = 0

    def note(
        self,
        caller: Caller,
        endpoint: str,
        status: int,
        error: str,
        errors: Sequence[ObjectError] = (),
        body: bytes | None = None,
        place: tuple[int, int] | None = None,
    ) -> None:
        """A request was refused; at once, nothing waits. `error` is what is wrong with it as a whole, "" = nothing.

        `body`: whom it names is kept as hashes. `place`: where what was accepted of it stands. Of a workspace that is
        being deleted nothing is kept.
        """
        if not self._rows_per_second or caller.deleted:
            return
        waiting = self._waiting.get(caller.workspace_id)
        if waiting is None:
            waiting = self._waiting[caller.workspace_id] = _Waiting()
        entries = _entries(error, errors)
        if len(waiting.rows) >= self._rows_per_second or self._size >= MOST_WAITING:
            self._count(caller.workspace_id, waiting, endpoint, status, entries[0])
            return
        names = b""
        if body is not None and waiting.bytes + len(body) <= MOST_BYTES:
            waiting.bytes += len(body)
            names = _digests(caller, body, errors if place is not None else ())
        stream, seq = place or (0, 0)
        row = Refused(
            caller.workspace_id,
            self._now_us(),
            caller.key_name,
            endpoint,
            status,
            entries,
            named=names,
            stream=stream,
            seq=seq,
            n=_chance(),
        )
        waiting.rows.append(row)
        self._size += 1
        self.kept += 1

    def _count(self, workspace_id: int, waiting: _Waiting, endpoint: str, status: int, entry: ErrorEntry) -> None:
        """Count a request for which there is no row."""
        type_, _, _, code = entry
        group = (endpoint, status, type_, code)
        row = waiting.counted.get(group)
        if row is None:
            if len(waiting.counted) >= MOST_COUNTED or self._size >= MOST_WAITING + MOST_COUNTED:
                self.dropped += 1
                return
            self._size += 1
            row = Refused(workspace_id, 0, "", endpoint, status, ((type_, "", -1, code),), count=0, n=_chance())
        waiting.counted[group] = replace(row, us=self._now_us(), count=row.count + 1)
        self.counted += 1

    def start(self) -> None:
        """Write what is noted from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Stop, and write the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.flush()

    async def flush(self) -> None:
        """Write what waits. While the database is away it waits on, within its bounds."""
        taken = {workspace_id: waiting for workspace_id, waiting in self._waiting.items() if waiting}
        self._waiting, self._size = {}, 0
        if not taken:
            return
        with suppress(UnavailableError):
            await self._calls.run(lambda: self._write(taken))
        if taken:
            self._keep(dict(taken))

    def _keep(self, taken: dict[int, _Waiting]) -> None:
        """What could not be written waits on, and what came meanwhile as far as there is room."""
        came, self._waiting, self._size = self._waiting, taken, sum(map(len, taken.values()))
        for workspace_id, waiting in came.items():
            kept = self._waiting.setdefault(workspace_id, _Waiting())
            for row in waiting:
                if self._size >= MOST_WAITING or len(kept.rows) >= self._rows_per_second:
                    self.dropped += row.count
                else:
                    kept.rows.append(row)
                    self._size += 1

    def _write(self, taken: dict[int, _Waiting]) -> None:
        """Take away what is written: a node that is away, or that hangs, keeps back its own workspaces alone."""
        for part in self._database.by_node(taken.items(), lambda item: item[0]):
            if self._database.is_away(part[0][0]):
                continue
            with suppress(*DATABASE_ERRORS):
                with self._database.write() as connection:
                    refused.add(connection, [row for _, waiting in part for row in waiting])
                for workspace_id, _ in part:
                    del taken[workspace_id]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await self.flush()


def _chance() -> int:
    return secrets.randbits(62)


def _entries(error: str, errors: Sequence[ObjectError]) -> tuple[ErrorEntry, ...]:
    """What is kept of the errors of a request, at least one."""
    whole = [(error[:MOST_TEXT], "", -1, "")] if error or not errors else []
    objects = [(one.type[:MOST_TEXT], one.input_array, one.index, one.code) for one in errors[:MOST_ERRORS]]
    return (*whole, *objects)


def _digests(caller: Caller, body: bytes, of: Sequence[ObjectError]) -> bytes:
    """Hashes of whom a body names, or those of its objects that errors are about."""
    document = named.read(body)
    region = addresses.region_of(caller.options)
    parts: Sequence[object] = named.objects_of(document, of[:MOST_ERRORS]) if of else [document]
    found = sorted({identifier for part in parts for identifier in named.named_in(part, region)})
    secret = caller.workspace_secret
    return b"".join(named.digest(secret, identifier) for identifier in found[: named.MOST_OF_REFUSED])
