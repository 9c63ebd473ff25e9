"""A worker that stops in or behind a pipeline loses its lane, although PostgreSQL would let it stand."""

from collections.abc import Callable
from typing import Any

import pytest

from app.store import lane
from app.store.bulk import pipelined
from app.store.engine import DATABASE_ERRORS, Database
from app.store.sessions import end_stalled
from tests.polling import until
from tests.servers import PostgresServer
from tests.stores import workspace


def in_the_middle(driver: Any) -> None:
    """Stop inside a pipeline: no Sync follows, and the session stays active."""
    driver.pgconn.flush()


def behind_the_end(driver: Any) -> None:
    """Stop behind a pipeline, whose last words are Sync and Flush: nothing ends the idle session then."""
    driver.pgconn.pipeline_sync()
    driver.pgconn.send_flush_request()
    driver.pgconn.flush()


@pytest.mark.parametrize("stop", [in_the_middle, behind_the_end])
def test_a_session_that_stalls_with_a_pipeline_is_ended(
    stop: Callable[[Any], None], postgres_server: PostgresServer, postgres_template: str
) -> None:
    url = postgres_server.create_database(f"stalled_{stop.__name__}", postgres_template)
    stalled, patient, others = (Database(url, apply=True, timeout_seconds=seconds) for seconds in (0.3, 15, 0.3))
    one = workspace(stalled)

    def stall() -> None:
        with stalled.write() as connection:
            assert lane.lock(connection, one) is not None
            with pipelined(connection):
                driver: Any = connection.connection.driver_connection
                driver.execute("select 1")
                stop(driver)
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


def test_other_sessions_are_left_alone(database: Database) -> None:
    with database.write() as working, Database(database.url).main.connect() as idle:
        assert working.exec_driver_sql("select 1").scalar() == idle.exec_driver_sql("select 1").scalar() == 1
        idle.rollback()
        assert end_stalled(database) == 0
        assert working.exec_driver_sql("select 1").scalar() == idle.exec_driver_sql("select 1").scalar() == 1
        idle.invalidate()
