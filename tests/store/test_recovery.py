"""PostgreSQL restored from its own backups, as docs/operations.md says: equal to the reference, and going on."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from app.store import durability, lane, migrate, partitions, restored, workspaces
from app.store.engine import Database
from tests.busy import accept, applier_of, busy, head
from tests.missing import needed
from tests.recovery import ARCHIVING, archive_all, base_backup, restore
from tests.servers import PostgresServer, postgres
from tests.stores import NOW_US, workspace
from workers import replay


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with needed(postgres(ARCHIVING, private=True)) as found:
        yield found


def test_a_restore_to_a_moment_equals_the_reference_and_goes_on(server: PostgresServer) -> None:
    """Base backup and moment lie in the middle of accepting and applying."""
    database = Database(server.create_database("restored"), pool_size=3)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    one = workspace(database)
    secret = workspaces.secret(database, one)
    with busy(database, one) as more:
        more(20)
        base_backup(server)
        least = more(20)
        with psycopg.connect(server.dsn, autocommit=True) as plain:
            plain.execute("select pg_create_restore_point('here')")
        most = more(0) + 1
        more(20)
    with database.read() as connection:
        before = lane.read(connection, one)
    archive_all(server)
    assert durability.archive(database).on
    assert not durability.archive(database).failing
    server.kill9()
    database.dispose()

    restore(server, "here")
    assert least <= head(database, one) <= most
    assert replay.differences(database, one, secret) == []
    restored.go_on(database)  # onefold db restored
    secret = workspaces.secret(database, one)
    applier = applier_of(database)
    for n in range(1_000, 1_020):
        accept(database, one, n)
        applier.drain(one)
    assert replay.differences(database, one, secret) == []
    with database.read() as connection:
        after = lane.read(connection, one)
        assert connection.execute(text("select count(*) from inbox")).scalar_one() == head(database, one)
    assert before is not None
    assert after is not None
    assert sum(after.cursors) == head(database, one)
    assert after.epoch != before.epoch
    database.dispose()
