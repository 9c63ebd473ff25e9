"""Load that is a fault by itself: one hot user, many names, too much of everything, one key many times."""

import json
import threading
import time
from collections import Counter
from typing import Final

from fault.clients import LoadPlan, Wire
from fault.rounds import Round, Scenario
from fault.scenarios.workers import kill_child
from fault.stack import POSTGRESQL, SQLITE

#: Scenario 32: what the workspace may send in a second. Its clients send as fast as they can.
CAPACITY: Final = 60
P99_SECONDS: Final = 1.0
TOGETHER: Final = 50


def hot(now: Round) -> None:
    """21: requests of 225 objects about one person, from 64 clients at once."""
    now.accept_more(128, 60)
    now.hit(now.stack.behind(now.workspace.id) > 0 or now.load.accepted())


def interleaved(now: Round) -> None:
    """22: one person by external id, alias, e-mail and phone in turn, and the applying process is killed meanwhile."""
    kill_child(now)


def overload(now: Round) -> None:
    """32: several times what may be sent: the rest is refused at once, and what is accepted stays quick."""
    now.pause(4.0)
    attempts = now.load.attempts()
    refused = sum(attempt.status in (429, 503) for attempt in attempts)
    taken = sorted(attempt.seconds for attempt in attempts if attempt.status == 201)
    now.hit(refused)
    now.notes["offered of accepted"] = len(attempts) / max(1, len(taken))
    now.notes["p99 ms"] = p99 = taken[len(taken) * 99 // 100] * 1000
    if p99 > P99_SECONDS * 1000:
        now.blame(f"overload: p99 of the accepted is {p99:.0f} ms")


def same_key(now: Round) -> None:
    """33: one key fifty times at once, then with another body, while the applying process is killed."""
    for n in range(3):
        wires = [Wire(now.load.ports, now.load.key, i) for i in range(TOGETHER)]
        gate = threading.Barrier(TOGETHER)
        given: Counter[tuple[int, str, bytes]] = Counter()
        event = {"name": "event-0", "time": "2026-11-20T10:00:00Z", "properties": {"marker": f"same-{n}"}}
        body = json.dumps({"events": [{"external_id": now.load.people[0].external_id, **event}]}).encode()
        key = {"Idempotency-Key": f"same-{now.seed}-{n}"}

        def send(wire: Wire, body: bytes = body, key: dict[str, str] = key) -> None:
            gate.wait()  # noqa: B023 - joined below
            attempt, headers, answer = wire.post("/users/track", body, key)
            place = headers["X-Request-Id"] if headers is not None else ""
            given[attempt.status, place, answer] += 1  # noqa: B023

        threads = [threading.Thread(target=send, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now.load.ledger.entries[0].events["event-0"] += 1
        if len(given) != 1 or next(iter(given))[0] != 201:
            statuses = Counter(status for status, _, _ in given.elements())
            now.blame(f"key: {len(given)} different answers to one key, statuses {dict(statuses)}")
        else:
            now.hit(TOGETHER - 1)
            (status, place, answer), _ = given.popitem()
            now.load.add_accepted("/users/track", body, status, place, answer, f"same-{n}")
        attempt, _, _ = wires[0].post("/users/track", body.replace(b"event-0", b"event-1"), key)
        if attempt.status != 422:
            now.blame(f"key: {attempt.status} for the same key with another body")
        for wire in wires:
            wire.close()
        time.sleep(0.1)


SCENARIOS: Final = (
    Scenario(
        21,
        "225 objects a request for one person, 64 clients",
        "requests of 64 clients were taken in",
        hot,
        load=LoadPlan(clients=64, people=2, rate=2, operations={"crush": 1.0}, plan="legacy"),
        clean=True,
        lag_seconds=15,
    ),
    Scenario(
        22,
        "one person by four names in turn, while workers are killed",
        "a batch had begun and was rolled back",
        interleaved,
        load=LoadPlan(clients=3, people=1, objects=40, rate=80),
        clean=True,
    ),
    Scenario(
        32,
        "far more than may be sent",
        "requests were refused with 429 or 503",
        overload,
        load=LoadPlan(clients=24, objects=10, rate=0, burst=(CAPACITY, 1)),
    ),
    Scenario(
        33,
        "one idempotency key, fifty times at once",
        "equal answers to all of them",
        same_key,
        load=LoadPlan(clients=2),
        stores=(POSTGRESQL, SQLITE),
        clean=True,
    ),
)
