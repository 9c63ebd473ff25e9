"""Faults of what stands between us and PostgreSQL, or takes its place: nothing lost or doubled."""

from typing import Final

from fault.clients import LoadPlan
from fault.rounds import Round, Scenario
from fault.stack import Layout

#: From the death of a primary to the promotion of its standby.
NOTICED_SECONDS: Final = (0.3, 1.0)


def pooler(now: Round) -> None:
    """50: SIGKILL for PgBouncer, and then for the PostgreSQL behind it, whose death its clients need not notice."""
    bouncer, server = now.stack.pooler, now.stack.postgres
    assert bouncer is not None
    assert server is not None
    for one in (bouncer, server, bouncer):
        now.pause(0.2, 0.5)
        before = now.load.statuses(503)
        one.kill9()
        now.pause(0.3, 0.8)
        one.start()
        now.accept_more(5)
        now.hit(now.load.statuses(503) - before)


def promote(now: Round) -> None:
    """51: SIGKILL for the primary, whose disk is gone for good, and the standby takes its place."""
    pair = now.stack.pair
    assert pair is not None
    now.pause(0.3, 0.8)
    before = now.load.statuses(503)
    pair.primary.kill9()
    now.pause(*NOTICED_SECONDS)
    pair.promote()
    now.accept_more(20)
    now.hit(now.load.statuses(503) - before)
    pair.copy()
    now.accept_more(5)


SCENARIOS: Final = (
    Scenario(
        50,
        "PgBouncer in transaction mode: kill -9 of it, and of PostgreSQL behind it",
        "clients were answered 503",
        pooler,
        layout=Layout(apis=2, nodes=2, pooled=8),
        lag_seconds=10,
    ),
    Scenario(
        51,
        "PostgreSQL: kill -9 of a primary, its synchronous standby is promoted",
        "clients were answered 503",
        promote,
        layout=Layout(apis=2, nodes=2, standby=True),
        load=LoadPlan(clients=6, rate=60),
        lag_seconds=15,
    ),
)
