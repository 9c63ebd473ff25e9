"""Batches that are written while the next one is reduced: equal to the reference, whatever gets in their way."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.contract import kinds, stored
from app.domain.commands import STREAM_BULK, StreamKey
from app.store import lane, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, Stored
from app.store.profiles import flowing as reading
from app.store.profiles import resident
from app.store.profiles.summaries import LEAST
from tests.accepting import send_signed, track
from tests.applying import UNHURRIED, applier, cursors, differences, flowing
from tests.fuzz.size import cases
from tests.stores import NOW_US, workspace
from tests.strategies import requests
from tests.webhooks import everything, make
from workers import ahead
from workers.batches import LEAST_FLOWING, Patience

TRACK = "/users/track"

_names = (f"flow{n}" for n in itertools.count())


def attempts(database: Database, workspace_id: int) -> int:
    with database.read() as connection:
        found = lane.read(connection, workspace_id)
    assert found is not None
    return found.attempts


_PEOPLE: list[dict[str, Any]] = [
    {"external_id": "ada"},
    {"external_id": "bob"},
    {"user_alias": {"alias_label": "crm", "alias_name": "1"}, "_update_existing_only": False},
    {"external_id": "é"},
]
_FIELDS: list[dict[str, Any]] = [
    {"n": {"inc": 1}},
    {"tags": {"add": ["a", "b"]}},
    {"tags": ["c"]},
    {"email": "x@example.org", "email_subscribe": "unsubscribed"},
    {"email": "y@example.org"},
    {"email": None},
    {"home": {"k": 1}, "_merge_objects": True},
    {"home": {"l": {"m": 2}}, "_merge_objects": True},
    {"first_name": "Ana", "n": None},
]
_people, _fields = st.sampled_from(_PEOPLE), st.sampled_from(_FIELDS)
_objects = st.one_of(
    st.tuples(_people, _fields).map(lambda pair: ("attributes", {**pair[0], **pair[1]})),
    st.tuples(_people, st.sampled_from(["open", "close"])).map(
        lambda pair: ("events", {**pair[0], "name": pair[1], "time": "2026-11-20T00:00:00Z"})
    ),
    _people.map(
        lambda who: (
            "purchases",
            {**who, "product_id": "lamp", "currency": "EUR", "price": 2, "time": "2026-11-20T00:00:00Z"},
        )
    ),
)


def _body(objects: list[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {}
    for name, found in objects:
        body.setdefault(name, []).append(found)
    return TRACK, body


_plain = st.lists(_objects, min_size=1, max_size=4).map(_body)
_ALIAS: dict[str, Any] = {"alias_label": "crm", "alias_name": "1"}
#: What moves identifiers of the same people, changes consent of their addresses, or removes them.
_others = st.one_of(
    st.sampled_from(
        [
            ("/users/alias/new", {"user_aliases": [{"external_id": "ada", **_ALIAS}]}),
            ("/users/alias/new", {"user_aliases": [_ALIAS]}),
            (
                "/users/identify",
                {"aliases_to_identify": [{"external_id": "bob", "user_alias": _ALIAS}], "merge_behavior": "merge"},
            ),
            (
                "/users/merge",
                {
                    "merge_updates": [
                        {"identifier_to_merge": {"external_id": "ada"}, "identifier_to_keep": {"external_id": "bob"}}
                    ]
                },
            ),
            (
                "/users/external_ids/rename",
                {"external_id_renames": [{"current_external_id": "bob", "new_external_id": "é"}]},
            ),
            ("/users/delete", {"external_ids": ["ada"]}),
            ("/users/delete", {"user_aliases": [_ALIAS]}),
            ("/email/status", {"email": "x@example.org", "subscription_state": "opted_in"}),
            ("/email/status", {"email": "y@example.org", "subscription_state": "unsubscribed"}),
        ]
    ),
    requests,
)
_logs = st.lists(st.one_of(_plain, _plain, _plain, _others), min_size=10, max_size=24)


@settings(deadline=None, max_examples=cases(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    _logs,
    st.sampled_from([1, 2, 3, 8]),
    st.sampled_from([1, 1, 6]),
    st.sampled_from([0, 20_000, 10**9]),
    st.booleans(),
    st.sampled_from([0, LEAST]),
    st.sampled_from([1, LEAST_FLOWING]),
)
def test_any_log_equals_the_reference(
    database: Database,
    sent: list[tuple[str, dict[str, Any]]],
    size: int,
    least_plain: int,
    resident_bytes: int,
    observed: bool,
    least: int,
    least_flowing: int,
) -> None:
    """However many plain requests are between others, however little stays in memory, however large summaries are that
    are not decoded, however few commands a flow goes on behind, and whether or not changes are told."""
    one = workspace(database, next(_names))
    if observed:
        make(database, one)
    worker = flowing(database, size, least_plain=least_plain, resident_bytes=resident_bytes)
    accepted = 0
    for n, (path, body) in enumerate(sent):
        accepted += send_signed(database, one, path, body)
        if n in (len(sent) // 2, len(sent) - 1):
            worker._flows.saw(StreamKey(one, 0), full=True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(reading, "LEAST", least)
                patch.setattr(ahead, "LEAST_FLOWING", least_flowing)
                worker.drain(one)
    assert cursors(database, one) == [accepted, 0]
    assert differences(database, one) == []
    assert attempts(database, one) == 0


@pytest.mark.parametrize(
    ("people", "flows"), [(LEAST_FLOWING // 2, [0, 1, 1]), (LEAST_FLOWING // 2 - 1, [0, 0, 0])], ids=["much", "little"]
)
def test_behind_much_more_is_expected(database: Database, people: int, flows: list[int]) -> None:
    """Two requests each time, which are all that there is."""
    one, flowed, worker = workspace(database), list[int](), applier(database, patience=UNHURRIED)
    body = {"attributes": [{"external_id": f"u{n}", "n": {"inc": 1}} for n in range(people)]}
    for _ in flows:
        assert send_signed(database, one, TRACK, body) + send_signed(database, one, TRACK, body) == 2
        flowed.append(worker.drain(one).flowed)
        assert attempts(database, one) == 0
    assert flowed == flows
    assert differences(database, one) == []


def test_logs_of_that_kind_flow(database: Database) -> None:
    """Otherwise the test before this one would show nothing."""
    one = workspace(database)
    for n in range(9):
        track(database, one, {"attributes": [{"external_id": f"u{n % 3}", "n": {"inc": 1}}]})
    summary = flowing(database, 2).drain(one)
    assert (summary.requests, summary.flowed) == (9, 4)
    assert differences(database, one) == []


def test_each_batch_is_told_once_with_when_it_began(database: Database) -> None:
    """Alone or in a flow: traces link to what it holds."""
    one = workspace(database)
    for n in range(9):
        track(database, one, {"attributes": [{"external_id": f"u{n % 3}", "n": {"inc": 1}}]})
    told: list[tuple[int, list[int], int]] = []

    def on_applied(workspace_id: int, secret: bytes, requests: Sequence[Stored], began_ns: int) -> None:
        assert secret == workspaces.secret(database, workspace_id)
        told.append((workspace_id, [request.seq for request in requests], began_ns))

    summary = flowing(database, 2, on_applied=on_applied).drain(one)
    assert {workspace_id for workspace_id, _, _ in told} == {one}
    assert [seqs for _, seqs, _ in told] == [[1, 2], [3, 4], [5, 6], [7, 8], [9]]
    assert (len(told), summary.flowed) == (summary.batches, 4)
    assert len({began_ns for _, _, began_ns in told}) == 5


_ADA: dict[str, Any] = {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]}
_CYD: dict[str, Any] = {"attributes": [{"external_id": "cyd", "email": "old@example.org"}]}
#: It matters whether anybody else has the address that she gives up.
_CYD_MOVES: dict[str, Any] = {"attributes": [{"external_id": "cyd", "email": "new@example.org"}]}
_NEW_ALIAS: dict[str, Any] = {"user_aliases": [{"external_id": "ada", "alias_label": "crm", "alias_name": "1"}]}
_CONSENT: dict[str, Any] = {"email": "old@example.org", "subscription_state": "unsubscribed"}


@pytest.mark.parametrize(
    ("least_plain", "together", "flowed"),
    [(1, [4, 1, 1, 2, 1, 1, 2, 3], 5), (2, [4, 2, 2, 1, 1, 2, 3], 4), (100, [4, 4, 1, 1, 2, 3], 3)],
)
def test_a_batch_is_taken_apart_where_requests_are_not_plain(
    database: Database, least_plain: int, together: list[int], flowed: int
) -> None:
    one, seen = workspace(database), list[int]()
    alias, consent = ("/users/alias/new", _NEW_ALIAS), ("/email/status", _CONSENT)
    ada, cyd, moves = (TRACK, _ADA), (TRACK, _CYD), (TRACK, _CYD_MOVES)
    sent = [ada, ada, cyd, consent, ada, alias, ada, ada, ada, moves, ada, ada, ada, ada, ada]
    assert all(send_signed(database, one, *request) for request in sent)
    worker = flowing(
        database, 4, least_plain=least_plain, before_commit=lambda _workspace, batch: seen.append(len(batch))
    )
    summary = worker.drain(one)
    assert (seen, summary.requests, summary.batches, summary.flowed) == (together, 15, len(together), flowed)
    assert attempts(database, one) == 0
    assert differences(database, one) == []


def test_settings_that_change_end_a_flow(database: Database) -> None:
    """What comes behind them is applied by the new ones."""
    one = workspace(database)
    change = stored.settings_change({"array_max": 2})
    worker = flowing(database, 2)
    for n in range(12):
        track(database, one, {"attributes": [{"external_id": "ada", "tags": {"add": [f"a{n}", f"b{n}"]}}]})
        if n == 6:
            with database.write(database.inbox) as connection:
                inbox.append(connection, one, 0, [Entry(kinds.SETTINGS, change.codec, change.body)], NOW_US)
    summary = worker.drain(one)
    assert (summary.requests, summary.flowed > 0) == (13, True)
    assert differences(database, one) == []
    with database.read() as connection:
        assert connection.execute(text("select doc from profile_custom")).scalar() == '{"tags":["a11","b11"]}'


class Killed(BaseException):
    """The process is gone."""


@settings(deadline=None, max_examples=cases(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(_plain, _plain, _plain, _others), min_size=6, max_size=16),
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from([Killed, ConnectionError, ValueError])), max_size=4),
)
def test_whatever_dies_in_any_batch_is_applied_once(
    database: Database, sent: list[tuple[str, dict[str, Any]]], faults: list[tuple[int, type[BaseException]]]
) -> None:
    """A batch that was written and not committed takes the one behind it along. Nothing of either is in the store."""
    one, left = workspace(database, next(_names)), list(faults)
    accepted = sum(send_signed(database, one, path, body) for path, body in sent)
    seen = 0

    def die(_workspace: int, batch: list[Stored]) -> None:
        nonlocal seen
        seen += 1
        if left and seen >= left[0][0]:
            seen, error = 0, left.pop(0)[1]
            raise error

    worker = flowing(database, 2, before_commit=die)
    while cursors(database, one) != [accepted, 0]:
        before = cursors(database, one)
        try:
            worker.drain(one)
        except Killed:
            worker = flowing(database, 2, before_commit=die)
        except (ConnectionError, ValueError):
            continue
        assert cursors(database, one) >= before
    assert differences(database, one) == []


def test_requests_that_a_flow_gave_up_are_tried_alone_under_its_attempt(database: Database) -> None:
    """Else one that kills the process when it is tried alone leaves no attempt behind, and is never suspected."""
    one = workspace(database, next(_names))
    for n in range(6):
        track(database, one, {"attributes": [{"external_id": "ada", "n": n}]})
    seen: list[tuple[int, int]] = []

    def look(_workspace: int, batch: Sequence[Stored]) -> None:
        seen.append((batch[0].seq, attempts(database, one)))
        if len(seen) == 2:
            raise RuntimeError("the flow")

    flowing(database, 2, before_commit=look).drain(one)
    assert [counted for first, counted in seen if first == 3] == [1, 1]
    assert (cursors(database, one), attempts(database, one)) == ([6, 0], 0)
    assert differences(database, one) == []


def test_what_another_worker_did_meanwhile_is_seen(database: Database) -> None:
    one = workspace(database)
    first, second = flowing(database, 2), flowing(database, 2)
    for worker in (first, second, first, second):
        for _ in range(8):
            track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
        assert worker.drain(one).flowed > 0
    assert differences(database, one) == []


def test_of_many_workspaces_no_more_is_in_memory_than_of_one(database: Database) -> None:
    ones = [workspace(database, f"w{n}") for n in range(3)]
    worker = flowing(database, 2, resident_bytes=9_000)
    for _ in range(2):
        for one in ones:
            for n in range(8):
                track(database, one, {"attributes": [{"external_id": f"u{n % 3}", "n": {"inc": 1}}]})
            assert worker.drain(one).flowed > 0
            assert [*worker._flows._residents] == [one]
    assert [differences(database, one) for one in ones] == [[]] * 3


def test_what_is_known_of_addresses_is_forgotten_when_it_is_too_much(database: Database) -> None:
    one, worker = workspace(database), flowing(database, 2, resident_bytes=0)
    for n in range(18):
        emails = [f"{n}-{k}@example.org" for k in range(70)]
        track(database, one, {"attributes": [{"external_id": "ada", "email": email} for email in emails]})
    assert worker.drain(one).flowed > 0
    assert resident.ADDRESS * len(worker._flows._residents[one].state.addresses) < resident.LEAST_OF_ADDRESSES
    assert differences(database, one) == []


def test_a_merge_between_flows_is_seen(database: Database) -> None:
    one = workspace(database)
    worker = flowing(database, 2)
    alias = {"alias_label": "crm", "alias_name": "1"}
    for _ in range(3):
        for _ in range(8):
            track(
                database, one, {"attributes": [{"user_alias": alias, "_update_existing_only": False, "n": {"inc": 1}}]}
            )
            track(database, one, {"attributes": [{"external_id": "ada", "m": {"inc": 1}}]})
        send_signed(
            database,
            one,
            "/users/identify",
            {"aliases_to_identify": [{"external_id": "ada", "user_alias": alias}], "merge_behavior": "merge"},
        )
    assert worker.drain(one).flowed > 0
    assert differences(database, one) == []


def test_a_lane_that_was_begun_anew_is_not_written_to(database: Database) -> None:
    """A reset gives the lane another epoch. Whatever flows then is thrown away."""
    one = workspace(database)
    worker = flowing(database, 1)
    for n in range(6):
        track(database, one, {"attributes": [{"external_id": "ada", "n": n}]})
    assert worker.drain(one).flowed > 0
    with database.write() as connection:
        lane.begin_epoch(connection)
        connection.execute(text("update profile_custom set doc = :doc"), {"doc": '{"n":100}'})
    for _ in range(3):
        track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
    worker.drain(one)
    with database.read() as connection:
        assert connection.execute(text("select doc from profile_custom")).scalar() == '{"n":103}'


def test_others_do_not_get_the_lane_between_two_batches(database: Database) -> None:
    if not database.is_postgresql:
        pytest.skip("a SQLite file has one writer, which waits")
    one, busy = workspace(database), list[bool]()
    other = applier(database)

    def look(_workspace: int, _batch: list[Stored]) -> None:
        busy.append(other.drain(one).busy)

    for _ in range(8):
        track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
    summary = flowing(database, 1, before_commit=look).drain(one)
    assert (summary.requests, summary.flowed) == (8, 7)
    assert busy == [True] * 8
    assert differences(database, one) == []


def test_whoever_applies_something_between_two_batches_ends_a_flow(database: Database) -> None:
    """Behind a commit nobody holds the lane for a moment, and on SQLite nobody the file. What was reduced on top of
    that commit is thrown away."""
    one = workspace(database)
    other, drained = applier(database), list[int]()

    def take_over(_workspace: int, _secret: bytes, requests: Sequence[Stored], _began_ns: int) -> None:
        if requests[0].seq in (2, 5):
            track(database, one, {"attributes": [{"external_id": "bob", "n": {"inc": 10}}]})
            drained.append(other.drain(one).requests)

    for _ in range(8):
        track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
    summary = flowing(database, 1, on_applied=take_over).drain(one)
    assert drained == [7]
    assert (summary.requests, summary.flowed) == (2, 1)
    assert cursors(database, one) == [9, 0]
    assert differences(database, one) == []


def test_threads_read_and_write_sqlite_by_turns(database: Database) -> None:
    """So what a batch reads is still in its connection's memory when it is written."""
    if database.is_postgresql:
        pytest.skip("a server has its own memory")
    one, turns = workspace(database), list[bool]()
    for _ in range(4):
        track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
    worker = flowing(database, 1, before_commit=lambda _workspace, _batch: turns.append(database._turn.locked()))
    assert worker.drain(one).flowed == 3
    assert turns == [False, True, True, True]
    assert not database._turn.locked()


def test_profiles_that_are_too_large_together_flow_in_smaller_batches(database: Database) -> None:
    one = workspace(database)
    for n in range(12):
        track(database, one, {"attributes": [{"external_id": f"u{n}", "t": ["x" * 200] * 20}]})
    applier(database).drain(one)
    for n in range(12):
        track(database, one, {"attributes": [{"external_id": f"u{n}", "n": 1}]})
    summary = flowing(database, 6, loaded_bytes=40_000).drain(one)
    assert summary.requests == 12
    assert summary.flowed > 0
    assert differences(database, one) == []


def test_a_request_that_takes_long_is_cut_in_a_flow_as_well(database: Database) -> None:
    one = workspace(database)
    people = [{"external_id": f"u{n}", "n": {"inc": 1}} for n in range(10)]
    for _ in range(4):
        track(database, one, {"attributes": people})
    worker = flowing(database, 1, patience=Patience(reduce=-1, grace=0, part=-1, commands=4))
    worker._flows.saw(StreamKey(one, 0), full=True)
    worker.drain(one)
    assert cursors(database, one) == [4, 0]
    assert differences(database, one) == []


def test_the_other_stream_gets_its_share_of_a_flow(database: Database) -> None:
    one, order = workspace(database), list[int]()
    for _ in range(12):
        track(database, one, {"attributes": [{"external_id": "ada", "n": {"inc": 1}}]})
        track(database, one, {"attributes": [{"external_id": "bob", "n": {"inc": 1}}]}, STREAM_BULK)
    worker = flowing(database, 1, before_commit=lambda _w, batch: order.append(batch[0].stream))
    worker.drain(one)
    assert cursors(database, one) == [12, 12]
    assert 1 in order[:11]
    assert differences(database, one) == []


def test_what_is_told_of_a_flow_is_what_is_told_of_single_batches(database: Database) -> None:
    told = []
    for size in (64, 2):
        one = workspace(database, next(_names))
        webhook = make(database, one)
        for n in range(12):
            track(
                database, one, {"attributes": [{"external_id": f"u{n % 3}", f"a{n}": 1, "email": f"{n}@example.org"}]}
            )
        assert (flowing(database, size).drain(one).flowed > 0) is (size == 2)
        told.append(everything(database, webhook))
    assert told[0] == told[1]
    assert told[0]
