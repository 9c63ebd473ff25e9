"""Two real PostgreSQL servers: a primary, and a standby without which no commit is answered."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Final

import psycopg
from sqlalchemy.engine import URL

from tests.polling import until
from tests.servers import (
    SETTINGS,
    PostgresServer,
    ServerUnavailable,
    _accepts,
    _home,
    _initdb,
    _popen,
    _Process,
    postgres_binaries,
)

#: What each server calls itself when it follows the other.
_NAME: Final = "standby"
_COPY_SECONDS: Final = 60


class Pair:
    """Both servers, each in a place that stays its own. `primary` and `standby` say which is which now."""

    def __init__(self, binaries: Path, homes: tuple[Path, Path], user: int | None) -> None:
        self._binaries, self._homes, self._user = binaries, homes, user
        self._servers = [self._server(home) for home in homes]
        self._first = 0
        _initdb(binaries, homes[0] / "data", user)
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
        copying = _popen([str(self._binaries / "pg_basebackup"), *words], home, self._user, PIPE)
        output, _ = copying.communicate(timeout=_COPY_SECONDS)
        if copying.returncode != 0:
            raise ServerUnavailable(f"pg_basebackup: {output.decode(errors='replace')[-500:]}")
        self.standby.start()
        with psycopg.connect(self.primary.dsn, autocommit=True) as connection:
            connection.execute(f"alter system set synchronous_standby_names = 'ANY 1 ({_NAME})'")
            connection.execute("select pg_reload_conf()")
            question = "select count(*) from pg_stat_replication where sync_state in ('quorum', 'sync')"
            until(lambda: connection.execute(question).fetchone() == (1,), message="no standby that commits wait for")

    def stop(self) -> None:
        for server in self._servers:
            server.quit()

    def _server(self, home: Path) -> PostgresServer:
        options = {**SETTINGS, "unix_socket_directories": str(home), "max_connections": "200"}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        argv = [str(self._binaries / "postgres"), "-D", str(home / "data"), *words]
        url = URL.create("postgresql", username="postgres", database="postgres", query={"host": str(home)})
        dsn = url.render_as_string(hide_password=False)
        return PostgresServer(url, _Process(argv, home, self._user, lambda: _accepts(dsn)))


@contextmanager
def pair() -> Iterator[Pair]:
    """Raises ServerUnavailable."""
    binaries = next((found for found in postgres_binaries() if (found / "pg_basebackup").is_file()), None)
    if binaries is None:
        raise ServerUnavailable("no PostgreSQL with pg_basebackup: install Debian's postgresql")
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    with _home("onefold-pg-", user, None) as one, _home("onefold-pg-", user, None) as other:
        servers = Pair(binaries, (one, other), user)
        try:
            yield servers
        finally:
            servers.stop()
