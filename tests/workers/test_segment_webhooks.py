"""Webhooks of segments: who enters and who leaves is told once, in order, and of nobody else anything."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.contract.errors import RefusedError
from app.domain.times import DAY, HOUR, MINUTE
from app.domain.watching import decide
from app.domain.webhooks import CREATED, UPDATED, Webhook, names_of
from app.services import segments
from app.services import webhooks as services
from app.store import outbox, watches
from app.store.engine import Database
from app.store.watches import Watch
from tests.accepting import send
from tests.applying import applier
from tests.fuzz.size import cases
from tests.hooks import hook
from tests.stores import NOW_US, workspace
from tests.webhooks import (
    ANN,
    GOLD,
    GUEST,
    SETTINGS,
    attributes,
    caller,
    kept,
    make,
    segment,
    send_all,
    tell,
    watch,
    watching,
)

Json = dict[str, Any]
_names = (f"s{n}" for n in itertools.count())
ENTERED, LEFT = "segment.entered", "segment.left"
#: People who were seen buying within two days.
LATELY: Json = {
    "groups": [{"op": "AND", "filters": [{"field": "last_purchase", "op": "less_than_x_days_ago", "value": 2}]}]
}
GOLDEN = {**ANN, "tier": "gold"}


@pytest.fixture(autouse=True)
def _noted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine, who is in a segment is noted while its webhook is made."""
    monkeypatch.setattr(services, "NOTING_SECONDS", 600.0)


def told(database: Database, webhook: Webhook, now_us: int = NOW_US) -> list[tuple[str | None, list[str]]]:
    """(external id, types) of what is told since the last time."""
    watch(database, now_us)
    messages = kept(database, webhook)
    with database.write() as connection:
        outbox.delete(connection, webhook.workspace_id, messages)
    return [(message.doc["external_id"], names_of(message.types)) for message in messages]


def apply(database: Database, one: int, *requests: tuple[str, Json]) -> None:
    for path, body in requests:
        assert send(database, one, path, body)
    applier(database).drain(one)


def rows(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"select count(*) from {table}")).scalar_one())


DELETE = ("/users/delete", {"external_ids": ["ann"]})
MERGE = ("/users/merge", {"merge_updates": [{"identifier_to_merge": GUEST, "identifier_to_keep": ANN}]})
NEW_GUEST = {**GUEST, "_update_existing_only": False}
UPDATE, CREATE = "profile.updated", "profile.created"
#: What was before, what happens, and what is told of it.
TOLD: list[tuple[str, list[tuple[str, Json]], list[tuple[str, Json]], list[tuple[str | None, list[str]]]]] = [
    ("made inside", [], [attributes(GOLDEN)], [("ann", [ENTERED, CREATE])]),
    ("made outside", [], [attributes(ANN)], []),
    ("entered", [attributes(ANN)], [attributes(GOLDEN)], [("ann", [ENTERED, UPDATE])]),
    ("left", [attributes(GOLDEN)], [attributes({**ANN, "tier": "tin"})], [("ann", [LEFT, UPDATE])]),
    ("inside", [attributes(GOLDEN)], [attributes({**ANN, "a": 1})], [("ann", [UPDATE])]),
    ("outside", [attributes(ANN)], [attributes({**ANN, "a": 1})], []),
    (
        "entered, then changed",
        [attributes(ANN)],
        [attributes(GOLDEN), attributes({**ANN, "a": 1})],
        [("ann", [ENTERED, UPDATE]), ("ann", [UPDATE])],
    ),
    (
        "changed, then left",
        [attributes(GOLDEN)],
        [attributes({**ANN, "a": 1}), attributes({**ANN, "tier": None})],
        [("ann", [UPDATE]), ("ann", [LEFT, UPDATE])],
    ),
    ("deleted inside", [attributes(GOLDEN)], [DELETE], [("ann", ["profile.deleted", LEFT])]),
    ("deleted outside", [attributes(ANN)], [DELETE], []),
    ("made inside and deleted", [], [attributes(GOLDEN), DELETE], []),
    (
        "merged away from inside",
        [attributes(ANN), attributes({**NEW_GUEST, "tier": "gold"})],
        [attributes({**ANN, "tier": "tin"}), MERGE],
        [(None, [LEFT])],
    ),
    (
        "merged, and so inside",
        [attributes(ANN), attributes({**NEW_GUEST, "tier": "gold"})],
        [MERGE],
        [(None, [LEFT]), ("ann", ["profile.merged", ENTERED, UPDATE])],
    ),
]


@pytest.mark.parametrize(("before", "after", "wanted"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_who_is_told_of(
    database: Database,
    before: list[tuple[str, Json]],
    after: list[tuple[str, Json]],
    wanted: list[tuple[str | None, list[str]]],
) -> None:
    one = workspace(database)
    apply(database, one, *before)
    webhook = watching(database, one)
    assert told(database, webhook) == []
    apply(database, one, *after)
    found = told(database, webhook)
    assert sorted(found, key=str) == sorted(wanted, key=str)
    assert [types for _, types in found if UPDATE in types or CREATE in types] == [
        types for _, types in wanted if UPDATE in types or CREATE in types
    ]
    assert told(database, webhook) == []


def test_only_what_is_wanted_is_told(database: Database) -> None:
    one = workspace(database)
    passages = watching(database, one, events=[ENTERED, LEFT])
    changes = watching(database, one, events=[UPDATE])
    other = make(database, one, events=[UPDATE])
    for n, tier in enumerate(("tin", "gold", "gold", "tin")):
        apply(database, one, attributes({**ANN, "tier": tier, "n": n}))
        watch(database)
    assert [types for _, types in told(database, passages)] == [[ENTERED, UPDATE], [LEFT, UPDATE]]
    assert [types for _, types in told(database, changes)] == [[ENTERED, UPDATE], [UPDATE], [LEFT, UPDATE]]
    assert len(told(database, other)) == 3


def test_time_alone_lets_people_in_and_out(database: Database) -> None:
    one = workspace(database)
    bought = {**ANN, "product_id": "p", "currency": "USD", "price": 1, "time": "2026-11-17T00:00:00Z"}
    webhook = watching(database, one, LATELY)
    apply(database, one, ("/users/track", {"purchases": [bought]}))
    with database.read() as connection:
        (last,) = connection.execute(text("select last_purchase_us from profile")).scalars()
    now_us = last + HOUR
    watch(database, now_us)
    assert told(database, webhook, now_us) == [("ann", [ENTERED, CREATE])]
    assert told(database, webhook, last + 2 * DAY) == []
    assert told(database, webhook, last + 2 * DAY + 5 * MINUTE) == [("ann", [LEFT])]
    assert told(database, webhook, last + 3 * DAY) == []


def test_a_message_that_time_caused_has_no_request(database: Database) -> None:
    one = workspace(database)
    apply(database, one, attributes(GOLDEN))
    webhook = watching(database, one)
    owner = caller(database, one)
    tin = {"groups": [{**GOLD["groups"][0], "filters": [{**GOLD["groups"][0]["filters"][0], "value": "tin"}]}]}
    segments.change(database, owner, webhook.segment_id, tin, NOW_US)
    apply(database, one, attributes({"external_id": "bob", "tier": "tin"}))
    watch(database)
    found = {message.doc["external_id"]: message for message in kept(database, webhook)}
    assert {name: names_of(message.types) for name, message in found.items()} == {
        "bob": [ENTERED, CREATE],
        "ann": [LEFT],
    }
    assert (found["ann"].seq, found["ann"].doc["changed"]) == (0, [])


def test_what_a_message_says_of_a_passage(database: Database) -> None:
    one = workspace(database)
    with hook() as receiver:
        webhook = make(database, one, receiver.url, events=[ENTERED, LEFT], segment_id=segment(database, one))
        apply(database, one, attributes(GOLDEN))
        watch(database)
        segments.change(database, caller(database, one), webhook.segment_id, LATELY, NOW_US)
        watch(database)
        assert send_all(database) == 2
    entered, left = receiver.told
    assert (entered["type"], left["type"]) == (ENTERED, LEFT)
    assert entered["data"]["request_id"] is not None
    assert (left["data"]["request_id"], left["data"]["external_id"], left["data"]["types"]) == (None, "ann", [LEFT])


#: As in the guide, "Message guests before they log in".
GUESTS: Json = {
    "groups": [
        {
            "op": "AND",
            "filters": [{"field": "external_id", "op": "is_blank"}, {"field": "email_available", "op": "is_true"}],
        }
    ]
}
IDENTIFY = ("/users/identify", {"aliases_to_identify": [{"external_id": "ann", **GUEST}]})
UNSUBSCRIBE = ("/email/status", {"email": "guest@example.org", "subscription_state": "unsubscribed"})


@pytest.mark.parametrize(
    ("before", "end"),
    [
        ([], IDENTIFY),
        ([attributes(ANN)], IDENTIFY),
        ([attributes(ANN)], MERGE),
        ([], UNSUBSCRIBE),
        ([], ("/users/delete", {"user_aliases": [GUEST["user_alias"]]})),
    ],
    ids=["gets an external id", "is merged by it", "is merged", "unsubscribes", "is deleted"],
)
def test_a_guest_with_an_address_until_they_are_none(
    database: Database, before: list[tuple[str, Json]], end: tuple[str, Json]
) -> None:
    one = workspace(database)
    apply(database, one, *before)
    with hook() as receiver:
        make(
            database,
            one,
            receiver.url,
            events=[ENTERED, LEFT],
            segment_id=segment(database, one, GUESTS),
            include="profile",
        )
        apply(database, one, attributes(NEW_GUEST))
        watch(database)
        assert send_all(database) == 0
        apply(database, one, attributes({**GUEST, "email": "guest@example.org", "cart": ["mug"]}))
        watch(database)
        assert send_all(database) == 1
        apply(database, one, end)
        watch(database)
        assert send_all(database) == 1
    entered, left = receiver.told
    assert (entered["type"], left["type"]) == (ENTERED, LEFT)
    assert (entered["data"]["email"], entered["data"]["user_aliases"]) == ("guest@example.org", [GUEST["user_alias"]])
    assert entered["data"]["profile"]["custom_attributes"] == {"cart": ["mug"]}
    assert left["data"]["braze_id"] == entered["data"]["braze_id"]


def test_nobody_who_is_inside_already_is_told_of(database: Database) -> None:
    """Neither at first, nor with another segment, nor when it is switched on again; and what was is gone."""
    one = workspace(database)
    apply(database, one, attributes(GOLDEN, {"external_id": "bob", "tier": "gold"}))
    webhook, owner = watching(database, one), caller(database, one)
    assert rows(database, "webhook_member") == 2
    assert told(database, webhook) == []
    services.change(database, owner, webhook.id, {"enabled": False}, NOW_US, SETTINGS)
    watch(database)
    assert [rows(database, table) for table in ("webhook_member", "webhook_watch")] == [0, 0]
    apply(database, one, attributes({"external_id": "eve", "tier": "gold"}))
    services.change(database, owner, webhook.id, {"enabled": True}, NOW_US, SETTINGS)
    assert told(database, webhook) == []
    assert rows(database, "webhook_member") == 3
    other = segment(database, one, LATELY)
    services.change(database, owner, webhook.id, {"segment_id": other}, NOW_US, SETTINGS)
    assert told(database, webhook) == []
    assert rows(database, "webhook_member") == 0
    services.change(database, owner, webhook.id, {"segment_id": "", "events": (UPDATE,)}, NOW_US, SETTINGS)
    watch(database)
    assert rows(database, "webhook_watch") == 0
    apply(database, one, attributes({**ANN, "a": 1}))
    assert told(database, webhook) == [("ann", [UPDATE])]


def test_members_go_with_the_webhook_and_a_segment_stays_while_it_has_one(database: Database) -> None:
    one = workspace(database)
    apply(database, one, attributes(GOLDEN))
    webhook, owner = watching(database, one), caller(database, one)
    apply(database, one, attributes({**ANN, "a": 1}))
    tell(database)
    with pytest.raises(RefusedError, match="webhook"):
        segments.remove(database, owner, webhook.segment_id)
    services.delete(database, owner, webhook.id)
    assert rows(database, "webhook_message") == 0
    watch(database)
    assert [rows(database, table) for table in ("webhook_member", "webhook_watch")] == [0, 0]
    segments.remove(database, owner, webhook.segment_id)
    with pytest.raises(RefusedError, match="segment_id"):
        make(database, one, segment_id=webhook.segment_id)
    with pytest.raises(RefusedError, match="segment_id"):
        make(database, one, events=[ENTERED])


def test_a_segment_that_is_too_large_switches_its_webhook_off(database: Database) -> None:
    one = workspace(database)
    people = [{"external_id": f"u{n}", "tier": "gold"} for n in range(5)]
    apply(database, one, attributes(*people))
    owner, segment_id = caller(database, one), segment(database, one)
    few = replace(SETTINGS, most_members=4)
    fields = {"url": "http://127.0.0.1:9/", "events": (UPDATE,), "with_profile": False, "enabled": True}
    made = services.create(database, owner, {**fields, "segment_id": segment_id}, NOW_US, few)
    assert (made.enabled, made.error) == (False, "segment_too_large")
    watch(database, most=4)
    assert [rows(database, table) for table in ("webhook_member", "webhook_watch")] == [0, 0]
    enough = replace(SETTINGS, most_members=5)
    assert services.change(database, owner, made.id, {"enabled": True}, NOW_US, enough).enabled
    apply(database, one, attributes({"external_id": "one more", "tier": "gold"}))
    watch(database, most=5)
    stands = services.one(database, owner, made.id)
    assert (stands.enabled, stands.error) == (False, "segment_too_large")


def test_nobody_deleted_stays_a_member(database: Database) -> None:
    one = workspace(database)
    apply(database, one, attributes(GOLDEN, {"external_id": "bob", "tier": "gold"}))
    webhook = watching(database, one, events=[UPDATE])
    apply(database, one, DELETE)
    assert rows(database, "webhook_member") == 1
    with database.read() as connection:
        found = watches.find(connection, one, webhook.id)
    assert found is not None
    assert found.members == 1
    assert told(database, webhook) == []


def test_who_changed_while_the_first_look_was_under_way(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told of as entering; whoever was looked at before they changed is not."""
    monkeypatch.setattr(services, "NOTING_SECONDS", -1.0)  # a large workspace: the sweeper does all of it
    one = workspace(database)
    apply(database, one, attributes(GOLDEN))
    webhook = watching(database, one)
    apply(database, one, attributes({"external_id": "bob", "tier": "gold"}))
    assert told(database, webhook) == [("bob", [ENTERED, CREATE])]
    assert rows(database, "webhook_member") == 2


def test_rounds_look_at_everybody_in_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "CHUNK", 3)
    one = workspace(database)
    people = [{"external_id": f"u{n}", "tier": "gold" if n % 2 else "tin"} for n in range(10)]
    apply(database, one, attributes(*people))
    webhook = watching(database, one)
    assert rows(database, "webhook_member") == 5
    with database.write() as connection:  # as if these had entered and left unseen
        connection.execute(text("delete from webhook_member where pid in (select min(pid) from webhook_member)"))
        other = connection.execute(text("select pid from profile where external_id = 'u8'")).scalar_one()
        watch_ = watches.find(connection, one, webhook.id)
        assert isinstance(watch_, Watch)
        watches.change(connection, watch_, [other], (), 10**6)
    assert told(database, webhook) == []
    later = NOW_US + HOUR
    assert sorted(told(database, webhook, later)) == [("u1", [ENTERED]), ("u8", [LEFT])]
    assert rows(database, "webhook_member") == 5
    services.change(database, caller(database, one), webhook.id, {"enabled": False}, NOW_US, SETTINGS)
    watch(database)
    assert rows(database, "webhook_watch") == 0


@settings(deadline=None, max_examples=cases(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "tell", "look", "later"]), st.integers(0, 2), st.sampled_from(["gold", "tin"])
        ),
        max_size=16,
    )
)
def test_passages_alternate_and_end_where_people_are(database: Database, steps: list[tuple[str, int, str]]) -> None:
    """However writes, the making of messages, decisions and rounds follow each other."""
    one, now_us = workspace(database, next(_names)), NOW_US
    webhook = watching(database, one, events=[ENTERED, LEFT])
    worker = applier(database)
    seen: dict[str | None, list[str]] = {}
    inside: dict[str, bool] = {}
    for kind, person, tier in [*steps, ("look", 0, ""), ("later", 0, "")]:
        if kind == "write":
            send(database, one, *attributes({"external_id": f"u{person}", "tier": tier}))
            worker.drain(one)
            inside[f"u{person}"] = tier == "gold"
        elif kind == "tell":
            tell(database, now_us)
        else:
            now_us += 2 * HOUR if kind == "later" else 1
            for name, types in told(database, webhook, now_us):
                seen.setdefault(name, []).extend(each for each in types if each in (ENTERED, LEFT))
    for name, passages in seen.items():
        assert passages == [ENTERED, LEFT] * (len(passages) // 2) + [ENTERED] * (len(passages) % 2), name
    assert {name: bool(len(seen.get(name, ())) % 2) for name in inside} == inside


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([CREATED, UPDATED]))),
    st.sets(st.integers(1, 4)),
    st.sets(st.integers(1, 4)),
)
def test_of_several_events_one_tells_of_the_passage(
    events: list[tuple[int, int]], before: set[int], now: set[int]
) -> None:
    decided = decide(events, before, now, -1)
    for pid in {pid for pid, _ in events}:
        types = [one for one, (each, _) in zip(decided, events, strict=True) if each == pid]
        passages = [name for one in types for name in names_of(one) if name in (ENTERED, LEFT)]
        assert passages == [ENTERED] * (pid in now - before) + [LEFT] * (pid in before - now)
        assert all(types) == (pid in before | now)
