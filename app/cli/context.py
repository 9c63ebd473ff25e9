"""What all commands share: the data directory, the settings behind it, and ending with a message instead of a trace."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from app import bootstrap
from app.adapters.embedded import socket_path, urls
from app.services.networks import parse_networks
from app.settings import Settings
from app.store import migrate, partitions, roles
from app.store.engine import Database

DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="ONEFOLD_DATA_DIR",
        help="Where the embedded database, the embedded Valkey, keys and logs live.",
    ),
]
DEFAULT_DATA_DIR = Path("var")

errors = Console(stderr=True)
out = Console()


def settings_for(data_dir: Path) -> Settings:
    """Settings of the environment for this data directory; without REDIS_URL they point at its embedded server."""
    data_dir = data_dir.resolve()
    found = Settings(data_dir=data_dir)
    try:
        parse_networks(found.trusted_proxies.split(","))
    except ValueError:
        raise fail("ONEFOLD_TRUSTED_PROXIES must be addresses or CIDR blocks with commas between them.") from None
    if found.redis_url:
        return found
    return found.model_copy(update={"redis_url": urls(socket_path(data_dir))[0]})


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these settings."""
    known = {
        "ONEFOLD_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database(),
        "WORKER_DATABASE_URL": settings.worker_database_url,
        "REDIS_URL": settings.redis(),
        "BROKER_URL": settings.broker_url,
        "ONEFOLD_METRICS_TOKEN": settings.metrics_token.get_secret_value() if settings.metrics_token else "",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **{name: value for name, value in known.items() if value}}


def fail(message: str) -> typer.Exit:
    """Print what is wrong; to be raised."""
    errors.print(f"[red]{message}[/red]", highlight=False)
    return typer.Exit(1)


@contextmanager
def opened(settings: Settings, *, worker: bool = False) -> Iterator[Database]:
    """The database with the newest schema. An outage ends the command with one line.

    `worker`: with the worker's role.
    """
    if not settings.database_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.worker_database() if worker else settings.database())
    try:
        if roles.owns_schema(database):
            migrate.upgrade(database)
        elif not migrate.is_current(database):
            raise fail("The schema is not current: run `onefold migrate` with the role that owns it.")
        if roles.owns_partitions(database):
            partitions.prepare(database, bootstrap.now_us())
        yield database
    except SQLAlchemyError as error:
        raise fail(f"The database failed ({type(error).__name__}): see `onefold doctor`.") from None
    finally:
        database.dispose()


def executable(name: str) -> str:
    """A command of the same Python environment."""
    return str(Path(sys.executable).with_name(name))
