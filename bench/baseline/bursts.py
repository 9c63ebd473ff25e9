"""Clients that update one person after the other, and what a reader finds of it: order, loss and doubling.

A client sends some updates of a person, each behind the 201 of the one before: `step` counts up, and `visits` is raised
by one. One in three carries 30 other people as well, as a batch does. At the end the last `step` has to be there, and
`visits` has to be the number of updates that were answered 201. An update without an answer may count or not.
"""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.load import HOST
from bench.table import BenchError

STEPS: Final = 5
CLIENTS: Final = 4
#: People beside the one that is meant, and among how many they are drawn.
BESIDE: Final = 30
CROWD: Final = 5_000
#: A client rests so long behind each person, so that workers keep up.
PAUSE_SECONDS: Final = 0.15
TIMEOUT_SECONDS: Final = 5.0
#: Of one export.
PAGE: Final = 50


@dataclass(slots=True)
class Person:
    """`unknown` updates had no 201, so they may have been applied or not."""

    external_id: str
    accepted: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Verdict:
    """What became of the updates. `lost` and `doubled` count updates; `stale` people, who show an older value."""

    people: int = 0
    accepted: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    stale: int = 0

    def add(self, other: "Verdict") -> None:
        for name in ("people", "accepted", "unknown", "lost", "doubled", "stale"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Bursts:
    """A load of `CLIENTS` clients on an API."""

    port: int
    key: str
    seed: str
    people: list[Person] = field(default_factory=list)

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Send as long as `meanwhile` runs."""
        over = threading.Event()
        clients = [threading.Thread(target=self._client, args=(number, over)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            meanwhile()
        finally:
            over.set()
            for client in clients:
                client.join()

    def send(self) -> None:
        """One client, one person."""
        self._send(Person(self.seed), random.Random(self.seed))

    def _client(self, number: int, over: threading.Event) -> None:
        rng = random.Random(f"{self.seed} {number}")
        count = 0
        while not over.wait(PAUSE_SECONDS):
            self.people.append(self._send(Person(f"{self.seed}-{number}-{count}"), rng))
            count += 1

    def _send(self, person: Person, rng: random.Random) -> Person:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_SECONDS)
        for step in range(1, STEPS + 1):
            if self._accepts(connection, _body(person, step, rng)):
                person.accepted += 1
            else:
                person.unknown += 1
        connection.close()
        return person

    def _accepts(self, connection: http.client.HTTPConnection, body: dict[str, Any]) -> bool:
        try:
            return self._call(connection, "/users/track", body)[0] == 201
        except (OSError, http.client.HTTPException):
            connection.close()
            return False

    def _call(
        self, connection: http.client.HTTPConnection, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if answer.status < 300 else {}

    def seen_ms(self, count: int) -> list[float]:
        """From the 201 of an update until an export shows it, one after the other. Raises BenchError, OSError."""
        found: list[float] = []
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_SECONDS)
        for number in range(count):
            who = f"{self.seed}-seen-{number}"
            status, _ = self._call(connection, "/users/track", {"attributes": [{"external_id": who, "step": 1}]})
            if status != 201:
                raise BenchError(f"an update was answered {status}")
            began = time.perf_counter()
            while not self._export(connection, [who]):
                if time.perf_counter() - began > TIMEOUT_SECONDS:
                    raise BenchError(f"an update was not to be seen within {TIMEOUT_SECONDS:g} s")
            found.append((time.perf_counter() - began) * 1000)
        connection.close()
        return found

    def _export(self, connection: http.client.HTTPConnection, external_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Custom attributes of those who are there."""
        wanted = {"external_ids": external_ids, "fields_to_export": ["external_id", "custom_attributes"]}
        status, answer = self._call(connection, "/users/export/ids", wanted)
        if status >= 300:
            raise BenchError(f"reading people back was answered {status}")
        return {user["external_id"]: user.get("custom_attributes", {}) for user in answer["users"]}

    def verdict(self) -> Verdict:
        """Read everybody back, as a client does, and count what is wrong."""
        verdict = Verdict()
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        for first in range(0, len(self.people), PAGE):
            page = self.people[first : first + PAGE]
            found = self._export(connection, [person.external_id for person in page])
            for person in page:
                verdict.add(judged(person, found.get(person.external_id, {})))
        connection.close()
        return verdict


def judged(person: Person, attributes: dict[str, Any]) -> Verdict:
    """What one person says. Of somebody with an update of unknown outcome the last step is not judged."""
    visits = int(attributes.get("visits", 0))
    lost = max(0, person.accepted - visits)
    doubled = max(0, visits - person.accepted - person.unknown)
    whole = person.unknown == 0 and person.accepted == STEPS
    stale = whole and attributes.get("step") != STEPS
    return Verdict(1, person.accepted, person.unknown, lost, doubled, int(stale))


def _body(person: Person, step: int, rng: random.Random) -> dict[str, Any]:
    update = {"external_id": person.external_id, "step": step, "visits": {"inc": 1}}
    beside: list[dict[str, Any]] = []
    if rng.randrange(3) == 0:
        drawn = sorted(rng.sample(range(CROWD), BESIDE))
        beside = [{"external_id": f"beside-{number}", "seen": step} for number in drawn]
    return {"attributes": [*beside, update]}
