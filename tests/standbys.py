"""Two real PostgreSQL servers: a primary, and a standby without which no commit is answered."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from tests.polling import until
from tests.servers import (
    PostgresServer,
    ServerUnavailable,
    initdb,
    postgres_binaries,
    postgres_in,
    server_home,
    server_user,
)

#: What each server calls itself when it follows the other.
_NAME: Final = "standby"
_SETTINGS: Final = {"max_connections": "200"}


class Pair:
    """Both servers, each in a place that stays its own. `primary` and `standby` say which is which now."""

    def __init__(self, binaries: Path, homes: tuple[Path, Path], user: int | None) -> None:
        self._homes = homes
        self._servers = [postgres_in(home, binaries, user, _SETTINGS) for home in homes]
        self._first = 0
        initdb(binaries, homes[0], user)
        self.primary.start()
        self.copy()

    @property
    def primary(self) -> PostgresServer:
        return self._servers[self._first]

    @property
    def standby(self) -> PostgresServer:
        return self._servers[1 - self._first]

    @property
    def sockets(self) -> list[Path]:
        """Where either listens, whatever it is."""
        return [home / ".s.PGSQL.5432" for home in self._homes]

    def promote(self) -> None:
        """Make the standby the primary. The one before has to be dead."""
        with psycopg.connect(self.standby.dsn, autocommit=True) as connection:
            connection.execute("select pg_promote(true)")
        self._first = 1 - self._first

    def copy(self) -> None:
        """Make the standby anew, as a copy of the primary, and have commits wait for it from now on."""
        home, source = self._homes[1 - self._first], self._homes[self._first]
        shutil.rmtree(home / "data", ignore_errors=True)
        where = f"host={source} user=postgres application_name={_NAME}"
        words = ["-d", where, "-D", str(home / "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        self.standby.run("pg_basebackup", *words)
        self.standby.start()
        with psycopg.connect(self.primary.dsn, autocommit=True) as connection:
            connection.execute(f"alter system set synchronous_standby_names = 'ANY 1 ({_NAME})'")
            connection.execute("select pg_reload_conf()")
            question = "select count(*) from pg_stat_replication where sync_state in ('quorum', 'sync')"
            until(lambda: connection.execute(question).fetchone() == (1,), message="no standby that commits wait for")

    def stop(self) -> None:
        for server in self._servers:
            server.quit()


@contextmanager
def pair() -> Iterator[Pair]:
    """Raises ServerUnavailable."""
    binaries = next((found for found in postgres_binaries() if (found / "pg_basebackup").is_file()), None)
    if binaries is None:
        raise ServerUnavailable("no PostgreSQL with pg_basebackup: install Debian's postgresql")
    user = server_user()
    with server_home("onefold-pg-", user) as one, server_home("onefold-pg-", user) as other:
        servers = Pair(binaries, (one, other), user)
        try:
            yield servers
        finally:
            servers.stop()
