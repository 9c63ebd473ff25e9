"""GET /v1/requests and GET /v1/errors: why did my user not change?"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from app.contract import kinds
from app.contract.kinds import KIND_OF, KINDS
from app.contract.request_log import Filter
from app.domain import commands, times
from app.domain.profile import EXTERNAL
from app.services import request_log
from app.services.accepting import refused_requests
from app.services.caller import Caller
from app.services.request_tail import RequestTail
from app.store import keys, refused
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.api.harness import Answer, Service, Workspace, times_now
from tests.command_line import command_line

Json = dict[str, Any]
MAIL, SPELT = "ada@example.org", " Ada@Example.ORG "
NUMBER = "+34600123456"
DEVICE: Final = {"type": "event", "seq": 1, "name": "opened"}


def ask(workspace: Workspace, path: str = "/v1/requests", bearer: str = "", **query: object) -> Answer:
    """With what is noted of refusals written before."""
    workspace.service.loop.run(workspace.service.services.refused_requests.flush())
    sent = urlencode({name.rstrip("_"): value for name, value in query.items()})
    headers = {"Authorization": f"Bearer {bearer or workspace.key}"}
    return workspace.service.send("GET", f"{path}?{sent}", None, headers, bearer or workspace.key)


def found(workspace: Workspace, **query: object) -> list[Json]:
    """All of them, page by page."""
    entries: list[Json] = []
    cursor: Json = {}
    while True:
        answer = ask(workspace, **{**query, **cursor})
        assert answer.status == 200, answer.text
        entries += answer.body["requests"]
        if "next_cursor" not in answer.body:
            return entries
        cursor = {"cursor": answer.body["next_cursor"]}


def ids(workspace: Workspace, **query: object) -> list[str]:
    return [entry.get("id", "") for entry in found(workspace, **query)]


@dataclass(frozen=True)
class Row:
    """A request, and queries that find it."""

    path: str
    body: Json
    queries: tuple[Json, ...]
    #: The objects that name whoever is asked for.
    objects: tuple[tuple[str, int], ...]


def _attributes(**fields: object) -> Json:
    return {"attributes": [{"n": 1, "external_id": "somebody else"}, {"n": 1, **fields}]}


BY_ID: Final = ({"external_id": "ada"},)
BY_MAIL: Final = ({"email": MAIL}, {"email": SPELT})
BY_NUMBER: Final = ({"phone": NUMBER}, {"phone": " +34 600-12-34-56"})
BY_ALIAS: Final = ({"alias_label": "l", "alias_name": "n"},)
BY_DEVICE: Final = ({"device_id": "device-1"},)
BY_BRAZE: Final = ({"braze_id": "b" * 24},)

#: By kind of request, what clients send; every kind of an identifier where the endpoint takes it.
ROWS: Final[dict[str, tuple[Row, ...]]] = {
    "track": (
        Row("/users/track", _attributes(external_id="ada"), BY_ID, (("attributes", 1),)),
        Row("/users/track", _attributes(email=SPELT), BY_MAIL, (("attributes", 1),)),
        Row("/users/track", _attributes(phone="+34 600 123 456"), BY_NUMBER, (("attributes", 1),)),
        Row("/users/track", _attributes(braze_id="b" * 24), BY_BRAZE, (("attributes", 1),)),
        Row(
            "/users/track",
            _attributes(user_alias={"alias_label": "l", "alias_name": "n"}),
            BY_ALIAS,
            (("attributes", 1),),
        ),
        Row("/users/track", _attributes(external_id="x", email=SPELT), (*BY_MAIL,), (("attributes", 1),)),
        Row("/users/track/bulk", _attributes(external_id="ada"), BY_ID, (("attributes", 1),)),
        Row(
            "/users/track",
            {"events": [{"external_id": "ada", "name": "e", "time": "2026-01-05"}]},
            BY_ID,
            (("events", 0),),
        ),
    ),
    "identify": (
        Row(
            "/users/identify",
            {"emails_to_identify": [{"external_id": "ada", "email": SPELT, "prioritization": ["identified"]}]},
            (*BY_ID, *BY_MAIL),
            (("emails_to_identify", 0),),
        ),
    ),
    "merge": (
        Row(
            "/users/merge",
            {
                "merge_updates": [
                    {
                        "identifier_to_merge": {"external_id": "ada"},
                        "identifier_to_keep": {"user_alias": {"alias_label": "l", "alias_name": "n"}},
                    }
                ]
            },
            (*BY_ID, *BY_ALIAS),
            (("merge_updates", 0),),
        ),
    ),
    "alias_new": (
        Row(
            "/users/alias/new",
            {"user_aliases": [{"external_id": "ada", "alias_label": "l", "alias_name": "n"}]},
            (*BY_ID, *BY_ALIAS),
            (("user_aliases", 0),),
        ),
    ),
    "alias_update": (
        Row(
            "/users/alias/update",
            {"alias_updates": [{"alias_label": "l", "old_alias_name": "n", "new_alias_name": "m"}]},
            (*BY_ALIAS, {"alias_label": "l", "alias_name": "m"}),
            (("alias_updates", 0),),
        ),
    ),
    "delete": (
        Row("/users/delete", {"external_ids": ["x", "ada"]}, BY_ID, (("external_ids", 1),)),
        Row("/users/delete", {"braze_ids": ["b" * 24]}, BY_BRAZE, (("braze_ids", 0),)),
        Row(
            "/users/delete",
            {"email_addresses": [{"email": SPELT, "prioritization": ["identified"]}]},
            BY_MAIL,
            (("email_addresses", 0),),
        ),
    ),
    "rename": (
        Row(
            "/users/external_ids/rename",
            {"external_id_renames": [{"current_external_id": "ada", "new_external_id": "bob"}]},
            (*BY_ID, {"external_id": "bob"}),
            (("external_id_renames", 0),),
        ),
    ),
    "remove": (Row("/users/external_ids/remove", {"external_ids": ["ada"]}, BY_ID, (("external_ids", 0),)),),
    "email_state": (
        Row("/email/status", {"email": [SPELT], "subscription_state": "unsubscribed"}, BY_MAIL, (("email", 0),)),
    ),
    "address_event": (
        Row("/v1/address_events", {"events": [{"type": "hard_bounce", "email": SPELT}]}, BY_MAIL, (("events", 0),)),
    ),
    "message": (
        Row(
            "/v1/messages",
            {"messages": [{"external_id": "ada", "type": "opened", "channel": "email", "message_id": "m-1"}]},
            BY_ID,
            (("messages", 0),),
        ),
    ),
    "flags": (Row("/v1/flags", {"flags": [{"external_id": "ada", "test_user": True}]}, BY_ID, (("flags", 0),)),),
    "import": (
        Row(
            "/v1/imports",
            {"users": [{"external_id": "ada", "email": SPELT}]},
            (*BY_ID, *BY_MAIL),
            (("users", 0),),
        ),
    ),
    "sdk": (
        Row(
            "/v1/sdk/data",
            {"device_id": "device-1", "batch": 1, "records": [{"type": "change_user", "seq": 1, "user_id": "ada"}]},
            (*BY_ID, *BY_DEVICE),
            (("records", 0),),
        ),
    ),
    "tracking": (
        Row(
            "/v1/batch",
            {"batch": [{"type": "track", "userId": "ada", "anonymousId": "device-1", "event": "e"}]},
            (*BY_ID, *BY_DEVICE),
            (("batch", 0),),
        ),
    ),
}
#: Those that Onefold sends itself, or for an operator: their commands are looked for in tests/contract/test_named.py.
INTERNAL: Final = {
    "settings",
    "undo",
    "book",
    "group_state",
    "refused_events",
    "merge_duplicates",
    "delete_marked",
    "archive",
    "clean_up",
}
CASES: Final = [(kind, row) for kind, rows in ROWS.items() for row in rows]


def test_every_kind_of_request_is_in_a_table() -> None:
    assert ROWS.keys() | INTERNAL == {kind.name for kind in KINDS.values()}


def sent(workspace: Workspace, row: Row) -> Answer:
    if row.path.startswith("/users/external_ids"):
        with workspace.service.draining(workspace.id):
            return workspace.post(row.path, row.body, drain=False)
    answer = workspace.post(row.path, row.body, drain=False)
    workspace.drain()
    return answer


@pytest.mark.parametrize(("kind", "row"), CASES, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(CASES)])
def test_found_by_whom_it_names(workspace: Workspace, kind: str, row: Row) -> None:
    """Applied or without effect, whether or not anybody has the identifier: and by nobody else's."""
    answer = sent(workspace, row)
    assert answer.status in (200, 201, 202), answer.text
    for query in row.queries:
        entries = found(workspace, **query)
        assert [entry["id"] for entry in entries] == [answer.request_id], query
        (entry,) = entries
        assert entry["kind"] == kind
        assert [(one["input_array"], one["index"]) for one in entry["objects"]] == list(row.objects)
        assert entry["outcome"] in ("applied", "skipped")
    for other in (
        {"external_id": "ad"},
        {"device_id": "device-2"},
        {"email": "nobody@example.org"},
        {"phone": "+34600123457"},
    ):
        assert found(workspace, **other) == []


#: Where no Idempotency-Key is read: what is wrong with the body instead.
WRONG: Final[dict[str, Json]] = {
    "sdk": {"batch": 0},
    "tracking": {"batch": [{"type": "no", "userId": "ada", "anonymousId": "device-1"}]},
}


@pytest.mark.parametrize(("kind", "row"), CASES, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(CASES)])
def test_refused_ones_are_found_too(on_sqlite: Service, kind: str, row: Row) -> None:
    """By whom the body names that was refused; and what is kept of it says where, when, whose and why."""
    workspace = on_sqlite.workspace("legacy")
    before = times.iso(times_now())
    answer = workspace.post(row.path, row.body | WRONG.get(kind, {}), drain=False, Idempotency_Key="k" * 300)
    assert answer.status == 400, answer.text
    for query in row.queries:
        (entry,) = found(workspace, **query)
        assert (entry["outcome"], entry["status"], entry["endpoint"]) == ("refused", 400, row.path)
        assert before <= entry["at"] <= times.iso(times_now())
        assert entry["key"]
        assert entry["errors"][0]["type"] == answer.message
        assert "id" not in entry
    assert found(workspace, external_id="ad") == []


def test_outcomes(workspace: Workspace) -> None:
    """Each word for what became of a request, and the status selects by it."""
    database = workspace.service.database
    nobody = {"alias_label": "l", "alias_name": "nobody"}
    applied = workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    skipped = workspace.track(
        {"attributes": [{"external_id": "ada", "dob": "no", "n": 1}, {"user_alias": nobody, "n": 1}]}
    )
    dead = workspace.track({"attributes": [{"external_id": "ada", "n": 2}]}, drain=False)
    with database.write(database.inbox) as connection:
        connection.exec_driver_sql(f"update inbox set codec = 99 where workspace_id = {workspace.id} and seq = 3")
    assert workspace.service.drain(workspace.id).dead == 1
    partly = workspace.track({"attributes": [{"external_id": "ada", "n": 1}, {"external_id": "", "email": "no"}]})
    queued = workspace.track({"attributes": [{"external_id": "ada", "n": 3}]}, drain=False)
    wrong = workspace.track({"attributes": [{"n": 1, "email": "ada@"}], "events": 1})
    everything = [(entry["outcome"], entry.get("id", "")) for entry in found(workspace)]
    assert everything == [
        ("refused", ""),
        ("queued", queued.request_id),
        ("refused", partly.request_id),
        ("applied", partly.request_id),
        ("dead", dead.request_id),
        ("skipped", skipped.request_id),
        ("applied", applied.request_id),
    ]
    assert wrong.status == 400
    for outcome in ("queued", "applied", "skipped", "dead", "refused"):
        assert [(e["outcome"], e.get("id", "")) for e in found(workspace, status=outcome)] == [
            one for one in everything if one[0] == outcome
        ]
    assert [entry["status"] for entry in found(workspace, status="4xx")] == [400]
    assert [entry.get("status") for entry in found(workspace, status=201, external_id="ada")] == [None] * 4
    (entry,) = found(workspace, external_id="ada", status="skipped")
    assert entry["objects"] == [{"input_array": "attributes", "index": 0, "outcome": "partly"}]
    assert entry["skipped"] == [
        {"input_array": "attributes", "index": 0, "field": "dob", "reason": "invalid_value"},
        {"input_array": "attributes", "index": 1, "reason": "profile_not_found"},
    ]
    (entry,) = found(workspace, **nobody)
    assert entry["objects"] == [{"input_array": "attributes", "index": 1, "outcome": "skipped"}]
    (entry,) = found(workspace, email="no")
    assert (entry["status"], entry["id"]) == (201, partly.request_id)
    assert [(error["input_array"], error["index"]) for error in entry["errors"]] == [("attributes", 1)]
    assert [entry["status"] for entry in found(workspace, email="ada@")] == [400]


def test_filters(workspace: Workspace) -> None:
    service = workspace.service
    other = keys.create(service.database, workspace.id, "other", ["users.track"], times_now())
    first = workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    headers = {"Authorization": f"Bearer {other}", "Content-Type": "application/json"}
    second = service.send("POST", "/users/track", b'{"attributes": [{"external_id": "ada", "n": 2}]}', headers)
    denied = service.send("POST", "/users/delete", b'{"external_ids": ["ada"]}', headers)
    assert denied.status == 403
    workspace.drain()
    (latest, *_rest) = found(workspace, status="refused")
    assert (latest["key"], latest["endpoint"], latest["status"]) == ("other", "/users/delete", 403)
    assert latest["errors"] == [{"type": "Access Denied"}]
    assert ids(workspace, key="other") == ["", second.request_id]
    assert ids(workspace, endpoint="track") == [second.request_id, first.request_id]
    assert ids(workspace, endpoint="/users/delete") == [""]
    at = {entry.get("id"): entry["at"] for entry in found(workspace)}
    later = times.iso((times.parse(at[second.request_id]) or 0) + 1000)
    assert ids(workspace, external_id="ada", to=at[second.request_id]) == [first.request_id]
    assert ids(workspace, external_id="ada", to=later) == [second.request_id, first.request_id]
    assert ids(workspace, external_id="ada", from_=at[second.request_id]) == [second.request_id]


def test_pages_and_pieces(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short a page or a piece of work is, the search finds each request once, over both streams."""
    expected = []
    for n in range(12):
        path = "/users/track/bulk" if n % 3 == 0 else "/users/track"
        body = {"attributes": [{"external_id": "ada" if n % 2 else "bob", "n": n}]}
        answer = workspace.post(path, body, drain=n == 11)
        if n % 2:
            expected.append(answer.request_id)
    assert ids(workspace, external_id="ada") == expected[::-1]
    assert ids(workspace, external_id="ada", limit=1) == expected[::-1]
    assert len(ids(workspace, limit=5)) == 12
    monkeypatch.setattr(request_log, "SEARCH_SECONDS", 0.0)
    monkeypatch.setattr(request_log, "PIECE_SECONDS", 0.0)
    answer = ask(workspace, external_id="ada")
    assert (answer.body["requests"], "next_cursor" in answer.body) == ([], True)
    monkeypatch.setattr(request_log, "SEARCH_SECONDS", 1.0)
    assert ids(workspace, external_id="ada") == expected[::-1]


def test_how_far_back_it_goes(workspace: Workspace) -> None:
    empty = ask(workspace).body
    assert empty["kept_since"] == {"normal": None, "bulk": None, "refused": None}
    assert empty["looked_back_to"] is None
    workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    first = found(workspace)[0]["at"]
    workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    workspace.track(b"{")
    body = ask(workspace).body
    assert body["kept_since"]["normal"] == first
    assert body["kept_since"]["bulk"] is None
    assert body["kept_since"]["refused"] is not None


BAD: Final = [
    ({"external_id": ""}, "'external_id' must have 1 to 1000 characters"),
    ({"external_id": "x" * 1001}, "'external_id' must have 1 to 1000 characters"),
    ({"external_id": "a", "email": "b"}, "only one of"),
    ({"alias_name": "a"}, "'alias_name' and 'alias_label' must be given together"),
    ({"alias_name": "a", "alias_label": "b", "phone": "1"}, "only one of"),
    ({"status": "late"}, "'status' must be one of"),
    ({"status": "099"}, "'status' must be one of"),
    ({"from": "yesterday"}, "'from' must be a time"),
    ({"limit": "0"}, "'limit' must be a number"),
    ({"limit": "101"}, "'limit' must be a number"),
    ({"cursor": "x"}, "'cursor' must be"),
    ({"user": "ada"}, "Only these may be asked for"),
]


@pytest.mark.parametrize(("query", "message"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_questions_that_are_none(on_sqlite: Service, query: Json, message: str) -> None:
    answer = ask(on_sqlite.workspace(), **query)
    assert answer.status == 400
    assert answer.message.startswith(message)


@pytest.mark.parametrize(
    "value", ["\0", "%", "' or 1=1 --", "<script>", "\U0001f511", "\ud7ff", "a\nb", "*"], ids=ascii
)
def test_hostile_questions(workspace: Workspace, value: str) -> None:
    workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    for name in ("external_id", "email", "phone", "braze_id", "key", "endpoint"):
        assert found(workspace, **{name: value}) == []
    assert found(workspace, alias_label=value, alias_name=value) == []


def test_cursors_belong_to_a_question(service: Service) -> None:
    ours, theirs = service.workspace("legacy"), service.workspace("legacy")
    for _ in range(2):
        ours.track({"attributes": [{"external_id": "ada", "n": 1}]})
    cursor = ask(ours, external_id="ada", limit=1).body["next_cursor"]
    assert ask(ours, external_id="ada", cursor=cursor).status == 200
    assert ask(ours, external_id="bob", cursor=cursor).status == 400
    assert ask(theirs, external_id="ada", cursor=cursor).status == 400
    assert found(theirs, external_id="ada") == []
    assert found(theirs) == [entry for entry in found(theirs) if entry["outcome"] == "refused"]


# Errors.


def test_errors_are_grouped(workspace: Workspace) -> None:
    for _ in range(3):
        workspace.track({"attributes": [{"external_id": "ada", "n": 1}, {"n": 1}, {"n": 2}]})
    workspace.track(b"{")
    answer = ask(workspace, "/v1/errors")
    groups = [(g["endpoint"], g["status"], g["type"], g["count"]) for g in answer.body["groups"]]
    assert groups == [
        ("/users/track", 201, "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required", 3),
        ("/users/track", 400, "Error while parsing request body. Please check your syntax.", 1),
    ]
    first, last = (answer.body["groups"][0][name] for name in ("first", "last"))
    assert answer.body["kept_since"] == first < last
    only = ask(workspace, "/v1/errors", status="4xx").body["groups"]
    assert [(g["status"], g["first"] == g["last"]) for g in only] == [(400, True)]
    assert ask(workspace, "/v1/errors", status="429").body["groups"] == []
    assert ask(workspace, "/v1/errors", external_id="ada").status == 400


def test_limits_and_keys_that_may_not(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace("legacy", hourly_limit=2)
    for _ in range(4):
        workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    weak = on_sqlite.key(workspace.id, "users.track")
    assert ask(workspace, bearer=weak).status == 403
    assert ask(workspace, "/v1/errors", bearer=weak).status == 403
    groups = ask(workspace, "/v1/errors").body["groups"]
    assert {(g["endpoint"], g["status"], g["type"]): g["count"] for g in groups} == {
        ("/users/track", 429, "Rate Limited"): 2,
        ("/v1/requests", 403, "Access Denied"): 1,
        ("/v1/errors", 403, "Access Denied"): 1,
    }
    on_sqlite.send("POST", "/users/track", b"{}", {"Authorization": "Bearer nobody"})
    assert len(ask(workspace, "/v1/errors").body["groups"]) == 3


def rows_of(database: Database, workspace_id: int) -> list[refused.Refused]:
    with database.read() as connection:
        return refused.read_back(connection, workspace_id, refused.LAST, 0, 100_000)


def test_a_flood_is_counted_and_not_kept(on_sqlite: Service) -> None:
    """A thousand refusals at once become as many rows as the setting says, and one for the others; none is lost."""
    workspace = on_sqlite.workspace("legacy")
    log = on_sqlite.services.refused_requests
    on_sqlite.loop.run(log.flush())
    kept, counted = log.kept, log.counted
    most = on_sqlite.settings.refused_per_second
    for _ in range(300):
        workspace.post("/users/track", b"{", drain=False)
        if log.counted > counted:
            break
    noted = log.kept - kept + log.counted - counted
    assert log.counted > counted, "more than are kept in a second were not sent in a second"
    on_sqlite.loop.run(log.flush())
    rows = rows_of(on_sqlite.database, workspace.id)
    assert sum(row.count for row in rows) == noted
    assert most <= len(rows) < noted + 1
    assert {row.errors[0][0] for row in rows} == {"Error while parsing request body. Please check your syntax."}
    (group,) = ask(workspace, "/v1/errors", status=400).body["groups"]
    assert group["count"] == noted


def test_what_waits_is_bounded(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be written, neither many workspaces nor many errors of one make it grow."""
    workspace = on_sqlite.workspace("legacy")
    log = on_sqlite.services.refused_requests
    on_sqlite.loop.run(log.flush())
    monkeypatch.setattr(refused_requests, "MOST_WAITING", 3)
    monkeypatch.setattr(refused_requests, "MOST_COUNTED", 2)
    caller = on_sqlite.loop.run(on_sqlite.services.keys.authenticate(f"Bearer {workspace.key}", lambda: None))
    dropped = log.dropped
    for n in range(10):
        log.note(caller, "/p", 400, f"error {n}")
    assert (log._size, log.dropped - dropped) == (5, 5)
    on_sqlite.loop.run(log.flush())
    assert sum(row.count for row in rows_of(on_sqlite.database, workspace.id)) == 5
    assert log._size == 0


def test_no_value_of_a_client_is_kept(on_sqlite: Service) -> None:
    """Whatever is wrong with a request, and wherever its values stand: none of them is in what is kept of it."""
    workspace = on_sqlite.workspace("legacy")
    secret = "zq-secret"
    for endpoint in endpoints(on_sqlite):
        for body in (
            {name: [{secret: secret, "external_id": [secret], "email": secret}] for name in ARRAYS},
            {name: [secret, {"external_id": secret, "name": secret, "time": secret}] for name in ARRAYS},
        ):
            path = endpoint.replace("{", "").replace("}", "")
            with on_sqlite.draining(workspace.id):
                workspace.post(path, body, drain=False)
    on_sqlite.loop.run(on_sqlite.services.refused_requests.flush())
    rows = rows_of(on_sqlite.database, workspace.id)
    assert len(rows) > 20
    for row in rows:
        assert secret not in repr(row), row
    answer = ask(workspace, limit=100)
    assert secret not in answer.text


ARRAYS: Final = (
    *("attributes", "events", "purchases", "messages", "flags", "records", "batch", "events", "email", "filters"),
    *("aliases_to_identify", "emails_to_identify", "merge_updates", "user_aliases", "alias_updates", "external_ids"),
    *("external_id_renames", "rules", "rates", "apps", "id", "name", "limits", "subscription_groups"),
)


def endpoints(service: Service) -> Iterator[str]:
    yield from sorted({path for path, methods in service.app.openapi()["paths"].items() if "post" in methods})


def test_trimming(service: Service) -> None:
    """The latest rows stay, as many as the setting says and for as long; of other workspaces theirs."""
    one, other = service.workspace("legacy"), service.workspace("legacy")
    now_us = times_now()
    rows = [
        refused.Refused(workspace.id, now_us - age * times.DAY - n, "k", "/p", 400, (("t", "", -1, ""),), n=n)
        for workspace in (one, other)
        for age in (0, 10)
        for n in range(5)
    ]
    with service.database.write() as connection:
        refused.add(connection, rows)
        refused.add(connection, rows[:3])  # again
    assert [len(rows_of(service.database, workspace.id)) for workspace in (one, other)] == [10, 10]
    refused.trim(service.database, now_us, refused.Keeping(rows=7, days=100))
    assert [len(rows_of(service.database, workspace.id)) for workspace in (one, other)] == [7, 7]
    refused.trim(service.database, now_us, refused.Keeping(rows=7, days=5))
    assert [row.us for row in rows_of(service.database, one.id)] == [now_us - n for n in range(5)]
    refused.trim(service.database, now_us, refused.Keeping(rows=1, days=5))
    assert [len(rows_of(service.database, workspace.id)) for workspace in (one, other)] == [1, 1]


def test_what_onefold_asks_for_itself_is_found(workspace: Workspace) -> None:
    """Jobs queue requests as well: those that name a profile are found by its braze_id."""
    database = workspace.service.database
    body = b'[{"index": 0, "braze_id": "' + b"c" * 24 + b'"}]'
    with database.write(database.inbox) as connection:
        entry = Entry(KIND_OF[commands.DeleteMarked], 1, body)
        inbox.append(connection, workspace.id, 0, [entry], times_now())
    workspace.drain()
    (entry_found,) = found(workspace, braze_id="c" * 24)
    assert (entry_found["kind"], entry_found["key"]) == ("delete_marked", "")
    assert kinds.BY_NAME[entry_found["kind"]] == KIND_OF[commands.DeleteMarked]


def test_a_search_leaves_threads_to_others(on_sqlite: Service) -> None:
    """An answer takes no longer than its budget, however much there is to look through."""
    workspace = on_sqlite.workspace("legacy")
    database = on_sqlite.database
    body = json.dumps({"attributes": [{"external_id": f"e\\u0041{n}", "n": n} for n in range(75)]}).encode()
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace.id, 0, [Entry(kinds.TRACK, 1, body)] * 500, times_now())
    began = time.monotonic()
    answer = ask(workspace, external_id="nobody at all")
    assert answer.status == 200
    assert time.monotonic() - began < 3
    assert answer.body["requests"] == []


# Following.


def operator(workspace: Workspace) -> Caller:
    return Caller.operator(keys.of_workspace(workspace.service.database, workspace.id), "")


def test_each_request_is_told_once(workspace: Workspace) -> None:
    """In the order of its stream, when it is known what became of it; one that stays queued, two seconds later."""
    service = workspace.service
    before = workspace.track({"attributes": [{"external_id": "ada", "n": 0}]})
    service.loop.run(service.services.refused_requests.flush())
    clock = [times_now()]
    tail = RequestTail(service.database, operator(workspace), Filter(), lambda: clock[0])

    def news() -> list[tuple[str, str]]:
        service.loop.run(service.services.refused_requests.flush())
        return [
            (entry.outcome, operator(workspace).request_id(entry.stream, entry.seq) if entry.seq else "")
            for entry in tail.news()
        ]

    assert [entry.seq for entry in tail.last(5)] == [1]
    assert news() == []
    first = workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    bulk = workspace.post("/users/track/bulk", {"attributes": [{"external_id": "ada", "n": 2}]})
    workspace.track(b"{")
    assert news() == [("applied", first.request_id), ("applied", bulk.request_id), ("refused", "")]
    assert news() == []
    slow = workspace.track({"attributes": [{"external_id": "ada", "dob": "x", "n": 1}]}, drain=False)
    clock[0] = times_now()
    assert news() == []
    workspace.drain()
    assert news() == [("skipped", slow.request_id)]
    stuck = workspace.track({"attributes": [{"external_id": "ada", "n": 1}]}, drain=False)
    clock[0] = times_now() + 3 * times.SECOND
    assert news() == [("queued", stuck.request_id)]
    workspace.drain()
    assert news() == []
    assert before.request_id not in str(tail)


def test_following_somebody(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace("legacy")
    wanted = Filter(wanted=(EXTERNAL, "", "ada"), outcome="applied")
    tail = RequestTail(on_sqlite.database, operator(workspace), wanted, times_now)
    for n, name in enumerate(("ada", "bob", "ada")):
        workspace.track({"attributes": [{"external_id": name, "n": n}]})
    assert [entry.seq for entry in tail.news()] == [1, 3]


def test_commands(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace("legacy")
    with on_sqlite.database.read() as connection:
        name = str(connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar())
    onefold = command_line(on_sqlite.settings.data_dir)
    accepted = workspace.track({"attributes": [{"external_id": "ada", "dob": "no", "n": 1}]})
    workspace.track(b"{")
    on_sqlite.loop.run(on_sqlite.services.refused_requests.flush())
    shown = json.loads(onefold("requests", "list", "--workspace", name, "--json"))
    assert shown == found(workspace)
    lines = onefold("requests", "list", "--workspace", name, "--external-id", "ada").splitlines()
    assert lines[0].split()[1:3] == ["skipped", "track"]
    assert lines[0].endswith(f"{accepted.request_id} invalid_value")
    assert lines[1].startswith("Kept since: normal ")
    groups = json.loads(onefold("requests", "errors", "--workspace", name, "--json"))
    assert [(group["status"], group["count"]) for group in groups] == [(400, 1)]
    assert "only one of" in onefold("requests", "list", "--workspace", name, "--email", "a", "--phone", "1", fails=True)


def test_tail_ends_as_tail_does(on_sqlite: Service) -> None:
    """At Ctrl-C, and when nobody reads any more: without a trace and without complaint."""
    workspace = on_sqlite.workspace("legacy")
    with on_sqlite.database.read() as connection:
        name = str(connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar())
    workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    command = [
        str(Path(sys.executable).with_name("onefold")),
        "tail",
        "--workspace",
        name,
        "--data-dir",
        str(on_sqlite.settings.data_dir),
    ]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as reading, subprocess.Popen(command, **pipes) as leaving:
        lines: Any = reading.stdout
        left: Any = leaving.stdout
        complaints: Any = (reading.stderr, leaving.stderr)
        assert b" applied " in lines.readline()
        assert b" applied " in left.readline()
        left.close()
        workspace.track({"attributes": [{"external_id": "bob", "n": 1}]})
        assert b" applied " in lines.readline()
        reading.send_signal(signal.SIGINT)
        try:
            assert (reading.wait(10), leaving.wait(10)) == (0, 0)
        finally:
            reading.kill()
            leaving.kill()
        assert [pipe.read() for pipe in complaints] == [b"", b""]
