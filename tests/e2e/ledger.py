"""Clients that keep their own books: what they were told was accepted, counted without any code of ours."""

import random
import threading
from collections import Counter
from typing import Any

from tests.e2e.service import Service


class Ledger:
    """Several client threads that post to the same people until told to stop.

    `logins`, `events`, `spent` are sums over all clients; `last` is the value that the one client who owns a field of a
    person wrote last, which tests the order.
    """

    def __init__(self, service: Service, seed: int, clients: int = 3, people: int = 60, objects: int = 48) -> None:
        self._service = service
        self._people = [f"user-{n}" for n in range(people)]
        self._objects = objects
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._key = service.key
        self.logins: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.cents: Counter[str] = Counter()
        self.last: dict[tuple[str, str], int] = {}
        self.accepted: list[str] = []
        self.applied = 0
        self.surprises: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(n, random.Random(f"{seed}/{n}")), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> "Ledger":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, rng: random.Random) -> None:
        n = 0
        while not self._stop.is_set() and len(self.accepted) < 4000:
            if len(self.accepted) - self.applied > 150:
                self._stop.wait(0.01)
                continue
            n += 1
            body = self._body(number, n, rng)
            status, answer, headers = self._service.call("POST", "/users/track", body, self._key)
            if status != 201 or answer["message"] != "success":
                self.surprises.append(f"{status} {answer}")
                return
            self._book(body, headers["X-Request-Id"])

    def _body(self, number: int, n: int, rng: random.Random) -> dict[str, Any]:
        body: dict[str, Any] = {"attributes": [], "events": [], "purchases": []}
        for _ in range(self._objects):
            who, kind = {"external_id": rng.choice(self._people)}, rng.random()
            if kind < 0.6:
                body["attributes"].append({**who, "logins": {"inc": rng.randrange(1, 4)}, f"field-{number}": n})
            elif kind < 0.8:
                body["events"].append({**who, "name": "opened", "time": "2026-11-20T10:00:00Z"})
            else:
                price = rng.randrange(1, 999) / 100
                body["purchases"].append(
                    {**who, "product_id": "p", "currency": "USD", "price": price, "time": "2026-11-20T10:00:00Z"}
                )
        return {name: array for name, array in body.items() if array}

    def _book(self, body: dict[str, Any], identifier: str) -> None:
        with self._lock:
            self.accepted.append(identifier)
            for entry in body.get("attributes", ()):
                self.logins[entry["external_id"]] += entry["logins"]["inc"]
                self.last |= {(entry["external_id"], name): n for name, n in entry.items() if name.startswith("field")}
            for entry in body.get("events", ()):
                self.events[entry["external_id"]] += 1
            for entry in body.get("purchases", ()):
                self.cents[entry["external_id"]] += round(entry["price"] * 100)

    def differences(self) -> list[str]:
        """How the profiles that the API exports differ from the books."""
        found = []
        for start in range(0, len(self._people), 50):
            status, answer, headers = self._service.call(
                "POST", "/users/export/ids", {"external_ids": self._people[start : start + 50]}, self._key
            )
            assert (status, headers["X-Onefold-Stale"]) == (201, None)
            for user in answer["users"]:
                name = user["external_id"]
                custom = user.get("custom_attributes", {})
                expected = {field: n for (person, field), n in self.last.items() if person == name}
                if self.logins[name]:
                    expected["logins"] = self.logins[name]
                events = sum(entry["count"] for entry in user.get("custom_events", ()))
                if (custom, events, round(user["total_revenue"] * 100)) != (
                    expected,
                    self.events[name],
                    self.cents[name],
                ):
                    found.append(name)
        return found
