"""A simulated site with a tracking SDK: the calls of Segment, RudderStack and Jitsu."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fault.devices import MAX_RECORDS, Book, Delivery, Device, Json, book_all, encoded
from fault.visitors import Visitors

PAGES: Final = ("Home", "Shop", "Basket")


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
            return Delivery(path, headers, lambda: encoded(calls[0] | self._sent()), books[0])
        path = self.rng.choice(("/v1/batch", "/v1/b", f"/beacon/v1/batch?writeKey={self._key}"))
        headers = {"Content-Type": "text/plain"} if "beacon" in path else headers
        return Delivery(path, headers, lambda: encoded({"batch": calls} | self._sent()), lambda: book_all(books))

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


def _iso(seconds: float, age: timedelta) -> str:
    return (datetime.fromtimestamp(seconds, UTC) - age).isoformat()
