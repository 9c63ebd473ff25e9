"""The schema: made by migrations alone, the same as the models say, on both stores; by one process at a time."""

import re
import subprocess
from importlib import import_module
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from app.domain.profile import CHANNEL_EMAIL, CORE, SPAM, AddressState
from app.store import migrate, request_problems
from app.store.engine import Database
from app.store.migrate import MigratingError
from app.store.partitions import numbers
from app.store.profiles.dump import dump
from app.store.profiles.save import save
from tests.domain.builders import profile, state_of
from tests.e2e.service import environment
from tests.stores import workspace


def test_migrations_and_models_agree(database: Database) -> None:
    assert migrate.differences(database) == []
    assert migrate.is_current(database)


def test_complaints_move_to_their_addresses(database: Database) -> None:
    """Of profiles with an address; the others keep them until they have one."""
    one, us = workspace(database), 1_790_000_000_000_000
    people = [
        profile(1, external_id="a", email="é@example.org", first_name="Zoé", marked_email_as_spam_at=us),
        profile(2, external_id="b", marked_email_as_spam_at=us),
        profile(3, external_id="c", email="c@example.org"),
    ]
    state = state_of(*people)
    state.changes.created = {1, 2, 3}
    state.changes.sections = dict.fromkeys((1, 2, 3), CORE)
    with database.write() as connection:
        save(connection, one, state, {})
        for _ in range(2):
            import_module("app.store.migrations.versions.0015_subscriptions").move_complaints(connection)
        found = dump(connection, one)
    assert {pid: kept.core for pid, kept in found.profiles.items()} == {
        1: {"email": "é@example.org", "first_name": "Zoé"},
        2: {"marked_email_as_spam_at": us},
        3: {"email": "c@example.org"},
    }
    assert found.addresses == {(CHANNEL_EMAIL, "é@example.org", SPAM): AddressState("marked", us)}


def test_an_empty_database_is_not_current_and_upgrading_twice_is_harmless(database_url: str) -> None:
    database = Database(database_url)
    assert not migrate.is_current(database)
    migrate.upgrade(database)
    migrate.upgrade(database)
    assert migrate.is_current(database)
    database.dispose()


def test_first_migrations_at_the_same_time_all_succeed(database_url: str, tmp_path: Path, forked_onefold: str) -> None:
    data_dir = Path(database_url.removeprefix("sqlite:///")).parent if "sqlite" in database_url else tmp_path / "data"
    env = {} if "sqlite" in database_url else {"DATABASE_URL": database_url}
    started = [
        subprocess.Popen(
            [forked_onefold, "migrate", "--data-dir", str(data_dir)],
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ends = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [(out, code) for out, _, code in ends] == [("schema is current\n", 0)] * 3, ends
    database = Database(database_url)
    assert migrate.is_current(database)
    with database.read() as connection:
        names = connection.execute(text("select name from workspace")).scalars().all()
    database.dispose()
    assert names == ["onefold canary"]


@pytest.fixture
def busy(database_url: str) -> Database:
    """Another process of a database that is being migrated; PostgreSQL gives up statements and locks at once."""
    return Database(database_url, pool_size=1, timeout_seconds=0.2)


def test_whoever_migrates_waits_for_another_one_as_long_as_that_one_lives(busy: Database) -> None:
    other = Database(busy.url, pool_size=1)
    waits, done = Event(), Event()

    def late() -> None:
        migrate.upgrade(busy, on_wait=waits.set)
        done.set()

    with other.write() as connection:
        if other.is_postgresql:
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({migrate._LOCK})")  # as _run_postgresql does
        thread = Thread(target=late)
        thread.start()
        assert waits.wait(30)
        assert not done.wait(1.0)  # five times the time-out of a statement
        connection.rollback()
    thread.join(30)
    assert done.is_set()
    assert migrate.is_current(other)  # without hurry
    busy.dispose()
    other.dispose()


def test_waiting_for_another_migration_has_an_end(database_url: str) -> None:
    busy, other = Database(database_url, pool_size=1), Database(database_url, pool_size=1)
    with other.write() as connection:
        if other.is_postgresql:
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({migrate._LOCK})")
        with pytest.raises(MigratingError):
            migrate.upgrade(busy, wait_seconds=0.1)
        connection.rollback()
    migrate.upgrade(busy)
    assert migrate.is_current(busy)
    busy.dispose()
    other.dispose()


def upgrade_to_before(database: Database, name: str) -> None:
    """Bring a database to the schema that a migration, known by its name, has found."""
    (path,) = (migrate.MIGRATIONS / "versions").glob(f"*_{name}.py")
    (revision,) = re.findall(r'^down_revision = "(\d+)"$', path.read_text(), re.MULTILINE)
    with database.main.connect().execution_options(onefold_write=True) as connection, connection.begin():
        migrate._migrate(connection, ("main", "inbox") if database.is_postgresql else ("main",), revision)


def test_problems_of_an_earlier_version_are_read_as_before(database_url: str) -> None:
    """They were a row each; their partitions, and whose they are, stay as they were."""
    database = Database(database_url, pool_size=1)
    upgrade_to_before(database, "problems")
    day, number = 20_000, 1
    rows = [
        {"seq": 7, "ordinal": 0, "n": 4, "position": 0, "field": "dob", "reason": "invalid_value"},
        {"seq": 7, "ordinal": 0, "n": 5, "position": 0, "field": 'a "quoted" ü', "reason": "too_deep"},
        {"seq": 7, "ordinal": 12, "n": 6, "position": 3, "field": "", "reason": "profile_not_found"},
        {"seq": 8, "ordinal": 0, "n": 0, "position": 1, "field": "x", "reason": "too_deep"},
    ]
    with database.write() as connection:
        if database.is_postgresql:
            connection.exec_driver_sql(
                f"create table problem_{day} partition of problem for values from ({day}) to (20001)"
            )
        for row in reversed(rows):
            connection.execute(
                text(
                    "insert into problem"
                    " (workspace_id, stream, seq, ordinal, n, day, input_array, position, field, reason)"
                    f" values ({number}, 0, :seq, :ordinal, :n, {day}, 'attributes', :position, :field, :reason)"
                ),
                row,
            )
    migrate.upgrade(database)
    assert migrate.differences(database) == []
    with database.read() as connection:
        found = {seq: request_problems.read(connection, number, 0, seq) for seq in (7, 8, 9)}
        partitions = numbers(connection, "problem") if database.is_postgresql else {day}
        stored = connection.execute(text("select count(*) from problem")).scalar_one()
    database.dispose()
    assert found == {
        7: [("attributes", row["position"], row["field"], row["reason"]) for row in rows[:3]],
        8: [("attributes", 1, "x", "too_deep")],
        9: [],
    }
    assert (partitions, stored) == ({day}, 2)
