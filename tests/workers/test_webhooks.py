"""Change webhooks: what requests change is told once a profile and request, in order, and to nobody who is gone."""

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from app.contract import webhooks as contract
from app.contract.errors import RefusedError
from app.domain.times import HOUR, SECOND
from app.domain.webhooks import MERGED, PAUSES, names_of
from app.services import webhooks as services
from app.services.refusals import TooManyWebhooksError, UnknownWebhookError
from app.store import merges, outbox, webhook_events
from app.store.engine import Database
from app.store.outbox import DEAD, DUE, Message
from tests.accepting import send
from tests.applying import applier
from tests.fuzz.size import cases
from tests.hooks import Hook, hook
from tests.stores import NOW_US, workspace
from tests.strategies import requests
from tests.webhooks import (
    ANN,
    GUEST,
    SETTINGS,
    TRACK,
    Json,
    attributes,
    caller,
    everything,
    kept,
    make,
    send_all,
    sender,
    stands,
    tell,
)
from workers.batches import BatchSize, Patience
from workers.webhook_messages import LEASE_US

_names = (f"h{n}" for n in itertools.count())


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found


# What is told. Each row: requests before there is a webhook, requests after it, and [types, changed fields] of each.

TOLD: list[tuple[str, list[tuple[str, Json]], list[tuple[str, Json]], list[tuple[list[str], list[str]]]]] = [
    (
        "created",
        [],
        [attributes({**ANN, "first_name": "Ann", "tier": "gold"})],
        [(["profile.created"], ["custom_attributes.tier", "external_id", "first_name"])],
    ),
    (
        "once a request",
        [attributes(ANN)],
        [attributes({**ANN, "a": 1}, {**ANN, "b": 1}, {**ANN, "a": 2}), attributes({**ANN, "a": 3})],
        [
            (["profile.updated"], ["custom_attributes.a", "custom_attributes.b"]),
            (["profile.updated"], ["custom_attributes.a"]),
        ],
    ),
    ("the same again", [attributes({**ANN, "a": 1})], [attributes({**ANN, "a": 1})], []),
    (
        "true is not one",
        [attributes({**ANN, "a": 1})],
        [attributes({**ANN, "a": True})],
        [(["profile.updated"], ["custom_attributes.a"])],
    ),
    (
        "taken away",
        [attributes({**ANN, "a": 1, "first_name": "Ann"})],
        [attributes({**ANN, "a": None, "first_name": None})],
        [(["profile.updated"], ["custom_attributes.a", "first_name"])],
    ),
    (
        "events and purchases",
        [attributes(ANN)],
        [
            (
                TRACK,
                {
                    "events": [{**ANN, "name": "e", "time": "2026-01-01T00:00:00Z"}],
                    "purchases": [
                        {**ANN, "product_id": "p", "currency": "USD", "price": 1, "time": "2026-01-01T00:00:00Z"}
                    ],
                },
            )
        ],
        [(["profile.updated"], ["custom_events", "purchases"])],
    ),
    (
        "identified",
        [attributes({**GUEST, "_update_existing_only": False})],
        [("/users/identify", {"aliases_to_identify": [{"external_id": "ann", **GUEST}]})],
        [(["profile.identified", "profile.updated"], ["external_id"])],
    ),
    (
        "merged",
        [attributes({**ANN, "a": 1}), attributes({**GUEST, "b": 2, "_update_existing_only": False})],
        [("/users/merge", {"merge_updates": [{"identifier_to_merge": GUEST, "identifier_to_keep": ANN}]})],
        [(["profile.merged", "profile.updated"], ["custom_attributes.b", "user_aliases"])],
    ),
    ("deleted", [attributes(ANN)], [("/users/delete", {"external_ids": ["ann"]})], [(["profile.deleted"], [])]),
    (
        "what was not sent of somebody who is deleted",
        [],
        [attributes({**ANN, "a": 1}), ("/users/delete", {"external_ids": ["ann"]})],
        [(["profile.deleted"], [])],
    ),
    (
        "consent of an address, of everybody who has it",
        [attributes({**ANN, "email": "ann@example.org"}, {"external_id": "bob", "email": "ann@example.org"})],
        [("/email/status", {"email": "ann@example.org", "subscription_state": "unsubscribed"})],
        [(["subscription.changed"], ["email_subscribe"])] * 2,
    ),
    (
        "consent and more",
        [attributes({**ANN, "email": "ann@example.org"})],
        [attributes({**ANN, "email_subscribe": "unsubscribed", "a": 1})],
        [(["subscription.changed", "profile.updated"], ["custom_attributes.a", "email_subscribe"])],
    ),
    (
        "renamed",
        [attributes(ANN)],
        [
            (
                "/users/external_ids/rename",
                {"external_id_renames": [{"current_external_id": "ann", "new_external_id": "eve"}]},
            )
        ],
        [(["profile.updated"], ["deprecated_external_ids", "external_id"])],
    ),
]


@pytest.mark.parametrize(("before", "after", "told"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
@pytest.mark.parametrize("batch", [1, 64])
def test_what_is_told(
    database: Database,
    batch: int,
    before: list[tuple[str, Json]],
    after: list[tuple[str, Json]],
    told: list[tuple[list[str], list[str]]],
) -> None:
    one, worker = workspace(database), applier(database)
    for path, body in before:
        assert send(database, one, path, body)
    worker.drain(one)
    webhook = make(database, one)
    for path, body in after:
        assert send(database, one, path, body)
    worker._sizes = {stream: BatchSize(batch) for stream in (0, 1)}
    worker.drain(one)
    found = kept(database, webhook)
    assert [(names_of(message.types), message.doc.get("changed", [])) for message in found] == told
    assert len({message.id for message in found}) == len(found)


@settings(deadline=None, max_examples=cases(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests, max_size=12), st.sampled_from([1, 2, 64]), st.booleans())
def test_any_batches_tell_the_same(
    database: Database, sent: list[tuple[str, dict[str, Any]]], batch: int, cut: bool
) -> None:
    """Events do not depend on how requests are batched; where one is cut, its parts are one event."""
    found = []
    for size, patience in ((1, Patience()), (batch, Patience(reduce=-1, grace=0, part=-1) if cut else Patience())):
        one = workspace(database, next(_names))
        webhook = make(database, one)
        worker = applier(database, patience=patience)
        worker._sizes = {stream: BatchSize(size) for stream in (0, 1)}
        for path, body in sent:
            send(database, one, path, body)
        worker.drain(one)
        found.append(everything(database, webhook))
    assert found[0] == found[1]


def test_parts_of_a_request_are_one_message_that_goes_out_when_it_is_applied(
    database: Database, receiver: Hook
) -> None:
    one = workspace(database)
    webhook = make(database, one, receiver.url)
    send(database, one, TRACK, {"attributes": [{**ANN, f"a{n}": 1} for n in range(6)]})
    worker = applier(database, patience=Patience(reduce=-1, grace=0, part=-1, commands=2))
    worker.drain(one, most_seconds=-1)
    for _ in range(2):
        worker._batch(one, 0, worker.drain(one, most_seconds=-1), lambda: True)
        assert waiting(database, one) == 1
        assert (kept(database, webhook), send_all(database)) == ([], 0)
    worker.drain(one)
    assert send_all(database) == 1
    assert receiver.told[0]["data"]["changed"] == [*(f"custom_attributes.a{n}" for n in range(6)), "external_id"]


def test_a_message_is_signed_and_verifies(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    webhook = make(database, one, receiver.url, include="profile")
    profile = {**ANN, "email": "ann@example.org", "first_name": "Ann", "a": 1, **GUEST, "_update_existing_only": False}
    del profile["external_id"]
    send(database, one, *attributes(profile))
    applier(database).drain(one)
    (message,) = kept(database, webhook)
    now_us = int(time.time()) * SECOND
    assert send_all(database, now_us) == 1
    assert kept(database, webhook) == []
    told = Verifier(webhook.secret).verify(receiver.bodies[0], receiver.headers[0])
    assert told == receiver.told[0]
    assert receiver.headers[0]["webhook-id"] == message.id
    data = told["data"]
    assert (told["type"], data["types"]) == ("profile.created", ["profile.created"])
    assert data["user_aliases"] == [{"alias_name": "g1", "alias_label": "guest"}]
    assert (data["braze_id"], data["external_id"]) == (message.doc["braze_id"], None)
    assert data["email"] == "ann@example.org"
    assert data["changed"] == ["custom_attributes.a", "email", "first_name", "user_aliases"]
    assert data["profile"]["custom_attributes"] == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Verifier(webhook.secret).verify(receiver.bodies[0] + b" ", receiver.headers[0])
    assert stands(database, webhook).delivered_us == now_us


def test_a_new_secret_and_the_former_one_verify_for_a_day(database: Database, receiver: Hook) -> None:
    now_us, one = int(time.time()) * SECOND, workspace(database)
    webhook = make(database, one, receiver.url)
    rotated = services.rotate(database, caller(database, one), webhook.id, now_us)
    assert rotated.secret != webhook.secret
    assert rotated.signers(now_us) == (rotated.secret, webhook.secret)
    assert rotated.signers(now_us + 24 * HOUR) == (rotated.secret,)
    services.test(database, caller(database, one), webhook.id, now_us)
    assert send_all(database, now_us) == 1
    for secret in (webhook.secret, rotated.secret):
        Verifier(secret).verify(receiver.bodies[0], receiver.headers[0])
    assert receiver.told[0]["type"] == "webhook.test"


def test_the_order_of_a_person_and_the_others_meanwhile(database: Database, receiver: Hook) -> None:
    """What follows a failed message about the same person waits with it; what is about others does not."""
    one = workspace(database)
    make(database, one, receiver.url)
    for n in range(3):
        send(database, one, *attributes({**ANN, "a": n}))
    applier(database).drain(one)
    receiver.status = 500
    assert send_all(database) == 0
    receiver.status = 200
    send(database, one, *attributes({"external_id": "bob"}))
    applier(database).drain(one)
    assert send_all(database) == 1
    assert send_all(database, NOW_US + PAUSES[0] * SECOND - 1) == 0
    assert send_all(database, NOW_US + PAUSES[0] * SECOND) == 3
    told = [(one["data"]["external_id"], one["data"]["changed"]) for one in receiver.told]
    first = ("ann", ["custom_attributes.a", "external_id"])
    assert told == [first, ("bob", ["external_id"]), first, *[("ann", ["custom_attributes.a"])] * 2]


def test_a_message_that_nobody_takes_is_dead_and_can_be_sent_again(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    webhook = make(database, one, receiver.url)
    send(database, one, *attributes(ANN))
    applier(database).drain(one)
    receiver.status, now_us = 302, NOW_US
    for pause in (*PAUSES, 0):
        now_us = max(now_us, stands(database, webhook).rests_until_us)
        assert send_all(database, now_us) == 0
        now_us += pause * SECOND
    assert kept(database, webhook) == []
    (dead,) = kept(database, webhook, DEAD)
    assert (dead.attempts, dead.error) == (len(PAUSES) + 1, "status_302")
    assert len(receiver.told) == len(PAUSES) + 1
    assert stands(database, webhook).error == "status_302"
    receiver.status = 204
    assert services.replay(database, caller(database, one), webhook.id, now_us) == 1
    assert send_all(database, now_us) == 1
    assert [each["webhook-id"] for each in receiver.headers] == [dead.id] * (len(PAUSES) + 2)


def test_a_receiver_that_is_away_is_not_asked_for_every_message(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    webhook = make(database, one, receiver.url)
    for n in range(30):
        send(database, one, *attributes({"external_id": f"u{n}"}))
    applier(database).drain(one)
    receiver.status = 503
    now_us = NOW_US
    for _ in range(5):
        now_us = max(now_us, stands(database, webhook).rests_until_us)
        assert send_all(database, now_us) == 0
    assert len(receiver.told) <= 3 + 4 + 4  # those under way at once, and one after each rest
    assert stands(database, webhook).failures == len(receiver.told)
    receiver.status = 200
    now_us += HOUR
    while send_all(database, now_us):
        pass
    assert len({each["webhook-id"] for each in receiver.headers}) == 30
    assert (stands(database, webhook).failures, kept(database, webhook)) == (0, [])


def test_of_two_senders_one_sends(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    make(database, one, receiver.url)
    send(database, one, *attributes(ANN))
    applier(database).drain(one)
    tell(database)
    first, second = sender(database), sender(database)
    (mine,), (theirs,) = first.ready(), second.ready()
    assert outbox.take(database, mine, NOW_US, NOW_US + LEASE_US, 10, resting=False) != []
    assert outbox.take(database, theirs, NOW_US, NOW_US + LEASE_US, 10, resting=False) is None
    assert sender(database).ready() == []
    assert send_all(database, NOW_US + LEASE_US) == 1  # the first one died


def test_a_webhook_is_told_what_it_wants_while_it_is_enabled(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    webhook = make(database, one, receiver.url, events=["profile.updated", "profile.deleted"])
    owner = caller(database, one)
    send(database, one, *attributes(ANN))
    send(database, one, *attributes({**ANN, "a": 1}))
    applier(database).drain(one)
    assert send_all(database) == 1
    services.change(database, owner, webhook.id, {"enabled": False}, NOW_US, SETTINGS)
    send(database, one, *attributes({**ANN, "a": 2}))
    applier(database).drain(one)
    services.change(database, owner, webhook.id, {"enabled": True}, NOW_US, SETTINGS)
    send(database, one, "/users/delete", {"external_ids": ["ann"]})
    applier(database).drain(one)
    assert send_all(database) == 1
    assert [each["type"] for each in receiver.told] == ["profile.updated", "profile.deleted"]
    assert receiver.told[1]["data"]["external_id"] == "ann"
    services.delete(database, owner, webhook.id)
    with pytest.raises(UnknownWebhookError):
        services.one(database, owner, webhook.id)


def test_private_addresses_and_the_bound_of_webhooks(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    for _ in range(SETTINGS.most):
        make(database, one, receiver.url)
    with pytest.raises(TooManyWebhooksError):
        make(database, one)
    public = replace(SETTINGS, allow_private=False)
    fields = contract.new({"url": "http://127.0.0.1/", "events": ["profile.created"]})
    with pytest.raises(RefusedError):
        services.create(database, caller(database, workspace(database, "other")), fields, NOW_US, public)
    send(database, one, *attributes(ANN))
    applier(database).drain(one)
    assert send_all(database, private=False) == 0
    assert receiver.told == []
    assert {each.error for each in services.listed(database, caller(database, one))} == {"refused_address"}


def waiting(database: Database, one: int) -> int:
    """Of how many profiles something is not told yet."""
    with database.read() as connection:
        return len(webhook_events.waiting(connection, one))


@pytest.mark.parametrize("told", [False, True], ids=["events", "messages"])
def test_nothing_of_a_deleted_person_is_told(database: Database, receiver: Hook, told: bool) -> None:
    """Neither what was about them, nor their name in what is about others."""
    one = workspace(database)
    send(database, one, *attributes(ANN))
    send(database, one, *attributes({**GUEST, "b": 1, "_update_existing_only": False}))
    applier(database).drain(one)
    make(database, one, receiver.url)
    merge = {"merge_updates": [{"identifier_to_merge": GUEST, "identifier_to_keep": ANN}]}
    send(database, one, "/users/merge", merge)
    applier(database).drain(one)
    with database.read() as connection:
        ((ann, guest, braze_id),) = connection.execute(
            text("select kept_pid, merged_pid, merged_braze_id from merge_record")
        ).all()
    if told:
        tell(database)
    with database.write() as connection:
        outbox.erase(connection, one, [guest])
        merges.erase(connection, one, [guest])
    assert send_all(database) == 1
    assert (receiver.told[0]["type"], braze_id.encode() in receiver.bodies[0]) == ("profile.merged", False)
    send(database, one, *attributes({**ANN, "a": 1}))
    applier(database).drain(one)
    if told:
        tell(database)
    with database.write() as connection:
        for table in ("profile", "merge_record"):
            connection.execute(text(f"delete from {table}"))
        outbox.erase(connection, one, [ann])
    assert send_all(database) == 0
    assert waiting(database, one) == 0


def test_a_merge_names_who_was_merged(database: Database, receiver: Hook) -> None:
    one = workspace(database)
    send(database, one, *attributes(ANN))
    send(database, one, *attributes({**GUEST, "b": 1, "_update_existing_only": False}))
    applier(database).drain(one)
    make(database, one, receiver.url)
    send(database, one, *attributes({**GUEST, "b": 2}))
    merge = {"merge_updates": [{"identifier_to_merge": GUEST, "identifier_to_keep": ANN}]}
    send(database, one, "/users/merge", merge)
    applier(database).drain(one)
    assert send_all(database) == 2
    told = {each["type"]: each["data"] for each in receiver.told}
    assert told["profile.merged"]["merged_braze_ids"] == [told["profile.updated"]["braze_id"]]
    assert (told["profile.merged"]["external_id"], told["profile.updated"]["external_id"]) == ("ann", None)


def test_a_deletion_reads_no_messages_about_others(database: Database) -> None:
    """However many wait: a look at each of them would hold the lane."""
    one = workspace(database)
    webhook = make(database, one)
    message = Message(0, webhook.id, "", 1, 0, 1, NOW_US, MERGED, {"others": [1]}, DUE, 0, NOW_US, "")
    with database.write() as connection:
        outbox.add(connection, one, [replace(message, pid=n, id=f"evt_{n}") for n in range(1, 900)])
    plans: list[str] = []
    show = "explain " if database.is_postgresql else "explain query plan "

    def explain(connection: Connection, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        if "webhook_message" in statement and not statement.startswith(show):
            plans.append(str(connection.exec_driver_sql(show + statement, parameters).all()))

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        outbox.erase(connection, one, [7])
    assert len(plans) == 1
    assert re.search(r"workspace_id ?= ?[^ )]+\)? AND \(?pid ?=", plans[0]), plans[0]
    assert len(kept(database, webhook)) == 898


def test_what_is_too_old_or_too_much_goes_and_is_counted(database: Database) -> None:
    one = workspace(database)
    webhook = make(database, one)
    for n in range(20):
        send(database, one, *attributes({"external_id": f"u{n}"}))
    applier(database).drain(one)
    assert outbox.trim(database, NOW_US, 10**6) == 0
    size = 250 + len(str(kept(database, webhook)[0].doc))
    dropped = outbox.trim(database, NOW_US, 10 * size)
    assert 8 <= dropped <= 12
    left = [message.doc["external_id"] for message in kept(database, webhook)]
    assert left == [f"u{n}" for n in range(dropped, 20)]  # the newest stay
    assert outbox.trim(database, NOW_US + SECOND, 10**6) == 20 - dropped
    assert stands(database, webhook).dropped == 20


def test_events_that_nobody_tells_are_bounded_and_counted(database: Database) -> None:
    """Where no sweeper runs, or it is too slow."""
    one = workspace(database)
    webhook = make(database, one)
    blind = make(database, one, events=["profile.deleted"])
    worker = applier(database)
    for n in range(20):
        send(database, one, *attributes({"external_id": f"u{n}"}))
        worker.drain(one)
    with database.read() as connection:
        size = connection.execute(text("select sum(length(doc) + 50) from webhook_event")).scalar_one()
    assert outbox.trim(database, NOW_US, size) == 0
    assert 9 <= (dropped := outbox.trim(database, NOW_US, size // 2)) <= 11
    left = [message.doc["external_id"] for message in kept(database, webhook)]
    assert left == [f"u{n}" for n in range(dropped, 20)]
    send(database, one, *attributes({"external_id": "late"}))
    worker.drain(one)
    assert outbox.trim(database, NOW_US + SECOND, 10**9) == 21 - dropped
    assert (waiting(database, one), kept(database, webhook)) == (0, [])
    assert (stands(database, webhook).dropped, stands(database, blind).dropped) == (21, 0)


def test_whatever_changes_is_told_also_of_a_crowd(database: Database) -> None:
    """Only so many of those who have an address."""
    one = workspace(database)
    people = [{"external_id": f"u{n}", "email": "all@example.org"} for n in range(60)]
    send(database, one, *attributes(*people))
    applier(database).drain(one)
    webhook = make(database, one)
    send(database, one, "/email/status", {"email": "all@example.org", "subscription_state": "unsubscribed"})
    applier(database).drain(one)
    assert len(kept(database, webhook)) == 60


def test_no_webhook_no_messages(database: Database) -> None:
    one = workspace(database)
    send(database, one, *attributes(ANN))
    applier(database).drain(one)
    with database.read() as connection:
        assert connection.execute(text("select count(*) from webhook_message")).scalar_one() == 0
