"""`onefold up`, `api`, `worker`: running the service, in one piece or in parts."""

import os
import secrets
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from pydantic import SecretStr

from app.adapters import embedded, metrics
from app.adapters.clock import now_us
from app.adapters.launcher import Launcher, StartError
from app.adapters.private_files import read_secret, write_secret
from app.adapters.processes import Child
from app.cli import children
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    close_to_others,
    environment,
    executable,
    fail,
    opened,
    settings_for,
)
from app.cli.output import errors, out
from app.contract.plans import DEFAULT_PLAN
from app.services import workspaces
from app.services.permissions import PERMISSIONS
from app.settings import Settings, token_problem
from app.store import keys, migrate, roles
from app.store import workspaces as stored
from app.store.engine import Database
from app.store.keys import KeyRecord

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the API.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
FlowerPort = Annotated[int, typer.Option("--flower-port", min=0, max=65535, help="Port of Flower; 0 = no Flower.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Worker processes.")]


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
    close_to_others(data_dir)
    settings = _with_metrics(settings)
    for name, address, number in (("port", host, port), ("flower-port", "127.0.0.1", flower_port)):
        if number and not children.is_free(address, number):
            raise fail(f"Port {number} of {address} is in use: stop what listens there, or give another --{name}.")
    family: list[Child] = []
    if not os.environ.get("REDIS_URL") and not os.environ.get("ONEFOLD_REDIS_URL"):
        family.append(children.valkey(settings))
    with opened(settings, make=True) as database:
        key_file = _first_start(database, data_dir)
    processes = workers or (1 if not settings.database_url else max(1, (os.cpu_count() or 2) - 1))
    # The API comes last: when it answers and the worker listens, everything is there, and nothing waited for anything.
    ready_file = data_dir / "worker.ready"
    ready_file.unlink(missing_ok=True)
    family += [children.worker(settings, processes, ready_file), children.sweeper(settings), children.jobs(settings)]
    if flower_port:
        family.append(children.flower(settings, flower_port))
    family.append(children.api(settings, host, port, ready_file))

    def started() -> None:
        _greet(children.url(host, port), key_file, flower_port, data_dir)

    try:
        Launcher(family, _report, started).run()
    except StartError as error:
        raise fail(str(error)) from None
    finally:
        lock.close()


def api(port: Port = 8080, host: Host = "127.0.0.1", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run one API process; start as many as there are cores behind a load balancer."""
    settings = settings_for(data_dir)
    with opened(settings):
        pass
    os.execvpe(executable("uvicorn"), children.uvicorn(settings, host, port), environment(settings))  # noqa: S606 - our own command


def worker(workers: Workers = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run Celery workers and their sweeper."""
    settings = settings_for(data_dir)
    with opened(settings, worker=True):
        pass
    with TemporaryDirectory(prefix="onefold-metrics-") as folder:
        if settings.metrics_port:
            os.environ[metrics.DIRECTORY] = folder
        family = [children.worker(settings, workers or os.cpu_count() or 1), children.sweeper(settings, log=False)]
        try:
            Launcher(family, _report).run()
        except StartError as error:
            raise fail(str(error)) from None


def migrate_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the newest schema."""
    settings = settings_for(data_dir)
    with opened(settings, make=True) as database:
        current = migrate.is_current(database)
        if settings.canary_seconds and roles.owns_schema(database):
            stored.canary(database, now_us())  # the API's own role may not make a workspace
    out.print("schema is current" if current else "schema is NOT current")


def _report(line: str) -> None:
    errors.print(line, highlight=False, markup=False, soft_wrap=True)


def _first_start(database: Database, data_dir: Path) -> Path:
    """The first start makes a workspace and a key with all permissions, which lies in a file that only we may read.

    After an upgrade the file gets another key, with the permissions that are new. The one before keeps those that it
    was made with: no key ever gains any (spec api-keys.md 2).
    """
    path = data_dir / "default.key"
    known = {workspace.name: workspace for workspace in stored.listed(database)}
    if DEFAULT_WORKSPACE not in known:
        with suppress(workspaces.NameTakenError):  # another machine's first start, at the same time
            workspaces.create(database, DEFAULT_WORKSPACE, {"plan": DEFAULT_PLAN}, now_us())
        known[DEFAULT_WORKSPACE] = stored.get(database, DEFAULT_WORKSPACE)
    number = stored.number(known[DEFAULT_WORKSPACE])
    record = _key_in(database, path)
    ours = record is not None and record.workspace_id == number and record.key_name.startswith("default")
    if record is None or (ours and not record.permissions.issuperset(PERMISSIONS)):
        name = f"default {secrets.token_hex(3)}"
        write_secret(path, keys.create(database, number, name, PERMISSIONS, now_us()))
    return path


def _with_metrics(settings: Settings) -> Settings:
    """A token for the metrics, made at the first start, and an empty directory for what the processes count."""
    folder = settings.data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ[metrics.DIRECTORY] = str(folder)
    path = settings.data_dir / "metrics.token"
    token = children.secret(path, settings.metrics_token, lambda: secrets.token_urlsafe(24), token_problem)
    return settings.model_copy(update={"metrics_token": SecretStr(token)})


def _key_in(database: Database, path: Path) -> KeyRecord | None:
    """The live key of this database in the file; None for one of another that was used with the same folder."""
    identifier = keys.public_id(read_secret(path))
    return None if identifier is None else keys.find(database, identifier)


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
