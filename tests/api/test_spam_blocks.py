"""Blocked profiles over HTTP: what clients are told, who is listed, and how a block ends."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract import spam_blocks
from app.store.engine import Database
from tests.accepting import send_signed
from tests.api.harness import Answer, Json, Workspace
from tests.api.reference import equal
from tests.applying import applier
from tests.polling import until

BLACKLISTED = {
    "type": "provided external_id is blacklisted and disallowed",
    "input_array": "events",
    "index": 0,
    "code": "BLACKLISTED_EXTERNAL_USER_ID",
}
NOTHING = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


def event(external_id: str, name: str = "e") -> Json:
    return {"external_id": external_id, "name": name, "time": "2026-02-10T09:15:00Z"}


def listed(workspace: Workspace, query: str = "") -> Answer:
    return workspace.service.send("GET", f"/v1/spam_blocks{query}", None, workspace.headers())


def block(workspace: Workspace, external_id: str, *, on: bool = True) -> None:
    workspace.post("/v1/flags", {"flags": [{"external_id": external_id, "spam_blocked": on}]})


def is_refused(workspace: Workspace, external_id: str) -> bool:
    return workspace.track({"events": [event(external_id)]}).status == 400


def test_20001_names_of_events_block_a_profile_until_it_is_deleted(workspace: Workspace) -> None:
    most = 20_000
    if workspace.service.database.is_postgresql:  # the default once, since it takes seconds
        most = 200
        workspace.change(spam_event_names=most)
    names = [f"name-{n}" for n in range(most + 1)]
    for start in range(0, len(names), 75):
        sent = [event("dummy", name) for name in names[start : start + 75]]
        assert workspace.track({"events": sent}, drain=False).status == 201
    workspace.drain()
    (one,) = listed(workspace).body["spam_blocks"]
    assert (one["external_id"], one["event_names"], one["product_ids"], one["sessions"]) == ("dummy", most + 1, 0, 0)
    until(lambda: is_refused(workspace, "dummy"))
    alone = workspace.track({"events": [event("dummy")]})
    assert (alone.status, alone.body) == (400, {"message": NOTHING, "errors": [BLACKLISTED]})
    mixed = workspace.track({"events": [event("dummy"), event("real")]})
    assert (mixed.status, mixed.body) == (
        201,
        {"events_processed": 1, "message": "success", "errors": [BLACKLISTED]},
    )
    sync = workspace.track_sync({"events": [event("dummy")]})
    assert (sync.status, sync.body) == (400, {"message": NOTHING, "errors": [BLACKLISTED]})
    bulk = workspace.post("/users/track/bulk", {"events": [event("dummy"), event("real")]})
    assert bulk.body["errors"] == [BLACKLISTED]
    # What comes behind the deletion is accepted before that is applied.
    assert workspace.post("/users/delete", {"external_ids": ["dummy"]}, drain=False).status == 201
    again = workspace.track({"events": [event("dummy")]})
    assert (again.status, workspace.skipped(again.request_id)) == (201, [])
    assert listed(workspace).body["spam_blocks"] == []
    assert [user.get("external_id") for user in workspace.stored()] == ["real", "dummy"]
    assert equal(workspace)


def test_what_was_accepted_before_is_dropped_and_named(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "a", "email": "a@example.org"}]})
    block_ = workspace.post("/v1/flags", {"flags": [{"external_id": "a", "spam_blocked": True}]}, drain=False)
    answer = workspace.track({"events": [event("a")]})
    assert (block_.status, answer.status) == (201, 201)
    assert workspace.skipped(answer.request_id) == [("events", 0, "", "profile_blocked")]
    by_email = workspace.track({"attributes": [{"email": "a@example.org", "n": 1}]})
    assert (by_email.status, workspace.skipped(by_email.request_id)) == (
        201,
        [("attributes", 0, "", "profile_blocked")],
    )


def test_former_external_ids_are_blocked_too(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "old"}]})
    body = {"external_id_renames": [{"current_external_id": "old", "new_external_id": "new"}]}
    with workspace.service.draining(workspace.id):
        workspace.post("/users/external_ids/rename", body, drain=False)
    block(workspace, "new")
    until(lambda: is_refused(workspace, "new"))
    assert is_refused(workspace, "old")


def test_the_list_and_the_end_of_a_block(workspace: Workspace) -> None:
    ids = ["a", "b", "c"]
    workspace.track({"events": [event(one) for one in ids]})
    for one in ids:
        block(workspace, one)
    first = listed(workspace, "?limit=2").body
    second = listed(workspace, f"?limit=2&cursor={first['next_cursor']}").body
    assert [one["external_id"] for one in first["spam_blocks"] + second["spam_blocks"]] == ids
    assert "next_cursor" not in second
    until(lambda: is_refused(workspace, "b"))
    braze_id = first["spam_blocks"][1]["braze_id"]
    with workspace.service.draining(workspace.id):
        path = f"/v1/spam_blocks/{braze_id}"
        assert workspace.service.send("DELETE", path, None, workspace.headers()).status == 200
        assert workspace.service.send("DELETE", f"{path}0", None, workspace.headers()).status == 404
    assert workspace.track({"events": [event("b")]}).status == 201  # at once
    assert [one["external_id"] for one in listed(workspace).body["spam_blocks"]] == ["a", "c"]
    assert equal(workspace)


@pytest.mark.parametrize("query", ["?limit=0", "?limit=101", "?limit=x", "?cursor=", "?cursor=-1", "?cursor=²"])
def test_a_page_that_there_is_not(workspace: Workspace, query: str) -> None:
    answer = listed(workspace, query)
    assert (answer.status, answer.message) == (400, spam_blocks.BAD_PAGE)


def test_the_bound_is_a_setting(workspace: Workspace) -> None:
    workspace.change(spam_product_ids=2)
    sold = {"external_id": "shop", "currency": "USD", "price": 1, "time": "2026-02-10T09:15:00Z"}
    for product in "abcd":
        workspace.track({"purchases": [{**sold, "product_id": product}]})
    (one,) = listed(workspace).body["spam_blocks"]
    assert (one["external_id"], one["product_ids"]) == ("shop", 3)
    assert equal(workspace)


def test_the_permission(workspace: Workspace) -> None:
    key = workspace.service.key(workspace.id, "users.track", "admin.profiles")
    headers = {"Authorization": f"Bearer {key}"}
    assert workspace.service.send("GET", "/v1/spam_blocks", None, headers).status == 403


def test_the_commands(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(
            cli, [*words, "--data-dir", str(tmp_path)], env={"ONEFOLD_CANARY_SECONDS": "0"}, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    run("migrate")
    run("workspaces", "create", "default")
    run("workspaces", "set", "default", "--spam-event-names", "1")
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    send_signed(database, 1, "/users/track", {"events": [event("a", "x"), event("a", "y"), event("b")]})
    run("flags", "set", "--external-id", "b", "--spam-blocked")
    applier(database).drain(1)
    rows = msgspec.json.decode(run("spam-blocks", "list", "--json"))
    assert [(row["external_id"], row["event_names"]) for row in rows] == [("a", 2), ("b", 1)]
    request_id = run("spam-blocks", "lift", rows[0]["braze_id"]).strip()
    applier(database).drain(1)
    assert "applied" in run("requests", "show", request_id)
    assert "b" in run("spam-blocks", "list", "--after", str(rows[0]["number"]))
    assert [row["external_id"] for row in msgspec.json.decode(run("spam-blocks", "list", "--json"))] == ["b"]
    database.dispose()
