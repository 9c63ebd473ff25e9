"""What all commands share: the data directory, the settings behind it, and ending with a message instead of a trace."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import private_files
from app.adapters.clock import now_us
from app.adapters.embedded import UnsafeSocketDirError, socket_path, urls
from app.cli.database_errors import reason
from app.cli.output import errors
from app.contract.errors import RefusedError
from app.secret_settings import SecretFileError
from app.services import workspaces
from app.services.backups import RESTORING
from app.services.caller import Caller
from app.services.networks import parse_networks
from app.settings import DATABASE_NAME, Settings
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

InWorkspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
DEFAULT_WORKSPACE = "default"


def settings_for(data_dir: Path) -> Settings:
    """Settings of the environment for this data directory; without REDIS_URL they point at its embedded server."""
    data_dir = data_dir.resolve()
    try:
        found = Settings(data_dir=data_dir)
    except ValidationError as error:
        raise fail("; ".join(_told(each["loc"], each["msg"]) for each in error.errors(include_input=False))) from None
    except SecretFileError as error:
        raise fail(f"{error}.") from None
    try:
        parse_networks(found.trusted_proxies.split(","))
    except ValueError:
        raise fail("ONEFOLD_TRUSTED_PROXIES must be addresses or CIDR blocks with commas between them.") from None
    if found.redis_url:
        return found
    try:
        return found.model_copy(update={"redis_url": urls(socket_path(data_dir))[0]})
    except UnsafeSocketDirError as error:
        raise fail(str(error)) from None


def embeds_redis(settings: Settings) -> bool:
    """Whether Redis is the server that `onefold up` runs for this data directory, since nothing leads to another."""
    return settings.redis_url == urls(socket_path(settings.data_dir))[0]


def _told(place: tuple[int | str, ...], message: str) -> str:
    """What is wrong with a variable of the environment, without its value."""
    names = (str(part) for part in place)
    known = (name if name.isupper() else f"ONEFOLD_{name.upper()}" for name in names)
    return ": ".join([*known, message.removeprefix("Value error, ")])


#: Where `app` and `workers` are. The wheel has them in a place that only we know of.
CODE: Final = str(Path(__file__).parents[2])


def environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these settings, and this code."""
    known = {
        "PYTHONPATH": os.pathsep.join(filter(None, (CODE, os.environ.get("PYTHONPATH")))),
        "ONEFOLD_DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": settings.database(),
        "WORKER_DATABASE_URL": settings.worker_database_url,
        "REDIS_URL": settings.redis(),
        "BROKER_URL": settings.broker_url,
        "ONEFOLD_METRICS_TOKEN": settings.metrics_token.get_secret_value() if settings.metrics_token else "",
        "ONEFOLD_DEMO_SDK_KEY": settings.demo_sdk_key,
        "ONEFOLD_FLOWER_URL": settings.flower_url,
        "ONEFOLD_CONSOLE": "true" if settings.console else "",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **{name: value for name, value in known.items() if value}}


def fail(message: str) -> typer.Exit:
    """Print what is wrong; to be raised."""
    errors.print(message, style="red", highlight=False, markup=False, soft_wrap=True)
    return typer.Exit(1)


def missing(settings: Settings) -> str | None:
    """Why there is no database to open, and where it was looked for. None where there is one, or a server has it."""
    file = settings.data_dir / DATABASE_NAME
    if settings.database_url:
        return None
    if (settings.data_dir / RESTORING).exists():
        return _unfinished(settings.data_dir)
    if file.exists():
        return None
    return f"There is no Onefold here: {file} does not exist, and DATABASE_URL is not set."


def _unfinished(data_dir: Path) -> str:
    return f"A restore into {data_dir} was not finished: run `onefold restore` again."


def close_to_others(data_dir: Path) -> None:
    """See that nobody else reads the data directory, and say where that cannot be seen to."""
    for path in private_files.protect(data_dir):
        errors.print(
            f"Others may read or write {path}, and its rights are not ours to change.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _say_waiting() -> None:
    errors.print("Another process is migrating the database: waiting for it.", highlight=False)


@contextmanager
def opened(settings: Settings, *, worker: bool = False, make: bool = False) -> Iterator[Database]:
    """The database with the newest schema. An outage ends the command with one line.

    `worker`: with the worker's role. `make`: in a new data directory, where there is none.
    """
    if not settings.database_url and (settings.data_dir / RESTORING).exists():
        raise fail(_unfinished(settings.data_dir))
    if make and not settings.database_url:
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise fail(f"{settings.data_dir} cannot be a data directory: {error.strerror}.") from None
    elif (problem := missing(settings)) is not None:
        raise fail(
            f"{problem} `onefold up` and `onefold migrate` make one; --data-dir or ONEFOLD_DATA_DIR leads to another."
        )
    close_to_others(settings.data_dir)
    database = Database(settings.worker_database() if worker else settings.database())
    try:
        if roles.owns_schema(database):
            migrate.upgrade(database, settings.migrate_wait_seconds, _say_waiting)
        elif not migrate.is_current(database):
            raise fail("The schema is not current: run `onefold migrate` with the role that owns it.")
        if roles.owns_partitions(database):
            partitions.prepare(database, now_us())
        yield database
    except migrate.MigratingError:
        raise fail(
            "Another process has been migrating the database for too long: ONEFOLD_MIGRATE_WAIT_SECONDS."
        ) from None
    except SQLAlchemyError as error:
        raise fail(f"The database failed ({reason(error)}): see `onefold doctor`.") from None
    finally:
        database.dispose()


@contextmanager
def opened_workspace(data_dir: Path, name: str, by: str = "") -> Iterator[tuple[Database, Caller]]:
    """The database, and a workspace of it, whose operator `by` we are. Ends the command when there is none."""
    with opened(settings_for(data_dir)) as database:
        try:
            caller = workspaces.operator(database, name, by)
        except workspaces.UnknownNameError:
            raise fail("No workspace has this name: see `onefold workspaces list`.") from None
        yield database, caller


@contextmanager
def refused(messages: Mapping[type[Exception], str]) -> Iterator[None]:
    """A block whose refusals end the command: the contract's own, and those of services, by type, with our words."""
    try:
        yield
    except RefusedError as error:
        raise fail(error.message) from None
    except tuple(messages) as error:
        raise fail(messages[type(error)]) from None
