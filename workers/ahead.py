"""Reading ahead: the next requests of a stream are read and decoded while the database writes the batch before them.

Stored requests never change, so what was read ahead stays right whatever happens to the batch; it is used only when it
begins exactly behind the cursor, and thrown away otherwise.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from app.contract import stored
from app.domain.commands import Request, StreamKey
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Stored


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests as they lie in the inbox, and decoded."""

    stored: list[Stored]
    requests: list[Request]
    #: It was not the end of the inbox that ended it.
    full: bool


class ReadAhead:
    """One stream at a time; the thread is started by the first use, after any fork."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor: ThreadPoolExecutor | None = None
        #: What is being read: the stream, and the number behind which it begins.
        self._place: tuple[StreamKey, int] | None = None
        self._future: Future[Batch] | None = None

    def read(self, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int) -> list[Stored]:
        """The next requests, now: `limit` of them or `most` bytes. Raises what the database raises."""
        with self._database.read(self._database.inbox) as connection:
            return inbox.read(connection, workspace_id, stream, after, hour, limit, most)

    def start(self, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int) -> None:
        """Begin to read what follows number `after`."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._place = (StreamKey(workspace_id, stream), after)
        try:
            self._future = self._executor.submit(self._batch, workspace_id, stream, after, hour, limit, most)
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
        """What was read ahead is not what lies there."""
        self._future = self._place = None

    def _batch(self, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int) -> Batch:
        requests = self.read(workspace_id, stream, after, hour, limit, most)
        return Batch(requests, [decoded(request) for request in requests], is_full(requests, limit, most))


def is_full(batch: list[Stored], limit: int, most: int) -> bool:
    """Whether a batch has as many requests or bytes as it may have, so that there are probably more."""
    return len(batch) == limit or sum(len(request.body) for request in batch) >= most


def decoded(request: Stored) -> Request:
    """An accepted request with its commands."""
    key_name, codec, body = stored.opened(request.codec, request.body)
    commands = stored.commands(request.kind, codec, body)
    begun = stored.progress(request.codec, request.body)
    return Request(request.stream, request.seq, request.accepted_us, commands, key_name, begun)
