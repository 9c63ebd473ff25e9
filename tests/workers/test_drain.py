"""The drain on both stores: equal to the reference for any log and any batches, whatever gets in its way."""

import itertools
import threading
from collections import Counter
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.contract import kinds, stored
from app.domain.changes import Counts
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.store import dead_letters, lane, request_problems
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, Stored
from app.store.profiles.dump import dump
from tests.accepting import ADA, track
from tests.applying import Bell, applier, cursors, differences
from tests.fuzz.size import cases
from tests.polling import until
from tests.stores import NOW_US, workspace
from tests.strategies import bodies
from workers.attempts import ATTEMPTS_BEFORE_DEAD
from workers.batches import BatchSize
from workers.summary import Summary

#: Whether a session has done nothing for longer than 0.2 s, by the clock; null when it is gone.
_IDLE = text("select clock_timestamp() - state_change > interval '0.2 s' from pg_stat_activity where pid = :pid")

_names = (f"w{n}" for n in itertools.count())


def test_a_comparison_may_be_idle_for_longer_than_other_transactions(database: Database) -> None:
    """A large workspace takes minutes to decode, between one statement and the next."""
    if not database.is_postgresql:
        pytest.skip("only PostgreSQL ends sessions that are idle")
    one = workspace(database)
    hasty = Database(database.url, timeout_seconds=0.1)
    decoding: list[str] = []

    def decode(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "from name_count" in statement:
            pid = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            with database.read() as other:
                until(lambda: other.execute(_IDLE, {"pid": pid}).scalar() is not False)
            decoding.append(statement)

    event.listen(hasty.main, "before_cursor_execute", decode)
    assert (differences(hasty, one), len(decoding)) == ([], 1)
    hasty.dispose()


@settings(deadline=None, max_examples=cases(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(bodies, st.sampled_from([0, 0, 0, 1]), st.booleans()), max_size=10),
    st.sampled_from([1, 2, 3, 64]),
)
def test_any_log_in_any_batches_equals_the_reference(
    database: Database, sent: list[tuple[dict[str, Any], int, bool]], limit: int
) -> None:
    one = workspace(database, next(_names))
    worker = applier(database)
    worker._sizes = {stream: BatchSize(limit) for stream in (0, 1)}
    accepted = Counter[int]()
    for body, stream, drain_now in sent:
        accepted[stream] += track(database, one, body, stream)
        if drain_now:
            worker.drain(one)
    worker.drain(one)
    assert cursors(database, one) == [accepted[0], accepted[1]]
    assert differences(database, one) == []


def test_a_braze_id_finds_its_profile_in_any_batch(database: Database) -> None:
    """Also when a redo after a crash makes the profile in the very batch that names it."""
    one = workspace(database)
    track(database, one, ADA)
    worker = applier(database)
    worker.drain(one)
    with database.read() as connection:
        (profile,) = dump(connection, one).profiles.values()
    track(database, one, {"attributes": [{"braze_id": profile.braze_id, "n": {"inc": 1}}]})
    with database.write() as connection:
        for table in (
            "profile",
            "profile_core",
            "profile_custom",
            "identifier",
            "history",
            "applied",
            "name_count",
            "series_day",
            "series_hour",
        ):
            connection.execute(text(f"delete from {table}"))
        connection.execute(text("update lane set cursor_normal = 0, applied_n = 0"))
    worker.drain(one)
    assert differences(database, one) == []
    with database.read() as connection:
        (profile,) = dump(connection, one).profiles.values()
    assert profile.custom == {"n": 2}


def test_the_comparison_sees_a_difference(database: Database) -> None:
    one = workspace(database)
    event = {"external_id": "ada", "name": "e", "time": "2026-11-15"}
    track(database, one, {"attributes": [{"external_id": "ada", "email": "a@example.org", "n": 1}], "events": [event]})
    applier(database).drain(one)
    assert differences(database, one) == []
    for damage in (
        "update profile set revenue_cents = 1",
        "update profile_custom set doc = '{\"n\": 1.0}'"
        if not database.is_postgresql
        else "update profile_custom set doc = '{}'",
        "delete from identifier where kind = 4",
        "insert into address_state values (1, 1, 'a@example.org', '', 'opted_in', 5, null)",
        "update profile_part set doc = '{}'",
        "delete from occurrence",
        "delete from profile_core",
    ):
        with database.write() as connection:
            connection.execute(text(damage))
        assert differences(database, one), damage


def test_the_summary_tells_what_was_done(database: Database) -> None:
    one, bell = workspace(database), Bell()
    event = {"user_alias": {"alias_label": "l", "alias_name": "n"}, "name": "e", "time": "2026-11-20"}
    track(database, one, {**ADA, "events": [event, {**event, "_update_existing_only": False}]})
    track(database, one, {"attributes": [{"external_id": "ada", "s": "x" * 300}]})
    summary = applier(database, bell=bell).drain(one)
    assert {**summary.as_dict(), "ms": 0} == {
        **Summary(requests=2, counts=Counts(attributes=2, events=1, skipped=1, ignored=1), batches=1).as_dict(),
        "skipped_by_reason": {"profile_not_found": 1, "value_too_long": 1},
    }
    assert bell.cleared == {one: 1}
    with database.read() as connection:
        assert request_problems.read(connection, one, 0, 1) == [("events", 0, "", "profile_not_found")]
        assert request_problems.read(connection, one, 0, 2) == [("attributes", 0, "s", "value_too_long")]
    assert applier(database).drain(one).requests == 0


def test_normal_traffic_goes_first_and_bulk_gets_its_share(database: Database) -> None:
    one, order = workspace(database), list[tuple[int, int]]()
    for _ in range(40):
        track(database, one, ADA)
        track(database, one, ADA, STREAM_BULK)

    def note(_workspace: int, batch: list[Stored]) -> None:
        order.append((batch[0].stream, batch[0].seq))

    worker = applier(database, before_commit=note)
    while cursors(database, one) != [40, 40]:
        worker._sizes = {stream: BatchSize(1) for stream in (0, 1)}
        worker.drain(one)
    assert order[0] == (STREAM_NORMAL, 1)
    bulk_before_the_last_normal = order[: order.index(max(place for place in order if place[0] == STREAM_NORMAL))]
    assert any(stream == STREAM_BULK for stream, _ in bulk_before_the_last_normal)
    assert differences(database, one) == []


def test_settings_take_effect_at_their_place_in_the_log(database: Database) -> None:
    one = workspace(database)
    purchase = {
        "user_alias": {"alias_label": "l", "alias_name": "n"},
        "product_id": "p",
        "currency": "USD",
        "price": 1,
        "time": "2026-11-20",
    }
    change = stored.settings_change({"alias_autocreate_on_purchase": True, "from_the_future": 1})
    track(database, one, {"purchases": [purchase]})
    with database.write(database.inbox) as connection:
        inbox.append(connection, one, 0, [Entry(change.kind, change.codec, change.body)], NOW_US)
    track(database, one, {"purchases": [purchase]})
    worker = applier(database)
    worker._sizes = {stream: BatchSize(1) for stream in (0, 1)}
    worker.drain(one)
    assert differences(database, one) == []
    with database.read() as connection:
        (profile,) = dump(connection, one).profiles.values()
        found = lane.read(connection, one)
    assert profile.purchase_count == 1
    assert found is not None
    assert found.settings.alias_autocreate_on_purchase


def poison(database: Database, workspace_id: int) -> None:
    """A request that no reader understands, as a bug of ours might have let in."""
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, 0, [Entry(kinds.TRACK, 2, b'{"attributes":[[0,[],[]]]}')], NOW_US)


def test_a_request_that_cannot_be_applied_is_put_aside_alone(database: Database) -> None:
    one, buried = workspace(database), list[tuple[int, str]]()
    for n in range(9):
        if n in (3, 8):
            poison(database, one)
        track(database, one, ADA)
    worker = applier(database, on_dead=lambda _w, request, reason: buried.append((request.seq, reason)))
    with capture_logs() as logs:
        summary = worker.drain(one)
    assert (summary.requests, summary.dead) == (9, 2)
    said = [(line["event"], line["stream"], line["kind"], line["reason"]) for line in logs]
    assert said == [("dead_letter", "normal", "track", "AttributeError")] * 2
    known = {"event", "log_level", "workspace", "request", "stream", "kind", "reason"}
    assert all(line.keys() == known for line in logs)
    assert buried == [(4, "AttributeError"), (10, "AttributeError")]
    assert cursors(database, one) == [11, 0]
    with database.read() as connection:
        (profile,) = dump(connection, one).profiles.values()
        letters = [dead_letters.get(connection, one, 0, seq) for seq in (3, 4, 10)]
        assert [letter and letter.reason for letter in letters] == [None, *["AttributeError"] * 2]
    assert profile.custom == {"n": 9}
    assert differences(database, one) == []


def test_a_lane_is_left_sooner_when_others_have_work(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    for _ in range(3):
        track(database, one, ADA)
    worker = applier(database)
    track(database, two, ADA)
    left = worker.drain(one, yield_seconds=0, most_seconds=60)
    assert (left.requests, left.behind) == (0, True)
    assert worker.drain(two).requests == 1
    stayed = worker.drain(one, yield_seconds=0, most_seconds=60)
    assert (stayed.requests, stayed.behind) == (3, False)
    assert worker.drain(two, yield_seconds=0, most_seconds=0).behind is False  # nothing to leave behind


def test_requests_that_cannot_be_applied_do_not_make_the_others_go_one_by_one(database: Database) -> None:
    one = workspace(database)
    for n in range(200):
        (poison if n % 50 == 40 else lambda d, w: track(d, w, ADA))(database, one)
    summary = applier(database).drain(one, yield_seconds=60)
    assert (summary.requests, summary.dead) == (196, 4)
    assert summary.batches < 50
    assert differences(database, one) == []


@pytest.mark.parametrize(
    "fault",
    [
        OperationalError("statement", {}, Exception("server closed the connection")),
        ConnectionError(),
        psycopg.errors.DiskFull("full"),
        psycopg.errors.DeadlockDetected("deadlock"),
        psycopg.errors.AdminShutdown("terminating"),
        psycopg.errors.LockNotAvailable("lock"),
        psycopg.errors.QueryCanceled("by an operator, since it came early"),
    ],
)
def test_a_fault_of_the_machine_is_never_a_dead_request(database: Database, fault: Exception) -> None:
    one, faults = workspace(database), [fault] * 20
    for _ in range(3):
        track(database, one, ADA)

    def break_down(_workspace: int, _batch: list[Stored]) -> None:
        if faults:
            raise faults.pop()

    worker = applier(database, before_commit=break_down)
    for _ in range(20):  # more often than a batch may kill its process
        with pytest.raises(type(fault)):
            worker.drain(one)
        assert cursors(database, one) == [0, 0]
    assert worker.drain(one).requests == 3
    assert differences(database, one) == []


@pytest.mark.parametrize(
    "fault",
    [MemoryError(), psycopg.errors.OutOfMemory("memory"), psycopg.errors.IdleInTransactionSessionTimeout("idle")],
)
@pytest.mark.parametrize("guilty", [1, 2, 90])
def test_a_request_that_takes_too_much_is_given_up_after_eight_attempts_alone(
    database: Database, fault: Exception, guilty: int
) -> None:
    """Also while the other stream has work, whose batches succeed, and with a new worker for each attempt."""
    one, alone = workspace(database), Counter[int]()
    for n in range(1, 101):
        track(database, one, {"attributes": [{"external_id": f"u{n}", "n": n}]})
        track(database, one, ADA, STREAM_BULK)

    def take_too_much(_workspace: int, batch: list[Stored]) -> None:
        if any(request.stream == STREAM_NORMAL and request.seq == guilty for request in batch):
            alone[len(batch)] += 1
            raise fault

    summary, fails = Summary(), 0
    while cursors(database, one) != [100, 100]:
        try:
            found = applier(database, before_commit=take_too_much).drain(one)
            summary.dead += found.dead
        except type(fault):
            fails += 1
            assert fails < 40
    assert summary.dead == 1
    assert alone[1] == ATTEMPTS_BEFORE_DEAD
    assert differences(database, one) == []
    with database.read() as connection:
        assert [(row.stream, row.seq) for row in dead_letters.find(connection, one, 9, NOW_US)] == [(0, guilty)]


@pytest.mark.parametrize(("requests", "guilty"), [(3, 2), (60, 41)])
def test_a_batch_that_kills_its_process_is_narrowed_down_and_then_given_up(
    database: Database, requests: int, guilty: int
) -> None:
    """The process dies whenever the guilty request is in a batch. A few deaths find it; the others do not suffer."""
    one, buried = workspace(database), list[tuple[int, str]]()
    for _ in range(requests):
        track(database, one, ADA)

    class Killed(BaseException):
        pass

    def die(_workspace: int, batch: list[Stored]) -> None:
        if any(request.seq == guilty for request in batch):
            raise Killed

    deaths = 0
    while cursors(database, one) != [requests, 0]:
        worker = applier(
            database, before_commit=die, on_dead=lambda _w, request, reason: buried.append((request.seq, reason))
        )
        try:
            worker.drain(one)
        except Killed:
            deaths += 1
            assert deaths <= ATTEMPTS_BEFORE_DEAD + 4
    assert buried == [(guilty, "RuntimeError")]
    assert differences(database, one) == []


def test_a_lane_that_somebody_holds_is_left_alone(database: Database) -> None:
    if not database.is_postgresql:
        pytest.skip("a SQLite file has one writer, which waits")
    one = workspace(database)
    track(database, one, ADA)
    with database.write() as connection:
        assert lane.lock(connection, one) is not None
        summary = applier(database).drain(one)
        assert (summary.busy, summary.requests) == (True, 0)
    assert applier(database).drain(one).requests == 1


def test_work_that_arrives_at_the_last_moment_is_seen(database: Database) -> None:
    """Whoever accepts before the bell is cleared must not have to ring again."""
    one, late = workspace(database), [ADA]

    class Late(Bell):
        def clear(self, workspace_id: int) -> None:
            super().clear(workspace_id)
            if late:
                track(database, workspace_id, late.pop())

    track(database, one, ADA)
    assert applier(database, bell=Late()).drain(one).requests == 2


def test_one_doorbell_survives_connections_that_have_died_in_the_pool(database: Database) -> None:
    if not database.is_postgresql:
        pytest.skip("nobody ends a connection to a file")
    one, broken, its_own = workspace(database), [False, True] * 4, Database(database.url)

    def cut(_workspace: int, _batch: list[Stored]) -> None:
        if broken:
            end_sessions(database)
            if broken.pop():  # seen by a bulk write, which goes past SQLAlchemy
                raise psycopg.OperationalError("the connection is lost")

    worker = applier(its_own, before_commit=cut)
    track(database, one, ADA)
    database.dispose()
    assert worker.drain(one).requests == 1  # eight connections are lost in mid-batch
    track(database, one, ADA)
    database.dispose()
    end_sessions(database)
    assert worker.drain(one).requests == 1  # and this one has lain in the pool
    its_own.dispose()
    assert broken == []
    assert differences(database, one) == []


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "only elsewhere"])
def test_a_name_that_a_crash_took_back_is_stored_again(database: Database, noticed: bool) -> None:
    """A crash of PostgreSQL may lose the last batches while the worker lives on; another thread may meet it first."""
    if not database.is_postgresql:
        pytest.skip("on SQLite a lost commit means that the worker is gone as well")
    one = workspace(database, "a")
    worker = applier(database)
    event = {"external_id": "u", "name": "click", "time": "2026-11-20T00:00:00Z"}
    track(database, one, {"events": [event]})
    assert worker.drain(one).counts.events == 1
    with database.write() as connection:
        connection.execute(text("delete from name"))
    track(database, one, {"events": [event]})
    if noticed:
        end_sessions(database)
    else:
        database.dispose()
    assert worker.drain(one).counts.events == 1
    with database.read() as connection:
        assert connection.execute(text("select name from name")).scalars().all() == ["click"]


def end_sessions(database: Database) -> None:
    """What an operator does, or a server that is started again: every other session ends."""
    other = Database(database.url)
    with other.read() as connection:
        connection.exec_driver_sql(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    other.dispose()


def test_no_request_dies_because_no_thread_can_be_had(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    one = workspace(database)
    for _ in range(200):
        track(database, one, ADA)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    summary = applier(database).drain(one, yield_seconds=60)
    assert (summary.requests, summary.dead) == (200, 0)
    assert differences(database, one) == []
