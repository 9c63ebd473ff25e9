"""What is measured, as it runs in production: real servers, the API, a worker and a sweeper, each its own process."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from app.adapters.clock import now_us
from app.services.permissions import PERMISSIONS
from app.store import keys, migrate, partitions, workspaces
from app.store.engine import Database
from bench import data
from bench.cpu import Meter
from bench.load import HOST, Result, Run
from bench.table import BenchError
from tests import servers
from tests.polling import until

#: As for a small production server; commits of accepted requests wait for the disk.
POSTGRESQL: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
POSTGRES, SQLITE = "postgresql", "sqlite"
#: Of the API key of every workspace.
KEY_NAME: Final = "bench"
SCRIPTS: Final = Path(sys.executable).parent
#: Valkey's integers are exact up to 2^53: these limits refuse nothing and still run the script.
BURST, HOURLY = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True)
class Site:
    """A database with one workspace and a key for it."""

    url: str
    workspace_id: int
    secret: bytes
    key: str

    def open(self, *, apply: bool = False) -> Database:
        return Database(self.url, pool_size=2, apply=apply)


@dataclass(slots=True)
class Stack:
    """Running servers of one store, and the processes started on top of them."""

    store: str
    folder: Path
    redis_url: str
    broker_url: str
    valkey: servers.ValkeyServer
    postgres: servers.PostgresServer | None
    meter: Meter
    seed: int
    sites: dict[str, Site] = field(default_factory=dict)

    def site(self, name: str) -> Site:
        """The database of this name, made when it is asked for first."""
        if name not in self.sites:
            postgres, file = self.postgres, self.folder / f"{name}.db"
            self.sites[name] = _site(f"sqlite:///{file}" if postgres is None else postgres.create_database(name))
        return self.sites[name]

    @contextmanager
    def api(self, site: Site, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[int]:
        """An API process; gives its port."""
        with self._uvicorn("api", "app.asgi:create", site, "/readyz", settings) as port:
            yield port

    @contextmanager
    def bare(self) -> Iterator[int]:
        """The bare FastAPI route; gives its port."""
        with self._uvicorn("bare", "bench.bare:create", None, "/") as port:
            yield port

    @contextmanager
    def baseline(self, settings: Mapping[str, str]) -> Iterator[int]:
        """The API of bench.baseline; gives its port."""
        with self._uvicorn("api", "bench.baseline.service:create", None, "/readyz", settings) as port:
            yield port

    @contextmanager
    def worker(self, site: Site, app: str = "workers.celery_app") -> Iterator[None]:
        """A Celery worker with one process, and the sweeper."""
        with self.worker_alone(site, 1, app), self.sweeper(site):
            yield

    def worker_alone(
        self, site: Site, processes: int, app: str = "workers.celery_app"
    ) -> AbstractContextManager["subprocess.Popen[str]"]:
        """A Celery worker without a sweeper; gives its process."""
        return self.celery(app, ("-E", "-Q", "sync,normal,bulk"), self.environment(site), processes)

    @contextmanager
    def celery(
        self, app: str, options: tuple[str, ...], env: Mapping[str, str], processes: int
    ) -> Iterator["subprocess.Popen[str]"]:
        """A worker of any Celery application; gives its process."""
        argv = (str(SCRIPTS / "celery"), "-A", app, "worker", *options, "-c", str(processes), "-l", "WARNING")
        with self.process("worker", (*argv, "--without-mingle", "--without-gossip"), env) as worker:
            yield worker

    @contextmanager
    def sweeper(self, site: Site) -> Iterator[None]:
        argv = (str(SCRIPTS / "onefold"), "sweeper", "--data-dir", str(self.folder))
        with self.process("sweeper", argv, self.environment(site)):
            yield

    @contextmanager
    def job_worker(self, site: Site, processes: int) -> Iterator[None]:
        """A worker for jobs, as many at once as it has processes."""
        celery = (str(SCRIPTS / "celery"), "-A", "workers.celery_jobs", "worker", "-E", "-Q", "jobs", "-n", "jobs@%h")
        options = ("-c", str(processes), "--without-mingle", "--without-gossip", "-l", "WARNING")
        with self.process("jobs", (*celery, *options), self.environment(site)):
            yield

    @contextmanager
    def generator(
        self, users: int, distribution: str, count: int, objects: int = data.OBJECTS
    ) -> Iterator["Generator"]:
        """`objects`: in each of the `count` bodies."""
        argv = (sys.executable, "-m", "bench.load", str(count), str(users), distribution, str(self.seed), str(objects))
        with self.process("generator", argv, dict(os.environ), pipes=True) as process:
            yield Generator(process, self.folder / "generator.log")

    @contextmanager
    def process(
        self, name: str, argv: tuple[str, ...], env: Mapping[str, str], *, pipes: bool = False
    ) -> Iterator["subprocess.Popen[str]"]:
        """A child that dies with this process, and is stopped by its pid."""
        leash = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
        pipe = subprocess.PIPE if pipes else None
        with (self.folder / f"{name}.log").open("a") as log:
            process = subprocess.Popen(
                (*leash, *argv), env=env, stdin=pipe, stdout=pipe or log, stderr=log, text=True, start_new_session=True
            )
        self.meter.add(name, process.pid)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.meter.remove(name)

    @contextmanager
    def _uvicorn(
        self, name: str, target: str, site: Site | None, path: str, settings: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[int]:
        port = servers.free_port()
        loop, http = ("app.api.event_loop:Loop", "app.api.protocol:Protocol")  # as `onefold api` does
        if site is None:
            loop, http = "uvloop", "httptools"
        argv = (str(SCRIPTS / "uvicorn"), "--factory", target, "--host", HOST, "--port", str(port))
        options = ("--loop", loop, "--http", http, "--no-access-log", "--no-server-header")
        env = {**(os.environ if site is None else self.environment(site)), **settings}
        more = ("--timeout-keep-alive", "65", "--no-proxy-headers")
        with self.process(name, (*argv, *options, *more), env) as process:
            until(lambda: process.poll() is not None or _answers(port, path), 30, message=f"{name} does not answer")
            if process.poll() is not None:
                raise BenchError(f"{name} ended: " + (self.folder / f"{name}.log").read_text()[-1000:])
            yield port

    def environment(self, site: Site) -> dict[str, str]:
        """What leads a process to the servers and the database of a site."""
        known = {"DATABASE_URL": site.url, "REDIS_URL": self.redis_url, "BROKER_URL": self.broker_url}
        quiet = {"ONEFOLD_LOG_LEVEL": "warning", "ONEFOLD_CANARY_SECONDS": "0"}
        return {**os.environ, **known, **quiet, "ONEFOLD_DATA_DIR": str(self.folder)}


class Generator:
    """The load generator's process."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out, self._log = process.stdin, process.stdout, log
        self._out.readline()  # its bodies are made

    def run(self, run: Run) -> Result:
        """Raises BenchError unless every answer was 201."""
        self._in.write(json.dumps(asdict(run)) + "\n")
        self._in.flush()
        line = self._out.readline()
        if not line:
            raise BenchError("the load generator ended: " + self._log.read_text()[-1000:])
        result = Result(**json.loads(line))
        if result.failed:
            raise BenchError(f"{result.failed} requests failed: {result.failures}")
        return result


@contextmanager
def started(store: str, seed: int, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Stack]:
    """The servers of a store, on empty data. `settings`: of PostgreSQL, before those of the bench."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="onefold-bench-")))
        valkey = stack.enter_context(servers.valkey())
        postgres = stack.enter_context(servers.postgres({**POSTGRESQL, **settings})) if store == POSTGRES else None
        meter = Meter()
        meter.add("valkey", valkey.pid)
        if postgres is not None:
            meter.add("postgres", postgres.pid)
        yield Stack(store, folder, valkey.url, valkey.broker_url, valkey, postgres, meter, seed)


def _site(url: str) -> Site:
    database = Database(url)
    try:
        migrate.upgrade(database)
        partitions.prepare(database, now_us())
        return _workspace(database, url, "bench")
    finally:
        database.dispose()


def neighbour(site: Site, name: str) -> Site:
    """A further workspace in the database of a site."""
    database = site.open()
    try:
        return _workspace(database, site.url, name)
    finally:
        database.dispose()


def _workspace(database: Database, url: str, name: str) -> Site:
    limits = {"hourly_limit": HOURLY, "burst_limit": BURST, "burst_window_seconds": 1}
    made = workspaces.create(database, name, "mau_cy_24_25", now_us(), **limits)
    number = workspaces.number(made)
    key = keys.create(database, number, KEY_NAME, PERMISSIONS, now_us())
    return Site(url, number, workspaces.secret(database, number), key)


def _answers(port: int, path: str) -> bool:
    try:
        with urlopen(f"http://{HOST}:{port}{path}", timeout=1):
            return True
    except URLError as error:
        return getattr(error, "code", 0) == 404
    except OSError:
        return False
