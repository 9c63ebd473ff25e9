"""How much goes into one batch: as much as takes about `BATCH_SECONDS`, and less where some request is suspected."""

from dataclasses import dataclass
from typing import Final

from app.domain.commands import StreamKey

#: What a batch should take; longer ones delay readers, shorter ones waste round trips.
BATCH_SECONDS: Final = 0.2
#: The same under a backlog, where nobody waits for a single batch, and more changes of a profile fold into one.
FLOW_SECONDS: Final = 0.4
#: Three batches of a flow are in memory at once.
FLOW_REQUESTS: Final = 256
FLOW_BYTES: Final = 4 * 1024 * 1024
#: Behind a batch of so many commands more is expected, though it was all that lay there. With fewer, threads that wait
#: for one another cost more than there is to win: docs/performance.md.
LEAST_FLOWING: Final = 500
FIRST_REQUESTS: Final = 64
MAX_REQUESTS: Final = 512
FIRST_BYTES: Final = 512 * 1024
MIN_BYTES: Final = 16 * 1024
MAX_BYTES: Final = 8 * 1024 * 1024
#: Batches after which one may be larger again than that which was cut.
HELD: Final = 32
#: A range with a guilty request in it is tried in parts of this size.
PARTS: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a transaction may last before it ends, in seconds. The outcome of requests does not depend on it."""

    #: After this long no further request of a batch is reduced, so that none waits for a chain of expensive ones.
    reduce: float = 0.4
    #: The request in hand has this much longer; then it is cut, and the rest of it waits for the next transaction.
    grace: float = 0.2
    #: After this long no further part of a request is loaded.
    part: float = BATCH_SECONDS
    #: So many commands are applied between two looks at the clock.
    commands: int = 16


@dataclass(slots=True)
class BatchSize:
    """Bounds of the next batch of a stream. A request may be a hundred bytes or two megabytes, so there are two."""

    requests: int = FIRST_REQUESTS
    bytes: int = FIRST_BYTES
    most_requests: int = MAX_REQUESTS
    most_bytes: int = MAX_BYTES
    #: So many batches do not grow.
    held: int = 0

    def hold(self, size: int) -> None:
        """A batch had to be cut to so many bytes: try no more for a while."""
        self.bytes, self.held = max(MIN_BYTES, min(self.bytes, size)), HELD

    def halve(self) -> None:
        """Try half as many requests from now on."""
        self.requests = max(1, self.requests // 2)

    def adapt(
        self,
        seconds: float,
        requests: int,
        size: int,
        *,
        shrink: bool = True,
        grow: bool = True,
        target: float = BATCH_SECONDS,
    ) -> None:
        """Learn from a batch: its time, its requests, and their bytes. Without `shrink` its time is not their fault;
        without `grow` it had fewer requests than it might have had.

        `target`: the seconds that it should take.
        """
        if seconds > 1.5 * target:
            if not shrink:
                return
            self.requests = max(1, min(self.requests, requests) // 2)
            self.bytes = max(MIN_BYTES, min(self.bytes, size) // 2)
        elif self.held:
            self.held -= 1
        elif grow and seconds < target / 2:
            self.requests = min(self.most_requests, self.requests * 2)
            self.bytes = min(self.most_bytes, self.bytes * 2)


class Suspects:
    """Ranges of requests behind a cursor, one of which cannot be applied or kills its process.

    A range is tried in parts from its beginning, and the part that fails is the range from then on. So the guilty one
    is alone after a few tries, whose cost shrinks each time.
    """

    def __init__(self) -> None:
        self._last: dict[StreamKey, int] = {}

    def suspect(self, key: StreamKey, last: int) -> None:
        """One of the requests up to number `last` is guilty."""
        self._last[key] = last

    def __contains__(self, key: StreamKey) -> bool:
        return key in self._last

    def forget(self, workspace_id: int) -> None:
        """Nothing of a workspace is suspected any more."""
        for key in [key for key in self._last if key.workspace_id == workspace_id]:
            del self._last[key]

    def limit(self, key: StreamKey, cursor: int, limit: int) -> int:
        """How many requests may be tried behind the cursor."""
        last = self._last.get(key)
        if last is None:
            return limit
        if cursor >= last:
            del self._last[key]
            return limit
        return min(limit, max(1, (last - cursor) // PARTS))
