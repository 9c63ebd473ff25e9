"""A queue in which everybody gets a turn: what one has put in does not delay the others. Pure."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of several owners. Owners take turns; the items of one come out in the order in which they went in."""

    def __init__(self) -> None:
        #: Of every owner that has items; whose turn is next comes first.
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, owner: str, item: T) -> None:
        self._queues.setdefault(owner, deque()).append(item)
        self._size += 1

    def take(self) -> T:
        """The next item. Raises IndexError when there is none."""
        if not self._queues:
            raise IndexError("an empty queue")
        owner, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._queues[owner] = queue  # behind the others
        self._size -= 1
        return item
