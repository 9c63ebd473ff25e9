"""A Celery process that dies takes its doorbell along. There is no sweeper here: who does not ring again is noticed."""

import sys
from pathlib import Path
from typing import Any

import psycopg

from fault.processes import Program
from tests.api.harness import lane_cursor, running, settings_for
from tests.polling import until
from tests.servers import PostgresServer, ValkeyServer

WORKER = ("-m", "celery", "-A", "workers.celery_app", "worker", "-Q", "sync,normal,bulk", "-c", "1")
ADA = {"attributes": [{"external_id": "ada", "tier": "gold"}]}


def test_the_doorbell_of_a_process_that_dies_is_rung_again(
    postgres_server: PostgresServer, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    settings = settings_for(postgres_server.create_database("rung_again"), valkey_server.url, tmp_path)
    env = {
        "DATABASE_URL": settings.database(),
        "REDIS_URL": valkey_server.url,
        "ONEFOLD_KEY_PREFIX": settings.key_prefix,
        "ONEFOLD_DATA_DIR": str(tmp_path),
        "ONEFOLD_WORKER_READY_FILE": str(tmp_path / "ready"),
    }
    words = (sys.executable, *WORKER, "--without-mingle", "--without-gossip", "-l", "WARNING")
    worker = Program("worker", words, env, tmp_path / "worker.log")
    with running(settings) as service, psycopg.connect(settings.database().replace("+psycopg", "")) as other:
        workspace = service.workspace()

        worker.start()
        try:
            until((tmp_path / "ready").exists, 30, message="the worker does not listen")
            other.execute("lock table identifier in access exclusive mode")
            workspace.track(ADA, drain=False)  # the only one, so there is one doorbell
            until(lambda: waiting(settings.database()), message="no batch waits for the table")
            (child,) = worker.pool()
            child.suspend()  # it will not go on when the table is free
            other.rollback()
            child.kill()
            until(lambda: lane_cursor(service, workspace.id) == 1, 15, message="nobody has rung again")
        finally:
            worker.stop()
        assert workspace.user("ada")["custom_attributes"] == {"tier": "gold"}


def waiting(url: str) -> Any:
    """Sessions of workers that wait for a lock."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        return connection.execute(
            "select pid from pg_stat_activity where datname = current_database()"
            " and application_name = 'onefold apply' and wait_event_type = 'Lock'"
        ).fetchall()
