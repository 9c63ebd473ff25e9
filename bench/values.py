"""What values for segments cost the drain: the same work with and without them, in turns."""

from collections.abc import Iterator

from sqlalchemy import text

from app.adapters.clock import now_us
from app.store.segments import values
from bench import in_turns, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Objects a second with values, by those without in the same pair. PostgreSQL alone has them. Raises BenchError."""
    if stack.postgres is None:
        return
    site = stack.site("values")
    preload.fill(site, options.users)
    database = site.open()
    try:
        values.begin(database, site.workspace_id, now_us())
        if not values.fill(database, site.workspace_id, 600):
            raise BenchError("values for segments were not filled in time")
    finally:
        database.dispose()
    yield in_turns.measure(stack, options, site, "values for segments", lambda on: _switch(site, on=on))


def _switch(site: Site, *, on: bool) -> None:
    database = site.open()
    with database.write() as connection:
        connection.execute(
            text("update lane set with_values = :on where workspace_id = :w"), {"on": on, "w": site.workspace_id}
        )
    database.dispose()
