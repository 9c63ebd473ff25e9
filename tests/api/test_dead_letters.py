"""Dead letters: the list and its filters, and sending them again, once, in order, with the original kept."""

from typing import Any

import pytest
from sqlalchemy import text

from app.contract import dead_letters as contract
from app.contract import kinds
from app.contract.errors import DELETIONS_PENDING
from app.contract.idempotency import digest, fingerprint
from app.contract.request_id import make
from app.domain.times import DAY
from app.store import dead_letters, partitions
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, IdempotencyKey
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.poison import POISON, poison
from workers import replay


def listed(workspace: Workspace, query: str = "") -> Answer:
    return workspace.service.send("GET", f"/v1/dead-letters{query}", None, workspace.headers(), workspace.key)


def letters(workspace: Workspace, query: str = "") -> list[Json]:
    answer = listed(workspace, query)
    assert answer.status == 200, answer.text
    return list(answer.body["dead_letters"])


def send_again(workspace: Workspace, body: object) -> Answer:
    return workspace.post("/v1/dead-letters/replay", body, drain=False)


def identifier(workspace: Workspace, seq: int, stream: int = 0) -> str:
    return make(workspace.secret, workspace.id, stream, seq)


def mend(workspace: Workspace) -> None:
    """As when the bug is mended: what could not be read can be."""
    body = b'{"attributes":[{"external_id":"ada","order":{"add":["%d/%d"]}}]}'
    mended = text("update dead set codec = 1, body = :body where workspace_id = :w and stream = :stream and seq = :seq")
    with workspace.service.database.write() as connection:
        for row in connection.execute(text(f"select stream, seq from dead where workspace_id = {workspace.id}")).all():
            place = {"w": workspace.id, "stream": row.stream, "seq": row.seq}
            connection.execute(mended, {**place, "body": body % (row.stream, row.seq)})


def test_the_list_its_filters_and_its_pages(service: Service, workspace: Workspace) -> None:
    poison(workspace, POISON, POISON)
    poison(workspace, stream=1)
    poison(workspace, b"x", kind=99)
    poison(workspace, b"[]", kind=kinds.SETTINGS)
    service.drain(workspace.id)
    everything = letters(workspace)
    assert [(x["id"], x["stream"], x["kind"], x["reason"], x["bytes"]) for x in everything] == [
        (identifier(workspace, 1), "normal", "track", "AttributeError", len(POISON)),
        (identifier(workspace, 2), "normal", "track", "AttributeError", len(POISON)),
        (identifier(workspace, 1, 1), "bulk", "track", "AttributeError", len(POISON)),
        (identifier(workspace, 3), "normal", "99", "ValueError", 1),
        (identifier(workspace, 4), "normal", "settings", everything[4]["reason"], 2),
    ]
    assert all(x.keys() == {"id", "stream", "kind", "reason", "bytes", "accepted_at", "dead_at"} for x in everything)
    assert letters(workspace, "?reason=ValueError") == everything[3:4]
    assert letters(workspace, "?kind=settings") == everything[4:]
    assert letters(workspace, "?kind=track&reason=ValueError") == []
    assert letters(workspace, "?replayed=false") == everything
    assert letters(workspace, "?replayed=true") == []
    assert letters(workspace, f"?from={everything[0]['accepted_at']}&to=2999-01-01") == everything
    assert letters(workspace, "?to=2020-01-01T00:00:00Z") == []
    assert letters(workspace, "?from=2999-01-01") == []
    first = listed(workspace, "?limit=3")
    second = listed(workspace, f"?limit=3&cursor={first.body['next_cursor']}")
    assert first.body["dead_letters"] + second.body["dead_letters"] == everything
    assert "next_cursor" not in second.body
    assert "next_cursor" not in listed(workspace, "?limit=5").body
    assert letters(service.workspace()) == []


@pytest.mark.parametrize(
    "query",
    ["kind=nonsense", "from=yesterday", "to=1", "replayed=1", "limit=0", "limit=501", "limit=x", "cursor=-1", "a=b"],
)
def test_a_query_that_is_none(workspace: Workspace, query: str) -> None:
    assert listed(workspace, f"?{query}").status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, contract.IDS_OR_FILTER),
        ([], contract.IDS_OR_FILTER),
        ({"ids": ["x"], "filter": {}}, contract.IDS_OR_FILTER),
        ({"ids": ["x"], "other": 1}, contract.IDS_OR_FILTER),
        ({"ids": []}, contract.BAD_IDS),
        ({"ids": ["x"] * 501}, contract.BAD_IDS),
        ({"ids": [1]}, contract.BAD_IDS),
        ({"filter": []}, contract.BAD_FILTER),
        ({"filter": {"reason": 1}}, contract.BAD_FILTER),
        ({"filter": {"from": "x"}}, "'from' must be a time"),
        ({"filter": {"limit": "1"}}, "Only these may be asked for: from, kind, reason, to"),
    ],
)
def test_a_replay_that_is_none(workspace: Workspace, body: object, message: str) -> None:
    answer = send_again(workspace, body)
    assert (answer.status, answer.message) == (400, message)


def test_only_with_the_permission(service: Service, workspace: Workspace) -> None:
    workspace.key = service.key(workspace.id, "users.track", "admin.merges")
    assert (listed(workspace).status, send_again(workspace, {"filter": {}}).status) == (403, 403)


def test_sent_again_once_in_order_and_the_original_is_kept(service: Service, workspace: Workspace) -> None:
    poison(workspace, POISON, POISON, POISON)
    poison(workspace, stream=1)
    service.drain(workspace.id)
    mend(workspace)
    ids = [identifier(workspace, 3), identifier(workspace, 1, 1), identifier(workspace, 2)]
    other = service.workspace()
    nonsense = [identifier(workspace, 9), make(other.secret, other.id, 0, 1), "nonsense", "\x00"]
    answer = send_again(workspace, {"ids": ids + nonsense})
    assert answer.status == 201, answer.text
    assert answer.body == {
        "replayed": [
            {"id": identifier(workspace, 2), "replayed_as": identifier(workspace, 4)},
            {"id": identifier(workspace, 3), "replayed_as": identifier(workspace, 5)},
            {"id": identifier(workspace, 1, 1), "replayed_as": identifier(workspace, 2, 1)},
        ],
        "not_replayed": [{"id": one, "reason": "not_a_dead_letter"} for one in nonsense],
        "more": False,
        "message": "success",
    }
    assert send_again(workspace, {"ids": ids + nonsense}).body == answer.body
    workspace.drain()
    assert workspace.user("ada")["custom_attributes"] == {"order": ["0/2", "0/3", "1/1"]}
    status = workspace.status(identifier(workspace, 2)).body
    assert (status["status"], status["replayed_as"]) == ("dead", identifier(workspace, 4))
    assert workspace.status(identifier(workspace, 4)).body["status"] == "applied"
    assert [x["id"] for x in letters(workspace, "?replayed=false")] == [identifier(workspace, 1)]
    assert {x["replayed_as"] for x in letters(workspace, "?replayed=true")} == {
        identifier(workspace, 4),
        identifier(workspace, 5),
        identifier(workspace, 2, 1),
    }
    rest = send_again(workspace, {"filter": {"reason": "AttributeError", "kind": "track"}})
    assert [x["id"] for x in rest.body["replayed"]] == [identifier(workspace, 1)]
    assert send_again(workspace, {"filter": {}}).body["replayed"] == []
    workspace.drain()
    assert workspace.user("ada")["custom_attributes"] == {"order": ["0/2", "0/3", "1/1", "0/1"]}
    assert replay.differences(service.database, workspace.id, workspace.secret) == []


def test_who_waits_for_a_request_that_is_dead(service: Service, workspace: Workspace) -> None:
    """503, since the fault is ours; and once the letter was sent again, a repeat is told what came of that."""
    path, key = "/users/track/sync", "order 4711"
    body = b'{"attributes":[{"external_id":"ada","order":1}]}'
    name = IdempotencyKey(digest(workspace.secret, path, key), fingerprint(workspace.secret, body))
    database = service.database
    with database.write(database.inbox) as connection:
        idempotency.append(connection, workspace.id, 0, [Entry(kinds.TRACK, 2, POISON, name)], times_now())

    def ask() -> Answer:
        return workspace.post(path, body, drain=False, Idempotency_Key=key)

    service.drain(workspace.id)
    answer = ask()
    assert (answer.status, answer.body) == (503, {"message": "The request is kept, but could not be applied"})
    assert (answer.headers["Retry-After"], answer.request_id) == ("60", identifier(workspace, 1))
    assert workspace.status(answer.request_id).body["status"] == "dead"
    mend(workspace)
    send_again(workspace, {"filter": {}})
    workspace.drain()
    answer = ask()
    assert (answer.status, answer.body) == (
        201,
        {"users": [{"external_id": "ada", "custom_attributes": {"order": ["0/1"]}}], "message": "success"},
    )


def test_a_replay_that_was_interrupted_sends_nothing_twice(service: Service, workspace: Workspace) -> None:
    """The process died after the inbox's commit, which on SQLite is not that of the letters."""
    poison(workspace, POISON, POISON)
    service.drain(workspace.id)
    database = service.database
    with database.read() as connection:
        found = dead_letters.find(connection, workspace.id, 10, times_now())
    first = dead_letters.replay(database, workspace.id, found, kinds.DELETE, times_now())
    with database.write() as connection:
        connection.execute(text(f"update dead set replayed_seq = null where workspace_id = {workspace.id}"))
    assert (
        dead_letters.replay(database, workspace.id, found, kinds.DELETE, times_now()) == first == {(0, 1): 3, (0, 2): 4}
    )
    with database.read(database.inbox) as connection:
        assert inbox.head(connection, workspace.id, 0) == 4


def test_bodies_go_after_a_time_and_what_became_of_the_request_stays(service: Service, workspace: Workspace) -> None:
    poison(workspace)
    service.drain(workspace.id)
    then = times_now() - (dead_letters.BODY_DAYS + 1) * DAY
    with service.database.write() as connection:
        connection.execute(text(f"update dead set dead_us = {then} where workspace_id = {workspace.id}"))
    assert partitions.expire(service.database, times_now(), 24)["dead"] == 1
    assert letters(workspace) == []
    assert workspace.status(identifier(workspace, 1)).body["status"] == "dead"
    answer: dict[str, Any] = send_again(workspace, {"ids": [identifier(workspace, 1)]}).body
    assert answer["not_replayed"] == [{"id": identifier(workspace, 1), "reason": "body_is_gone"}]
    assert send_again(workspace, {"filter": {}}).body["replayed"] == []


def gone(workspace: Workspace) -> list[int]:
    return [n for n, letter in enumerate(letters(workspace), 1) if letter["bytes"] == 0]


def test_a_deletion_takes_the_bodies_of_letters_that_name_the_person(service: Service, workspace: Workspace) -> None:
    ada = {"external_id": "ada", "email": "ada@example.org", "phone": "+4915112345678"}
    workspace.track({"attributes": [ada, {"external_id": "bob", "email": "bob@example.org"}, {"external_id": "4711"}]})
    workspace.post(
        "/users/alias/new", {"user_aliases": [{"external_id": "ada", "alias_label": "l", "alias_name": "al"}]}
    )
    braze_id = workspace.export(external_ids=["ada"])[0]["braze_id"]
    named = [b'"ada"', b'" ADA@Example.org "', b'"+49 151 1234-5678"', b'"al"', f'"{braze_id}"'.encode(), b'{"ada": 1}']
    others = [b'"adam"', b'"bob"', b"4711", b"12.50"]
    poison(workspace, *(b'{"attributes":[[0,[%b],[]]]}' % value for value in named + others), b"\xff{")
    service.drain(workspace.id)
    assert gone(workspace) == []
    workspace.post("/users/delete", {"external_ids": ["ada"]})
    assert gone(workspace) == [1, 2, 3, 4, 5, 6, 11]
    first = letters(workspace)[0]["id"]
    answer = send_again(workspace, {"ids": [first]}).body
    assert (answer["replayed"], answer["not_replayed"]) == ([], [{"id": first, "reason": "body_is_gone"}])
    workspace.post("/users/delete", {"external_ids": ["4711"]})
    assert gone(workspace) == [1, 2, 3, 4, 5, 6, 9, 11]
    assert replay.differences(service.database, workspace.id, workspace.secret) == []


def test_nothing_is_sent_behind_a_deletion_that_is_not_applied(service: Service, workspace: Workspace) -> None:
    """It would bring the person back: the deletion erases the letter, and no longer what was sent."""
    workspace.track({"attributes": [{"external_id": "ada"}, {"external_id": "bob"}]})
    poison(workspace, b'{"attributes":[[0,["ada"],[]]]}', POISON)
    service.drain(workspace.id)
    workspace.post("/users/delete", {"external_ids": ["ada"]}, drain=False)
    early = send_again(workspace, {"filter": {}})
    assert (early.status, early.message, early.headers["Retry-After"]) == (503, DELETIONS_PENDING, "1")
    with service.database.read(service.database.inbox) as connection:
        assert inbox.head(connection, workspace.id, 0) == 4
    with service.draining(workspace.id):
        answer = send_again(workspace, {"ids": [identifier(workspace, seq) for seq in (2, 3)]}).body
    assert answer["replayed"] == [{"id": identifier(workspace, 3), "replayed_as": identifier(workspace, 5)}]
    assert answer["not_replayed"] == [{"id": identifier(workspace, 2), "reason": "body_is_gone"}]


@pytest.mark.parametrize("batches", [1, 2])
def test_a_merge_takes_no_bodies_and_a_deletion_those_of_the_merged(
    service: Service, workspace: Workspace, batches: int
) -> None:
    """What was merged away lost its external id, and is the same person."""
    workspace.track({"attributes": [{"external_id": "ada"}, {"external_id": "eve"}, {"external_id": "bob"}]})
    poison(workspace, *(b'{"attributes":[[0,["%b"],[]]]}' % value for value in (b"ada", b"eve", b"bob")))
    service.drain(workspace.id)
    pair = {"identifier_to_merge": {"external_id": "eve"}, "identifier_to_keep": {"external_id": "ada"}}
    workspace.post("/users/merge", {"merge_updates": [pair]}, drain=batches == 2)
    assert gone(workspace) == []
    workspace.post("/users/delete", {"external_ids": ["ada"]})
    assert gone(workspace) == [1, 2]
    assert replay.differences(service.database, workspace.id, workspace.secret) == []
