"""The power goes: of what was written, that is left which was synced, and any part of the rest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from fault.clients import LoadPlan
from fault.disk import NoDiskError, disk
from fault.rounds import Round, Scenario, Unfit
from fault.stack import SQLITE, Layout


def cut(now: Round) -> None:
    """26: SIGKILL for `onefold up` with all it has, and the disk as it may be then."""
    stack, machine = now.stack, now.stack.layout.power
    assert machine is not None
    machine.sync()  # what this process has written: nothing is preloaded here
    lost = 0
    for _ in range(2):
        now.accept_more(10, 40)
        now.pause(0.0, 0.3)
        # Before: whoever closes a database last writes its log back, and this process is not preloaded.
        stack.database.dispose()
        stack.nodes[0].kill9()
        lost += machine.power_cut(now.rng)
        stack.start_one(stack.nodes[0])
        stack.wait_until_ready()
        now.accept_more(5, 40)
        now.hit(lost)
    now.notes["pages lost"] = lost


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
        stores=(SQLITE,),
        prepare=_disk,
        lag_seconds=10,
        may_break=True,
    ),
)
