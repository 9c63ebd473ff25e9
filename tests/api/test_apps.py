"""Apps over HTTP and on the command line, and push tokens in attributes, on both stores."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract import apps as contract
from app.contract import push_tokens
from app.domain import devices
from app.domain.profile import TOKEN
from app.store import apps as store
from tests.api.harness import Answer, Json, Workspace
from tests.api.merging import undo
from tests.api.reference import equal


def call(workspace: Workspace, method: str, path: str, body: object = None) -> Answer:
    sent = None if body is None else json.dumps(body).encode()
    return workspace.service.send(method, path, sent, workspace.headers(), workspace.key)


def made(workspace: Workspace, platform: str = "ios", **more: object) -> str:
    answer = call(workspace, "POST", "/v1/apps", {"name": "Shop", "platform": platform, **more})
    assert answer.status == 201, answer.text
    return str(answer.body["app_id"])


def tokens(workspace: Workspace) -> dict[str, list[str]]:
    """Who has which push tokens: by external id, or by what made the profile."""
    return {
        profile.external_id or profile.created_from: sorted(devices.tokens_of(profile.devices or {}))
        for _, profile in sorted(workspace.state().profiles.items())
    }


def test_an_app_from_beginning_to_end(workspace: Workspace) -> None:
    first = call(workspace, "POST", "/v1/apps", {"name": "Shop", "platform": "web"})
    assert first.status == 201
    shown = {name: value for name, value in first.body.items() if name != "message"}
    assert shown | {"app_id": "", "sdk_key": "", "created_at": ""} == {
        "app_id": "", "name": "Shop", "platform": "web", "sdk_key": "", "allowed_origins": ["*"], "disabled": False,
        "sdk_authentication": False, "public_keys": [],
        "created_at": "",
    }  # fmt: skip
    assert len(first.body["sdk_key"]) == len(store.SDK_PREFIX) + store.SDK_LENGTH
    assert call(workspace, "GET", "/v1/apps").body["apps"] == [shown]

    path = f"/v1/apps/{shown['app_id']}"
    changed = call(
        workspace, "PUT", path, {"name": "Store", "allowed_origins": ["HTTPS://Shop.example.org"], "disabled": True}
    )
    shown |= {"name": "Store", "allowed_origins": ["https://shop.example.org"], "disabled": True}
    assert (changed.status, changed.body) == (200, {**shown, "message": "success"})
    rotated = call(workspace, "POST", f"{path}/sdk_key")
    assert rotated.status == 201
    assert rotated.body["sdk_key"] != shown["sdk_key"]
    assert call(workspace, "GET", "/v1/apps").body["apps"] == [shown | {"sdk_key": rotated.body["sdk_key"]}]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v1/apps", [], 400, contract.BAD_NEW),
        ("POST", "/v1/apps", {"name": "x", "platform": "web", "id": "y"}, 400, contract.BAD_NEW),
        ("POST", "/v1/apps", {"platform": "web"}, 400, contract.BAD_NAME),
        ("POST", "/v1/apps", {"name": " ", "platform": "web"}, 400, contract.BAD_NAME),
        ("POST", "/v1/apps", {"name": "x" * 256, "platform": "web"}, 400, contract.BAD_NAME),
        ("POST", "/v1/apps", {"name": "x", "platform": "windows"}, 400, contract.BAD_PLATFORM),
        ("POST", "/v1/apps", {"name": "x", "platform": 5}, 400, contract.BAD_PLATFORM),
        ("POST", "/v1/apps", {"name": "x", "platform": "web", "allowed_origins": "*"}, 400, contract.BAD_ORIGINS),
        ("POST", "/v1/apps", {"name": "x", "platform": "web", "allowed_origins": ["x"]}, 400, contract.BAD_ORIGINS),
        (
            *("POST", "/v1/apps", {"name": "x", "platform": "web", "allowed_origins": ["https://a.b/path"]}),
            *(400, contract.BAD_ORIGINS),
        ),
        (
            *("POST", "/v1/apps", {"name": "x", "platform": "web", "allowed_origins": ["https://a.b"] * 101}),
            *(400, contract.BAD_ORIGINS),
        ),
        ("PUT", "/v1/apps/nobody", {}, 400, contract.BAD_CHANGE),
        ("PUT", "/v1/apps/nobody", {"platform": "ios"}, 400, contract.BAD_CHANGE),
        ("PUT", "/v1/apps/nobody", {"disabled": "yes"}, 400, contract.BAD_FLAG % "disabled"),
        ("PUT", "/v1/apps/nobody", {"sdk_authentication": 1}, 400, contract.BAD_FLAG % "sdk_authentication"),
        ("PUT", "/v1/apps/nobody", {"public_keys": ["x"]}, 400, contract.BAD_KEYS),
        ("PUT", "/v1/apps/nobody", {"public_keys": [""] * 6}, 400, contract.BAD_KEYS),
        ("PUT", "/v1/apps/nobody", {"name": "x"}, 404, contract.UNKNOWN),
        ("POST", "/v1/apps/nobody/sdk_key", None, 404, contract.UNKNOWN),
    ],
    ids=str,
)
def test_what_no_app_can_be(
    workspace: Workspace, method: str, path: str, body: object, status: int, message: str
) -> None:
    answer = call(workspace, method, path, body)
    assert (answer.status, answer.message) == (status, message)


def test_a_workspace_has_so_many_apps(workspace: Workspace) -> None:
    for n in range(100):
        store.create(
            workspace.service.database,
            workspace.id,
            store.App(f"{n:036}", "x", "web", store.new_sdk_key(), n),
            most=100,
        )
    answer = call(workspace, "POST", "/v1/apps", {"name": "x", "platform": "web"})
    assert (answer.status, answer.message) == (400, contract.TOO_MANY)


def test_apps_of_another_workspace_are_unknown(workspace: Workspace) -> None:
    other = workspace.service.workspace()
    app_id = made(other)
    assert call(workspace, "GET", "/v1/apps").body["apps"] == []
    assert call(workspace, "PUT", f"/v1/apps/{app_id}", {"name": "mine"}).status == 404
    answer = workspace.track({"attributes": [{"external_id": "a", "push_tokens": [{"app_id": app_id, "token": "t"}]}]})
    assert (answer.status, answer.types) == (400, [push_tokens.BAD_APP])


def test_the_command_line(tmp_path: Path) -> None:
    run = CliRunner().invoke
    directory = ["--data-dir", str(tmp_path / "var")]
    assert run(cli, ["migrate", *directory]).exit_code == 0
    assert run(cli, ["workspaces", "create", "default", *directory]).exit_code == 0
    created = run(cli, ["apps", "create", "Shop", "--platform", "web", "--origin", "https://a.example", *directory])
    assert created.exit_code == 0, created.output
    assert created.stdout.startswith(store.SDK_PREFIX)
    assert len(created.stdout.split()) == 1
    app_id = created.stderr.split()[1]
    listed = run(cli, ["apps", "list", "--json", *directory])
    (shown,) = json.loads(listed.stdout)
    assert (shown["app_id"], shown["sdk_key"]) == (app_id, created.stdout.strip())
    assert run(cli, ["apps", "update", app_id, "--name", "Store", "--disabled", *directory]).exit_code == 0
    rotated = run(cli, ["apps", "rotate", app_id, *directory])
    (shown,) = json.loads(run(cli, ["apps", "list", "--json", *directory]).stdout)
    assert (shown["name"], shown["disabled"], shown["sdk_key"]) == ("Store", True, rotated.stdout.strip())
    refusals = {
        contract.BAD_PLATFORM: ["create", "x", "--platform", "windows"],
        contract.BAD_ORIGINS: ["create", "x", "--platform", "web", "--origin", "shop"],
        contract.UNKNOWN: ["rotate", "nobody"],
        "Give what is to be changed, such as --name.": ["update", app_id],
    }
    for message, arguments in refusals.items():
        refused = run(cli, ["apps", *arguments, *directory])
        assert (refused.exit_code, " ".join(refused.stderr.split())) == (1, message)


def with_tokens(app_id: str, *sent: str, **more: Any) -> Json:
    return {"push_tokens": [{"app_id": app_id, "token": token} for token in sent], **more}


def test_a_token_belongs_to_one_person(workspace: Workspace) -> None:
    app_id = made(workspace)
    for attributes in (
        with_tokens(app_id, "one", "two", external_id="ada"),
        with_tokens(app_id, "two", external_id="bob"),
        with_tokens(app_id, "three", external_id="bob", tier="gold"),
        with_tokens(app_id, "three", external_id="bob"),
    ):
        assert workspace.track({"attributes": [attributes]}).status == 201
    assert tokens(workspace) == {"ada": ["one"], "bob": ["three", "two"]}
    holders = {key[2]: pids for key, pids in workspace.state().index.items() if key[0] == TOKEN and pids}
    people = {profile.external_id: pid for pid, profile in workspace.state().profiles.items()}
    assert holders == {"one": {people["ada"]}, "two": {people["bob"]}, "three": {people["bob"]}}
    user = workspace.user("bob")
    assert [(one["app"], one["platform"], one["token"]) for one in user["push_tokens"]] == [
        (app_id, "ios", "three"),
        (app_id, "ios", "two"),
    ]
    assert all(len(one["device_id"]) == 32 for one in user["push_tokens"])
    assert equal(workspace)


def test_imports_make_temporary_profiles_which_go_with_their_token(workspace: Workspace) -> None:
    app_id = made(workspace)
    imported = with_tokens(app_id, "one", "two", push_token_import=True, country="IT", likes=["a"])
    answer = workspace.track({"attributes": [imported]})
    assert answer.counts == {"attributes": 1}
    assert (
        sorted(
            (profile.created_from, (profile.core or {}).get("country"), (profile.custom or {})["likes"])
            for profile in workspace.state().profiles.values()
        )
        == [("pti", "IT", ["a"])] * 2
    )

    again = workspace.track({"attributes": [imported, with_tokens(app_id, "three", push_token_import=True)]})
    assert set(workspace.skipped(again.request_id)) == {("attributes", 0, "", "token_known")}
    workspace.track({"attributes": [with_tokens(app_id, "one", external_id="ada", first_name="Ada")]})
    ada = workspace.user("ada")
    assert (ada["country"], ada["first_name"]) == ("IT", "Ada")
    assert sorted(profile.created_from for profile in workspace.state().profiles.values()) == ["pti", "pti", "rest"]
    assert equal(workspace)


def test_tokens_go_with_merges_and_come_back_with_their_undo(workspace: Workspace) -> None:
    app_id = made(workspace)
    guest = {"alias_name": "7", "alias_label": "crm"}
    workspace.track({"attributes": [{"external_id": "ada"}, {"external_id": "bob"}]})
    workspace.track({"attributes": [with_tokens(app_id, "g1", "g2", user_alias=guest, _update_existing_only=False)]})
    merges = [{"identifier_to_merge": {"user_alias": guest}, "identifier_to_keep": {"external_id": "ada"}}]
    workspace.post("/users/merge", {"merge_updates": merges})
    assert tokens(workspace) == {"ada": ["g1", "g2"], "bob": []}
    workspace.track({"attributes": [with_tokens(app_id, "g2", external_id="bob")]})
    (record,) = call(workspace, "GET", "/v1/merges?external_id=ada").body["merges"]
    assert {"push_token": "g1"} in record["moved_identifiers"]
    assert undo(workspace, record["id"]).status == 200
    assert tokens(workspace) == {"ada": [], "bob": ["g2"], "rest": ["g1"]}
    assert equal(workspace)


def test_an_uninstall_takes_the_tokens_of_the_app(workspace: Workspace) -> None:
    shop, kiosk = made(workspace), made(workspace, "android")
    workspace.track({"attributes": [with_tokens(shop, "s", external_id="a"), with_tokens(kiosk, "k", external_id="a")]})
    event = {"type": "uninstall", "external_id": "a"}
    wrong = workspace.post("/v1/address_events", {"events": [event | {"app_id": 5}]})
    assert (wrong.status, len(wrong.types)) == (400, 1)
    for app_id, left in ((shop, ["k"]), (None, [])):
        workspace.post("/v1/address_events", {"events": [event | ({"app_id": app_id} if app_id else {})]})
        assert tokens(workspace) == {"a": left}
    assert equal(workspace)


def test_a_profile_keeps_its_newest_tokens(workspace: Workspace) -> None:
    app_id = made(workspace)
    sent = [f"{n:03}" for n in range(120)]
    for part in (sent[:50], sent[50:100], sent[100:]):
        workspace.track({"attributes": [with_tokens(app_id, *part, external_id="a")]})
    assert tokens(workspace) == {"a": sent[20:]}
    assert equal(workspace)


def test_what_an_import_needs(workspace: Workspace) -> None:
    web, ios = made(workspace, "web"), made(workspace)
    rows: list[tuple[Json, str]] = [
        (with_tokens(web, "t", push_token_import=True), push_tokens.BAD_APP),
        (with_tokens("nothing", "t", push_token_import=True), push_tokens.BAD_APP),
        (with_tokens(ios, push_token_import=True), push_tokens.BAD_IMPORT),
        (with_tokens(ios, "t", push_token_import=True, external_id="a"), push_tokens.BAD_IMPORT),
        (with_tokens(ios, *map(str, range(51)), external_id="a"), push_tokens.TOO_MANY),
        (with_tokens(ios, " ", external_id="a"), push_tokens.BAD_STRING),
        (with_tokens(ios, "x" * 4097, external_id="a"), push_tokens.TOKEN_TOO_LONG),
    ]
    for attributes, sentence in rows:
        answer = workspace.track({"attributes": [attributes]})
        assert (answer.status, answer.types) == (400, [sentence])
    imports = [with_tokens(ios, *(f"{n}-{m}" for m in range(50)), push_token_import=True) for n in range(21)]
    answer = workspace.track({"attributes": imports})
    assert (answer.status, answer.counts, answer.types) == (201, {"attributes": 20}, [push_tokens.TOO_MANY_IMPORTS])
    assert len(workspace.state().profiles) == 1000
    assert equal(workspace)
