"""Workspaces and keys on both stores."""

import pytest

from app.store import workspaces
from app.store.engine import Database
from app.store.workspaces import NameTakenError, UnknownNameError
from tests.stores import NOW_US


def test_a_key_finds_its_workspace_until_it_is_revoked(database: Database) -> None:
    made = workspaces.create(database, "shop", "legacy", NOW_US, burst_limit=7)
    number = workspaces.number(made)
    key = workspaces.create_key(database, number, "cdp", {"users.track"}, NOW_US)
    identifier = workspaces.key_id(key)
    assert identifier is not None
    record = workspaces.find_key(database, identifier)
    assert record is not None
    assert (record.workspace_id, record.workspace_name, record.key_name) == (number, "shop", "cdp")
    assert (record.permissions, record.plan, record.burst_limit) == (frozenset({"users.track"}), "legacy", 7)
    assert record.hourly_limit is record.burst_window_seconds is None
    assert record.digest == workspaces.digest(key)
    assert record.workspace_secret == workspaces.secret(database, number)
    assert len(record.workspace_secret) == 32
    workspaces.revoke_key(database, number, "cdp", NOW_US)
    assert workspaces.find_key(database, identifier) is None
    assert [(stored.name, stored.revoked_us) for stored in workspaces.keys(database, number)] == [("cdp", NOW_US)]


def test_names_are_unique_among_the_living(database: Database) -> None:
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US))
    with pytest.raises(NameTakenError):
        workspaces.create(database, "shop", "standard", NOW_US)
    workspaces.create_key(database, number, "k", {"users.track"}, NOW_US)
    with pytest.raises(NameTakenError):
        workspaces.create_key(database, number, "k", {"users.track"}, NOW_US)
    workspaces.revoke_key(database, number, "k", NOW_US)
    workspaces.create_key(database, number, "k", {"users.track"}, NOW_US + 1)
    for unknown in (
        lambda: workspaces.get(database, "nobody"),
        lambda: workspaces.update(database, "nobody", {}),
        lambda: workspaces.revoke_key(database, number, "nobody", NOW_US),
        lambda: workspaces.secret(database, 4711),
    ):
        with pytest.raises(UnknownNameError):
            unknown()
    assert workspaces.update(database, "shop", {"plan": "standard"}).plan == "standard"
    assert [stored.plan for stored in workspaces.listed(database)] == ["standard"]


@pytest.mark.parametrize("change", [lambda k: k[:-1], lambda k: k + "0", lambda k: k.replace("_", "-"), lambda k: ""])
def test_a_mistyped_key_is_known_as_such(change: object) -> None:
    key = workspaces.new_key()
    assert workspaces.key_id(key) == key.split("_")[1]
    assert callable(change)
    assert workspaces.key_id(change(key)) is None
    last = "1" if key[-1] != "1" else "2"
    assert workspaces.key_id(key[:-1] + last) is None
