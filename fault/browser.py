"""A simulated browser with the web SDK."""

import time

from fault.devices import MAX_RECORDS, Book, Delivery, Device, Json, book_all, encoded
from fault.visitors import Visitors


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
        headers = {"Content-Type": "application/json", "X-Onefold-SDK-Key": self._key}
        if beacon:
            headers = {"Content-Type": "text/plain"}

        def body() -> bytes:
            document: Json = {"device_id": self._id, "batch": number}
            document |= {} if silent else {"sent_at": self.clock.now() * 1000}
            document |= {"sdk_key": self._key} if beacon else {}
            return encoded(document | {"records": [_timed(*one) for one in records]})

        return Delivery("/v1/sdk/data", headers, body, lambda: book_all(books))

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


def _timed(record: Json, born: float, wall: float, timing: str) -> Json:
    if timing == "ago":
        return record | {"ago": max(0.0, time.monotonic() - born) * 1000}
    return record | {"at": wall * 1000} if timing == "at" else record
