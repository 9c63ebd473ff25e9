"""`onefold db distribute`: the tables of workspaces over the nodes of Citus."""

from typing import Annotated, Final

import typer

from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, settings_for
from app.cli.output import errors, out
from app.store import distribution, migrate, statistics

#: For whoever runs the coordinator.
ADVICE: Final = "`alter system set citus.recover_2pc_interval = '5s'` on the coordinator, and `select pg_reload_conf()`"


def distribute(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Put each workspace on one of the nodes of Citus. Harmless to repeat; all of it is done, or nothing."""
    settings = settings_for(data_dir)
    if settings.database().startswith("sqlite"):
        raise fail("SQLite is one file on one machine: nodes need PostgreSQL with the extension citus.")
    with opened(settings) as database, migrate.alone(database) as connection:
        try:
            steps = distribution.missing(connection)
        except distribution.NoCitusError:
            raise fail(
                "The database has no extension citus: `create extension citus`, here and on each node."
            ) from None
        except distribution.OtherwiseError as error:
            raise fail(f"{error} is distributed already, and in another way: undistribute_table('{error}').") from None
        _say(_where(distribution.nodes(connection)))
        for step in steps:
            _say("; ".join(step.statements) + ";")
        if dry_run:
            _say(f"tables to distribute: {len(steps)}")
            return
        for _ in distribution.distribute(connection, steps):
            pass
        if not distribution.instruct(connection):
            errors.print("The owner of the database has to run this too: nodes lack planner settings.", soft_wrap=True)
        for node in distribution.loose(connection):
            errors.print(
                f"{node} has synchronous_commit off: a crash of it loses what was accepted.",
                soft_wrap=True,
                markup=False,
            )
        if held := distribution.unsettled(connection):
            errors.print(
                f"Commits in doubt hold up their workspace {held} when a node is back: {ADVICE}.", soft_wrap=True
            )
    with opened(settings) as database, database.statements() as connection:
        statistics.forget_on_nodes(connection, distribution.whole(connection))
    _say(f"tables distributed: {len(steps)}" if steps else "everything is distributed")


def _where(nodes: list[str]) -> str:
    return f"nodes: {', '.join(nodes)}" if nodes else "nodes: none has joined, so all rows stay here"


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
