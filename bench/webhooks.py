"""What a webhook costs the drain: the same work with one that is told everything, and without, in turns. Nobody sends
meanwhile: what is measured is the outbox."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from app.adapters.clock import now_us
from app.adapters.signing import new_secret
from app.domain.webhooks import CHANGES, Webhook
from app.store import webhooks
from bench import in_turns, preload
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import Row

_ID: Final = "bench"


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Objects a second with a webhook, by those without in the same pair. Raises BenchError."""
    site = stack.site("webhooks")
    preload.fill(site, options.users)
    yield in_turns.measure(stack, options, site, "a webhook", lambda on: _switch(site, on=on))


def _switch(site: Site, *, on: bool) -> None:
    """Make the webhook, or take it away with what waits for it."""
    database = site.open()
    told = Webhook(
        workspace_id=site.workspace_id,
        id=_ID,
        url="https://hooks.example.org/",
        events=CHANGES,
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
