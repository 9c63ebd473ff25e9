"""People for operators: lists, searches by identifiers and names, one person with everything, timelines."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.contract import people as contract
from app.contract.cursor import BAD_CURSOR
from app.domain import times
from app.domain.profile import Profile
from app.domain.state import State
from app.store import lane
from app.store.engine import Database
from app.store.profiles import search
from app.store.profiles.save import save
from tests.accepting import send_signed
from tests.api.harness import Answer, Json, Service, Workspace
from tests.applying import applier

SEED = 146
ALIAS = {"alias_name": "visitor-7", "alias_label": "crm"}


def get(workspace: Workspace, path: str, **query: object) -> Answer:
    return workspace.service.send("GET", f"{path}?{urlencode(query)}", None, workspace.headers(), workspace.key)


def found(workspace: Workspace, **query: object) -> list[list[Json]]:
    """All pages."""
    answer = get(workspace, "/v1/profiles", **query)
    assert answer.status == 200, answer.text
    pages = [answer.body["profiles"]]
    while "next_cursor" in answer.body:
        answer = get(workspace, "/v1/profiles", **query, cursor=answer.body["next_cursor"])
        assert answer.status == 200, answer.text
        pages.append(answer.body["profiles"])
    return pages


def names(rows: Sequence[Json]) -> list[str]:
    return [row.get("external_id") or row["user_aliases"][0]["alias_name"] for row in rows]


PEOPLE: list[Json] = [
    {"external_id": "u-1", "email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace"},
    {"external_id": "u-2", "email": "adam@example.org", "first_name": "Ádám", "phone": "+15043277269"},
    {"external_id": "u-3", "first_name": "Grace", "last_name": "ADAms"},
    {"external_id": "ada", "email": "x@example.org", "first_name": "Zoë"},
    {"external_id": "u-5", "email": "e_a%b@example.org", "first_name": "100%"},
    {"user_alias": ALIAS, "_update_existing_only": False, "first_name": "Vi"},
    {"user_alias": {"alias_name": "ada-laptop", "alias_label": "web"}, "_update_existing_only": False},
]


@pytest.fixture
def known(workspace: Workspace) -> Workspace:
    workspace.track({"attributes": PEOPLE})
    return workspace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u-1", ["u-1"]),
        ("u-", []),
        # External id, then aliases, then addresses, each in its order, and then names, the last made ones first.
        ("ada", ["ada", "ada-laptop", "u-1", "u-2", "u-3"]),
        ("ADA", ["u-1", "u-2", "u-3"]),
        ("ada@example.org", ["u-1"]),
        (" Ada@Example.org ", ["u-1"]),
        ("adam", ["u-2", "u-3"]),
        ("visitor", ["visitor-7"]),
        ("visitor-7", ["visitor-7"]),
        ("isitor", []),
        ("(504) 327-7269", ["u-2"]),
        ("+15043277269", ["u-2"]),
        ("ada love", ["u-1"]),
        ("lovelace", ["u-1"]),
        ("áDÁ", ["u-2"]),
        ("zoë", ["ada"]),
        ("%", ["u-5"]),
        ("_", []),
        ("e_a%", ["u-5"]),
        ("\0", []),
        ("'", []),
        ("nobody", []),
        ("😀", []),
    ],
    ids=ascii,
)
def test_searches(known: Workspace, text: str, expected: list[str]) -> None:
    pages = found(known, search=text)
    assert names([row for page in pages for row in page]) == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_pages_of_a_search_have_everybody_once(known: Workspace, limit: int) -> None:
    pages = found(known, search="ada", limit=limit)
    assert names([row for page in pages for row in page]) == ["ada", "ada-laptop", "u-1", "u-2", "u-3"]
    assert all(len(page) <= limit for page in pages)


def test_a_row(known: Workspace) -> None:
    ((row,),) = found(known, search="u-2")
    assert row.keys() == {
        *("braze_id", "external_id", "email", "phone", "first_name", "user_aliases", "flags"),
        *("created_at", "updated_at"),
    }
    assert (row["email"], row["phone"], row["user_aliases"]) == ("adam@example.org", "+15043277269", [])
    assert row["flags"] == {"test_user": False, "global_control_group": False, "spam_blocked": False}
    ((again,),) = found(known, search=row["braze_id"])
    assert again == row


def test_a_former_external_id_and_what_a_search_does_not_find_any_more(known: Workspace) -> None:
    rename = {"external_id_renames": [{"current_external_id": "u-1", "new_external_id": "lovelace"}]}
    with known.service.draining(known.id):
        assert known.post("/users/external_ids/rename", rename, drain=False).status == 201
    assert names(found(known, search="u-1")[0]) == ["lovelace"]
    assert names(found(known, search="lovelace")[0]) == ["lovelace"]
    known.post("/users/delete", {"external_ids": ["lovelace"]})
    assert found(known, search="u-1") == [[]]
    assert "u-1" not in names([row for page in found(known) for row in page])


def test_the_list_and_those_with_a_flag(known: Workspace) -> None:
    made = ["ada-laptop", "visitor-7", "u-5", "ada", "u-3", "u-2", "u-1"]
    for limit in (1, 3, 7, 100):
        pages = found(known, limit=limit)
        assert names([row for page in pages for row in page]) == made
        assert all(len(page) == limit for page in pages[:-1])
    flags = [{"external_id": "u-1", "test_user": True}, {"external_id": "u-3", "test_user": True}]
    known.post("/v1/flags", {"flags": [*flags, {"external_id": "u-2", "global_control_group": True}]})
    assert [names(page) for page in found(known, flag="test_user", limit=1)] == [["u-3"], ["u-1"]]
    assert [names(page) for page in found(known, flag="global_control_group")] == [["u-2"]]


def test_those_in_a_segment(known: Workspace) -> None:
    body = {"name": "e-mail", "groups": [{"filters": [{"field": "email_address", "op": "is_not_blank"}]}]}
    made = known.post("/v1/segments", body, drain=False)
    assert made.status == 201, made.text
    inside = ["u-1", "u-2", "ada", "u-5"]
    for limit in (1, 3, 4, 100):
        pages = found(known, segment=made.body["id"], limit=limit)
        assert names([row for page in pages for row in page]) == inside
        assert all(len(page) == limit for page in pages[:-1])
    for unknown in ("x", "\0", "00000000-0000-0000-0000-000000000000"):
        assert get(known, "/v1/profiles", segment=unknown).status == 404
    cursor = get(known, "/v1/profiles", segment=made.body["id"], limit=1).body["next_cursor"]
    assert get(known, "/v1/profiles", limit=1, cursor=cursor).status == 400


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"flag": "test_user", "segment": "x"}, contract.ONLY_ONE),
        ({"search": ""}, contract.BAD_SEARCH),
        ({"search": "x" * 256}, contract.BAD_SEARCH),
        ({"flag": "flags"}, contract.BAD_FLAG),
        ({"flag": ""}, contract.BAD_FLAG),
        ({"flag": "test_user", "search": "a"}, contract.ONLY_ONE),
        ({"limit": "0"}, contract.BAD_LIMIT),
        ({"limit": "101"}, contract.BAD_LIMIT),
        ({"limit": "²"}, contract.BAD_LIMIT),
        ({"limit": "-1"}, contract.BAD_LIMIT),
        ({"cursor": "x"}, BAD_CURSOR),
        ({"search": "a", "cursor": "eA"}, BAD_CURSOR),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_bad_queries(workspace: Workspace, query: Json, message: str) -> None:
    answer = get(workspace, "/v1/profiles", **query)
    assert (answer.status, answer.message) == (400, message)


def test_names_are_looked_for_in_a_bounded_number_of_profiles(service: Service, workspace: Workspace) -> None:
    """11,000 people, the first and the 6,000th of whom have the name: two pages are empty or short, and lead on."""
    state = State(complete=True)
    for n in range(1, 11_001):
        profile = Profile(n, f"{n:024x}", n, n, 0, f"u{n}", core={}, custom={}, events={}, purchases={})
        profile.devices, profile.messages, profile.commerce = {}, {}, {}
        state.create(profile)
        state.add_identifier(profile, (1, "", f"u{n}"))
        state.set_core(profile, "first_name", "Wanted" if n in (1, 6_000) else "Other")
    with service.database.write() as connection:
        save(connection, workspace.id, state, {})
    pages = found(workspace, search="wante")
    assert [names(page) for page in pages] == [[], ["u6000"], ["u1"]]
    assert search.SCANNED == 5_000
    assert len(get(workspace, "/v1/profiles", search="other", limit=100).body["profiles"]) == 100


PURCHASE = {"external_id": "ada", "product_id": "mug", "currency": "USD", "price": 2.5, "quantity": 2}


def recent(workspace: Workspace, many: int, external_id: str = "ada") -> None:
    """Events of the last days, in disorder, many of them at the same time."""
    chance = random.Random(SEED)
    now = workspace.service.services.reader.now_us()
    events = [
        {
            "external_id": external_id,
            "name": chance.choice(["view", "login", "search"]),
            "time": times.iso(now - chance.randrange(5) * times.DAY - chance.randrange(3) * times.SECOND),
            "properties": {"n": n},
        }
        for n in range(many)
    ]
    for n in range(0, many, 75):
        assert workspace.track({"events": events[n : n + 75]}).status == 201


def test_everything_about_a_person(workspace: Workspace) -> None:
    workspace.track(
        {
            "attributes": [
                {
                    "external_id": "ada",
                    "email": "ada@example.org",
                    "email_subscribe": "unsubscribed",
                    "first_name": "Ada",
                    "twitter": {"id": 5, "screen_name": "ada"},
                    "image_url": "https://example.org/a.png",
                    "tier": {"name": "gold"},
                }
            ],
            "purchases": [{**PURCHASE, "time": "2026-01-05T00:00:00Z"}],
        }
    )
    recent(workspace, 3)
    (user,) = workspace.export(external_ids=["ada"])
    answer = get(workspace, f"/v1/profiles/{user['braze_id']}", limit=2)
    assert answer.status == 200, answer.text
    shown = answer.body["profile"]
    for name in ("created_at", "external_id", "email", "first_name", "custom_attributes", "random_bucket"):
        assert shown[name] == user[name]
    assert "purchases" not in user  # too old for an export
    assert shown["purchases"] == [
        {"name": "mug", "first": "2026-01-05T00:00:00.000Z", "last": "2026-01-05T00:00:00.000Z", "count": 2}
    ]
    assert shown["purchased"]["count"] == 2
    assert shown["total_revenue"] == 5.0
    assert sum(event["count"] for event in shown["custom_events"]) == 3
    (consent,) = shown["consents"]
    assert (consent["channel"], consent["address"], consent["state"]) == ("email", "ada@example.org", "unsubscribed")
    assert shown["twitter"] == {"id": 5, "screen_name": "ada"}
    assert shown["flags"] == {"test_user": False, "global_control_group": False, "spam_blocked": False}
    assert shown["stored_bytes"] > 100
    assert len(answer.body["timeline"]) == 2
    rest = get(workspace, f"/v1/profiles/{user['braze_id']}/timeline", limit=2, cursor=answer.body["next_cursor"]).body
    assert len(rest["timeline"]) == 1
    assert "next_cursor" not in rest


def test_consents_and_marks(workspace: Workspace) -> None:
    """Those of the addresses, and what somebody said who has no address of the channel."""
    for channel in ("email", "sms"):
        made = workspace.post("/v1/subscription_groups", {"name": channel, "channel": channel, "id": channel})
        assert made.status == 201
    said = [{"subscription_group_id": group, "subscription_state": "subscribed"} for group in ("email", "sms")]
    workspace.track({"attributes": [{"external_id": "a", "email": "a@example.org", "subscription_groups": said}]})
    marked = [{"type": kind, "email": "a@example.org", "time": "2026-01-01"} for kind in ("hard_bounce", "spam")]
    assert workspace.post("/v1/address_events", {"events": marked}).status == 201
    (user,) = workspace.export(external_ids=["a"])
    shown = get(workspace, f"/v1/profiles/{user['braze_id']}").body["profile"]
    assert [{k: v for k, v in one.items() if k != "changed_at"} for one in shown["consents"]] == [
        {"channel": "email", "address": "a@example.org", "subscription_group_id": "email", "state": "subscribed"},
        {"channel": "sms", "subscription_group_id": "sms", "state": "subscribed"},
    ]
    assert shown["hard_bounced_at"] == shown["marked_email_as_spam_at"] == "2026-01-01T00:00:00.000Z"


def timeline(workspace: Workspace, braze_id: str, limit: int) -> list[list[Json]]:
    path = f"/v1/profiles/{braze_id}/timeline"
    answer = get(workspace, path, limit=limit)
    pages = [answer.body["timeline"]]
    while "next_cursor" in answer.body:
        answer = get(workspace, path, limit=limit, cursor=answer.body["next_cursor"])
        pages.append(answer.body["timeline"])
    return pages


@pytest.mark.parametrize("limit", [1, 7, 50, 100])
def test_a_timeline_has_everything_once_the_last_first(workspace: Workspace, limit: int) -> None:
    recent(workspace, 60)
    recent(workspace, 5, "other")
    (user,) = workspace.export(external_ids=["ada"])
    pages = timeline(workspace, user["braze_id"], limit)
    lines = [line for page in pages for line in page]
    at = [line["time"] for line in lines]
    assert at == sorted(at, reverse=True)
    assert len({line["id"] for line in lines}) == len(lines) == 60, SEED
    assert sorted(line["properties"]["n"] for line in lines) == list(range(60))
    assert all(len(page) == limit for page in pages[:-1])
    assert all(line["id"].startswith(line["request_id"] + ".") for line in lines)
    assert workspace.status(lines[0]["request_id"]).body["status"] == "applied"


def test_the_timeline_of_a_merge_and_of_its_undo(workspace: Workspace) -> None:
    recent(workspace, 4)
    recent(workspace, 3, "bob")
    workspace.track({"purchases": [{**PURCHASE, "external_id": "bob", "time": _now(workspace)}]})
    (ada,), (bob,) = workspace.export(external_ids=["ada"]), workspace.export(external_ids=["bob"])
    apart = {name: timeline(workspace, one["braze_id"], 100)[0] for name, one in (("ada", ada), ("bob", bob))}
    assert [len(lines) for lines in apart.values()] == [4, 4]
    merge = {"identifier_to_merge": {"external_id": "bob"}, "identifier_to_keep": {"external_id": "ada"}}
    workspace.post("/users/merge", {"merge_updates": [merge]})
    together = timeline(workspace, ada["braze_id"], 3)
    assert sorted(line["id"] for page in together for line in page) == sorted(
        line["id"] for lines in apart.values() for line in lines
    )
    purchase = next(line for page in together for line in page if line["kind"] == "purchase")
    assert (purchase["product_id"], purchase["quantity"], purchase["revenue"]) == ("mug", 2, 5.0)
    assert get(workspace, f"/v1/profiles/{bob['braze_id']}").status == 404
    merge_id = get(workspace, "/v1/merges", external_id="ada").body["merges"][0]["id"]
    with workspace.service.draining(workspace.id):
        assert workspace.post(f"/v1/merges/{merge_id}/undo", {}, drain=False).status == 200
    for name, one in (("ada", ada), ("bob", bob)):
        assert timeline(workspace, one["braze_id"], 100)[0] == apart[name]


def _now(workspace: Workspace) -> str:
    return times.iso(workspace.service.services.reader.now_us())


@pytest.mark.parametrize("identifier", ["nobody", "x" * 300, "\0", "😀", "ada"])
@pytest.mark.parametrize("path", ["", "/timeline"])
def test_an_unknown_profile(workspace: Workspace, identifier: str, path: str) -> None:
    workspace.track({"attributes": [{"external_id": "ada"}]})
    assert get(workspace, f"/v1/profiles/{quote(identifier)}{path}").status == 404


def test_nothing_of_another_workspace(service: Service) -> None:
    ours, theirs = service.workspace("legacy"), service.workspace("legacy")
    for workspace in (ours, theirs):
        workspace.track({"attributes": [{"external_id": "ada", "email": "ada@example.org", "first_name": "Ada"}]})
        recent(workspace, 3)
    (user,) = theirs.export(external_ids=["ada"])
    assert get(ours, f"/v1/profiles/{user['braze_id']}").status == 404
    assert len(found(ours, search="ada")[0]) == 1
    assert found(ours, search=user["braze_id"]) == [[]]
    theirs.track({"attributes": [{"external_id": "eve"}]})
    cursor = get(theirs, "/v1/profiles", limit=1).body["next_cursor"]
    answer = get(ours, "/v1/profiles", limit=1, cursor=cursor)
    assert (answer.status, answer.message) == (400, BAD_CURSOR)
    cursor = get(theirs, f"/v1/profiles/{user['braze_id']}/timeline", limit=1).body["next_cursor"]
    (mine,) = ours.export(external_ids=["ada"])
    assert get(ours, f"/v1/profiles/{mine['braze_id']}/timeline", cursor=cursor).status == 400


def test_the_permission(workspace: Workspace) -> None:
    key = workspace.service.key(workspace.id, "users.export.ids", "admin.flags", "admin.merges")
    for path in ("/v1/profiles", "/v1/profiles/x", "/v1/profiles/x/timeline"):
        headers = workspace.headers() | {"Authorization": f"Bearer {key}"}
        assert workspace.service.send("GET", path, None, headers, key).status == 403


def test_only_indexes_are_used(service: Service, workspace: Workspace) -> None:
    """Of every statement that a search, a list and a timeline execute."""
    workspace.track({"attributes": PEOPLE})
    recent(workspace, 10)
    (user,) = workspace.export(external_ids=["ada"])
    seen: list[tuple[str, Any]] = []

    def look(_c: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        # The API itself looks at the lanes of all workspaces every second.
        if statement.lstrip().startswith(("select", "with")) and statement != str(lane._CURSORS):
            seen.append((statement, parameters))

    engine = service.services.people._database.main
    event.listen(engine, "before_cursor_execute", look)
    try:
        for query in ({}, {"flag": "test_user"}, {"search": "ada"}, {"search": "nobody"}):
            found(workspace, **query)
        get(workspace, f"/v1/profiles/{user['braze_id']}")
    finally:
        event.remove(engine, "before_cursor_execute", look)
    assert len(seen) > 10
    explain = "explain " if service.database.is_postgresql else "explain query plan "
    with service.database.read() as connection:
        for statement, parameters in seen:
            plan = [str(row) for row in connection.exec_driver_sql(explain + statement, parameters)]
            whole = [line for line in plan if "Seq Scan" in line or ("SCAN" in line and not _is_list(line))]
            assert whole == [], (statement, plan)


def _is_list(line: str) -> bool:
    """Whether a scan is one of a JSON array, or of what a query has made."""
    return any(
        f"SCAN {name}" in line for name in ("k", "each", "json_each", "labels", "CONSTANT", "f", "page", "sized")
    )


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
    send_signed(database, 1, "/users/track", {"attributes": PEOPLE})
    run("flags", "set", "--external-id", "u-1", "--test-user")
    applier(database).drain(1)
    table = run("profiles", "search", "ada")
    assert table.index("x@example.org") < table.index("ada@example.org") < table.index("ADAms")
    rows = run("profiles", "search", "--flag", "test_user", "--json")
    assert '"external_id": "u-1"' in rows
    assert rows.count("braze_id") == 1
    assert run("profiles", "search", "--limit", "3", "--json").count('"braze_id"') == 3
    with database.read() as connection:
        braze_id = str(connection.exec_driver_sql("select braze_id from profile where external_id = 'u-1'").scalar())
    assert '"last_name": "Lovelace"' in run("profiles", "show", braze_id)
    assert '"last_name": "Lovelace"' in run("profiles", "show", "u-1")
    assert '"first_name": "Zoë"' in run("profiles", "show", "ada")  # an external id comes before what begins with it
    run("profiles", "show", "e", fails=True)
    run("profiles", "show", "nobody", fails=True)
    run("profiles", "search", "--flag", "x", fails=True)
    database.dispose()
