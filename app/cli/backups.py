"""`onefold backup` and `onefold restore`: the embedded default in one file, and back."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import embedded, runtime
from app.adapters.clock import now_us
from app.bootstrap import background
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, missing, settings_for
from app.cli.output import out
from app.services import backups
from app.settings import DATABASE_NAME, Settings

_POSTGRESQL: Final = (
    "DATABASE_URL is set, and PostgreSQL has its own tools for this: see Backups in docs/operations.md."
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup. A name that ends in .gz is compressed.")]


def backup(file: File, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Write databases and keys of the data directory into one file, while Onefold runs.

    The file is of one instant, which comes a moment after the start. It holds keys and personal data: mode 600. One of
    the same name is replaced once the new one is whole.
    """
    settings = _embedded(data_dir)
    if (problem := missing(settings)) is not None:
        raise fail(problem)
    runtime.raise_descriptors()  # each upload that waits to be imported is held open, until it is in the backup
    try:
        size = backups.make(settings.data_dir / DATABASE_NAME, background.files(settings), file, now_us())
    except backups.NoPlaceError as error:
        raise fail(f"No backup was made at {file}: {error}.") from None
    except backups.BrokenCopyError as error:
        raise fail(f"The database is not sound, and was not backed up: {error}.") from None
    except (OSError, sqlite3.Error) as error:
        raise fail(f"No backup was made: {error}.") from None
    out.print(f"{file}: {size:,} bytes", highlight=False, markup=False, soft_wrap=True)


def restore(file: File, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make a data directory of a backup. It must be empty, and nothing may run on it.

    What was accepted after the backup is gone. Start with `onefold up` then. A restore that was cut short is begun anew
    by the same command.
    """
    settings = _embedded(data_dir)
    data_dir = settings.data_dir
    try:
        lock = embedded.acquire_lock(data_dir)
    except (embedded.DataDirInUse, embedded.UnsafeSocketDirError, OSError) as error:
        raise fail(str(error)) from None
    with lock:
        try:
            backups.clear(data_dir / DATABASE_NAME)
            others = sorted(each.name for each in data_dir.iterdir() if each.name != embedded.LOCK_NAME)
            if others:
                raise fail(
                    f"{data_dir} is not empty: it has {others[0]}. Move it away, or name another with --data-dir."
                )
            taken_us = backups.restore(file, data_dir / DATABASE_NAME, background.files(settings), now_us())
        except backups.LaterSchemaError:
            raise fail(f"{file} is of a later version of Onefold: restore it with that one.") from None
        except (backups.BrokenArchiveError, backups.BrokenCopyError) as error:
            raise fail(f"{file} cannot be restored: {error}.") from None
        except (OSError, SQLAlchemyError) as error:
            raise fail(f"Nothing was restored: {error}.") from None
    out.print(f"{data_dir} is as it was at {shown(taken_us)}", highlight=False, markup=False, soft_wrap=True)


def shown(us: int) -> str:
    """A moment, to the second."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _embedded(data_dir: Path) -> Settings:
    settings = settings_for(data_dir)
    if settings.database_url:
        raise fail(_POSTGRESQL)
    return settings
