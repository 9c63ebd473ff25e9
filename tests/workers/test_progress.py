"""Requests that are committed in parts: wherever they are cut, and whatever happens between two parts, the outcome is
that of the uncut request."""

import itertools
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract import kinds
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.store import dead_letters, lane, names, request_problems, series
from app.store.engine import Database
from app.store.inbox.log import Stored
from app.store.profiles.crowds import Limits
from tests.accepting import send
from tests.applying import applier, cursors, differences
from tests.stores import NOW_US, workspace
from tests.strategies import requests
from workers.batches import Patience
from workers.summary import Summary

Json = dict[str, Any]
_names = (f"g{n}" for n in itertools.count())
TRACK = "/users/track"


def cut(commands: int) -> Patience:
    """A transaction ends after so many commands."""
    return Patience(reduce=-1, grace=0, part=-1, commands=commands)


def outcome(database: Database, one: int) -> list[Any]:
    """What requests leave beside profiles, which `differences` compares."""
    with database.read() as connection:
        found = lane.read(connection, one)
        assert found is not None
        problems = [
            request_problems.read(connection, one, stream, seq)
            for stream in (STREAM_NORMAL, STREAM_BULK)
            for seq in range(1, found.cursors[stream] + 1)
        ]
        counts, sums = names.counts(connection, one), series.everything(connection, one)
    return [found.cursors, found.begun, found.attempts, found.settings, problems, counts, sums]


def drained(summaries: list[Summary]) -> tuple[Any, ...]:
    total = Summary()
    for summary in summaries:
        total.add(summary.counts, (), summary.skipped_by_reason)
        total.requests += summary.requests
        total.dead += summary.dead
    return total.counts, total.skipped_by_reason, total.requests, total.dead


class KilledError(BaseException):
    """The process dies before a commit."""


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(requests, max_size=12),
    st.sampled_from([1, 2, 3, 7]),
    st.sampled_from([1, 1_500, 16_000_000]),
    st.sampled_from([Limits(), Limits(holders=1, ends=1)]),
)
def test_cut_anywhere_equals_uncut(
    database: Database,
    sent: list[tuple[str, Json]],
    commands: int,
    loaded_bytes: int,
    limits: Limits,
) -> None:
    one, other = workspace(database, next(_names)), workspace(database, next(_names))
    for path, body in sent:
        send(database, one, path, body)
        send(database, other, path, body)
    whole = applier(database, crowd_limits=limits).drain(one)
    in_parts = applier(database, crowd_limits=limits, loaded_bytes=loaded_bytes, patience=cut(commands)).drain(other)
    assert drained([in_parts]) == drained([whole])
    assert outcome(database, other) == outcome(database, one)
    assert differences(database, other) == []


def large(many: int, size: int) -> Json:
    return {f"k{n:04d}": "v" * size for n in range(many)}


#: Requests that are long, or hand something on from one object to the next; before them, the profiles of `first`.
FIRST = {
    "attributes": [{"external_id": f"u{n}", "o": large(100, 40), "email": f"e{n // 3}@example.org"} for n in range(9)]
}
LONG: dict[str, tuple[str, Json]] = {
    "objects merged in turn until no steps are left": (
        TRACK,
        {
            "attributes": [
                {"external_id": f"u{n % 3}", "_merge_objects": True, "o": {"z": n}, f"n{n % 5}": {"a": n}}
                for n in range(60)
            ]
            + [
                {"external_id": "u4", "l": {"$update": [{"$identifier_key": "i", "$identifier_value": n}]}}
                for n in range(15)
            ]
        },
    ),
    "more problems than are kept": (
        TRACK,
        {
            "attributes": [
                {"external_id": f"u{n % 9}", "_update_existing_only": True, f"bad{n}": {"inc": 1}} for n in range(40)
            ]
            + [{"external_id": f"nobody{n}", "_update_existing_only": True, "a": 1} for n in range(35)],
            "events": [
                {
                    "external_id": f"nobody{n}",
                    "_update_existing_only": True,
                    "name": "e",
                    "time": "2026-11-20T00:00:00Z",
                }
                for n in range(75)
            ],
            "purchases": [
                {
                    "external_id": f"nobody{n}",
                    "_update_existing_only": True,
                    "product_id": "p",
                    "currency": "EUR",
                    "price": 2.5,
                    "time": "2026-11-20T00:00:00Z",
                }
                for n in range(75)
            ],
        },
    ),
    "events of a crowd that grows meanwhile": (
        TRACK,
        {
            "attributes": [{"external_id": f"n{n}", "email": "e1@example.org"} for n in range(8)]
            + [{"email": "e1@example.org", "v": {"inc": 1}} for _ in range(8)],
            "events": [{"email": "e1@example.org", "name": f"e{n}", "time": "2026-11-20T00:00:00Z"} for n in range(8)],
        },
    ),
    "merges in a chain": (
        "/users/merge",
        {
            "merge_updates": [
                {"identifier_to_merge": {"external_id": f"u{n}"}, "identifier_to_keep": {"external_id": f"u{n + 1}"}}
                for n in range(8)
            ]
        },
    ),
    "merges of those who have an address": (
        "/users/merge",
        {
            "merge_updates": [
                {
                    "identifier_to_merge": {
                        "email": f"e{n % 3}@example.org",
                        "prioritization": ["least_recently_updated"],
                    },
                    "identifier_to_keep": {
                        "email": f"e{n % 3}@example.org",
                        "prioritization": ["most_recently_updated"],
                    },
                }
                for n in range(8)
            ]
        },
    ),
    "deletions, of some twice": ("/users/delete", {"external_ids": [f"u{n % 6}" for n in range(12)]}),
    "people who are identified": (
        "/users/identify",
        {
            "emails_to_identify": [
                {"external_id": f"x{n}", "email": f"e{n % 3}@example.org", "prioritization": ["unidentified"]}
                for n in range(6)
            ]
        },
    ),
}


def prepared(database: Database, path: str, body: Json) -> int:
    """A workspace with the profiles of FIRST, a request behind them, and one behind that."""
    one = workspace(database, next(_names))
    send(database, one, TRACK, FIRST)
    applier(database).drain(one)
    assert send(database, one, path, body)
    send(database, one, TRACK, {"attributes": [{"external_id": "u0", "last": 1}]})
    return one


@pytest.mark.parametrize("what", LONG)
def test_a_process_that_dies_between_any_two_parts(database: Database, what: str) -> None:
    """It dies before every other commit. What is stored then is always what its progress says."""
    uncut, one = (prepared(database, *LONG[what]) for _ in range(2))
    applier(database).drain(uncut)
    commits, deaths = itertools.count(), 0

    def die(_workspace: int, _batch: list[Stored]) -> None:
        if deaths < 4 and next(commits) % 2:
            raise KilledError

    while cursors(database, one) != cursors(database, uncut):
        patience, loaded_bytes = cut((4, 25, 80)[deaths % 3]), (1, 10_000)[deaths % 2]
        try:
            applier(database, before_commit=die, patience=patience, loaded_bytes=loaded_bytes).drain(one)
        except KilledError:
            deaths += 1
            if deaths == 2:
                assert differences(database, one) == []
    assert deaths > 1
    assert outcome(database, one) == outcome(database, uncut)
    assert differences(database, one) == []


def test_a_request_that_dies_in_one_of_its_parts_is_sent_again_from_there(database: Database) -> None:
    uncut, one = (prepared(database, *LONG["events of a crowd that grows meanwhile"]) for _ in range(2))
    applier(database).drain(uncut)
    guilty, commits = 2, itertools.count()

    def take_too_much(_workspace: int, batch: list[Stored]) -> None:
        if batch[0].seq == guilty and next(commits) >= 2:
            raise MemoryError

    while cursors(database, one) != cursors(database, uncut):
        with suppress(MemoryError):
            applier(database, before_commit=take_too_much, patience=cut(9)).drain(one)
    with database.read() as connection:
        letters = dead_letters.find(connection, one, 9, NOW_US)
    assert [(letter.seq, letter.reason) for letter in letters] == [(guilty, "RuntimeError")]
    assert differences(database, one) == []
    assert outcome(database, one) != outcome(database, uncut)
    dead_letters.replay(database, one, letters, kinds.DELETE, NOW_US + 1)
    for patience in (cut(2), cut(100)):
        applier(database, patience=patience).drain(one)
    assert differences(database, one) == []
    assert outcome(database, one)[5] == outcome(database, uncut)[5]


@pytest.mark.parametrize("stream", [STREAM_NORMAL, STREAM_BULK], ids=["normal", "bulk"])
def test_between_two_parts_others_have_their_turn_and_the_other_stream_waits(database: Database, stream: int) -> None:
    one, other = workspace(database, next(_names)), workspace(database, next(_names))
    send(database, one, *LONG["more problems than are kept"], stream)
    send(database, other, TRACK, FIRST)
    worker, seen = applier(database, patience=cut(1)), list[int]()
    while not seen:
        assert worker.drain(one, yield_seconds=0.005).behind
        with database.read() as connection:
            seen += lane.begun(connection).values()
    send(database, one, TRACK, FIRST, STREAM_NORMAL + STREAM_BULK - stream)
    assert worker.drain(other).requests == 1
    assert cursors(database, one) == [0, 0]
    assert differences(database, one) == []
    assert applier(database).drain(one).requests == 2
    with database.read() as connection:
        assert [found for found, *_ in lane.ranges(connection, one)] == [stream, STREAM_NORMAL + STREAM_BULK - stream]
        assert lane.begun(connection) == {}
    assert differences(database, one) == []
