"""What values for segments cost the drain: the same work with and without them, in turns."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from app.adapters.clock import now_us
from app.store.segments import values
from bench import applying, data, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import BenchError, Row, median, say

#: Pairs of turns; the second turn of one is the first of the next, so that neither kind is always the later one.
PAIRS: Final = 6
REQUESTS: Final = 600


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
    bodies = data.bodies(options.bodies, options.users, data.UNIFORM, options.seed)
    requests = REQUESTS // 10 if options.quick else REQUESTS
    rates: dict[bool, list[float]] = {True: [], False: []}
    with applying.drainer(stack, site) as applier:
        applying.work(applier, site, bodies, requests)
        for pair in range(PAIRS):
            for on in (True, False) if pair % 2 else (False, True):
                _switch(site, on=on)
                done = applying.work(applier, site, bodies, requests)
                rates[on].append(done["objects"] / done["seconds"])
    ratios = [with_ / without for with_, without in zip(rates[True], rates[False], strict=True)]
    notes = f"ratios {min(ratios):.2f} to {max(ratios):.2f}"
    say(f"  apply with values for segments: {median(ratios):.2f} of the rate without; {notes}")
    yield Row("apply with values for segments", median(rates[True]), "objects/s", median(rates[False]), notes)


def _switch(site: Site, *, on: bool) -> None:
    database = site.open()
    with database.write() as connection:
        connection.execute(
            text("update lane set with_values = :on where workspace_id = :w"), {"on": on, "w": site.workspace_id}
        )
    database.dispose()
