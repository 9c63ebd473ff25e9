"""The power goes: of what was written, that is left which was synced, and any part of the rest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from fault.clients import LoadPlan
from fault.disk import Disk, NoDiskError, disk
from fault.rounds import Round, Scenario, Unfit
from fault.stack import POSTGRESQL, SQLITE, Layout


def cut(now: Round) -> None:
    """26: SIGKILL for `onefold up` with all it has, or for PostgreSQL, and the disk as it may be then."""
    stack, machine = now.stack, now.stack.layout.power
    assert machine is not None
    machine.sync()  # what this process has written: nothing is preloaded here
    lost = 0
    for _ in range(2):
        now.accept_more(10, 40)
        now.pause(0.0, 0.3)
        lost += _database_lost(now, machine) if stack.store == POSTGRESQL else _everything_lost(now, machine)
        now.accept_more(5, 40)
        now.hit(lost)
    now.notes["pages lost"] = lost


def _everything_lost(now: Round, machine: Disk) -> int:
    stack = now.stack
    # Before: whoever closes a database last writes its log back, and this process is not preloaded.
    stack.database.dispose()
    stack.nodes[0].kill9()
    lost = machine.power_cut(now.rng)
    stack.start_one(stack.nodes[0])
    stack.wait_until_ready()
    return lost


def _database_lost(now: Round, machine: Disk) -> int:
    """PostgreSQL has a machine of its own."""
    server = now.stack.postgres
    assert server is not None
    server.kill9()
    lost = machine.power_cut(now.rng)
    server.start()
    return lost


def _disk(layout: Layout) -> Iterator[Layout]:
    try:
        with disk() as machine:
            yield replace(layout, power=machine, disk=machine.root)
    except NoDiskError as error:
        raise Unfit(str(error)) from error


SCENARIOS: Final = (
    Scenario(
        26,
        "power cut",
        "pages were lost that had not been synced",
        cut,
        load=LoadPlan(clients=5),
        stores=(POSTGRESQL, SQLITE),
        prepare=_disk,
        lag_seconds=10,
        may_break=True,
    ),
)
