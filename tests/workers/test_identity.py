"""Commands about identity on both stores: what is loaded for a batch is always enough for it."""

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from app.store.engine import Database
from app.store.profiles.crowds import Limits
from tests.accepting import send
from tests.applying import applier, cursors, differences
from tests.fuzz.size import cases
from tests.people import People
from tests.stores import workspace
from tests.strategies import requests
from workers.batches import BatchSize

_names = (f"i{n}" for n in itertools.count())


@settings(deadline=None, max_examples=cases(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(requests, st.booleans()), max_size=16),
    st.sampled_from([1, 2, 3, 64]),
    st.sampled_from(
        [Limits(), Limits(holders=0, ends=1, depth=1), Limits(holders=1, ends=1), Limits(holders=2, ends=2)]
    ),
)
def test_any_log_in_any_batches_equals_the_reference(
    database: Database, sent: list[tuple[tuple[str, dict[str, Any]], bool]], limit: int, crowd_limits: Limits
) -> None:
    """Whatever counts as a crowd."""
    one, accepted = workspace(database, next(_names)), 0
    worker = applier(database, crowd_limits=crowd_limits)
    worker._sizes = {stream: BatchSize(limit) for stream in (0, 1)}
    for (path, body), drain_now in sent:
        accepted += send(database, one, path, body)
        if drain_now:
            worker.drain(one)
    summary = worker.drain(one)
    assert summary.dead == 0
    assert cursors(database, one) == [accepted, 0]
    assert differences(database, one) == []


@pytest.mark.parametrize("crowd_limits", [Limits(), Limits(holders=1, ends=1), Limits(holders=1, ends=1, depth=1)])
def test_dense_logs_equal_the_reference(database: Database, crowd_limits: Limits) -> None:
    """Random examples seldom meet anybody; here most requests do. Two workers take turns, and remember crowds."""
    merged = 0
    for seed in range(6):
        one, people = workspace(database, next(_names)), People(seed, many=2 + seed % 5)
        workers = [applier(database, crowd_limits=crowd_limits) for _ in range(2)]
        for worker in workers:
            worker._sizes = {stream: BatchSize((1, 3, 16)[seed % 3]) for stream in (0, 1)}
        for n in range(40):
            send(database, one, *people.request())
            if n % 7 == seed % 7:
                summary = workers[n % 2].drain(one)
                merged += summary.counts.merged
                assert summary.dead == 0, f"seed {seed}"
        summary = workers[0].drain(one)
        assert summary.dead == 0, f"seed {seed}"
        assert differences(database, one) == [], f"seed {seed}"
        merged += summary.counts.merged
    assert merged > 30


BY_THE_FORMER_ID: list[dict[str, Any]] = [
    {"email": None},
    {"email": "new@example.org"},
    {"email": "old@example.org"},
    {"email_subscribe": "opted_in"},
    {"email": None, "email_subscribe": "unsubscribed"},
    {"email": "new@example.org", "email_subscribe": "opted_in"},
    {"email": "old@example.org", "email_subscribe": "unsubscribed"},
]


@pytest.mark.parametrize("sent", BY_THE_FORMER_ID)
def test_a_former_external_id_leads_to_the_consent_of_its_profile(database: Database, sent: dict[str, Any]) -> None:
    """Each alone in a batch, so that nothing else loads what it needs."""
    one, worker = workspace(database, next(_names)), applier(database)
    known = {"external_id": "before", "email": "old@example.org", "email_subscribe": "unsubscribed"}
    rename = {"external_id_renames": [{"current_external_id": "before", "new_external_id": "now"}]}
    for path, body in [
        ("/users/track", {"attributes": [known]}),
        ("/users/external_ids/rename", rename),
        ("/users/track", {"attributes": [{"external_id": "before", **sent}]}),
    ]:
        assert send(database, one, path, body)
        assert worker.drain(one).dead == 0
    assert differences(database, one) == []


ALL = "all@example.org"
_STATE = {"subscription_group_id": "news", "subscription_state": "unsubscribed"}


def _rows(database: Database, one: int, path: str, body: dict[str, Any]) -> int:
    """Rows that a new worker fetches and writes for a request."""
    worker, rows = applier(database), 0
    connect = worker._database.main

    def counted(_c: Any, cursor: Any, *_rest: Any) -> None:
        nonlocal rows
        rows += max(0, cursor.rowcount)

    event.listen(connect, "after_cursor_execute", counted)
    try:
        assert send(database, one, path, body)
        assert worker.drain(one).dead == 0
    finally:
        event.remove(connect, "after_cursor_execute", counted)
    return rows


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/subscription/status/set", {"subscription_groups": [{**_STATE, "emails": [ALL]}]}),
        ("/subscription/status/set", {**_STATE, "external_id": "u1"}),
        ("/email/status", {"email": ALL, "subscription_state": "unsubscribed"}),
        ("/users/track", {"attributes": [{"external_id": "u1", "subscription_groups": [_STATE]}]}),
    ],
)
def test_a_subscription_call_costs_the_same_however_many_have_the_address(
    database: Database, path: str, body: dict[str, Any]
) -> None:
    """The state belongs to the address: nobody of those who have it is loaded, and all of them have it."""
    rows = []
    for number in (3, 600):
        one = workspace(database, next(_names))
        people = [{"external_id": f"u{n}", "email": ALL} for n in range(number)]
        for first in range(0, number, 50):
            send(database, one, "/users/track", {"attributes": people[first : first + 50]})
        applier(database).drain(one)
        rows.append(_rows(database, one, path, body))
        assert differences(database, one) == []
    assert rows[0] == rows[1]


_NEWEST: dict[str, Any] = {"email": ALL, "prioritization": ["identified", "most_recently_updated"]}
_OLDEST: dict[str, Any] = {"email": ALL, "prioritization": ["least_recently_updated"]}
_CHOSEN = ("/users/track", {"attributes": [{"email": ALL, "chosen": 1}]})


@pytest.mark.parametrize(
    "sent",
    [
        # More choices than were loaded of the crowd.
        [("/users/delete", {"email_addresses": [_NEWEST, _NEWEST]})],
        [("/users/delete", {"email_addresses": [_OLDEST, _OLDEST]})],
        [("/users/track", {"attributes": [{"external_id": "u11", "email": None}]}), _CHOSEN],
        # A member of it that was loaded by another name.
        [("/users/track", {"events": [{"external_id": "u5", "name": "e", "time": "2026-11-20"}]}), _CHOSEN],
    ],
)
def test_a_crowd_is_chosen_from_as_if_all_were_loaded(
    database: Database, sent: list[tuple[str, dict[str, Any]]]
) -> None:
    one = workspace(database, next(_names))
    worker = applier(database, crowd_limits=Limits(holders=1, ends=1))
    for n in range(12):
        send(database, one, "/users/track", {"attributes": [{"external_id": f"u{n}", "email": ALL, "n": n}]})
    worker.drain(one)
    for path, body in sent:
        send(database, one, path, body)
    summary = worker.drain(one)
    assert (summary.batches, summary.dead, summary.counts.skipped) == (1, 0, 0)
    assert differences(database, one) == []


def about_a_crowd(random: Random) -> tuple[str, dict[str, Any]]:
    """Something that chooses from those who have the address, makes them more or fewer, or only writes to one."""
    recency = random.choice(["most_recently_updated", "least_recently_updated"])
    rules = [[recency], ["identified", recency], ["unidentified", recency], [recency, "unidentified"], ["identified"]]
    who = {"email": ALL, "prioritization": random.choice(rules)}
    one = {"external_id": f"u{random.randrange(15)}"}
    match random.randrange(9):
        case 0 | 1:
            return "/users/delete", {"email_addresses": [who] * random.choice([1, 3])}
        case 2:
            return "/users/merge", {"merge_updates": [{"identifier_to_merge": who, "identifier_to_keep": one}]}
        case 3:
            return "/users/identify", {"emails_to_identify": [{**one, **who}]}
        case 4:
            return "/users/track", {"attributes": [{**one, "email": random.choice([ALL, None, "other@example.org"])}]}
        case 5:
            alias = {"alias_label": "web", "alias_name": f"w{random.randrange(15)}"}
            joining = {"user_alias": alias, "_update_existing_only": False, "email": ALL}
            return "/users/track", {"attributes": [joining]}
        case 6:
            return "/users/track", {"attributes": [{"email": ALL, "points": {"inc": 1}}]}
        case 7:
            return "/users/external_ids/rename", {
                "external_id_renames": [
                    {"current_external_id": one["external_id"], "new_external_id": f"u{random.randrange(15)}"}
                ]
            }
        case _:
            return "/users/track", {"events": [{**one, "name": "e", "time": "2026-11-20"}]}


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_changes_under_two_workers(database: Database, seed: int) -> None:
    """What they remember of it is right, or not used."""
    random, one = Random(seed), workspace(database, next(_names))
    limits = Limits(holders=random.randrange(3), ends=random.choice([1, 2]), depth=random.choice([1, 2, 9]))
    workers = [applier(database, crowd_limits=limits) for _ in range(2)]
    people = [{"external_id": f"u{n}", "email": ALL, "n": n} for n in range(12)]
    send(database, one, "/users/track", {"attributes": people})
    total = Counter[str]()
    for _ in range(40):
        for _ in range(random.choice([1, 1, 1, 3])):
            send(database, one, *about_a_crowd(random))
        summary = workers[random.random() < 0.2].drain(one)
        total.update(dead=summary.dead, deleted=summary.counts.deleted, merged=summary.counts.merged)
    assert total["dead"] == 0
    assert total["deleted"] > 5
    assert differences(database, one) == []


def test_a_crowd_is_looked_over_once(database: Database) -> None:
    """A worker remembers who was written to last, until another one has applied something."""
    one, looks = workspace(database, next(_names)), list[str]()

    @event.listens_for(database.main, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "holders as materialized" in statement:
            looks.append(statement)

    workers = [applier(database, crowd_limits=Limits(holders=1, ends=1)) for _ in range(2)]
    people = [{"external_id": f"u{n}", "email": ALL, "n": n} for n in range(12)]
    send(database, one, "/users/track", {"attributes": people})
    workers[0].drain(one)
    seen = []
    for worker in (0, 0, 0, 1, 1, 0, 0):
        send(database, one, "/users/delete", {"email_addresses": [_NEWEST]})
        assert workers[worker].drain(one).counts.deleted == 1
        seen.append(len(looks))
    event.remove(database.main, "before_cursor_execute", note)
    assert seen == [1, 1, 1, 2, 2, 3, 3]
    assert differences(database, one) == []
