"""The plans of the hot statements, caught where the store executes them: EXPLAIN (ANALYZE, BUFFERS) of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.errors import Diagnostic
from sqlalchemy import event

from app.adapters.clock import now_us
from app.store.engine import Database
from app.store.inbox import log as inbox
from bench import data, preload
from bench.applying import filled, finish
from bench.options import Options
from bench.stack import Stack
from bench.table import console, say
from workers.apply import Applier

#: Requests in the inbox, and of them in the explained batch.
QUEUED, BATCH_SECONDS = 256, 0.5
SHORTEN = 220


class _Silent:
    def clear(self, workspace_id: int) -> None:
        """Nobody rings here."""


def show(stack: Stack, options: Options) -> None:
    """Accept 64 requests in one flush, apply some batches, and print the plan of every kind of statement once."""
    site = filled(stack, options)
    bodies = data.bodies(QUEUED, options.users, data.UNIFORM, options.seed)
    preload.queue(site, bodies, QUEUED)
    database = site.open(apply=True)
    try:
        with _explained(database) as plans:
            entries = [preload.entry(body) for body in bodies[:64]]
            with database.write(database.inbox) as connection:
                inbox.append(connection, site.workspace_id, 0, entries, now_us())
            applier = Applier(database, _Silent(), now_us, lambda _: site.secret)
            applier.drain(site.workspace_id, BATCH_SECONDS, BATCH_SECONDS)
    finally:
        database.dispose()
    for statement, lines in plans.items():
        console.rule(style="dim")
        say(statement)
        console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    finish(stack, site)


@contextmanager
def _explained(database: Database) -> Iterator[dict[str, list[str]]]:
    """Statement -> its plan, the one of its first execution, as PostgreSQL's auto_explain reports it."""
    found: dict[str, list[str]] = {}

    def reported(notice: Diagnostic) -> None:
        _, _, plan = (notice.message_primary or "").partition("Query Text:")
        if not plan:
            return
        # The query ends where the plan begins: at the first line with costs.
        lines = plan.splitlines()
        first = next((n for n, line in enumerate(lines) if "(cost=" in line), len(lines))
        found.setdefault(" ".join(" ".join(lines[:first]).split()), [_short(line) for line in lines[first:]])

    def connected(connection: Any, _record: object) -> None:
        connection.add_notice_handler(reported)
        connection.execute("load 'auto_explain'")
        for setting in ("log_min_duration = 0", "log_analyze = on", "log_buffers = on"):
            connection.execute(f"set auto_explain.{setting}")
        connection.execute("set client_min_messages = log")
        connection.commit()

    event.listen(database.main, "connect", connected)
    try:
        yield found
    finally:
        event.remove(database.main, "connect", connected)


def _short(line: str) -> str:
    """Without the rows of a batch, which stand in the plan as one long literal."""
    return line if len(line) <= SHORTEN else line[:SHORTEN] + " …"
