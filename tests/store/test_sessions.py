"""A worker that stops in the middle of a pipeline loses its lane, although PostgreSQL does not take it for idle."""

from typing import Any

import pytest

from app.store import lane, migrate
from app.store.bulk import pipelined
from app.store.engine import DATABASE_ERRORS, Database
from app.store.sessions import end_stalled
from tests.polling import until
from tests.servers import PostgresServer
from tests.stores import workspace


def test_a_session_that_stalls_in_a_pipeline_is_ended(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("stalled")
    stalled, patient, others = (
        Database(url, apply=apply, timeout_seconds=seconds) for apply, seconds in ((True, 15), (False, 15), (True, 0.2))
    )
    migrate.upgrade(stalled)
    one = workspace(stalled)

    def stall() -> None:
        with stalled.write() as connection:
            assert lane.lock(connection, one) is not None
            with pipelined(connection):
                driver: Any = connection.connection.driver_connection
                driver.execute("select 1")
                driver.pgconn.flush()  # and nothing follows: no Sync, so that the session stays active
                assert end_stalled(patient) == 0
                with others.write() as other:
                    assert lane.lock(other, one) is None
                assert until(lambda: end_stalled(others), timeout=5) == 1

    try:
        with pytest.raises(DATABASE_ERRORS):
            stall()
        with others.write() as other:
            assert lane.lock(other, one) is not None
        assert end_stalled(others) == 0
    finally:
        for database in (stalled, patient, others):
            database.dispose()


def test_sessions_that_work_or_are_idle_are_left_alone(database: Database) -> None:
    with database.write() as idle:
        assert idle.exec_driver_sql("select 1").scalar() == 1
        impatient = Database(database.url)
        impatient.timeout_seconds = -1.0
        assert end_stalled(impatient) == 0
        impatient.dispose()
        assert idle.exec_driver_sql("select 1").scalar() == 1
