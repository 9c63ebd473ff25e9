"""Attacks that reach the database: a row that somebody holds, and much that ages out at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import Final

import psycopg
from sqlalchemy import text

from attack.attacker import Attacker, Outcome, Target, flood
from attack.wire import packed
from fault.processes import Program
from fault.stack import POSTGRESQL, SCRIPTS, SQLITE, Stack

ONE: Final = {"attributes": [{"external_id": "one"}]}


class LockedHead(Attacker):
    number, name = "11", "a locked row of another workspace"
    does = "a session holds the attacker's row of `inbox_head` while the attacker sends, 20/s"
    bound = "workspaces are accepted apart; a wait for a lock ends before the answer is due"
    stores = (POSTGRESQL,)

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        data = packed("/users/track", target.key, ONE)
        with psycopg.connect(target.database.replace("+psycopg", "")) as session:
            session.execute("select 1 from inbox_head where workspace_id = %s for update", (target.workspace.id,))
            flood(target, stop, outcome, 4, lambda _n: data, 5)
            session.rollback()


class Ageing(Attacker):
    number, name = "15", "much that ages out at once"
    does = "1,500,000 idempotency keys of last week are dropped while the victim writes"
    bound = "ageing deletes in chunks"
    stores = (SQLITE,)
    ROWS: Final = 1_500_000
    seconds = 15.0

    def prepare(self, stack: Stack, target: Target) -> None:
        with stack.database.write(stack.database.inbox) as connection:
            connection.execute(_OLD, {"w": target.workspace.id, "n": self.ROWS})

    @contextmanager
    def beside(self, stack: Stack) -> Iterator[None]:
        """Another sweeper: each begins with what is too old."""
        argv = (str(SCRIPTS / "onefold"), "sweeper", "--data-dir", str(stack.folder))
        program = Program("another sweeper", argv, {}, stack.folder / "another-sweeper.log")
        program.start()
        try:
            yield
        finally:
            program.stop()

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        flood(target, stop, outcome, 1, lambda _n: packed("/users/track", target.key, ONE), 5)


_OLD: Final = text(
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < :n)"
    " insert into idempotency (workspace_id, digest, day, fingerprint, stream, seq, status, answer)"
    " select :w, randomblob(16), 1, x'00', 0, i, 201, x'00' from n"
)
