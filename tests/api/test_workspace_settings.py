"""`onefold workspaces set`: what it queues takes effect, and each switch has an effect."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from app.adapters.rates import reference_table
from app.cli.main import app
from app.contract import stored
from app.domain.commands import ChangeSettings
from app.domain.settings import ApplySettings
from app.store import lane, workspaces
from app.store.inbox import log as inbox
from tests.api.harness import Service, Workspace
from workers import replay


def settings_of(workspace: Workspace) -> ApplySettings:
    with workspace.service.database.read() as connection:
        found = lane.read(connection, workspace.id)
    assert found is not None
    return found.settings


@pytest.fixture
def workspace(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(on_sqlite.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")
    return on_sqlite.workspace()


def change(workspace: Workspace, *switches: str, command: str = "set", title: str = "") -> str:
    """Run `onefold workspaces set` or `create`; what it printed when it failed."""
    with workspace.service.database.read() as connection:
        name = connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar()
    found = CliRunner().invoke(app, ["workspaces", command, title or str(name), *switches])
    workspace.drain()
    return found.output if found.exit_code else ""


def test_switches(workspace: Workspace) -> None:
    assert not change(workspace, "--no-nested-null-deletes", "--array-max-default", "2", "--export-requires-fields")
    assert not change(workspace, "--resubscribe-on-email-change", "--alias-autocreate-on-purchase")
    assert settings_of(workspace) == ApplySettings(
        nested_null_deletes=False, array_max=2, resubscribe_on_email_change=True, alias_autocreate_on_purchase=True
    )
    sent = {"external_id": "a", "_merge_objects": True, "o": {"a": None}, "list": [1, 2, 3]}
    answer = workspace.track({"attributes": [sent]})
    assert workspace.skipped(answer.request_id) == [("attributes", 0, "o.a", "nested_null")]
    nothing: list[object] = [None, []]
    for fields in nothing:
        body = {"external_ids": ["a"], "fields_to_export": fields}
        refused = workspace.post("/users/export/ids", body, drain=False)
        assert (refused.status, refused.message) == (400, "'fields_to_export' is required")
    exported = workspace.export(external_ids=["a"], fields_to_export=["custom_attributes"])
    assert exported == [{"custom_attributes": {"list": [1, 2], "o": {}}}]


def test_phone_numbers_of_another_region(workspace: Workspace) -> None:
    """Every endpoint that takes a number without a + reads it alike."""
    assert "two-letter" in change(workspace, "--default-phone-region", "Germany")
    assert not change(workspace, "--default-phone-region", "de", "--export-requires-fields")
    assert not change(workspace, "--no-export-requires-fields")  # the other option stays
    workspace.track({"attributes": [{"external_id": "a", "phone": "030 123456"}, {"phone": "030 1234567", "k": 1}]})
    workspace.track({"events": [{"phone": "(030) 1234567", "name": "e", "time": "2026-02-10"}]})

    def holders(phone: str) -> list[tuple[Any, Any]]:
        return [(user.get("external_id"), user["phone"]) for user in workspace.export(phone=phone)]

    assert holders("030123456") == holders("+4930123456") == [("a", "+4930123456")]
    assert holders("0301234567") == [(None, "+49301234567")]
    who = {"phone": "030 1234567", "prioritization": ["unidentified"]}
    workspace.post("/users/identify", {"phone_numbers_to_identify": [{"external_id": "b", **who}]})
    assert holders("0301234567") == [("b", "+49301234567")]
    kept = {"phone": "0301234567", "prioritization": ["identified"]}
    pair = {"identifier_to_merge": {"external_id": "a"}, "identifier_to_keep": kept}
    workspace.post("/users/merge", {"merge_updates": [pair]})
    assert holders("030 123456") == []
    doomed = {"phone": "0301234567", "prioritization": ["identified"]}
    workspace.post("/users/delete", {"phone_numbers": [doomed]})
    assert workspace.stored() == []


def test_time_zone(workspace: Workspace) -> None:
    with workspace.service.database.read() as connection:
        name = connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar()

    def shown() -> str:
        listed = CliRunner().invoke(app, ["workspaces", "list", "--json"]).stdout
        (found,) = (one["time_zone"] for one in json.loads(listed) if one["name"] == name)
        return str(found)

    assert shown() == "UTC"
    for bad in ("Europe/Atlantis", "europe/paris", "", "Berlin", "+02:00", "../etc/passwd"):
        assert "IANA" in change(workspace, "--time-zone", bad)
    assert not change(workspace, "--time-zone", "Europe/Paris")
    assert shown() == settings_of(workspace).time_zone == "Europe/Paris"
    assert replay.differences(workspace.service.database, workspace.id, workspace.secret) == []


def test_a_bound_for_profiles(workspace: Workspace) -> None:
    assert "--max-profile-bytes" in change(workspace, "--max-profile-bytes", "1000")
    assert not change(workspace, "--max-profile-bytes", "256000")
    assert settings_of(workspace) == ApplySettings(max_profile_bytes=256_000)
    large = {f"a{n}": "x" * 255 for n in range(300)}
    for part in range(5):
        sent = {f"{name}.{part}".replace(".", "_"): text for name, text in large.items()}
        answer = workspace.track({"attributes": [{"external_id": "a", **sent}]})
        skipped = workspace.skipped(answer.request_id)
        assert {reason for *_, reason in skipped} <= {"profile_full", "further_problems_omitted"}
        assert bool(skipped) is (part >= 3)
    answer = workspace.track({"attributes": [{"external_id": "a", "a0_0": None, "a1_0": "y"}]})
    assert workspace.skipped(answer.request_id) == []
    assert replay.differences(workspace.service.database, workspace.id, workspace.secret) == []


def test_a_new_workspace_takes_the_same_switches(workspace: Workspace) -> None:
    title = f"new-{workspace.id}"
    switches = ("--plan", "legacy", "--burst", "7", "--array-max-default", "3", "--export-requires-fields")
    more = ("--default-phone-region", "pt", "--disabled", "--legacy-api-key-auth", "--resubscribe-on-email-change")
    assert "No company" in change(workspace, "--company", "none", command="create", title=title)
    assert not change(workspace, *switches, *more, command="create", title=title)
    made = workspaces.get(workspace.service.database, title)
    assert (made.plan, made.burst_limit, made.hourly_limit) == ("legacy", 7, None)
    assert (made.disabled, made.legacy_api_key_auth) == (True, True)
    assert made.options == {"export_requires_fields": True, "default_phone_region": "PT"}
    with workspace.service.database.read(workspace.service.database.inbox) as connection:
        rows = inbox.read(connection, workspaces.number(made), 0, 0, 0, 10)
    (change_,) = [stored.commands(row.kind, row.codec, row.body) for row in rows]
    switches_applied = {"array_max": 3, "resubscribe_on_email_change": True}
    assert change_ == [ChangeSettings(0, {"rates_until": reference_table().last_day, **switches_applied})]
    assert "exists" in change(workspace, command="create", title=title)
