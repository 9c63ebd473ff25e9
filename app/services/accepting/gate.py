"""Load shedding: a process with too many requests in hand refuses the next at once, instead of answering all late."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.services.refusals import OverloadedError


class Gate:
    """Counts the requests in hand, altogether and by API key; one per API process."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self._most = most
        self._most_per_key = most_per_key
        self._by_key: Counter[str] = Counter()
        self.inside = 0
        #: Requests that found no place: none at all, and none for their key.
        self.refused = 0
        self.refused_by_key = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """A place for one request. Raises OverloadedError when all are taken."""
        if self.inside >= self._most:
            self.refused += 1
            raise OverloadedError
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    @contextmanager
    def enter_as(self, key_id: str) -> Iterator[None]:
        """One of the places that a key may have, so that no caller takes those of all others."""
        if self._by_key[key_id] >= self._most_per_key:
            self.refused_by_key += 1
            raise OverloadedError
        self._by_key[key_id] += 1
        try:
            yield
        finally:
            self._by_key[key_id] -= 1
            if not self._by_key[key_id]:
                del self._by_key[key_id]
