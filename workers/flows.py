"""When batches flow, and what stays in memory between flows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import Connection

from app.domain.commands import STREAMS, StreamKey
from app.store.lane import Lane
from app.store.profiles.crowds import Crowds
from app.store.profiles.look_up import TooLargeError
from app.store.profiles.resident import Resident
from workers.attempts import Begun
from workers.batches import FLOW_BYTES, FLOW_REQUESTS, BatchSize
from workers.flow import Done, Flow, Terms
from workers.writing import Writer

#: Batches that are applied one at a time after a flow of them has ended before its time.
BATCHES_ALONE: Final = 4


class Flows:
    """The flows of one worker process, one at a time."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.sizes = {stream: BatchSize(most_requests=FLOW_REQUESTS, most_bytes=FLOW_BYTES) for stream in STREAMS}
        self.alone = BATCHES_ALONE
        #: By stream how many batches in a row were full. Below 0 some more have to be before they flow.
        self._full: dict[StreamKey, int] = {}
        #: By workspace; that which was used last is the last one.
        self._residents: dict[int, Resident] = {}
        self._executor: ThreadPoolExecutor | None = None

    def is_due(self, key: StreamKey) -> bool:
        """Whether the next batch of the stream may begin a flow."""
        return self._full.get(key, 0) > 0

    def saw(self, key: StreamKey, *, full: bool) -> None:
        """Somebody has applied a batch alone; `full`: more is behind it."""
        if full:
            self._full[key] = self._full.get(key, 0) + 1
        else:
            self._full.pop(key, None)

    def resident(self, workspace_id: int, place: list[int]) -> Resident | None:
        """What is in memory of a workspace whose lane is at this place."""
        found = self._residents.get(workspace_id)
        if found is not None and found.place != place:
            del self._residents[workspace_id]
            return None
        return found

    def forget(self) -> None:
        """What is in memory may not be what is stored."""
        self._residents.clear()

    def run(
        self,
        key: StreamKey,
        begun: Begun,
        secret: bytes,
        known: Crowds,
        committed: Callable[[Done], None],
        ends: Callable[[], bool],
        lock: Callable[[Connection], Lane | None],
    ) -> list[int]:
        """Apply what is behind the cursor, batch by batch, as far as that goes. Returns Lane.place behind it.

        `lock` takes the lane. Raises whatever goes wrong; then nothing is in memory, and what is committed is told.
        """
        terms, (workspace_id, stream), place = self._terms, key, begun.lane.place
        resident = self.resident(workspace_id, place) or Resident()
        resident.place = place
        writer = Writer(terms.database, self._writing(), lambda connection: flow.check(lock(connection)))
        size = self.sizes[stream]
        flow = Flow(terms, workspace_id, stream, secret, begun.lane, resident, known, size, writer, committed, ends)
        try:
            first = terms.ahead.take(workspace_id, stream, place[stream], begun.limit)
            if first is None:
                hour = begun.lane.hours[stream]
                first = terms.ahead.batch(key, place[stream], hour, begun.limit, size.bytes, resident)
            if first.stored:
                flow.run(first)
        except BaseException as error:
            writer.abandon()
            terms.ahead.forget()
            self._residents.pop(workspace_id, None)
            self._full[key] = -self.alone
            if isinstance(error, TooLargeError):
                size.halve()
            raise
        resident.place = flow.place
        self._keep(workspace_id, resident)
        if not flow.is_behind:
            self._full.pop(key, None)
        return flow.place

    def _keep(self, workspace_id: int, resident: Resident) -> None:
        """Keep what is in memory for the next flow, and of other workspaces only what there is room for."""
        if resident.is_full(self._terms.resident_bytes):
            resident.state.forget_addresses()
        self._residents.pop(workspace_id, None)
        self._residents[workspace_id] = resident
        total = sum(one.size for one in self._residents.values())
        for other in list(self._residents)[:-1]:
            if total <= self._terms.resident_bytes:
                break
            total -= self._residents.pop(other).size

    def _writing(self) -> ThreadPoolExecutor:
        """The thread that writes."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="writing")
        return self._executor
