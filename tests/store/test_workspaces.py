"""Workspaces and keys on both stores."""

import pytest

from app.store import keys, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.workspaces import NameTakenError, UnknownNameError
from tests.stores import NOW_US


def test_a_key_finds_its_workspace_until_it_is_revoked(database: Database) -> None:
    made = workspaces.create(database, "shop", "legacy", NOW_US, burst_limit=7)
    number = workspaces.number(made)
    key = keys.create(database, number, "cdp", {"users.track"}, NOW_US)
    identifier = keys.public_id(key)
    assert identifier is not None
    record = keys.find(database, identifier)
    assert record is not None
    assert (record.workspace_id, record.workspace_name, record.key_name) == (number, "shop", "cdp")
    assert (record.permissions, record.plan, record.burst_limit) == (frozenset({"users.track"}), "legacy", 7)
    assert record.hourly_limit is record.burst_window_seconds is None
    assert record.digest == keys.digest(key)
    assert record.workspace_secret == workspaces.secret(database, number)
    assert len(record.workspace_secret) == 32
    keys.revoke(database, number, "cdp", NOW_US)
    assert keys.find(database, identifier) is None
    assert [(stored.name, stored.revoked_us) for stored in keys.listed(database, number)] == [("cdp", NOW_US)]


def test_names_are_unique_among_the_living(database: Database) -> None:
    number = workspaces.number(workspaces.create(database, "shop", "legacy", NOW_US))
    with pytest.raises(NameTakenError):
        workspaces.create(database, "shop", "standard", NOW_US)
    keys.create(database, number, "k", {"users.track"}, NOW_US)
    with pytest.raises(NameTakenError):
        keys.create(database, number, "k", {"users.track"}, NOW_US)
    keys.revoke(database, number, "k", NOW_US)
    keys.create(database, number, "k", {"users.track"}, NOW_US + 1)
    for unknown in (
        lambda: workspaces.get(database, "nobody"),
        lambda: workspaces.update(database, "nobody", {}),
        lambda: keys.revoke(database, number, "nobody", NOW_US),
        lambda: workspaces.secret(database, 4711),
    ):
        with pytest.raises(UnknownNameError):
            unknown()
    assert workspaces.update(database, "shop", {"plan": "standard"}).plan == "standard"
    assert [stored.plan for stored in workspaces.listed(database)] == ["standard"]


def test_a_workspace_is_there_when_it_can_take_requests(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes it dies before it has counters: it is not there, and its name is free."""

    class Death(BaseException):
        pass

    def die(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patched:
        patched.setattr(inbox, "create_heads", die)
        with pytest.raises(Death):
            workspaces.create(database, "shop", "legacy", NOW_US)
    assert workspaces.listed(database) == []
    workspaces.create(database, "shop", "legacy", NOW_US)


@pytest.mark.parametrize("change", [lambda k: k[:-1], lambda k: k + "0", lambda k: k.replace("_", "-"), lambda k: ""])
def test_a_mistyped_key_is_known_as_such(change: object) -> None:
    key = keys.new()
    assert keys.public_id(key) == key.split("_")[1]
    assert callable(change)
    assert keys.public_id(change(key)) is None
    last = "1" if key[-1] != "1" else "2"
    assert keys.public_id(key[:-1] + last) is None
