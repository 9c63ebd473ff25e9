"""POST /v1/flags and `onefold flags`: what is accepted, what comes of it, and who sees it."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract import flags, identifiers
from app.store.engine import Database
from tests.accepting import send_signed
from tests.api.harness import FLAGS, Json, Service, Workspace
from tests.api.reference import equal
from tests.applying import applier

ALIAS = {"alias_name": "7", "alias_label": "crm"}
PEOPLE = {
    "attributes": [
        {"external_id": "ada", "email": "shared@example.org", "phone": "+15043277269"},
        {"external_id": "bob", "email": "shared@example.org"},
        {"user_alias": ALIAS, "_update_existing_only": False, "email": "only@example.org"},
    ]
}


def shown(workspace: Workspace) -> dict[str, list[str]]:
    """The flags of all who have any."""
    return {
        profile.external_id or "guest": [name for name, bit in FLAGS.items() if profile.flags & bit]
        for _, profile in sorted(workspace.state().profiles.items())
        if profile.flags
    }


@pytest.mark.parametrize(
    ("who", "name"),
    [
        ({"external_id": "ada"}, "ada"),
        ({"user_alias": ALIAS}, "guest"),
        (ALIAS, "guest"),
        ({"email": "Only@example.org"}, "guest"),
        ({"phone": "(504) 327-7269"}, "ada"),
        ({"external_id": "bob", "email": "only@example.org"}, "bob"),
    ],
    ids=str,
)
def test_a_person_is_named_in_any_way(workspace: Workspace, who: Json, name: str) -> None:
    workspace.track(PEOPLE)
    answer = workspace.post("/v1/flags", {"flags": [{**who, "test_user": True, "global_control_group": None}]})
    assert (answer.status, answer.body) == (201, {"flags_processed": 1, "message": "success"})
    assert workspace.skipped(answer.request_id) == []
    assert shown(workspace) == {name: ["test_user"]}
    workspace.post("/v1/flags", {"flags": [{**who, "test_user": False, "global_control_group": True}]})
    assert shown(workspace) == {name: ["global_control_group"]}
    assert equal(workspace)


def test_what_has_no_effect_is_listed(workspace: Workspace) -> None:
    workspace.track(PEOPLE)
    elements = [{"external_id": "eve"}, {"email": "shared@example.org"}, {"external_id": "bob"}]
    answer = workspace.post("/v1/flags", {"flags": [{**who, "test_user": True} for who in elements]})
    assert workspace.skipped(answer.request_id) == [
        ("flags", 0, "", "profile_not_found"),
        ("flags", 1, "", "ambiguous"),
    ]
    assert shown(workspace) == {"bob": ["test_user"]}


@pytest.mark.parametrize(
    ("element", "type_"),
    [
        ({}, flags.NO_FLAG),
        ({"external_id": "ada"}, flags.NO_FLAG),
        ({"external_id": "ada", "test_user": None}, flags.NO_FLAG),
        ({"external_id": "ada", "test_user": 1}, flags.NO_BOOLEAN % "test_user"),
        ({"external_id": "ada", "global_control_group": "true"}, flags.NO_BOOLEAN % "global_control_group"),
        ({"test_user": True}, identifiers.REQUIRED),
        ({"external_id": "ada", **ALIAS, "test_user": True}, identifiers.ONLY_ONE),
        ({"alias_name": "7", "test_user": True}, identifiers.BAD_ALIAS),
        ({"email": "nobody", "test_user": True}, identifiers.BAD_EMAIL),
        ({"external_id": "a\0", "test_user": True}, "must not contain the character NUL (U+0000)"),
        ("ada", "must be an object"),
        (None, "must be an object"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_malformed_element_does_not_stop_the_others(workspace: Workspace, element: Any, type_: str) -> None:
    workspace.track(PEOPLE)
    answer = workspace.post("/v1/flags", {"flags": [element, {"external_id": "bob", "test_user": True}]})
    assert (answer.status, answer.body["flags_processed"], answer.types) == (201, 1, [type_])
    assert shown(workspace) == {"bob": ["test_user"]}
    alone = workspace.post("/v1/flags", {"flags": [element]})
    assert (alone.status, alone.message, alone.types) == (400, flags.NOTHING_VALID, [type_])


@pytest.mark.parametrize(
    "body", [{}, [], {"flags": None}, {"flags": []}, {"flags": {"external_id": "a"}}, {"flags": [{}] * 51}], ids=str
)
def test_no_array(workspace: Workspace, body: object) -> None:
    answer = workspace.post("/v1/flags", body)
    assert (answer.status, answer.message) == (400, flags.NOT_ARRAY)


def test_in_the_control_group_nobody_is_merged_and_the_history_says_since_when(workspace: Workspace) -> None:
    workspace.track(PEOPLE)
    key = workspace.service.key(workspace.id, "admin.flags")
    first = workspace.post(
        "/v1/flags", {"flags": [{"external_id": "ada", "global_control_group": True}]}, Authorization=f"Bearer {key}"
    )
    merge = {"identifier_to_merge": {"external_id": "bob"}, "identifier_to_keep": {"external_id": "ada"}}
    refused = workspace.post("/users/merge", {"merge_updates": [merge]})
    assert workspace.skipped(refused.request_id) == [("merge_updates", 0, "", "control_group")]
    workspace.post("/v1/flags", {"flags": [{"external_id": "ada", "global_control_group": False}]})
    merged = workspace.post("/users/merge", {"merge_updates": [merge]})
    assert workspace.skipped(merged.request_id) == []
    (user,) = workspace.export(external_ids=["ada"])
    assert not {"flags", *FLAGS} & user.keys()
    path = f"/v1/profiles/{user['braze_id']}/history"
    lines = workspace.service.send("GET", path, None, workspace.headers()).body["history"]
    assert [line["what"] for line in lines] == ["created", "flagged", "flagged", "merged"]
    assert lines[1]["request_id"] == first.request_id
    assert equal(workspace)


def test_a_merge_with_a_test_user_and_its_undo(workspace: Workspace) -> None:
    workspace.track(PEOPLE)
    workspace.post("/v1/flags", {"flags": [{"external_id": "bob", "test_user": True}]})
    merge = {"identifier_to_merge": {"external_id": "bob"}, "identifier_to_keep": {"external_id": "ada"}}
    workspace.post("/users/merge", {"merge_updates": [merge]})
    assert shown(workspace) == {"ada": ["test_user"]}
    listed = workspace.service.send("GET", "/v1/merges?external_id=ada", None, workspace.headers())
    merge_id = listed.body["merges"][0]["id"]
    with workspace.service.draining(workspace.id):
        assert workspace.post(f"/v1/merges/{merge_id}/undo", {}, drain=False).status == 200
    assert shown(workspace) == {"bob": ["test_user"]}
    assert equal(workspace)


def test_the_permission(service: Service, workspace: Workspace) -> None:
    key = service.key(workspace.id, "users.track", "admin.merges", "admin.limits")
    body = {"flags": [{"external_id": "ada", "test_user": True}]}
    assert workspace.post("/v1/flags", body, Authorization=f"Bearer {key}").status == 403


def test_the_commands(tmp_path: Path) -> None:
    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(
            cli, [*words, "--data-dir", str(tmp_path)], env={"ONEFOLD_CANARY_SECONDS": "0"}, catch_exceptions=False
        )
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    run("migrate")
    run("workspaces", "create", "default")
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    send_signed(database, 1, "/users/track", PEOPLE)
    request_id = run("flags", "set", "--external-id", "ada", "--test-user").strip()
    run("flags", "set", "--alias-label", "crm", "--alias-name", "7", "--global-control-group", "--no-test-user")
    run("flags", "set", "--email", "shared@example.org", "--test-user")
    assert applier(database).drain(1).skipped_by_reason == {"ambiguous": 1}
    assert "applied" in run("requests", "show", request_id)
    assert flags.NO_FLAG in run("flags", "set", "--external-id", "ada", fails=True)
    assert "required" in run("flags", "set", "--test-user", fails=True)
    database.dispose()
