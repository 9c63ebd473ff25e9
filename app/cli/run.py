"""`onefold up`, `api`, `console`, `worker`: running the service, in one piece or in parts."""

import os
import secrets
import shlex
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from pydantic import SecretStr

from app.adapters import embedded, forking, metrics
from app.adapters.clock import now_us
from app.adapters.launcher import Launcher, StartError
from app.adapters.processes import Child
from app.cli import children, precautions, production, starting, testing
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    close_to_others,
    embeds_redis,
    environment,
    fail,
    opened,
    settings_for,
)
from app.cli.output import errors, out
from app.secret_settings import token_problem
from app.settings import Settings
from app.store import migrate, roles
from app.store import workspaces as stored
from app.store.durability import is_loopback
from app.store.engine import Database
from app.store.origin import Doubt

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the API.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
FlowerPort = Annotated[int, typer.Option("--flower-port", min=0, max=65535, help="Port of Flower; 0 = no Flower.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Worker processes.")]


def up(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    flower_port: FlowerPort = 5555,
    workers: Workers = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="A shop to try the web SDK on, under /demo, for this machine alone.")
    ] = False,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="For tests of other projects: in a directory of its own that is gone afterwards, without Flower and "
            "console, with /v1/test. Takes no database and no Redis of the environment. Prints URL and key as JSON.",
        ),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run everything: API, Celery worker, sweeper, Flower, and what is not configured elsewhere.

    Without DATABASE_URL profiles live in SQLite, without REDIS_URL a private Valkey is started, both in the data dir.
    """
    forking.find_title()
    production.see(settings_for(data_dir), host, demo=demo, test=test)
    if test:
        if demo:
            raise fail("--test and --demo do not go together.")
        testing.up(host, port, _report)
        return
    data_dir = data_dir.resolve()
    try:
        lock = embedded.acquire_lock(data_dir)
    except (embedded.DataDirInUse, embedded.UnsafeSocketDirError, OSError) as error:
        raise fail(str(error)) from None
    settings = settings_for(data_dir)
    close_to_others(data_dir)
    settings = _with_metrics(settings)
    if demo and not is_loopback(host):
        raise fail(starting.DEMO_NOT_LOCAL)
    for name, address, number in (("port", host, port), ("flower-port", "127.0.0.1", flower_port)):
        if number:
            children.see_free(name, address, number)
    family: list[Child] = []
    if embeds_redis(settings):
        family.append(children.valkey(settings))
    with opened(settings, make=True) as database:
        _say_doubt(settings, database)
        key_file = starting.default_key(database, data_dir)
        console_file = None
        if roles.owns_schema(database):  # another role may change no key, and read no password
            console_file = starting.first_account(database, data_dir)
            settings = settings.model_copy(update={"console": True})
        demo_key_file = None
        if demo:
            sdk_key, demo_key_file = starting.demo_shop(database, data_dir, port)
            settings = settings.model_copy(update={"demo_sdk_key": sdk_key})
    processes = workers or (1 if not settings.database_url else max(1, (os.cpu_count() or 2) - 1))
    # The API comes last: when it answers and the worker listens, everything is there, and nothing waited for anything.
    ready_file = data_dir / "worker.ready"
    ready_file.unlink(missing_ok=True)
    family += [children.worker(settings, processes, ready_file), children.sweeper(settings), children.jobs(settings)]
    if flower_port and not settings.flower_url:
        settings = settings.model_copy(update={"flower_url": f"http://127.0.0.1:{flower_port}"})
    family.append(children.api(settings, host, port, ready_file))
    if flower_port:  # behind the workers: it asks only once which there are, and what queues they have
        family.append(children.flower(settings, flower_port))

    def started() -> None:
        _greet(children.url(host, port), key_file, console_file, demo_key_file, flower_port, data_dir)

    try:
        Launcher(family, _report, started).run()
    except StartError as error:
        raise fail(str(error)) from None
    finally:
        lock.close()


def api(
    port: Port = 8080,
    host: Host = "127.0.0.1",
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="API processes, all on that port.")] = 1,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run the API: one process, or several on the same port. On more machines, behind a load balancer."""
    settings = settings_for(data_dir)
    production.see(settings, host)
    with opened(settings) as database:
        _say_doubt(settings, database)
    if workers > 1:
        with children.listening(host, port) as listener, TemporaryDirectory(prefix="onefold-metrics-") as folder:
            os.environ[metrics.DIRECTORY] = folder  # whichever answers for the metrics answers for all
            _launch([children.api_process(settings, number, listener) for number in range(1, workers + 1)])
        return
    argv = children.uvicorn(settings, host, port)
    os.execve(argv[0], argv, environment(settings))  # noqa: S606 - our own command


def console(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the console.")] = 8081,
    host: Host = "127.0.0.1",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run the console alone, beside APIs whose role may change no key and no workspace. With the owner's role."""
    settings = settings_for(data_dir)
    production.see(settings, host)
    with opened(settings) as database:
        if not roles.owns_schema(database):
            raise fail("The console needs the role that owns the schema: it changes keys and workspaces.")
        _say_doubt(settings, database)
        starting.first_account(database, settings.data_dir)
    argv = children.uvicorn(settings, host, port, "app.asgi:create_console")
    os.execve(argv[0], argv, environment(settings))  # noqa: S606 - our own command


def worker(workers: Workers = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run Celery workers and their sweeper."""
    forking.find_title()
    settings = settings_for(data_dir)
    production.see(settings)
    with opened(settings, worker=True) as database:
        _say_doubt(settings, database)
    with TemporaryDirectory(prefix="onefold-metrics-") as folder:
        if settings.metrics_port:
            os.environ[metrics.DIRECTORY] = folder
        _launch([children.worker(settings, workers or os.cpu_count() or 1), children.sweeper(settings, log=False)])


def migrate_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database to the newest schema."""
    settings = settings_for(data_dir)
    with opened(settings, make=True) as database:
        current = migrate.is_current(database)
        if settings.canary_seconds and roles.owns_schema(database):
            stored.canary(database, now_us())  # the API's own role may not make a workspace
    out.print("schema is current" if current else "schema is NOT current")


def _launch(family: list[Child]) -> None:
    try:
        Launcher(family, _report).run()
    except StartError as error:
        raise fail(str(error)) from None


def _say_doubt(settings: Settings, database: Database) -> None:
    """Warn where the database was put back and nobody said so. It starts all the same: a standby that took over by
    itself is no reason to be away. Where accepted requests would never be applied, end the command."""
    found = precautions.doubt(settings, database)
    if found is Doubt.TORN:
        raise fail(precautions.told(found))
    if found is not None:
        _report(precautions.told(found))


def _report(line: str) -> None:
    errors.print(line, highlight=False, markup=False, soft_wrap=True)


def _with_metrics(settings: Settings) -> Settings:
    """A token for the metrics, made at the first start, and an empty directory for what the processes count."""
    folder = settings.data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    os.environ[metrics.DIRECTORY] = str(folder)
    path = settings.data_dir / "metrics.token"
    token = children.secret(path, settings.metrics_token, lambda: secrets.token_urlsafe(24), token_problem)
    return settings.model_copy(update={"metrics_token": SecretStr(token)})


def _greet(
    url: str,
    key_file: Path,
    console_file: Path | None,
    demo_key_file: Path | None,
    flower_port: int,
    data_dir: Path,
) -> None:
    payload = '{"attributes":[{"external_id":"ada","first_name":"Ada","tier":"gold"}]}'
    key = f'"Authorization: Bearer $(cat {shlex.quote(str(key_file))})"'
    typer.echo(f"Onefold answers on {url}")
    typer.echo(f"API key of the workspace `{DEFAULT_WORKSPACE}`: {key_file}")
    if console_file is not None:
        known = f" (account and password: {console_file})" if console_file.exists() else ""
        typer.echo(f"Console: {url}/console{known}")
    if demo_key_file is not None:
        typer.echo(f"A shop to try it on: {url}/demo")
        typer.echo(f"API key of the shop's workspace `{starting.DEMO_WORKSPACE}`: {demo_key_file}")
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
