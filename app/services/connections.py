"""The connections of an API process: how many there may be, in all and of one address, and which make room."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from app.services.networks import Network, client_address, contains, origin

#: Connections that are taken from the system and wait for their turn to begin.
MAX_NEWCOMERS: Final = 1024
#: Descriptors that a process needs for other things: databases, Redis, logs, files.
RESERVED_DESCRIPTORS: Final = 256
#: Bytes that are read from a connection at once. So many it may keep while its next request waits for its turn.
READ_BYTES: Final = 32 * 1024


class Connection(Protocol):
    """One connection, as far as its place is concerned."""

    def make_room(self) -> None:
        """Close it: no request of it is in hand."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the connections of one API process may take."""

    most: int
    #: An address of IPv6 is its /64.
    most_per_address: int
    #: For a request's line and headers, and for the rest of a body that was answered before it was all here.
    head_seconds: float
    #: An answer of which less than 64 KB is taken in this time is not waited for.
    send_seconds: float


def fitting(most: int, descriptors: int) -> int:
    """So many connections that a process with so many descriptors keeps some for newcomers and other things."""
    return max(1, min(most, descriptors - min(RESERVED_DESCRIPTORS + newcomers(descriptors), descriptors // 2)))


def newcomers(descriptors: int) -> int:
    """How many may wait for their turn to begin, in a process with so many descriptors."""
    return max(1, min(MAX_NEWCOMERS, descriptors // 4))


class _Waiting:
    """Connections without a request in hand, those that never sent one apart."""

    __slots__ = ("_fresh", "_used")

    def __init__(self) -> None:
        self._fresh: OrderedDict[Connection, None] = OrderedDict()
        self._used: OrderedDict[Connection, None] = OrderedDict()

    def add(self, connection: Connection, *, used: bool) -> None:
        (self._used if used else self._fresh)[connection] = None

    def discard(self, connection: Connection) -> None:
        self._fresh.pop(connection, None)
        self._used.pop(connection, None)

    def first(self) -> Connection | None:
        """Who gives up its place first: of those that never sent a request, else of all, who has waited longest."""
        return next(iter(self._fresh or self._used), None)


class _Place:
    """What one address has."""

    __slots__ = ("address", "connections", "limited", "waiting")

    def __init__(self, address: str, *, limited: bool) -> None:
        self.address = address
        self.limited = limited
        self.connections = 0
        self.waiting = _Waiting()


class Connections:
    """Counts connections and closes those that wait, so that a newcomer always finds a place.

    Whoever opens connections and sends no request can fill all places. So a newcomer takes the place of a connection
    that has no request in hand: of the same address where the address has all that it may have, else of any. It is
    refused only when every connection in question has a request in hand.
    """

    def __init__(self, limits: ConnectionLimits, trusted_proxies: tuple[Network, ...] = ()) -> None:
        """The connections of a trusted proxy are those of many clients: they count in all, not by address."""
        self.limits = limits
        #: Where each of them reads to. It parses what is there before another one reads.
        self.buffer = bytearray(READ_BYTES)
        self._trusted_proxies = trusted_proxies
        self._places: dict[Connection, _Place] = {}
        self._by_address: dict[str, _Place] = {}
        self._waiting = _Waiting()
        #: Connections that found no place; that gave up theirs; that took too long.
        self.refused = 0
        self.made_room = 0
        self.late = 0

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, connection: Connection, peer: str | None) -> bool:
        """A place for a new connection from this address (None: a Unix socket). False when there is none."""
        address = client_address(peer, (), ())
        name = origin(address)
        place = self._by_address.get(name)
        if place is None:
            place = _Place(name, limited=address is not None and not contains(self._trusted_proxies, address))
        if place.limited and place.connections >= self.limits.most_per_address and not self._make_room(place.waiting):
            return False
        if len(self._places) >= self.limits.most and not self._make_room(self._waiting):
            return False
        self._by_address[name] = place
        place.connections += 1
        self._places[connection] = place
        self.waits(connection, used=False)
        return True

    def waits(self, connection: Connection, *, used: bool = True) -> None:
        """It has no request in hand. `used`: it had one before."""
        place = self._places.get(connection)
        if place is not None:
            place.waiting.add(connection, used=used)
            self._waiting.add(connection, used=used)

    def works(self, connection: Connection) -> None:
        """It has a request in hand."""
        place = self._places.get(connection)
        if place is not None:
            place.waiting.discard(connection)
            self._waiting.discard(connection)

    def leave(self, connection: Connection) -> None:
        """It is closed, or as good as closed. For one without a place nothing happens."""
        place = self._places.pop(connection, None)
        if place is None:
            return
        place.waiting.discard(connection)
        self._waiting.discard(connection)
        place.connections -= 1
        if not place.connections:
            del self._by_address[place.address]

    def _make_room(self, waiting: _Waiting) -> bool:
        connection = waiting.first()
        if connection is None:
            self.refused += 1
            return False
        self.leave(connection)
        self.made_room += 1
        connection.make_room()
        return True
