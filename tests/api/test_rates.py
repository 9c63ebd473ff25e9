"""Rates of a workspace: the table that is in force, fixed rates, and booking what had none, on both stores."""

from app.adapters.rates import reference_table
from app.store import lane, workspaces
from tests.api.harness import Service, Workspace, times_now
from workers import rates, replay

TIME = "2026-02-10T09:15:00Z"


def until(workspace: Workspace) -> int | None:
    with workspace.service.database.read() as connection:
        found = lane.read(connection, workspace.id)
    assert found is not None
    return found.settings.rates_until


def equal_to_the_reference(workspace: Workspace) -> None:
    assert replay.differences(workspace.service.database, workspace.id, workspace.secret) == []


def purchase(workspace: Workspace, who: str, currency: str, price: float) -> None:
    sent = {"external_id": who, "product_id": "p", "currency": currency, "price": price, "time": TIME}
    assert workspace.track({"purchases": [sent]}).status == 201


def revenue(workspace: Workspace, who: str) -> float:
    return float(workspace.user(who)["total_revenue"])


def test_a_newer_table_comes_by_a_command(service: Service) -> None:
    """Once for whoever has an older one or none; what was applied before stays as it was booked."""
    database, last = service.database, reference_table().last_day
    none, old, current = (service.workspace() for _ in range(3))
    old.change(rates_until=last - 400)
    current.change(rates_until=last + 1)
    canary = workspaces.canary(database, times_now())
    purchase(none, "before", "EUR", 10)
    queued = rates.announce(database, last, times_now())
    assert queued >= 2
    assert rates.announce(database, last, times_now()) == queued  # not applied yet: the repeat changes nothing
    for workspace in (none, old, current):
        workspace.drain()
    assert [until(workspace) for workspace in (none, old, current)] == [last, last, last + 1]
    purchase(none, "after", "EUR", 10)
    assert revenue(none, "before") == 0
    assert revenue(none, "after") > 0
    for every in workspaces.listed(database):
        service.drain(workspaces.number(every))
    assert rates.announce(database, last, times_now()) == 0
    with database.read() as connection:
        lane_ = lane.read(connection, canary)
        assert lane_ is not None
        assert lane_.settings.rates_until is None
    for workspace in (none, old, current):
        equal_to_the_reference(workspace)
