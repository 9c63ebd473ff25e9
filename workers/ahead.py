"""Reading ahead: the next requests of a stream are read and decoded while the database writes the batch before them.

Stored requests never change, so what was read ahead stays right whatever happens to the batch; it is used only when it
begins exactly behind the cursor, and thrown away otherwise.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests as they lie in the inbox, and decoded."""

    stored: list[Stored]
    requests: list[Request]
    #: It was not the end of the inbox that ended it.
    full: bool
    #: It was too large for the memory, and this is a part of it.
    is_cut: bool = False
    #: For a flow: app.domain.loading.plain_needs of all commands.
    wanted: dict[Identifier, int] | None = None
    #: What was read of that already.
    read: Read | None = None


class ReadAhead:
    """One stream at a time; the thread is started by the first use, after any fork."""

    def __init__(self, database: Database, loaded_bytes: int) -> None:
        """`loaded_bytes`: of profiles, for one batch of a flow."""
        self._database = database
        self._loaded_bytes = loaded_bytes
        self._executor: ThreadPoolExecutor | None = None
        #: What is being read: the stream, and the number behind which it begins.
        self._place: tuple[StreamKey, int] | None = None
        self._future: Future[Batch] | None = None

    def read(self, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int) -> list[Stored]:
        """The next requests, now: `limit` of them or `most` bytes. Raises what the database raises."""
        with self._database.read(self._database.inbox) as connection:
            return inbox.read(connection, workspace_id, stream, after, hour, limit, most)

    def batch(self, key: StreamKey, after: int, hour: int, limit: int, most: int, resident: Resident | None) -> Batch:
        """The next requests, decoded; for a flow with `resident` also what they need, and what of that is not there."""
        found = self.read(key.workspace_id, key.stream, after, hour, limit, most)
        batch = Batch(found, [decoded(request) for request in found], is_full(found, limit, most))
        if resident is None:
            return batch
        batch = for_flow(batch)
        # SQLite's driver lets go of Python's lock for each row: two threads would wait for each other all the time.
        if not batch.wanted or not self._database.is_postgresql:
            return batch
        return self.fitting(key.workspace_id, batch, batch.wanted, resident)

    def fitting(self, workspace_id: int, batch: Batch, wanted: dict[Identifier, int], resident: Resident) -> Batch:
        """The batch, or as much of it as fits the memory, with what is read of it. Raises TooLargeError when not even
        the first request does."""
        while True:
            try:
                with self._database.read() as connection:
                    read = resident.read(connection, workspace_id, wanted, self._loaded_bytes)
            except TooLargeError:
                many = len(batch.stored) // 2
                if not many:
                    raise
                batch = for_flow(Batch(batch.stored[:many], batch.requests[:many], full=True, is_cut=True))
                wanted = batch.wanted or {}
            else:
                return replace(batch, read=read)

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

    def give_back(self, workspace_id: int, stream: int, batch: Batch) -> None:
        """Let the batch be taken once more."""
        self._place = (StreamKey(workspace_id, stream), batch.stored[0].seq - 1)
        self._future = Future()
        self._future.set_result(batch)

    def forget(self) -> None:
        """What was read ahead is not what lies there."""
        self._future = self._place = None


def for_flow(batch: Batch) -> Batch:
    """The batch with what its commands need, if all of them are plain."""
    return replace(batch, wanted=plain_needs(command for request in batch.requests for command in left(request)))


def is_full(batch: list[Stored], limit: int, most: int) -> bool:
    """Whether a batch has as many requests or bytes as it may have, so that there are probably more."""
    return len(batch) == limit or sum(len(request.body) for request in batch) >= most


def decoded(request: Stored) -> Request:
    """An accepted request with its commands."""
    key_name, codec, body = stored.opened(request.codec, request.body)
    commands = stored.commands(request.kind, codec, body)
    begun = stored.progress(request.codec, request.body)
    return Request(request.stream, request.seq, request.accepted_us, commands, key_name, begun)
