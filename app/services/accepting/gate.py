"""Load shedding: a process with too much in hand refuses the next at once, instead of answering all late.

What a workspace has in hand counts whatever its keys are, and so does what an address has while nobody knows whose
request it is: see app.services.shares.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.services.refusals import OverloadedError
from app.services.shares import Shares

_Owner = int | str


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one API process has in hand at once. A workspace gets at most half of what the others leave of it."""

    requests: int
    #: Of bodies and of answers.
    bytes: int
    #: Requests of one address whose body tells who calls. All addresses together get a quarter of `requests`.
    strangers: int
    #: JSON values in one body.
    values: int


class Gate:
    """Counts requests in hand and their bytes; one per API process."""

    def __init__(self, limits: GateLimits) -> None:
        self.limits = limits
        self.places = Shares(limits.requests)
        self.strangers = Shares(max(1, limits.requests // 4), limits.strangers)
        self.bytes = Shares(limits.bytes)
        self.inside = 0
        #: Requests that found no place: none at all, none for their workspace or address, none for their bytes.
        self.refused = 0
        self.refused_by_owner = 0
        self.refused_bytes = 0

    def enter(self) -> "Place":
        """A place for one request, until it leaves. Raises OverloadedError when all are taken."""
        if self.inside >= self.limits.requests:
            self.refused += 1
            raise OverloadedError
        self.inside += 1
        return Place(self)


class Place:
    """What one request has in hand."""

    __slots__ = ("_bytes", "_gate", "_left", "_owner")

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        #: A workspace; or an address, while nobody knows whose request it is.
        self._owner: _Owner | None = None
        self._bytes = 0
        self._left = False

    @property
    def most_values(self) -> int:
        """JSON values that the body may have."""
        return self._gate.limits.values

    @contextmanager
    def stranger(self, address: str) -> Iterator[None]:
        """A block that finds out who calls. Raises OverloadedError when the address has too many such requests."""
        if not self._gate.strangers.take(address):
            self._gate.refused_by_owner += 1
            raise OverloadedError
        self._owner = address
        try:
            yield
        finally:
            self._gate.strangers.give(address)

    def belongs_to(self, workspace_id: int) -> None:
        """Whose request it is. Raises OverloadedError when the workspace has its share in hand."""
        size, before = self._bytes, self._owner
        self._forget()
        self._owner = None
        if not self._gate.places.take(workspace_id):
            self._gate.refused_by_owner += 1
            raise OverloadedError
        self._owner = workspace_id
        if before is not None:
            self.hold(size)

    def hold(self, size: int) -> None:
        """Count more bytes in memory, until the request leaves. Raises OverloadedError when they are too many."""
        if self._owner is None or not size:
            return
        if not self._gate.bytes.take(self._owner, size):
            self._gate.refused_bytes += 1
            raise OverloadedError
        self._bytes += size

    def leave(self) -> None:
        """The request is over and its answer sent. A second call does nothing."""
        if self._left:
            return
        self._left = True
        self._gate.inside -= 1
        self._forget()
        if isinstance(self._owner, int):
            self._gate.places.give(self._owner)

    def _forget(self) -> None:
        if self._bytes and self._owner is not None:
            self._gate.bytes.give(self._owner, self._bytes)
        self._bytes = 0
