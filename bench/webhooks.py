"""What a webhook costs the drain: the same work with one that is told everything, and without, in turns. Nobody sends
meanwhile: what is measured is the outbox."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from app.adapters.clock import now_us
from app.adapters.signing import new_secret
from app.domain.webhooks import EVENTS, Webhook
from app.store import webhooks
from bench import applying, data, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import Row, median, say

#: Pairs of turns; the second turn of one is the first of the next, so that neither kind is always the later one.
PAIRS: Final = 6
REQUESTS: Final = 600
_ID: Final = "bench"


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Objects a second with a webhook, by those without in the same pair. Raises BenchError."""
    site = stack.site("webhooks")
    preload.fill(site, options.users)
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
    say(f"  apply with a webhook: {median(ratios):.2f} of the rate without; {notes}")
    yield Row(f"apply with a webhook, {stack.store}", median(rates[True]), "objects/s", median(rates[False]), notes)


def _switch(site: Site, *, on: bool) -> None:
    """Make the webhook, or take it away with what waits for it."""
    database = site.open()
    told = Webhook(
        workspace_id=site.workspace_id,
        id=_ID,
        url="https://hooks.example.org/",
        events=EVENTS,
        with_profile=False,
        enabled=True,
        created_us=now_us(),
        created_by="bench",
        secret=new_secret(),
    )
    with database.write() as connection:
        webhooks.delete(connection, site.workspace_id, _ID)
    if on:
        webhooks.create(database, told, 1)
    if database.is_postgresql:
        with database.statements() as plain:
            plain.execute(text("vacuum webhook_message"))
    database.dispose()
