"""`onefold workspace set`: what it queues takes effect, and each switch has an effect."""

from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.domain.profile import ApplySettings
from app.store import lane
from tests.api.harness import Service, Workspace


def settings_of(workspace: Workspace) -> ApplySettings:
    with workspace.service.database.read() as connection:
        found = lane.read(connection, workspace.id)
    assert found is not None
    return found.settings


def test_switches(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = on_sqlite.workspace()
    with on_sqlite.database.read() as connection:
        title = connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar()
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(on_sqlite.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")

    def change(*switches: str) -> Any:
        found = CliRunner().invoke(app, ["workspace", "set", str(title), *switches])
        assert found.exit_code == 0, found.output
        workspace.drain()

    change("--no-nested-null-deletes", "--array-max-default", "2", "--export-requires-fields")
    change("--resubscribe-on-email-change", "--alias-autocreate-on-purchase")
    assert settings_of(workspace) == ApplySettings(
        nested_null_deletes=False, array_max=2, resubscribe_on_email_change=True, alias_autocreate_on_purchase=True
    )
    sent = {"external_id": "a", "_merge_objects": True, "o": {"a": None}, "list": [1, 2, 3]}
    answer = workspace.track({"attributes": [sent]})
    assert workspace.skipped(answer.request_id) == [("attributes", 0, "o", "nested_null")]
    nothing: list[object] = [None, []]
    for fields in nothing:
        body = {"external_ids": ["a"], "fields_to_export": fields}
        refused = workspace.post("/users/export/ids", body, drain=False)
        assert (refused.status, refused.message) == (400, "'fields_to_export' is required")
    exported = workspace.export(external_ids=["a"], fields_to_export=["custom_attributes"])
    assert exported == [{"custom_attributes": {"list": [1, 2]}}]
