"""A storm of merges about few people, with several workers at once: equal to the reference, and no deadlock."""

import threading
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from app.store import inbox
from app.store.engine import Database
from tests.accepting import entry
from tests.people import Json, People
from tests.polling import until
from tests.stores import NOW_US, workspace
from tests.workers.test_drain import applier, cursors, differences
from workers.apply import Summary
from workers.batches import BatchSize

PEOPLE = 50
MERGES = 1_000
WORKERS = 4


def pair(merged: int, kept: int) -> Json:
    return {
        "identifier_to_merge": {"external_id": f"u{merged}"},
        "identifier_to_keep": {"external_id": f"u{kept}"},
    }


def shapes(random: Random) -> list[Json]:
    """Ten pairs: a chain, a star, a cycle, or opposites."""
    people = random.sample(range(PEOPLE), 11)
    match random.randrange(4):
        case 0:
            return [pair(a, b) for a, b in pairwise(people)]
        case 1:
            return [pair(a, people[0]) for a in people[1:]]
        case 2:
            ring = people[:10]
            return [pair(a, b) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)]
        case _:
            return [pair(a, b) for a, b in zip(people[:5], people[5:10], strict=True) for a, b in ((a, b), (b, a))]


@pytest.mark.parametrize("seed", [1])
def test_a_storm_of_merges(database: Database, seed: int) -> None:
    random, people, one = Random(seed), People(seed, PEOPLE), workspace(database)
    sent: list[tuple[str, Json]] = []
    for _ in range(MERGES // 10):
        sent.append(("/users/merge", {"merge_updates": shapes(random)}))
        sent += [people.request() for _ in range(2)]
        # Whoever was merged away comes again.
        again = [{"external_id": f"u{n}", "points": {"inc": 1}} for n in random.sample(range(PEOPLE), 25)]
        sent.append(("/users/track", {"attributes": again}))
    entries = [found for path, body in sent if (found := entry(path, body)) is not None]
    summaries: list[Summary] = []
    faults: list[BaseException] = []
    stored = threading.Event()

    def work() -> None:
        own = Database(database.url, apply=True)
        try:
            worker = applier(own)
            worker._sizes = {stream: BatchSize(8) for stream in (0, 1)}
            while not stored.is_set() or cursors(own, one)[0] < len(entries):
                summaries.append(worker.drain(one, most_seconds=0.02))
        except BaseException as error:  # noqa: BLE001 - the test reports it
            faults.append(error)
        finally:
            own.dispose()

    workers = [threading.Thread(target=work, name=f"worker {n}") for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    for found in entries:
        with database.write(database.inbox) as connection:
            inbox.append(connection, one, 0, [found], NOW_US)
    stored.set()
    until(lambda: not any(worker.is_alive() for worker in workers), 60)
    assert not faults
    total = Counter[str]()
    for summary in summaries:
        total.update({name: getattr(summary, name) for name in ("requests", "dead", "merged", "deleted")})
    assert (total["requests"], total["dead"]) == (len(entries), 0)
    assert total["merged"] > MERGES // 3, total
    assert differences(database, one) == [], f"seed {seed}"
