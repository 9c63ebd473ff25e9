"""Clients of the HTTP API: each retries 5xx, 429 and lost connections with the same key, and keeps books of its own."""

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from fault.identity import OPERATIONS
from fault.ledger import Ledger, Person, crowd, own_people
from fault.operations import Sending, Turn, founding
from tests.polling import until

HOST: Final = "127.0.0.1"
#: For one answer. The longest that Onefold promises is 3 s.
ANSWER_SECONDS: Final = 15.0
#: After the load was told to stop, a request that still has no 2xx is given up, and that is a finding.
PATIENCE_SECONDS: Final = 60.0
#: Object limit of the first request about everybody.
FOUNDING: Final = 48


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Who sends what. `objects`: the most in one request. `rate`: requests a second and client, 0 = without a pause."""

    clients: int = 4
    people: int = 40
    objects: int = 24
    rate: float = 50.0
    #: People whom one client alone writes about, for each client.
    own: int = 10
    #: Operation -> weight.
    operations: Mapping[str, float] = field(
        default_factory=lambda: {"track": 0.8, "subscriptions": 0.05, "identity": 0.15}
    )
    plan: str = "mau_cy_24_25"
    #: Requests in a burst window, instead of the plan's: (requests, seconds).
    burst: tuple[int, int] | None = None
    idempotent: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call. Status 0 = no answer: `error` says why. `fresh`: on a connection opened for it."""

    status: int
    sent: float
    seconds: float
    retry_after: bool
    fresh: bool
    error: str = ""


@dataclass(slots=True)
class Call:
    """A request with all its tries. Times are of one monotonic clock, in seconds."""

    client: int
    sending: Sending
    body: bytes
    key: str
    attempts: list[Attempt] = field(default_factory=list)
    answered: float = 0.0
    status: int = 0
    request_id: str = ""
    answer: bytes = b""

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def stored(self) -> bool:
        """It was accepted and has a place in the inbox."""
        return self.accepted and not self.sending.reads

    @property
    def place(self) -> tuple[int, int]:
        """(stream, number), read from the request id by its published layout (RFC 9562 version 8)."""
        value = UUID(self.request_id).int
        return (value >> 64) & 0xFFF, value >> 80


class Wire:
    """One client's connection; it moves on to the next port when nobody answers."""

    def __init__(self, ports: Sequence[int], key: str, first: int = 0) -> None:
        self._ports = ports
        self._at = first
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str) -> tuple[Attempt, Any, bytes]:
        """(attempt, headers, body) of one try; headers are None without an answer."""
        return self._send("GET", path, None, None)

    def post(self, path: str, body: bytes, more: Mapping[str, str] | None = None) -> tuple[Attempt, Any, bytes]:
        """As `get`."""
        return self._send("POST", path, body, more)

    def _send(
        self, method: str, path: str, body: bytes | None, more: Mapping[str, str] | None
    ) -> tuple[Attempt, Any, bytes]:
        fresh = self._connection is None
        sent = time.monotonic()
        try:
            if self._connection is None:
                port = self._ports[self._at % len(self._ports)]
                connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)
                connection.connect()
                self._connection = connection
            self._connection.request(method, path, body, {**self._headers, **(more or {})})
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            refused = self._connection is None
            self.close()
            self._at += 1
            what = "refused" if refused else type(error).__name__
            return Attempt(0, sent, time.monotonic() - sent, retry_after=False, fresh=fresh, error=what), None, b""
        if response.will_close:
            self.close()
        retry_after = response.headers.get("Retry-After", "").isdigit()
        error_text = "" if response.status < 400 else answer.decode(errors="replace")[:120]
        attempt = Attempt(response.status, sent, time.monotonic() - sent, retry_after, fresh, error_text)
        return attempt, response.headers, answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """All clients of a round."""

    def __init__(self, ports: Sequence[int], key: str, plan: LoadPlan, seed: object) -> None:
        self.plan = plan
        self.key = key
        self.ports = ports
        self._crowd = crowd(plan.people)
        own = plan.own if {"identity", "undo", "preview", "flags"} & plan.operations.keys() else 0
        self._own = [own_people(n, plan.people + 1000 * n, own) for n in range(plan.clients)]
        self.people: list[Person] = [*self._crowd, *(person for mine in self._own for person in mine)]
        self.calls: list[Call] = []
        self.ledger = Ledger(self.people)
        self.findings: list[str] = []
        self._seed = seed
        self._stop = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._waiting = 0
        self._lock = threading.Lock()
        self._deadline = float("inf")
        self._ledgers = [Ledger(self.people) for _ in range(plan.clients)]
        self._calls: list[list[Call]] = [[] for _ in range(plan.clients)]
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(plan.clients)]

    def start(self) -> None:
        """Make everybody's profile, then let all clients go."""
        wire, rng = Wire(self.ports, self.key), random.Random(f"{self._seed}/founding")
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        for part, first in enumerate(range(0, len(self._crowd), FOUNDING)):
            self._send(wire, rng, -1, founding(self._crowd[first : first + FOUNDING], part), self.ledger, self.calls)
        self._deadline = float("inf")
        wire.close()
        for thread in self._threads:
            thread.start()

    def hold(self) -> None:
        """Let every client finish the request in hand and wait for `go`."""
        self._go.clear()
        until(lambda: self._waiting == len(self._threads), PATIENCE_SECONDS, 0.001, "a client does not come to rest")

    def go(self) -> None:
        self._go.set()

    def stop(self) -> None:
        """Let every client finish the request in hand, however often it has to be sent, and add up the books."""
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self._stop.set()
        self._go.set()
        for thread, ledger in zip(self._threads, self._ledgers, strict=True):
            thread.join()
            self.ledger.add(ledger)
        self.calls += [call for calls in self._calls for call in calls]
        self._calls.clear()

    def add_accepted(self, path: str, body: bytes, status: int, place: str, answer: bytes, marker: str) -> None:
        """A request that a scenario sent by itself and that was answered 2xx under this request id."""
        sending = Sending(path, json.loads(body), lambda _ledger: None, marker)
        # Sent at time 0 and never answered: it takes no part in the comparison with real time.
        attempt = Attempt(status, 0.0, 0.0, retry_after=False, fresh=True)
        self.calls.append(Call(-1, sending, body, "", [attempt], float("inf"), status, place, answer))

    def accepted(self) -> int:
        """Requests answered 2xx so far."""
        return sum(call.accepted for calls in (self.calls, *self._calls) for call in list(calls))

    def merges(self) -> int:
        """Profiles merged away so far, by the books."""
        return self.ledger.merges + sum(ledger.merges for ledger in self._ledgers)

    def attempts(self) -> list[Attempt]:
        """Every try so far."""
        return [a for calls in (self.calls, *self._calls) for call in list(calls) for a in list(call.attempts)]

    def undone(self) -> int:
        """Merges taken back so far, by the books."""
        return self.ledger.undone + sum(ledger.undone for ledger in self._ledgers)

    def statuses(self, status: int) -> int:
        return sum(attempt.status == status for attempt in self.attempts())

    def _run(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        wire = Wire(self.ports, self.key, number)
        names, weights = list(self.plan.operations), list(self.plan.operations.values())
        due, n = time.monotonic(), 0

        def ask(path: str) -> dict[str, Any] | None:
            attempt, headers, answer = wire.get(path)
            current = attempt.status == 200 and headers["X-Onefold-Stale"] is None
            return json.loads(answer) if current else None

        while not self._stop.is_set():
            if not self._go.is_set():
                with self._lock:
                    self._waiting += 1
                self._go.wait()
                with self._lock:
                    self._waiting -= 1
                continue
            n += 1
            own, ledger = self._own[number], self._ledgers[number]
            turn = Turn(number, n, self.plan.objects, self._crowd, own, ledger, rng, ask)
            sending = OPERATIONS[rng.choices(names, weights)[0]](turn)
            if not self._send(wire, rng, number, sending, ledger, self._calls[number]):
                return
            if self.plan.rate:
                due = max(due + 1 / self.plan.rate, time.monotonic() - 0.2)
                self._stop.wait(max(0.0, due - time.monotonic()))
        wire.close()

    def _send(
        self, wire: Wire, rng: random.Random, client: int, sending: Sending, ledger: Ledger, calls: list[Call]
    ) -> bool:
        """Send until a 2xx, and book. False when that cannot be had, which is a finding."""
        body = json.dumps(sending.document, separators=(",", ":")).encode()
        call = Call(client, sending, body, str(UUID(int=rng.getrandbits(128), version=4)))
        calls.append(call)
        more = {"Idempotency-Key": call.key} if self.plan.idempotent else {}
        while True:
            attempt, headers, answer = wire.post(sending.path, body, more)
            call.attempts.append(attempt)
            if 200 <= attempt.status < 300:
                call.request_id, call.answer = headers["X-Request-Id"], answer
                call.answered = attempt.sent + attempt.seconds
                call.status = attempt.status  # last: it makes the rest count
                sending.book(ledger)
                if headers["X-Onefold-Stale"] is None and (wrong := sending.wrong(json.loads(answer))):
                    self.findings.append(wrong)
                return True
            if attempt.status not in (0, 429) and attempt.status < 500:
                self.findings.append(f"answer {attempt.status} {attempt.error}")
                return False
            if time.monotonic() > self._deadline:
                self.findings.append(f"no 2xx for {PATIENCE_SECONDS:g} s, last: {attempt.status} {attempt.error}")
                return False
            time.sleep(rng.uniform(0.05, 0.2))
