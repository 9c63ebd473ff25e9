"""Commands about identity on both stores: what is loaded for a batch is always enough for it."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store import inbox
from app.store.crowds import Limits
from app.store.engine import Database
from tests.accepting import entry
from tests.people import People
from tests.stores import NOW_US, workspace
from tests.strategies import requests
from tests.workers.test_drain import applier, cursors, differences
from workers.batches import BatchSize

_names = (f"i{n}" for n in itertools.count())


def send(database: Database, workspace_id: int, path: str, body: dict[str, Any], stream: int = 0) -> bool:
    """Accept a request as the API does; False when nothing of it is stored."""
    found = entry(path, body)
    if found is None:
        return False
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, stream, [found], NOW_US)
    return True


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(requests, st.booleans()), max_size=16),
    st.sampled_from([1, 2, 3, 64]),
    st.sampled_from([Limits(), Limits(holders=0, ends=1), Limits(holders=1, ends=1), Limits(holders=2, ends=2)]),
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


@pytest.mark.parametrize("crowd_limits", [Limits(), Limits(holders=1, ends=1)])
def test_dense_logs_equal_the_reference(database: Database, crowd_limits: Limits) -> None:
    """Random examples seldom meet anybody; here most requests do."""
    merged = 0
    for seed in range(9):
        one, people = workspace(database, next(_names)), People(seed, many=2 + seed % 5)
        worker = applier(database, crowd_limits=crowd_limits)
        worker._sizes = {stream: BatchSize((1, 3, 16)[seed % 3]) for stream in (0, 1)}
        for _ in range(40):
            send(database, one, *people.request())
        summary = worker.drain(one)
        assert summary.dead == 0, f"seed {seed}"
        assert differences(database, one) == [], f"seed {seed}"
        merged += summary.merged
    assert merged > 30


ALL = "all@example.org"


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
    assert (summary.batches, summary.dead, summary.skipped) == (1, 0, 0)
    assert differences(database, one) == []
