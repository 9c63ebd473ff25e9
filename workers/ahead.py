"""Reading ahead: the next requests of a stream are read and decoded while the database writes the batch before them.

Stored requests never change, so what was read ahead stays right whatever happens to the batch; it is used only when it
begins exactly behind the cursor, and thrown away otherwise.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from app.contract import stored
from app.domain.commands import Request, StreamKey
from app.domain.loading import plain_needs
from app.domain.order import left
from app.domain.profile import Identifier
from app.domain.times import HOUR
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Stored
from app.store.profiles.look_up import TooLargeError
from app.store.profiles.resident import Read, Resident
from workers.batches import LEAST_FLOWING

#: Commands of plain requests between others for which a flow takes these apart.
LEAST_PLAIN: Final = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """The first requests of a batch, which a flow applies together."""

    requests: int
    #: app.domain.loading.plain_needs of all their commands; None: they are not plain, or too few to be worth it.
    wanted: dict[Identifier, int] | None
    #: What was read of that already.
    read: Read | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests as they lie in the inbox, and decoded."""

    stored: list[Stored]
    requests: list[Request]
    #: It was not the end of the inbox that ended it.
    full: bool
    #: It was too large for the memory, and this is a part of it.
    is_cut: bool = False
    #: How a flow begins with it, if somebody has looked.
    run: Run | None = None

    @property
    def flows(self) -> bool:
        """Whether more is expected behind it. Of its commands none may be used up yet."""
        return self.full or is_much(self.requests)

    def behind(self, requests: int) -> "Batch | None":
        """What comes behind the first so many requests, None when there are no more."""
        if requests == len(self.stored):
            return None
        return Batch(self.stored[requests:], self.requests[requests:], self.full, self.is_cut)


class ReadAhead:
    """One stream at a time; the thread is started by the first use, after any fork."""

    def __init__(self, database: Database, loaded_bytes: int, least_plain: int = LEAST_PLAIN) -> None:
        """`loaded_bytes`: of profiles, for one run of a flow; `least_plain`: see first_run."""
        self._database = database
        self._loaded_bytes = loaded_bytes
        self._least_plain = least_plain
        self._executor: ThreadPoolExecutor | None = None
        #: What is being read: the stream, and the number behind which it begins.
        self._place: tuple[StreamKey, int] | None = None
        self._future: Future[Batch] | None = None

    def read(self, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int) -> list[Stored]:
        """The next requests, now: `limit` of them or `most` bytes. Raises what the database raises."""
        with self._database.glance(self._database.inbox) as connection:
            return inbox.read(connection, workspace_id, stream, after, hour, limit, most)

    def batch(self, key: StreamKey, after: int, hour: int, limit: int, most: int, resident: Resident | None) -> Batch:
        """The next requests, decoded; for a flow with `resident` also its first run, and what that one needs and is not
        there."""
        found = self.read(key.workspace_id, key.stream, after, hour, limit, most)
        batch = Batch(found, [decoded(request) for request in found], is_full(found, limit, most))
        if resident is None or not found:
            return batch
        batch, run = self.ready(key.workspace_id, batch, resident)
        return replace(batch, run=run)

    def ready(self, workspace_id: int, batch: Batch, resident: Resident) -> tuple[Batch, Run]:
        """The batch and its first run, with what that one needs. If the run does not fit the memory, both are cut to
        what does.

        Raises TooLargeError when not even the first request does.
        """
        run = batch.run or first_run(batch.requests, self._least_plain)
        while run.wanted is not None and run.read is None:
            try:
                with self._database.in_turn(), self._database.read() as connection:
                    read = resident.read(connection, workspace_id, run.wanted, self._loaded_bytes)
            except TooLargeError:
                many = run.requests // 2
                if not many:
                    raise
                batch = Batch(batch.stored[:many], batch.requests[:many], full=True, is_cut=True)
                run = first_run(batch.requests, 1)
            else:
                run = replace(run, read=read)
        return batch, run

    def start(
        self, workspace_id: int, stream: int, last: Stored, limit: int, most: int, resident: Resident | None = None
    ) -> None:
        """Begin to read what follows a request: see `batch`."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        key = StreamKey(workspace_id, stream)
        self._place = (key, last.seq)
        hour = last.accepted_us // HOUR
        try:
            self._future = self._executor.submit(self.batch, key, last.seq, hour, limit, most, resident)
        except RuntimeError:  # no thread can be had for lack of memory: that is no request's fault, and nobody needs it
            self._executor, self._future = None, None

    def take(self, workspace_id: int, stream: int, after: int, limit: int) -> Batch | None:
        """What was read ahead of this place, if it was, fits the limit, and nothing went wrong with it."""
        future, place = self._future, self._place
        self._future = self._place = None
        if future is None or place != ((workspace_id, stream), after) or future.exception() is not None:
            return None
        batch = future.result()
        return batch if 0 < len(batch.stored) <= limit else None

    def forget(self) -> None:
        """What was read ahead is not what lies there, or was changed since."""
        self._future = self._place = None


def first_run(requests: Sequence[Request], least: int) -> Run:
    """The plain requests at the beginning, or those before the next plain ones.

    Plain requests with fewer than `least` commands between others are applied together with these: the way that can
    apply anything costs less than a change of ways.
    """
    wanted: dict[Identifier, int] = {}
    plain, commands = 0, 0
    for n, request in enumerate(requests):
        found = plain_needs(left(request))
        if found is not None:
            plain, commands = plain + 1, commands + len(left(request))
            for identifier, sections in found.items():
                wanted[identifier] = wanted.get(identifier, 0) | sections
            if plain <= n and commands >= least:
                return Run(n + 1 - plain, None)
        elif plain == n and commands >= least:
            return Run(n, wanted)
        else:
            plain, commands = 0, 0
    return Run(len(requests), wanted if plain == len(requests) else None)


def is_full(batch: list[Stored], limit: int, most: int) -> bool:
    """Whether a batch has as many requests or bytes as it may have, so that there are probably more."""
    return len(batch) == limit or sum(len(request.body) for request in batch) >= most


def is_much(requests: Sequence[Request]) -> bool:
    """Whether so much lay there at once that more is expected behind it."""
    return sum(len(left(request)) for request in requests) >= LEAST_FLOWING


def decoded(request: Stored) -> Request:
    """An accepted request with its commands."""
    key_name, codec, body = stored.opened(request.codec, request.body)
    commands = stored.commands(request.kind, codec, body)
    begun = stored.progress(request.codec, request.body)
    return Request(request.stream, request.seq, request.accepted_us, commands, key_name, begun)
