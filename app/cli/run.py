"""`onefold up`, `api`, `worker`: running the service, in one piece or in parts."""

import os
import secrets
import shlex
import shutil
import signal
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer
from pydantic import SecretStr

from app import bootstrap
from app.adapters import embedded, logs, metrics, runtime
from app.adapters.launcher import Child, Launcher, StartError, die_with_parent
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    environment,
    executable,
    fail,
    opened,
    settings_for,
)
from app.cli.output import errors, out
from app.contract.plans import DEFAULT_PLAN
from app.services.permissions import PERMISSIONS
from app.settings import Settings
from app.store import keys, migrate, roles, workspaces
from app.store.engine import Database
from workers.retention import Retention
from workers.sweep import Sweeper

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the API.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
FlowerPort = Annotated[int, typer.Option("--flower-port", min=0, max=65535, help="Port of Flower; 0 = no Flower.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Worker processes.")]

QUEUES = "sync,normal,bulk,jobs"


def up(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    flower_port: FlowerPort = 5555,
    workers: Workers = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run everything: API, Celery worker, sweeper, Flower, and what is not configured elsewhere.

    Without DATABASE_URL profiles live in SQLite, without REDIS_URL a private Valkey is started, both in the data dir.
    """
    data_dir = data_dir.resolve()
    try:
        lock = embedded.acquire_lock(data_dir)
    except (embedded.DataDirInUse, embedded.UnsafeSocketDirError, OSError) as error:
        raise fail(str(error)) from None
    settings = settings_for(data_dir)
    settings = _with_metrics(settings)
    children = []
    if not os.environ.get("REDIS_URL") and not os.environ.get("ONEFOLD_REDIS_URL"):
        children.append(_valkey(settings))
    with opened(settings, make=True) as database:
        key_file = _first_start(database, data_dir)
    processes = workers or (1 if not settings.database_url else max(1, (os.cpu_count() or 2) - 1))
    # The API comes last: when it answers and the worker listens, everything is there, and nothing waited for anything.
    ready_file = data_dir / "worker.ready"
    ready_file.unlink(missing_ok=True)
    children += [_worker(settings, processes, ready_file), _sweeper(settings)]
    if flower_port:
        children.append(_flower(settings, flower_port))
    children.append(_api(settings, host, port, ready_file))
    url = _url(host, port)

    def started() -> None:
        _greet(url, key_file, flower_port, data_dir)

    try:
        Launcher(children, lambda line: errors.print(line, highlight=False), started).run()
    except StartError as error:
        raise fail(str(error)) from None
    finally:
        lock.close()


def api(port: Port = 8080, host: Host = "127.0.0.1", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run one API process; start as many as there are cores behind a load balancer."""
    settings = settings_for(data_dir)
    with opened(settings):
        pass
    os.execvpe(executable("uvicorn"), _uvicorn(settings, host, port), environment(settings))  # noqa: S606 - our own command


def worker(workers: Workers = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run Celery workers and their sweeper."""
    settings = settings_for(data_dir)
    with opened(settings, worker=True):
        pass
    with TemporaryDirectory(prefix="onefold-metrics-") as folder:
        if settings.metrics_port:
            os.environ[metrics.DIRECTORY] = folder
        children = [_worker(settings, workers or os.cpu_count() or 1), _sweeper(settings, log=False)]
        try:
            Launcher(children, lambda line: errors.print(line, highlight=False)).run()
        except StartError as error:
            raise fail(str(error)) from None


def sweeper(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run the sweeper alone. `onefold up` and `onefold worker` start it by themselves."""
    die_with_parent()
    settings = settings_for(data_dir)
    logs.configure(settings.log_level)
    bell = bootstrap.doorbell(settings, bootstrap.celery(settings, producer=True))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    runtime.tune()
    database = Database(settings.worker_database(), pool_size=3, timeout_seconds=settings.database_timeout_seconds)
    most = int(settings.inbox_retention_gigabytes * 10**9)
    counts = metrics.Metrics()
    if settings.metrics_port and os.environ.get(metrics.DIRECTORY):
        metrics.serve(settings.metrics_host, settings.metrics_port)
    hours = settings.inbox_retention_hours
    retention = Retention(database, bootstrap.now_us, hours, most, counts.aged_out)
    ageing = threading.Thread(target=retention.run, args=(stop,), name="retention")
    ageing.start()
    Sweeper(database, bootstrap.applier(settings, bell), bell, settings.sweep_seconds, counts).run(stop)
    ageing.join()


def migrate_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the newest schema."""
    settings = settings_for(data_dir)
    with opened(settings, make=True) as database:
        current = migrate.is_current(database)
        if settings.canary_seconds and roles.owns_schema(database):
            workspaces.canary(database, bootstrap.now_us())  # the API's own role may not make a workspace
    out.print("schema is current" if current else "schema is NOT current")


def _first_start(database: Database, data_dir: Path) -> Path:
    """The first start makes a workspace and a key with all permissions, which lies in a file that only we may read."""
    path = data_dir / "default.key"
    known = {workspace.name: workspace for workspace in workspaces.listed(database)}
    if DEFAULT_WORKSPACE not in known:
        known[DEFAULT_WORKSPACE] = workspaces.create(database, DEFAULT_WORKSPACE, DEFAULT_PLAN, bootstrap.now_us())
    if not _is_known(database, path):
        number = workspaces.number(known[DEFAULT_WORKSPACE])
        name = f"default {secrets.token_hex(3)}"
        _private(path, keys.create(database, number, name, PERMISSIONS, bootstrap.now_us()))
    return path


def _with_metrics(settings: Settings) -> Settings:
    """A token for the metrics, made at the first start, and an empty directory for what the processes count."""
    folder = settings.data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ[metrics.DIRECTORY] = str(folder)
    path = settings.data_dir / "metrics.token"
    if settings.metrics_token is not None:
        _private(path, settings.metrics_token.get_secret_value())
    elif not path.exists():
        _private(path, secrets.token_urlsafe(24))
    return settings.model_copy(update={"metrics_token": SecretStr(path.read_text().strip())})


def _is_known(database: Database, path: Path) -> bool:
    """Whether the file holds a live key of this database, and not one of another that was used with the same folder."""
    if not path.exists():
        return False
    identifier = keys.public_id(path.read_text().strip())
    return identifier is not None and keys.find(database, identifier) is not None


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def _greet(url: str, key_file: Path, flower_port: int, data_dir: Path) -> None:
    payload = '{"attributes":[{"external_id":"ada","first_name":"Ada","tier":"gold"}]}'
    key = f'"Authorization: Bearer $(cat {shlex.quote(str(key_file))})"'
    typer.echo(f"Onefold answers on {url}")
    typer.echo(f"API key of the workspace `{DEFAULT_WORKSPACE}`: {key_file}")
    if flower_port:
        typer.echo(f"Flower: http://127.0.0.1:{flower_port} (user and password: {data_dir / 'flower.auth'})")
    typer.echo(f"Logs: {data_dir / 'logs'}")
    typer.echo("Try it:\n")
    typer.echo(f"curl -i {url}/users/track -H {key} -H 'Content-Type: application/json' -d '{payload}'\n")
    typer.echo(
        f"curl -s {url}/users/export/ids -H {key} -H 'Content-Type: application/json'"
        """ -d '{"external_ids":["ada"]}'\n"""
    )
    sys.stdout.flush()


def _url(host: str, port: int) -> str:
    """Where we ourselves reach an API that listens on `host`."""
    known = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - these mean every address
    return f"http://{known.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def _log(settings: Settings, name: str) -> Path:
    folder = settings.data_dir / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{name}.log"


def _valkey(settings: Settings) -> Child:
    server = embedded.binary()
    if server is None:
        raise fail("No Valkey for this platform: install redis-server, or set REDIS_URL to a running one.")
    socket = embedded.socket_path(settings.data_dir)
    return Child(
        name="valkey",
        argv=embedded.argv(server, settings.data_dir, socket),
        env=dict(os.environ),
        log=_log(settings, "valkey"),
        stop_order=3,
        ready=lambda: embedded.ping(settings.redis()),
    )


def _uvicorn(settings: Settings, host: str, port: int) -> tuple[str, ...]:
    return (
        executable("uvicorn"),
        "--factory",
        "app.asgi:create",
        *("--host", host, "--port", str(port)),
        *("--loop", "uvloop", "--http", "app.api.protocol:Protocol", "--lifespan", "on"),
        *("--timeout-graceful-shutdown", "10", "--timeout-keep-alive", str(settings.keep_alive_seconds)),
        *("--ws", "none"),
        "--no-proxy-headers",  # ONEFOLD_TRUSTED_PROXIES says whom to believe
        "--no-access-log",
        "--no-server-header",
    )


def _api(settings: Settings, host: str, port: int, worker_ready: Path) -> Child:
    return Child(
        name="api",
        argv=_uvicorn(settings, host, port),
        env=environment(settings),
        log=_log(settings, "api"),
        stop_order=0,
        ready=lambda: worker_ready.exists() and _answers(f"{_url(host, port)}/readyz"),
        ready_timeout=60.0,
    )


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def _worker(settings: Settings, processes: int, ready_file: Path | None = None) -> Child:
    """`ready_file` is made once the worker listens. Without it the worker stands alone and logs to our output."""
    env = environment(settings)
    if ready_file is not None:
        env["ONEFOLD_WORKER_READY_FILE"] = str(ready_file)
    return Child(
        name="worker",
        argv=(
            executable("celery"),
            *("-A", "workers.celery_app", "worker", "-E", "-Q", QUEUES, "-c", str(processes)),
            *("--without-mingle", "--without-gossip", "-l", "WARNING"),
        ),
        env=env,
        log=_log(settings, "worker") if ready_file is not None else None,
        stop_order=1,
    )


def _sweeper(settings: Settings, *, log: bool = True) -> Child:
    return Child(
        name="sweeper",
        argv=(executable("onefold"), "sweeper", "--data-dir", str(settings.data_dir)),
        env=environment(settings),
        log=_log(settings, "sweeper") if log else None,
        stop_order=1,
    )


def _flower(settings: Settings, port: int) -> Child:
    path = settings.data_dir / "flower.auth"
    if settings.flower_basic_auth is not None:
        _private(path, settings.flower_basic_auth.get_secret_value())
    elif not path.exists():
        _private(path, f"onefold:{secrets.token_urlsafe(18)}")
    # The password goes through the environment: a command line is readable by everybody on the machine.
    env = {**environment(settings), "FLOWER_BASIC_AUTH": path.read_text().strip()}
    env.pop(metrics.DIRECTORY, None)  # Flower counts for itself, and would answer for all
    return Child(
        name="flower",
        argv=(
            executable("celery"),
            *("-A", "workers.celery_app", "flower", "--address=127.0.0.1", f"--port={port}"),
            "--max_tasks=10000",
        ),
        env=env,
        log=_log(settings, "flower"),
        stop_order=1,
    )
