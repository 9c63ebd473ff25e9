"""`onefold db`: roles of the database, what a restored one needs, and several nodes."""

from typing import Annotated

import typer

from app.cli import distribution, precautions
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, settings_for
from app.cli.output import out
from app.store import restored as restoring
from app.store import roles

app = typer.Typer(
    help="The database: roles for the API and for workers; a restored backup; several nodes.", no_args_is_help=True
)


@app.command("grant")
def grant(
    api_role: Annotated[
        str | None, typer.Option("--api-role", help="An existing role, for DATABASE_URL of APIs.")
    ] = None,
    worker_role: Annotated[
        str | None, typer.Option("--worker-role", help="An existing role, for WORKER_DATABASE_URL.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give roles what they need, and nothing else. PostgreSQL only; with the role that owns the schema."""
    if api_role is None and worker_role is None:
        raise fail("Give --api-role, --worker-role, or both.")
    if api_role == worker_role:
        raise fail("Two roles, or there is nothing to keep apart.")
    settings = settings_for(data_dir)
    if settings.database().startswith("sqlite"):
        raise fail("SQLite has no roles.")
    with opened(settings) as database:
        try:
            statements = roles.grant(database, api_role, worker_role)
        except roles.NoRoleError as error:
            raise fail(f"There is no role {error}: `create role` makes one, see Roles in docs/operations.md.") from None
        except roles.OwnerError as error:
            raise fail(f"{error} owns the schema, and cannot be a role that may do less.") from None
        for statement in statements:
            out.print(f"{statement};", highlight=False, markup=False, soft_wrap=True)


@app.command("restored")
def restored(
    nothing_lost: Annotated[
        bool,
        typer.Option(
            "--nothing-lost",
            help="The database is elsewhere and has all that it had: a standby that commits waited for, a move while "
            "nothing ran. Nothing changes but what `onefold doctor` says.",
        ),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say that a backup was restored, before APIs and workers run again: the ids that they make were never made before,
    and workers that ran on forget what they remember of all workspaces."""
    settings = settings_for(data_dir)
    with opened(settings) as database:
        if nothing_lost:
            precautions.confirm(settings, database)
            out.print("this is where the database is from now on")
            return
        restoring.go_on(database)
    out.print("workers forget what they remember of the database before, and ids are new ones from here on")


app.command("distribute")(distribution.distribute)
