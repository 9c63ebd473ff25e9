"""Simulated devices. `fault.browser` has one with the web SDK, `fault.tracker` one with a tracking SDK.

Each device makes one request after another. Its clock may be a year off, and may step; a request that is sent again is
the same one, with the times that are so long ago by then.
"""

import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fault.visitors import Visitors

YEAR_SECONDS: Final = 365 * 86_400.0
#: How far the clock of a device is off, and how far it steps meanwhile.
ERRORS: Final = (0.0, 0.0, 0.0, 90.0, -YEAR_SECONDS, YEAR_SECONDS)
STEPS: Final = (-7_200.0, 3_600.0)
#: Devices of so many numbers in a row belong to one family, whose account they share.
FAMILY: Final = 3
MAX_RECORDS: Final = 6
Json = dict[str, Any]
Book = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request of a device: its body as of now, each time it is sent, and what it did once it was accepted.

    `parts`: the same, as an SDK sends it that has put its queue together anew.
    """

    path: str
    headers: Json
    body: Callable[[], bytes]
    book: Book
    parts: tuple["Delivery", ...] = ()


class Clock:
    """A device's wall clock."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._error = rng.choice(ERRORS)
        self._step = rng.choice(STEPS) if rng.random() < 0.2 else 0.0

    def now(self) -> float:
        return time.time() + self._error

    def tick(self) -> None:
        """Where the clock is one that steps, it may do so now."""
        if self._step and self._rng.random() < 0.3:
            self._error, self._step = self._error + self._step, 0.0


class Device(ABC):
    """Device `number`, which sends for an app."""

    def __init__(self, number: int, app: str, books: Visitors, seed: object) -> None:
        self.number = number
        self.app = app
        self.books = books
        self.rng = random.Random(f"{seed}/{type(self).__name__}/{number}")
        self.clock = Clock(self.rng)
        #: An attribute that this device alone writes: its last value shows the order.
        self.mark = f"last_{type(self).__name__.lower()}_{number}"

    @abstractmethod
    def request(self) -> Delivery:
        """The next one."""

    def account(self) -> str:
        """Who logs in: the person alone, or the family."""
        return f"person-{self.number}" if self.rng.random() < 0.6 else family(self.number)


def family(number: int) -> str:
    """The account that a device shares with those beside it."""
    return f"family-{number // FAMILY}"


def book_all(books: Sequence[Book]) -> None:
    """What several records did, one after another."""
    for book in books:
        book()


def encoded(document: Json) -> bytes:
    """A document as JSON."""
    return json.dumps(document, separators=(",", ":")).encode()
