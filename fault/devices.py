"""Simulated devices: what a browser with the web SDK sends, and one with a tracking SDK.

Each device makes one request after another. Its clock may be a year off, and may step; a request that is sent again is
the same one, with the times that are so long ago by then.
"""

import json
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fault.visitors import Visitors

YEAR_SECONDS: Final = 365 * 86_400.0
#: How far the clock of a device is off, and how far it steps meanwhile.
ERRORS: Final = (0.0, 0.0, 0.0, 90.0, -YEAR_SECONDS, YEAR_SECONDS)
STEPS: Final = (-7_200.0, 3_600.0)
#: Devices of so many numbers in a row belong to one family, whose account they share.
FAMILY: Final = 3
PAGES: Final = ("Home", "Shop", "Basket")
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


class Browser(Device):
    """With the web SDK: POST /v1/sdk/data."""

    def __init__(self, number: int, app: str, sdk_key: str, books: Visitors, seed: object) -> None:
        super().__init__(number, app, books, seed)
        self._key = sdk_key
        self._id = f"browser-{number:06}"
        self._batch = self._sequence = self._sessions = self._tokens = 0
        self._has_alias = False
        self._makers = {
            self._event: 5.0,
            self._attributes: 2.0,
            self._purchase: 1.0,
            self._session: 1.0,
            self._session_end: 0.5,
            self._device: 0.5,
            self._token: 0.3,
            self._alias: 0.3,
            self._log_in: 0.9,
            self._log_out: 0.4,
        }

    def request(self) -> Delivery:
        self._batch += 1
        makers = [self._session, self._device] if self._batch == 1 else []
        more = self.rng.randint(1, MAX_RECORDS)
        makers += self.rng.choices(list(self._makers), list(self._makers.values()), k=more)
        records: list[tuple[Json, float, float, str]] = []
        books: list[Book] = []
        born = time.monotonic() - self.rng.uniform(0, 120)
        for make in makers:
            self._sequence += 1
            self.clock.tick()
            record, book = make()
            age = time.monotonic() - born
            timing = self.rng.choice(("ago", "ago", "at", ""))
            records.append((record | {"seq": self._sequence}, born, self.clock.now() - age, timing))
            books.append(book)
            born = min(born + self.rng.uniform(0, 20), time.monotonic())
        self.rng.shuffle(records)
        number, beacon, silent = self._batch, self.rng.random() < 0.2, self.rng.random() < 0.2
        headers = {"Content-Type": "text/plain"} if beacon else {"X-Onefold-SDK-Key": self._key}

        def body() -> bytes:
            document: Json = {"device_id": self._id, "batch": number}
            document |= {} if silent else {"sent_at": self.clock.now() * 1000}
            document |= {"sdk_key": self._key} if beacon else {}
            return _encoded(document | {"records": [_timed(*one) for one in records]})

        return Delivery("/v1/sdk/data", headers, body, lambda: _book_all(books))

    def _event(self) -> tuple[Json, Book]:
        name = f"web-{self.rng.randrange(3)}"
        record = {"type": "event", "name": name, "properties": {"number": self._sequence}}
        return record, lambda: self.books.event(self.app, self.books.owner(self._id), name)

    def _attributes(self) -> tuple[Json, Book]:
        value = f"{self._batch}-{self._sequence}"

        def book() -> None:
            self.books.owner(self._id).last[self.mark] = value

        return {"type": "attributes", "attributes": {self.mark: value}}, book

    def _purchase(self) -> tuple[Json, Book]:
        product, cents = f"product-{self.rng.randrange(3)}", self.rng.randrange(1, 9_999)
        record = {"type": "purchase", "product_id": product, "currency": "USD", "price": cents / 100}
        return record, lambda: self.books.purchase(self.app, self.books.owner(self._id), product, cents)

    def _session(self) -> tuple[Json, Book]:
        """Another session, the same once more after a reload, or one without an id."""
        if self._sessions == 0 or self.rng.random() < 0.7:
            self._sessions += 1
        session = "" if self.rng.random() < 0.1 else f"s{self._sessions}"
        record = {"type": "session_start"} | ({"session_id": session} if session else {})
        return record, lambda: self.books.session(self.app, self._id, session)

    def _session_end(self) -> tuple[Json, Book]:
        return {"type": "session_end"}, lambda: None

    def _device(self) -> tuple[Json, Book]:
        told = {"os": "Linux", "browser": "Firefox", "locale": self.rng.choice(("de-AT", "en-GB")), "time_zone": "UTC"}
        return {"type": "device", "device": told}, lambda: None

    def _token(self) -> tuple[Json, Book]:
        self._tokens += 1
        token = f"token-{self._id}-{self._tokens}"
        return {"type": "push_token", "token": token}, lambda: self.books.token(self._id, token)

    def _alias(self) -> tuple[Json, Book]:
        if self._has_alias:
            return self._event()
        self._has_alias = True
        label, name = f"label-{self.number}", f"alias-{self.number}"
        record = {"type": "alias", "alias_label": label, "alias_name": name}
        return record, lambda: self.books.owner(self._id).aliases.add((label, name))

    def _log_in(self) -> tuple[Json, Book]:
        if self.rng.random() < 0.05:  # nobody
            return {"type": "change_user", "user_id": "null"}, lambda: None
        user = self.account()
        return {"type": "change_user", "user_id": user}, lambda: self.books.log_in(self._id, user)

    def _log_out(self) -> tuple[Json, Book]:
        return {"type": "logout"}, lambda: self.books.log_out(self._id)


class Tracker(Device):
    """With a tracking SDK: POST /v1/batch, and the paths of single calls."""

    def __init__(self, number: int, app: str, write_key: str, books: Visitors, seed: object) -> None:
        super().__init__(number, app, books, seed)
        self._key = write_key
        self._id = f"tracker-{number:06}"
        self._user: str | None = None
        self._resets = self._messages = 0
        self._makers = {
            self._track: 5.0,
            self._page: 1.0,
            self._identify: 1.0,
            self._group: 0.3,
            self._opened: 0.7,
            self._alias: 0.2,
            self._reset: 0.3,
            self._server: 0.2,
        }

    def request(self) -> Delivery:
        count = 1 if self.rng.random() < 0.3 else self.rng.randint(2, MAX_RECORDS)
        made = []
        for make in self.rng.choices(list(self._makers), list(self._makers.values()), k=count):
            self._messages += 1
            self.clock.tick()
            call, book = make()
            age = timedelta(seconds=self.rng.uniform(0, 60))
            named = {"messageId": f"m-{self.mark}-{self._messages}", "originalTimestamp": _iso(self.clock.now(), age)}
            made.append((named | call, book))
        whole = self._delivery(made)
        if count == 1:
            return whole
        cut = self.rng.randrange(1, count)
        parts = tuple(self._delivery(part) for part in (made[:cut], made[cut:]))
        return Delivery(whole.path, whole.headers, whole.body, whole.book, parts)

    def _delivery(self, made: Sequence[tuple[Json, Book]]) -> Delivery:
        calls, books = [call for call, _ in made], [book for _, book in made]
        headers = {"X-Write-Key": self._key, "Content-Type": "application/json"}
        if len(calls) == 1:
            kind = str(calls[0]["type"])
            path = self.rng.choice((f"/v1/{kind}", f"/v1/{kind[0]}", f"/api/s/{kind}"))
            return Delivery(path, headers, lambda: _encoded(calls[0] | self._sent()), books[0])
        path = self.rng.choice(("/v1/batch", "/v1/b", f"/beacon/v1/batch?writeKey={self._key}"))
        headers = {"Content-Type": "text/plain"} if "beacon" in path else headers
        return Delivery(path, headers, lambda: _encoded({"batch": calls} | self._sent()), lambda: _book_all(books))

    def _sent(self) -> Json:
        return {"sentAt": _iso(self.clock.now(), timedelta())}

    def _of_visitor(self, call: Json) -> tuple[Json, Callable[[], Any]]:
        """A call with whom it names, and how to find who that is in the books."""
        device, user = self._id, self._user

        def who() -> Any:
            if user is not None:
                self.books.log_in(device, user)
            return self.books.owner(device)

        return call | {"anonymousId": device} | ({} if user is None else {"userId": user}), who

    def _event(self, call: Json, name: str) -> tuple[Json, Book]:
        named, who = self._of_visitor(call)
        return named, lambda: self.books.event(self.app, who(), name)

    def _track(self) -> tuple[Json, Book]:
        name = f"call-{self.rng.randrange(3)}"
        return self._event({"type": "track", "event": name, "properties": {"number": self._messages}}, name)

    def _page(self) -> tuple[Json, Book]:
        name = self.rng.choice(PAGES)
        return self._event({"type": "page", "name": name}, f"Viewed {name} Page")

    def _opened(self) -> tuple[Json, Book]:
        named, who = self._of_visitor({"type": "track", "event": "Application Opened"})
        device = self._id

        def book() -> None:
            visitor = who()
            self.books.session(self.app, device, "")
            self.books.event(self.app, visitor, "Application Opened")

        return named, book

    def _identify(self) -> tuple[Json, Book]:
        self._user = self.account()
        value = str(self._messages)
        named, who = self._of_visitor({"type": "identify", "traits": {self.mark: value}})

        def book() -> None:
            who().last[self.mark] = value

        return named, book

    def _group(self) -> tuple[Json, Book]:
        named, who = self._of_visitor({"type": "group", "groupId": f"group-{self.number}"})

        def book() -> None:
            who()

        return named, book

    def _alias(self) -> tuple[Json, Book]:
        """Who the visitor was: of nobody who is known, so that it identifies."""
        if self._user is not None:
            return self._track()
        self._user, device = self.account(), self._id
        user = self._user
        call = {"type": "alias", "previousId": device, "userId": user}

        def book() -> None:
            if self.books.owner(device).external_id is None:
                self.books.log_in(device, user)

        return call, book

    def _reset(self) -> tuple[Json, Book]:
        """The SDK forgets who it was, and makes another anonymous id."""
        self._resets += 1
        self._id, self._user = f"tracker-{self.number:06}-{self._resets}", None
        return self._track()

    def _server(self) -> tuple[Json, Book]:
        """A server tells of the person, and of no device."""
        user = self.account()
        name = f"call-{self.rng.randrange(3)}"
        call = {"type": "track", "event": name, "userId": user}
        return call, lambda: self.books.event(self.app, self.books.person(user), name)


def _timed(record: Json, born: float, wall: float, timing: str) -> Json:
    if timing == "ago":
        return record | {"ago": max(0.0, time.monotonic() - born) * 1000}
    return record | {"at": wall * 1000} if timing == "at" else record


def _book_all(books: Sequence[Book]) -> None:
    for book in books:
        book()


def _encoded(document: Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _iso(seconds: float, age: timedelta) -> str:
    return (datetime.fromtimestamp(seconds, UTC) - age).isoformat()
