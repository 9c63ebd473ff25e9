"""Our own endpoints about merges: what is previewed is what is done, what is done can be undone and is remembered."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.store import erasure
from app.store.engine import Database
from app.store.segments import values
from tests.accepting import send_signed
from tests.api.asking import get
from tests.api.harness import Json, Service, Workspace, times_now
from tests.api.merging import braze_id, merges, undo
from tests.api.reference import equal
from tests.applying import applier
from workers.summary import Summary

MERGE = {
    "merge_updates": [
        {
            "identifier_to_merge": {"user_alias": {"alias_label": "basket", "alias_name": "g"}},
            "identifier_to_keep": {"external_id": "ada"},
        }
    ]
}
PEOPLE = {
    "attributes": [
        {"external_id": "ada", "first_name": "Ada", "tier": "gold"},
        {
            "user_alias": {"alias_label": "basket", "alias_name": "g"},
            "_update_existing_only": False,
            "first_name": "A.",
            "email": "ada@example.org",
            "tier": "silver",
            "lead": True,
        },
    ],
    "events": [{"external_id": "ada", "name": "view", "time": "2026-11-01T00:00:00Z"}],
    "purchases": [
        {
            "user_alias": {"alias_label": "basket", "alias_name": "g"},
            "product_id": "mug",
            "currency": "USD",
            "price": 10.25,
            "time": "2026-11-02T00:00:00Z",
        }
    ],
}


def test_a_merge_from_preview_to_undo(workspace: Workspace) -> None:
    workspace.post("/users/track", PEOPLE)
    before = workspace.post("/users/export/ids", {"external_ids": ["ada"]}, drain=False).body
    preview = workspace.post("/v1/merges/preview", MERGE, drain=False)
    assert preview.status == 200
    (plan,) = preview.body["plans"]
    assert preview.body["skipped"] == []
    assert workspace.post("/users/export/ids", {"external_ids": ["ada"]}, drain=False).body == before
    changes = {change["field"]: (change["kept"], change["merged"], change["result"]) for change in plan["changes"]}
    assert changes == {
        "email": (None, "ada@example.org", "ada@example.org"),
        "user_aliases.basket": (None, "g", "g"),
        "custom_attributes.lead": (None, True, True),
        "purchases.mug": (
            None,
            {"count": 1, "first": "2026-11-02T00:00:00.000Z", "last": "2026-11-02T00:00:00.000Z"},
            {"count": 1, "first": "2026-11-02T00:00:00.000Z", "last": "2026-11-02T00:00:00.000Z"},
        ),
        "total_revenue": (0.0, 10.25, 10.25),
        "purchase_count": (0, 1, 1),
        "first_purchase": (None, "2026-11-02T00:00:00.000Z", "2026-11-02T00:00:00.000Z"),
        "last_purchase": (None, "2026-11-02T00:00:00.000Z", "2026-11-02T00:00:00.000Z"),
        "merges": (None, None, 1),
    }
    assert {change["field"] for change in plan["lost"]} == {"first_name", "custom_attributes.tier"}
    merged_id = plan["merged_braze_id"]
    assert plan["moved_identifiers"] == [
        {"user_alias": {"alias_name": "g", "alias_label": "basket"}},
        {"email": "ada@example.org"},
    ]
    assert plan["retired_identifiers"] == [{"braze_id": merged_id}]

    done = workspace.post("/users/merge", MERGE)
    (record,) = merges(workspace, "external_id=ada")
    assert {name: record[name] for name in plan if name != "index"} == {
        name: value for name, value in plan.items() if name != "index"
    }
    assert (record["request_id"], record["status"]) == (done.request_id, "merged")
    key_name = record["key_name"]
    assert key_name
    for query in (
        f"braze_id={plan['kept_braze_id']}",
        f"braze_id={merged_id}",
        "email=Ada@Example.org",
        "alias_name=g&alias_label=basket",
    ):
        assert merges(workspace, query) == [record], query
    assert merges(workspace, "external_id=nobody") == merges(workspace, "email=nobody") == []
    assert merges(workspace, "external_id=a%00") == []

    undone = undo(workspace, record["id"])
    assert undone.status == 200
    assert (undone.body["merge"]["status"], undone.body["merge"]["unseparated"]) == ("undone", [])
    assert undone.body["merge"]["undone_by_request_id"] == undone.request_id
    assert workspace.post("/users/export/ids", {"external_ids": ["ada"]}, drain=False).body == before
    again = undo(workspace, record["id"])
    assert (again.status, again.body["reason"]) == (409, "already_undone")
    for unknown in ("0" * 24, "x", "%00"):
        answer = undo(workspace, unknown)
        assert (answer.status, answer.body["reason"]) == (404, "merge_not_found")

    history = get(workspace, f"/v1/profiles/{merged_id}/history").body
    assert history["status"] == "active"
    assert [(line["what"], line["key_name"]) for line in history["history"]] == [
        ("created", key_name),
        ("merged_into", key_name),
        ("restored", key_name),
    ]
    assert history["history"][1]["request_id"] == done.request_id
    assert equal(workspace)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/track", {"attributes": [{"external_id": "ada"}]}),
        ("/users/track/bulk", {"events": [{"external_id": "ada", "name": "e", "time": "2026-11-20"}]}),
        ("/users/track/sync", {"attributes": [{"external_id": "ada"}]}),
        ("/users/alias/new", {"user_aliases": [{"alias_label": "crm", "alias_name": "1"}]}),
    ],
)
def test_who_made_a_profile(service: Service, workspace: Workspace, path: str, body: Json) -> None:
    """The first line, by name of the key. Profiles that an older version made have a line without it."""
    made = workspace.track_sync(body) if path.endswith("/sync") else workspace.post(path, body)
    assert made.status == 201, made.text
    workspace.post("/users/track", {"attributes": [{"external_id": "ada", "_update_existing_only": True, "n": 1}]})
    with service.database.read() as connection:
        of_workspace = {"workspace_id": workspace.id}
        name = connection.execute(text("select name from api_key where workspace_id = :workspace_id"), of_workspace)
        key_name = name.scalar_one()
        statement = text("select braze_id from profile where workspace_id = :workspace_id")
        found = connection.execute(statement, of_workspace).scalar_one()
    (line,) = get(workspace, f"/v1/profiles/{found}/history").body["history"]
    assert (line["what"], line["request_id"], line["key_name"]) == ("created", made.request_id, key_name)
    assert equal(workspace)
    with service.database.write() as connection:
        connection.execute(text("delete from history where workspace_id = :workspace_id"), of_workspace)
    assert get(workspace, f"/v1/profiles/{found}/history").body["history"] == [line | {"key_name": None}]


def test_an_undo_with_a_key_is_answered_like_the_first(workspace: Workspace) -> None:
    workspace.post("/users/track", {"attributes": [{"external_id": name} for name in ("ada", "b", "c")]})
    for name in ("b", "c"):
        identifiers = {"identifier_to_merge": {"external_id": name}, "identifier_to_keep": {"external_id": "ada"}}
        workspace.post("/users/merge", {"merge_updates": [identifiers]})
    last, first = (str(record["id"]) for record in merges(workspace, "external_id=ada"))
    workspace.post("/users/track", {"attributes": [{"external_id": "b"}]})
    early, undone, again = (undo(workspace, id_, Idempotency_Key="k") for id_ in (first, last, last))
    assert (early.status, early.body["reason"]) == (409, "identifier_reused")
    workspace.post("/users/delete", {"external_ids": ["b"]})
    assert (undone.status, undone.body["merge"]["status"]) == (200, "undone")
    assert (again.status, again.text, again.request_id) == (200, undone.text, undone.request_id)
    # What came of the first request stays what the key is told; the next try has a key of its own.
    late = undo(workspace, first, Idempotency_Key="k")
    assert (late.status, late.text, late.request_id) == (409, early.text, early.request_id)
    assert undo(workspace, first, Idempotency_Key="l").status == 200
    assert undo(workspace, first, Idempotency_Key="").status == 400
    assert equal(workspace)


def test_a_preview_says_why_nothing_would_happen_and_knows_the_pairs_before(workspace: Workspace) -> None:
    workspace.post("/users/track", {"attributes": [{"external_id": name} for name in ("a", "b", "c", "null")]})
    pairs = [("b", "a"), ("b", "a"), ("a", "a"), ("null", "a"), ("a", "nobody"), ("a", "c")]
    body = {
        "merge_updates": [
            {"identifier_to_merge": {"external_id": one}, "identifier_to_keep": {"external_id": other}}
            for one, other in pairs
        ]
    }
    preview = workspace.post("/v1/merges/preview", body, drain=False).body
    assert [plan["index"] for plan in preview["plans"]] == [0, 5]
    assert preview["skipped"] == [
        {"index": 1, "reason": "profile_not_found", "field": "identifier_to_merge"},
        {"index": 2, "reason": "same_profile"},
        {"index": 3, "reason": "junk_identifier"},
        {"index": 4, "reason": "profile_not_found", "field": "identifier_to_keep"},
    ]
    workspace.post("/users/merge", body)
    records = merges(workspace, "external_id=c")
    assert [record["merged_braze_id"] for record in records] == [
        plan["merged_braze_id"] for plan in reversed(preview["plans"])
    ]
    assert merges(workspace, "external_id=c&limit=1&offset=1") == records[1:]
    merged = get(workspace, f"/v1/profiles/{records[1]['merged_braze_id']}/history").body
    assert (merged["status"], merged["merged_into_braze_id"]) == ("merged", records[1]["kept_braze_id"])
    assert undo(workspace, records[1]["id"]).status == 200
    assert get(workspace, f"/v1/profiles/{records[1]['merged_braze_id']}/history").body["status"] == "active"


def merged(workspace: Workspace, *pairs: tuple[str, str]) -> list[str]:
    """Merge by external id, one into the other; the ids of the merges."""
    for one, other in pairs:
        identifiers = {"identifier_to_merge": {"external_id": one}, "identifier_to_keep": {"external_id": other}}
        workspace.post("/users/merge", {"merge_updates": [identifiers]})
    return [str(record["id"]) for record in reversed(merges(workspace, f"external_id={pairs[-1][1]}"))]


CHAIN = {
    "attributes": [
        {"external_id": "ada", "n": 1},
        {"external_id": "bob", "first_name": "Robert", "tier": "secret-of-bob", "email": "bob@example.org"},
        {"external_id": "cy", "first_name": "Cyrus", "tier": "gold", "email": "cy@example.org"},
        {"external_id": "dora"},
    ],
    "events": [{"external_id": name, "name": "view", "time": "2026-11-01"} for name in ("ada", "bob", "cy", "dora")],
}


def exported(workspace: Workspace, *external_ids: str) -> list[Json]:
    users = workspace.post("/users/export/ids", {"external_ids": list(external_ids)}, drain=False).body["users"]
    return [{name: value for name, value in user.items() if name != "created_at"} for user in users]


def test_one_person_is_taken_out_of_a_chain(service: Service, workspace: Workspace) -> None:
    """The preview says what is done. Afterwards it is as if the merge had not been, and no trace of that person is
    left in records of the others."""
    workspace.post("/users/track", CHAIN)
    before = exported(workspace, "bob")
    first, second, third = merged(workspace, ("bob", "ada"), ("cy", "ada"), ("ada", "dora"))
    workspace.post("/users/track", {"attributes": [{"external_id": "dora", "home_city": "Ulm"}]})
    preview = workspace.post(f"/v1/merges/{first}/undo/preview", {}, drain=False)
    assert preview.status == 200, preview.text
    shown = preview.body
    (dora,) = exported(workspace, "dora")
    assert shown["braze_id"] == dora["braze_id"]
    assert [merge["id"] for merge in shown["later_merges"]] == [second, third]
    changes = {change["field"]: (change["now"], change["after"]) for change in shown["changes"]}
    assert changes.keys() == {"first_name", "custom_attributes.tier", "custom_events.view", "email", "merges"}
    assert (changes["first_name"], changes["merges"]) == (("Robert", "Cyrus"), (3, 2))
    assert changes["custom_attributes.tier"] == ("secret-of-bob", "gold")
    # Somebody may have written the same once more when the city was written.
    assert set(shown["unseparated"]) == {"first_name", "custom_attributes.tier", "email"}
    assert {"external_id": "bob"} in shown["restored_identifiers"]
    assert exported(workspace, "dora") == [dora]

    undone = undo(workspace, first)
    assert (undone.status, undone.body["merge"]["unseparated"]) == (200, shown["unseparated"])
    assert exported(workspace, "bob") == before
    (dora,) = exported(workspace, "dora")
    assert (dora["first_name"], dora["email"], dora["home_city"]) == ("Cyrus", "cy@example.org", "Ulm")
    assert dora["custom_attributes"] == {"n": 1, "tier": "gold"}
    assert [(event["name"], event["count"]) for event in dora["custom_events"]] == [("view", 3)]
    again = workspace.post(f"/v1/merges/{first}/undo/preview", {}, drain=False)
    assert (again.status, again.body["reason"]) == (409, "already_undone")
    assert workspace.post("/v1/merges/x/undo/preview", {}, drain=False).status == 404
    assert equal(workspace)

    workspace.post("/users/delete", {"external_ids": ["bob"]})
    assert personal(service, workspace, "bob", "Robert") == set()
    for merge_id in (second, third):
        assert undo(workspace, merge_id).status == 200
    (ada, cy, dora) = exported(workspace, "ada", "cy", "dora")
    assert (ada["custom_attributes"], cy["first_name"], dora["home_city"]) == ({"n": 1}, "Cyrus", "Ulm")
    assert "first_name" not in ada
    assert equal(workspace)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "exactly one of"),
        ("external_id=a&email=b", "exactly one of"),
        ("alias_name=a", "'user_alias' must have"),
        ("external_id=a&limit=0", "'limit' must be"),
        ("external_id=a&limit=101", "'limit' must be"),
        ("external_id=a&limit=%C2%B2", "'limit' must be"),
        ("external_id=a&offset=-1", "'offset' must be"),
        ("external_id=" + "x" * 1000, "'external_id' must be fewer"),
    ],
)
def test_bad_queries(workspace: Workspace, query: str, message: str) -> None:
    answer = get(workspace, f"/v1/merges?{query}")
    assert answer.status == 400, answer.text
    assert message in answer.message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/merges/preview"),
        ("GET", "/v1/merges?external_id=a"),
        ("POST", "/v1/merges/x/undo"),
        ("POST", "/v1/merges/x/undo/preview"),
        ("GET", "/v1/profiles/x/history"),
    ],
)
def test_the_permission(workspace: Workspace, method: str, path: str) -> None:
    key = workspace.service.key(workspace.id, "users.merge")
    answer = workspace.service.send(method, path, b"{}", workspace.headers() | {"Authorization": f"Bearer {key}"}, key)
    assert answer.status == 403


@pytest.mark.parametrize("identifier", ["nobody", "x" * 300, "%00", "%F0%9F%98%80"])
def test_an_unknown_profile(workspace: Workspace, identifier: str) -> None:
    assert get(workspace, f"/v1/profiles/{identifier}/history").status == 404
    assert merges(workspace, f"braze_id={identifier}") == []


def personal(service: Service, workspace: Workspace, *words: str) -> set[str]:
    """Tables in which one of the words stands."""
    found = set()
    tables = [
        *("profile", "profile_core", "profile_custom", "profile_part", "profile_value", "identifier"),
        *("address_state", "lineage", "merge_record", "history", "deletion", "erasure", "occurrence"),
        *("problem", "dead"),
    ]
    with service.database.read() as connection:
        for table in tables:
            rows: list[Any] = list(
                connection.execute(text(f"select * from {table} where workspace_id = {workspace.id}"))
            )
            if any(word in str(tuple(row)) for row in rows for word in words):
                found.add(table)
    return found


def test_a_deletion_leaves_nothing_of_a_person(service: Service, workspace: Workspace) -> None:
    values.begin(service.database, workspace.id, 0)
    workspace.post("/users/track", PEOPLE)
    workspace.post("/users/merge", MERGE)
    kept = braze_id(workspace, "ada")
    (record,) = merges(workspace, "external_id=ada")
    words = ("Ada", "@example.org", "gold", "silver", kept, record["merged_braze_id"])
    found = personal(service, workspace, *words)
    assert found >= {"profile_custom", "identifier", "merge_record", "history"}
    assert ("profile_value" in found) is service.database.is_postgresql
    workspace.post("/users/delete", {"external_ids": ["ada"]})
    assert personal(service, workspace, *words) == set()
    with service.database.read() as connection:
        count = text(f"select count(*) from occurrence where workspace_id = {workspace.id}")
        assert connection.execute(count).scalar() == 2
        assert equal(workspace)
    while erasure.erase(service.database, times_now()):
        pass
    with service.database.read() as connection:
        assert connection.execute(count).scalar() == 0
        assert (
            connection.execute(text(f"select count(*) from erasure where workspace_id = {workspace.id}")).scalar() == 0
        )
    history = get(workspace, f"/v1/profiles/{kept}/history").body
    assert (history["status"], [line["what"] for line in history["history"]]) == ("deleted", ["deleted"])
    assert get(workspace, f"/v1/profiles/{record['merged_braze_id']}/history").status == 404
    assert equal(workspace)


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
    people = {"attributes": [{"external_id": "k"}, {"external_id": "m"}, {"external_id": "null"}]}

    def pair(merged: str) -> Json:
        identifiers = {"identifier_to_merge": {"external_id": merged}, "identifier_to_keep": {"external_id": "k"}}
        return {"merge_updates": [identifiers]}

    def apply() -> Summary:
        return applier(database).drain(1)

    send_signed(database, 1, "/users/track", people)
    send_signed(database, 1, "/users/merge", pair("m"))
    send_signed(database, 1, "/users/merge", pair("null"))
    assert apply().skipped_by_reason == {"junk_identifier": 1}
    with database.read() as connection:
        merge_id = str(connection.execute(text("select id from merge_record")).scalar())
    assert merge_id in run("merges", "list", "k")
    run("merges", "undo", "x", fails=True)
    assert json.loads(run("merges", "undo", merge_id, "--preview"))["restored_identifiers"][0] == {"external_id": "m"}
    run("merges", "undo", "0" * 24, "--preview", fails=True)
    run("merges", "undo", merge_id)
    run("merges", "guard", fails=True)
    run("merges", "guard", "--junk-identifier", "visitor", "--max-merges", "1")
    assert apply().skipped_by_reason == {}
    assert "undone" in run("merges", "list", "k")
    send_signed(database, 1, "/users/merge", pair("null"))
    send_signed(database, 1, "/users/merge", pair("m"))
    assert apply().skipped_by_reason == {"too_many_merges": 1}
    run("merges", "guard", "--default-junk")
    database.dispose()
