"""A real PgBouncer in transaction mode before a PostgreSQL server: Debian's package, on a Unix socket of its own."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from tests.servers import PostgresServer, Process, ServerUnavailable, server_home, server_user

PORT: Final = 6432
_SETTINGS: Final = """
[databases]
* = host={server} port=5432 user=postgres
[pgbouncer]
unix_socket_dir = {home}
unix_socket_mode = 0777
listen_port = {port}
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = {sessions}
ignore_startup_parameters = {ignored}
"""


class Pooler:
    """A running PgBouncer, and its process."""

    def __init__(self, home: Path, process: Process) -> None:
        self._home = home
        self._process = process

    def url(self, behind: str) -> str:
        """The way through the pooler to a database of the server whose URL for SQLAlchemy is given."""
        query = {"host": str(self._home), "port": str(PORT)}
        return make_url(behind).set(query=query).render_as_string(hide_password=False)

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal.SIGTERM)

    def kill9(self) -> None:
        self._process.kill9()


@contextmanager
def pgbouncer(server: PostgresServer, *, sessions: int = 20, ignored: str = "") -> Iterator[Pooler]:
    """`sessions` of each database, for any number of clients. `ignored`: start-up parameters that are dropped; others
    that it does not know are refused. Raises ServerUnavailable.
    """
    binary = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if binary is None:
        raise ServerUnavailable("no PgBouncer: install Debian's pgbouncer")
    user = server_user()
    with server_home("onefold-pb-", user) as home:
        settings = home / "pgbouncer.ini"
        host = conninfo_to_dict(server.dsn)["host"]
        settings.write_text(
            _SETTINGS.format(server=host, home=home, port=PORT, sessions=sessions, ignored=ignored), encoding="utf-8"
        )
        settings.chmod(0o644)
        process = Process([binary, str(settings)], home, user, lambda: _answers(home))
        pooler = Pooler(home, process)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.stop()


def _answers(home: Path) -> bool:
    try:
        psycopg.connect(host=str(home), port=PORT, dbname="postgres", user="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
