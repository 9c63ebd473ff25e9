"""A storm of merges about few people, with several worker processes: equal to the reference, and no deadlock."""

import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from random import Random

import pytest

from app.store.engine import Database
from app.store.inbox import log as inbox
from tests.accepting import entry
from tests.applying import applier, cursors, differences
from tests.people import Json, People
from tests.polling import until
from tests.stores import NOW_US, workspace
from workers.batches import BatchSize

PEOPLE = 50
MERGES = 600
WORKERS = 4
#: Until all processes are there, and then until they are done.
SECONDS = 120.0


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


#: In a process: everybody is there; and so many processes have applied something.
_started: Barrier
_took_part: "Synchronized[int]"


def begin(started: Barrier, took_part: "Synchronized[int]") -> None:
    """In a process of its own: wait for the others."""
    global _started, _took_part
    _started, _took_part = started, took_part
    _started.wait(SECONDS)


def drain(url: str, workspace_id: int, last: int) -> Counter[str]:
    """In a process of its own: drain like a worker until the request `last` is applied. What it counted.

    Whoever is first stands back until a second one has applied something, however the machine shares its time.
    """
    database, total, deadline = Database(url, apply=True), Counter[str](), time.monotonic() + SECONDS
    try:
        worker = applier(database)
        worker._sizes = {stream: BatchSize(8) for stream in (0, 1)}
        while cursors(database, workspace_id)[0] < last:
            assert time.monotonic() < deadline, "the storm does not end"
            summary = worker.drain(workspace_id, most_seconds=0.02)
            if summary.requests and not total["requests"]:
                with _took_part.get_lock():
                    _took_part.value += 1
            total.update(requests=summary.requests, dead=summary.dead, merged=summary.counts.merged)
            if total["requests"] and cursors(database, workspace_id)[0] < last:
                until(lambda: _took_part.value > 1, SECONDS, message="nobody else applies anything")
    finally:
        database.dispose()
    return total


@pytest.mark.timeout(3 * SECONDS)
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
    context = get_context("spawn")
    started, took_part = context.Barrier(WORKERS + 1), context.Value("i", 0)
    with ProcessPoolExecutor(WORKERS, context, begin, (started, took_part)) as pool:
        work = [pool.submit(drain, database.url, one, len(entries)) for _ in range(WORKERS)]
        started.wait(SECONDS)
        for found in entries:
            with database.write(database.inbox) as connection:
                inbox.append(connection, one, 0, [found], NOW_US)
        summaries = [future.result(SECONDS) for future in work]
    assert sum(summary["requests"] > 0 for summary in summaries) > 1, summaries
    total = Counter[str]()
    for summary in summaries:
        total.update(summary)
    assert (total["requests"], total["dead"]) == (len(entries), 0)
    assert total["merged"] > MERGES // 3, total
    assert differences(database, one) == [], f"seed {seed}"
