"""Requests whose profiles do not all fit into a worker: the outcome is the same, whatever a worker may load at once."""

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text

from app.contract import merge_records
from app.store import merges
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.profiles.crowds import Limits
from tests.accepting import send
from tests.applying import applier, cursors, differences
from tests.people import People
from tests.stores import NOW_US, workspace

Json = dict[str, Any]
_names = (f"p{n}" for n in itertools.count())
TRACK = "/users/track"
LARGE = 20_000


def large(external_id: str, **more: Any) -> Json:
    """A profile of LARGE bytes, mostly of one object."""
    return {"external_id": external_id, "o": {f"k{n:04d}": "v" * 40 for n in range(LARGE // 50)}, **more}


@contextmanager
def loads(database: Database) -> Iterator[Counter[str]]:
    """How many statements read sections of profiles, meanwhile."""
    found: Counter[str] = Counter()

    def seen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found["loads"] += "profile_custom s" in statement

    event.listen(database.main, "before_cursor_execute", seen)
    try:
        yield found
    finally:
        event.remove(database.main, "before_cursor_execute", seen)


@pytest.mark.parametrize("loaded_bytes", [1, 1_500])
def test_any_part_is_enough_for_its_commands(database: Database, loaded_bytes: int) -> None:
    """One command at a time, a few, and many. Two workers take turns."""
    merged = 0
    for seed in range(4):
        one, people = workspace(database, next(_names)), People(seed, many=2 + seed % 5)
        limits = Limits() if seed % 2 else Limits(holders=1, ends=1)
        workers = [applier(database, crowd_limits=limits, loaded_bytes=loaded_bytes) for _ in range(2)]
        for n in range(40):
            send(database, one, *people.request())
            if n % 7 == seed % 7:
                summary = workers[n % 2].drain(one)
                merged += summary.counts.merged
                assert summary.dead == 0, f"seed {seed}"
        summary = workers[0].drain(one)
        merged += summary.counts.merged
        assert summary.dead == 0, f"seed {seed}"
        assert differences(database, one) == [], f"seed {seed}"
    assert merged > 10


def test_updates_in_turn_load_each_profile_once(database: Database) -> None:
    one = workspace(database, next(_names))
    worker = applier(database, loaded_bytes=3 * LARGE)
    for n in range(12):
        send(database, one, TRACK, {"attributes": [large(f"u{n}")]})
    worker.drain(one)
    # By turns, and under two names of one person.
    send(
        database,
        one,
        "/users/alias/new",
        {"user_aliases": [{"external_id": "u3", "alias_label": "l", "alias_name": "a"}]},
    )
    worker.drain(one)
    alias = {"user_alias": {"alias_label": "l", "alias_name": "a"}}
    updates = [
        {**(alias if n % 12 == 3 and n % 24 == 3 else {"external_id": f"u{n % 12}"}), "_merge_objects": True}
        | {"o": {"z": n}, "n": {"inc": 1}, "last": n}
        for n in range(48)
    ]
    send(database, one, TRACK, {"attributes": updates[:24], "events": []})
    with loads(database) as found:
        send(database, one, TRACK, {"attributes": updates})
        summary = worker.drain(one)
    assert (summary.dead, summary.counts.attributes) == (0, 72)
    assert found["loads"] < 60
    assert differences(database, one) == []


def test_memory_is_bounded_by_what_may_be_loaded(database: Database) -> None:
    """Twenty profiles that one request touches, in turn."""
    one = workspace(database, next(_names))
    maker = applier(database)
    wide = {f"o{i}": {f"k{n:04d}": "v" * 40 for n in range(1_000)} for i in range(4)}
    for n in range(20):
        send(database, one, TRACK, {"attributes": [{"external_id": f"u{n}", **wide}]})
        maker.drain(one)
    peaks = []
    for loaded_bytes in (400_000, 48_000_000):
        worker = applier(database, loaded_bytes=loaded_bytes)
        send(database, one, TRACK, {"attributes": [{"external_id": f"u{n % 20}", f"n{n}": n} for n in range(40)]})
        tracemalloc.start()
        try:
            assert worker.drain(one).dead == 0
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert 4 * peaks[0] < peaks[1]
    assert differences(database, one) == []


def test_fewer_requests_go_into_a_batch_of_large_profiles(database: Database) -> None:
    one = workspace(database, next(_names))
    worker = applier(database, loaded_bytes=5 * LARGE)
    for n in range(12):
        send(database, one, TRACK, {"attributes": [large(f"u{n}")]})
    worker.drain(one)
    for n in range(12):
        send(database, one, TRACK, {"attributes": [{"external_id": f"u{n}", "n": 1}]})
    summary = worker.drain(one)
    assert (summary.requests, summary.dead) == (12, 0)
    assert 3 <= summary.batches <= 6
    assert differences(database, one) == []


def test_of_many_who_have_an_address_only_the_one_that_is_meant_is_loaded(database: Database) -> None:
    one = workspace(database, next(_names))
    worker = applier(database, loaded_bytes=2 * LARGE)
    for n in range(6):
        send(database, one, TRACK, {"attributes": [large(f"u{n}", email="all@example.org")]})
    worker.drain(one)
    chosen = {"email": "all@example.org", "prioritization": ["most_recently_updated"]}
    send(database, one, TRACK, {"attributes": [{"email": "all@example.org", "n": n} for n in range(3)]})
    send(database, one, TRACK, {"attributes": [{"external_id": "u2", "n": 5}]})
    send(
        database,
        one,
        "/users/merge",
        {"merge_updates": [{"identifier_to_merge": chosen, "identifier_to_keep": {"external_id": "u1"}}]},
    )
    send(database, one, "/users/delete", {"email_addresses": [chosen]})
    summary = worker.drain(one)
    assert (summary.dead, summary.counts.skipped, summary.counts.merged, summary.counts.deleted) == (0, 0, 1, 1)
    assert differences(database, one) == []


def test_large_merges_are_undone(database: Database) -> None:
    one = workspace(database, next(_names))
    worker = applier(database, loaded_bytes=LARGE)
    for n in range(4):
        send(database, one, TRACK, {"attributes": [large(f"u{n}")]})
    pairs = [
        {"identifier_to_merge": {"external_id": f"u{n}"}, "identifier_to_keep": {"external_id": "u0"}}
        for n in (1, 2, 3)
    ]
    send(database, one, "/users/merge", {"merge_updates": pairs})
    worker.drain(one)
    with database.read() as connection:
        records, _, _ = merges.everything(connection, one)
    for record in sorted(records.values(), key=lambda record: record.origin.ordinal, reverse=True):
        undo = merge_records.undo(record.id)
        with database.write(database.inbox) as connection:
            inbox.append(connection, one, 0, [Entry(undo.kind, undo.codec, undo.body)], NOW_US)
    summary = worker.drain(one)
    assert (summary.dead, summary.counts.skipped) == (0, 0)
    assert differences(database, one) == []


def test_profiles_of_an_earlier_version_are_counted_when_they_are_loaded(database: Database) -> None:
    one, random = workspace(database, next(_names)), Random(5)
    worker = applier(database, loaded_bytes=3 * LARGE)
    for n in range(8):
        send(database, one, TRACK, {"attributes": [large(f"u{n}") if n % 2 else {"external_id": f"u{n}", "n": 1}]})
    worker.drain(one)
    with database.write() as connection:
        connection.execute(text("update profile set size = 0 where workspace_id = :w"), {"w": one})
    assert differences(database, one) == []
    for n in range(20):
        send(database, one, TRACK, {"attributes": [{"external_id": f"u{random.randrange(6)}", f"a{n}": "x" * n}]})
    assert worker.drain(one).dead == 0
    assert cursors(database, one) == [28, 0]
    with database.read() as connection:
        left = connection.execute(text("select count(*) from profile where workspace_id = :w and size = 0"), {"w": one})
        assert left.scalar_one() == 2
    assert differences(database, one) == []
