"""Merges and their undoing on both stores, through the inbox and the drain, equal to the reference."""

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.domain.ids import erased_id, merge_id
from app.domain.times import DAY
from app.store import merges, request_problems, workspaces
from app.store.engine import Database
from app.store.profiles.dump import dump, occurrences
from tests.accepting import send_signed, undo
from tests.applying import applier, cursors, differences
from tests.fuzz.size import cases
from tests.stores import NOW_US, workspace
from tests.strategies import requests
from workers.batches import BatchSize
from workers.retention import Retention

_names = (f"m{n}" for n in itertools.count())


def reasons(database: Database, workspace_id: int, seq: int) -> list[str]:
    with database.read() as connection:
        return [reason for *_, reason in request_problems.read(connection, workspace_id, 0, seq)]


#: Five people; three of them share an address.
PEOPLE: list[dict[str, Any]] = [
    {"external_id": "ada", "email": "x@example.org"},
    {"external_id": "bob", "email": "x@example.org", "tier": "gold"},
    {"external_id": "é", "first_name": "Ana", "email_subscribe": "unsubscribed"},
    {"user_alias": {"alias_label": "crm", "alias_name": "1"}, "email": "x@example.org", "tier": "silver"},
    {"user_alias": {"alias_label": "web", "alias_name": "1"}, "phone": "+34600123456", "n": 5},
]
_names_of: list[dict[str, Any]] = [
    {name: person[name] for name in ("external_id", "user_alias") if name in person} for person in PEOPLE
]
_merge = st.lists(st.permutations(_names_of), min_size=1, max_size=2).map(
    lambda orders: (
        "/users/merge",
        {"merge_updates": [{"identifier_to_merge": found[0], "identifier_to_keep": found[1]} for found in orders]},
    )
)
_write = st.tuples(st.sampled_from(PEOPLE), st.integers(0, 3)).map(
    lambda drawn: (
        "/users/track",
        {
            "attributes": [{**drawn[0], "n": drawn[1], "_update_existing_only": drawn[1] < 3}],
            "events": [{**_names_of[PEOPLE.index(drawn[0])], "name": "open", "time": "2026-11-20"}],
        },
    )
)
#: Which of the last requests that may have merged, and which of its elements.
_undo = st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0, 0, 1]))


@settings(deadline=None, max_examples=cases(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.one_of(_merge, _merge, _undo, _undo, _write, requests), st.booleans()), min_size=5, max_size=16
    ),
    st.sampled_from([1, 3, 64]),
)
def test_any_log_with_undos_in_any_batches_equals_the_reference(
    database: Database, sent: list[tuple[Any, bool]], limit: int
) -> None:
    """Merged and undone in one batch is what a redo after a crash may meet."""
    one = workspace(database, next(_names))
    secret = workspaces.secret(database, one)
    worker = applier(database)
    worker._sizes = {stream: BatchSize(limit) for stream in (0, 1)}
    people = [{**person, "_update_existing_only": False} for person in PEOPLE]
    accepted = int(send_signed(database, one, "/users/track", {"attributes": people}))
    merging = [1]
    for request, drain_now in sent:
        if isinstance(request[0], int):
            undo(database, one, merge_id(secret, one, 0, merging[-1 - request[0] % len(merging)], request[1]))
            accepted += 1
        elif send_signed(database, one, *request):
            accepted += 1
            if request[0] in ("/users/merge", "/users/identify"):
                merging.append(accepted)
        if drain_now:
            worker.drain(one)
    summary = worker.drain(one)
    assert summary.dead == 0
    assert cursors(database, one) == [accepted, 0]
    assert differences(database, one) == []


PAIR = {
    "attributes": [
        {"external_id": "k", "first_name": "Anna", "n": 1},
        {"external_id": "m", "email": "m@example.org", "email_subscribe": "unsubscribed", "color": "green"},
    ],
    "events": [{"external_id": "m", "name": "view", "time": "2026-11-15"}],
}
MERGE = {"merge_updates": [{"identifier_to_merge": {"external_id": "m"}, "identifier_to_keep": {"external_id": "k"}}]}


def test_a_merge_and_its_undo(database: Database) -> None:
    one = workspace(database)
    secret = workspaces.secret(database, one)
    worker = applier(database)
    send_signed(database, one, "/users/track", PAIR)
    worker.drain(one)
    with database.read() as connection:
        before = dump(connection, one).profiles
    send_signed(database, one, "/users/merge", MERGE)
    worker.drain(one)
    done = merge_id(secret, one, 0, 2, 0)
    with database.read() as connection:
        ((found,), more) = merges.listed(connection, one, set(before), 10)
        assert not more
        assert (found.id, found.origin.key_name, found.undone) == (done, "backend", None)
        assert dump(connection, one).profiles.keys() == {found.kept_pid}
        assert len(occurrences(connection, one)) == 1
    undo(database, one, done)
    undo(database, one, done)
    worker.drain(one)
    with database.read() as connection:
        assert dump(connection, one).profiles == before
        assert [(line.what, line.origin.key_name) for line in merges.history(connection, one, found.kept_pid, 9)] == [
            ("created", "backend"),
            ("merged", "backend"),
            ("unmerged", "admin"),
        ]
        assert [(line.what, line.origin.key_name) for line in merges.history(connection, one, found.merged_pid, 9)] == [
            ("created", "backend"),
            ("merged_into", "backend"),
            ("restored", "admin"),
        ]
    assert (reasons(database, one, 3), reasons(database, one, 4)) == ([], ["already_undone"])
    assert differences(database, one) == []


def test_a_deletion_leaves_a_hash(database: Database) -> None:
    one = workspace(database)
    secret = workspaces.secret(database, one)
    worker = applier(database)
    send_signed(database, one, "/users/track", PAIR)
    send_signed(database, one, "/users/merge", MERGE)
    worker.drain(one)
    with database.read() as connection:
        (kept,) = dump(connection, one).profiles.values()
    send_signed(database, one, "/users/delete", {"external_ids": ["k"]})
    undo(database, one, merge_id(secret, one, 0, 2, 0))
    worker.drain(one)
    assert reasons(database, one, 4) == ["merge_not_found"]
    with database.read() as connection:
        records, history, deletions = merges.everything(connection, one)
        assert (records, history) == ({}, {})
        assert deletions.keys() == {erased_id(secret, one, kept.braze_id)}
        assert deletions.popitem()[1].key_name == "backend"
        assert occurrences(connection, one) == []
    assert differences(database, one) == []


def test_a_deletion_before_an_undo_takes_the_record_along_a_chain(database: Database) -> None:
    """The deleted profile is not the one that was kept: that one was merged into another, and so on."""
    one = workspace(database)
    worker = applier(database)
    send_signed(database, one, "/users/track", {"attributes": [{"external_id": name} for name in "mkab"]})
    for merged, kept in ("mk", "ka", "ab"):
        identifiers = {"identifier_to_merge": {"external_id": merged}, "identifier_to_keep": {"external_id": kept}}
        send_signed(database, one, "/users/merge", {"merge_updates": [identifiers]})
    worker.drain(one)
    first, second, _ = (merge_id(workspaces.secret(database, one), one, 0, seq, 0) for seq in (2, 3, 4))
    undo(database, one, first)
    send_signed(database, one, "/users/delete", {"external_ids": ["b"]})
    undo(database, one, first)
    undo(database, one, second)
    assert worker.drain(one).batches == 1
    assert [reasons(database, one, seq) for seq in (5, 7, 8)] == [[], ["merge_not_found"], ["merge_not_found"]]
    assert differences(database, one) == []


def test_undos_of_a_tall_stack_in_any_batches(database: Database) -> None:
    """What stands on a merge is found however much of it the same batch takes back, or puts there."""
    for n, (limit, most) in enumerate(((1, 24_000_000), (64, 24_000_000), (64, 1))):
        one = workspace(database, f"tall{n}")
        secret = workspaces.secret(database, one)
        worker = applier(database, loaded_bytes=most)
        worker._sizes = {stream: BatchSize(limit) for stream in (0, 1)}
        names = [f"p{k}" for k in range(8)]
        send_signed(
            database, one, "/users/track", {"attributes": [{"external_id": name, "of": name} for name in names]}
        )
        pairs = [*((name, "p0") for name in names[1:6]), ("p0", "p6"), ("p7", "p6")]
        for merged, kept in pairs:
            identifiers = {"identifier_to_merge": {"external_id": merged}, "identifier_to_keep": {"external_id": kept}}
            send_signed(database, one, "/users/merge", {"merge_updates": [identifiers]})
        worker.drain(one)
        for place in (3, 0, 5, 1, 6, 2, 4):
            undo(database, one, merge_id(secret, one, 0, 2 + place, 0))
        assert worker.drain(one).dead == 0
        assert [reasons(database, one, seq) for seq in range(9, 16)] == [[]] * 7
        with database.read() as connection:
            found = dump(connection, one).profiles.values()
        assert sorted((profile.external_id, (profile.custom or {})["of"]) for profile in found) == [
            (name, name) for name in names
        ]
        assert differences(database, one) == []


def test_the_comparison_sees_a_difference(database: Database) -> None:
    one = workspace(database)
    send_signed(database, one, "/users/track", PAIR)
    send_signed(database, one, "/users/merge", MERGE)
    send_signed(database, one, "/users/track", {"attributes": [{"external_id": "x"}]})
    send_signed(database, one, "/users/delete", {"external_ids": ["x"]})
    applier(database).drain(one)
    assert differences(database, one) == []
    for damage in (
        "delete from lineage",
        "update merge_record set snapshot = null",
        "update history set key_name = 'x' where what = 'merged'",
        "delete from deletion",
    ):
        before = len(differences(database, one))
        with database.write() as connection:
            connection.execute(text(damage))
        assert len(differences(database, one)) > before, damage


def test_ageing_out(database: Database) -> None:
    """What a merge keeps for an undo goes a day after it could be undone."""
    one = workspace(database)
    worker = applier(database)
    send_signed(database, one, "/users/track", PAIR)
    send_signed(database, one, "/users/merge", MERGE)
    worker.drain(one)
    done = merge_id(workspaces.secret(database, one), one, 0, 2, 0)

    def snapshot(now_us: int) -> bool:
        Retention(database, lambda: now_us, inbox_hours=10**6).work(now_us)
        with database.read() as connection:
            record = merges.fetch(connection, one, [done])[done]
        assert record is not None
        return record.snapshot is not None and record.plan is not None

    assert snapshot(NOW_US + 30 * DAY)
    assert not snapshot(NOW_US + 31 * DAY + 1_000_000)
    undo(database, one, done)
    worker.drain(one)
    assert reasons(database, one, 3) == ["merge_too_old"]


def test_what_a_deletion_left_is_deleted(database: Database) -> None:
    one, other = workspace(database), workspace(database, "other")
    worker = applier(database)
    for each in (one, other):
        send_signed(database, each, "/users/track", PAIR)
        send_signed(database, each, "/users/merge", MERGE)
    send_signed(database, one, "/users/delete", {"external_ids": ["k"]})
    for each in (one, other):
        worker.drain(each)
    assert numbers_of_occurrences(database, one) != []
    Retention(database, lambda: NOW_US, inbox_hours=10**6).work(NOW_US)
    assert (numbers_of_occurrences(database, one), len(numbers_of_occurrences(database, other))) == ([], 1)
    assert differences(database, one) == differences(database, other) == []


def numbers_of_occurrences(database: Database, one: int) -> list[int]:
    with database.read() as connection:
        return list(
            connection.execute(text("select pid from occurrence where workspace_id = :w"), {"w": one}).scalars()
        )
