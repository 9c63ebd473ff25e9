"""What is remembered of the batches of a device: which arrived, and up to where its records are somebody else's.

Batches may arrive in another order than they were sent. Whatever a late one tells goes to whoever has the device, as
long as that is whom it is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.domain.device_commands import SdkBatch

#: Batches of a device that are remembered: the last one's number, and which of so many up to it arrived.
WINDOW: Final = 60


@dataclass(frozen=True, slots=True)
class Batches:
    """As it is stored, a list of the values."""

    #: The greatest number.
    last: int = 0
    #: Bit n: whether the batch `last - n` arrived.
    arrived: int = 0
    #: Sequence number of the last log-in or log-out that gave the device to somebody else.
    changed: int = 0
    #: That of the last log-in or log-out whatsoever, and the greatest number of a batch then.
    said: int = 0
    said_at: int = 0

    @classmethod
    def read(cls, stored: Sequence[int]) -> "Batches":
        """Earlier versions stored the first three, and all log-ins as changes."""
        if len(stored) == 3:
            last, arrived, changed = stored
            return cls(last, arrived, changed, changed, last)
        return cls(*stored)

    def stored(self) -> list[int]:
        return [self.last, self.arrived, self.changed, self.said, self.said_at]

    def knows(self, number: int) -> bool:
        """Whether a batch arrived, or is older than what is remembered."""
        behind = self.last - number
        return behind >= WINDOW or (behind >= 0 and bool(self.arrived >> behind & 1))

    def with_batch(self, number: int) -> "Batches":
        behind = self.last - number
        if behind >= 0:
            return replace(self, arrived=self.arrived | 1 << behind)
        arrived = (self.arrived << min(-behind, WINDOW) | 1) & ((1 << WINDOW) - 1)
        return replace(self, last=number, arrived=arrived)

    def after(self, sequence: int, *, moved: bool) -> "Batches":
        """With a log-in or log-out; whether the device is somebody else's since."""
        changed = sequence if moved else self.changed
        return replace(self, changed=changed, said=sequence, said_at=self.last)

    def late(self, batch: SdkBatch) -> frozenset[int]:
        """Indices of the records of a batch that come too late to be booked on whoever has the device.

        Those from before it changed hands do. Those from before a log-in by which it did not change hands belong to the
        same person, unless there may be another log-in or log-out between them: in the same batch, or in one that has
        not arrived.
        """
        if batch.records[0][1] >= self.said:
            return frozenset()
        between = range(batch.number + 1, self.said_at)
        is_open = 0 < batch.first_change < self.said or not all(map(self.knows, between))
        until = self.said if is_open else self.changed
        return frozenset(index for index, sequence in batch.records if sequence < until)
