"""POST /v1/sdk/data over HTTP, on both stores: visitors, log-ins, sessions, duplicates, clocks, who may send."""

import asyncio
import random
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from app.contract import errors, identifiers, sdk
from app.contract.sdk_records import BAD_DESCRIPTION
from app.domain import times
from app.domain.profile import DEVICE
from app.services.sdk import Known
from app.store import apps
from tests.api.harness import Json, Service, Workspace, running, settings_for, stable, times_now
from tests.api.merging import merges, undo
from tests.api.reference import equal
from tests.api.sdk import (
    ADA,
    BOB,
    DEVICE_ID,
    EXPIRED,
    LOGOUT,
    OTHER,
    PEM,
    SESSION,
    Shop,
    event,
    login,
    people,
    person,
)
from tests.servers import ValkeyServer

STORIES: dict[str, tuple[list[tuple[str, list[Json]]], list[Json]]] = {
    "an unknown device is an anonymous visitor": (
        [(DEVICE_ID, [SESSION, event("a")]), (DEVICE_ID, [event("a")])],
        [person(None, DEVICE_ID, sessions=1, a=2)],
    ),
    "a log-in with an unknown id identifies the visitor": (
        [(DEVICE_ID, [event("a"), login("ada"), event("b")])],
        [person("ada", DEVICE_ID, a=1, b=1)],
    ),
    "a log-in with a known id merges the visitor into the person": (
        [(DEVICE_ID, [SESSION, event("a"), login("ada")]), (OTHER, [SESSION, event("a"), login("ada"), event("b")])],
        [person("ada", DEVICE_ID, OTHER, sessions=2, a=2, b=1)],
    ),
    "from one person to another the device moves and no data": (
        [(DEVICE_ID, [event("a"), login("ada"), login("bob"), event("b")])],
        [person("ada", a=1), person("bob", DEVICE_ID, b=1)],
    ),
    "and back again": (
        [(DEVICE_ID, [login("ada"), event("a"), login("bob"), event("b")]), (DEVICE_ID, [login("ada"), event("c")])],
        [person("ada", DEVICE_ID, a=1, c=1), person("bob", b=1)],
    ),
    "a log-out begins a new visitor": (
        [(DEVICE_ID, [login("ada"), event("a"), LOGOUT, event("b")]), (DEVICE_ID, [event("b")])],
        [person("ada", a=1), person(None, DEVICE_ID, b=2)],
    ),
    "a visitor who logs out stays the same": (
        [(DEVICE_ID, [event("a"), LOGOUT, event("b")])],
        [person(None, DEVICE_ID, a=1, b=1)],
    ),
    "a known person's new device is anonymous at first": (
        [(DEVICE_ID, [login("ada")]), (OTHER, [event("a")])],
        [person("ada", DEVICE_ID), person(None, OTHER, a=1)],
    ),
    "the same log-in again changes nothing": (
        [(DEVICE_ID, [login("ada"), event("a"), login("ada"), event("a")])],
        [person("ada", DEVICE_ID, a=2)],
    ),
    "an id that stands for nobody logs nobody in": (
        [(DEVICE_ID, [event("a"), login("null"), event("b")])],
        [person(None, DEVICE_ID, a=1, b=1)],
    ),
    "a session counts once": (
        [(DEVICE_ID, [SESSION | {"session_id": "s"}]), (DEVICE_ID, [SESSION | {"session_id": "s"}, event("a")])],
        [person(None, DEVICE_ID, sessions=1, a=1)],
    ),
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one drain"])
def test_who_is_who(workspace: Workspace, story: str, at_once: bool) -> None:
    shop, (batches, expected) = Shop(workspace), STORIES[story]
    for device, records in batches:
        assert shop.post(shop.batch(*records, device=device), drain=not at_once).status == 201
    workspace.drain()
    assert people(workspace) == expected
    assert equal(workspace)


def test_a_person_of_the_api_meets_the_sdk(workspace: Workspace) -> None:
    """The FAQ says that what was anonymous is lost. Onefold keeps it (D13)."""
    workspace.track({"attributes": [{"external_id": "ada", "email": "ada@example.org"}, {"external_id": "bob"}]})
    never = {"groups": [{"filters": [{"field": "session_count", "op": "more_than", "value": 0}]}]}
    assert workspace.segment(never) == set()
    shop = Shop(workspace)
    shop.send(SESSION, event("a"), login("ada"))
    assert people(workspace) == [
        person("ada", DEVICE_ID, created="rest", sessions=1, a=1),
        person("bob", created="rest"),
    ]
    assert len(workspace.segment(never)) == 1
    blank = {"groups": [{"filters": [{"field": "external_id", "op": "is_blank"}]}]}
    assert workspace.segment(blank) == set()
    assert equal(workspace)


def test_a_batch_that_arrives_again_counts_once(workspace: Workspace) -> None:
    shop = Shop(workspace)
    first, second = shop.batch(SESSION, event("a")), shop.batch(event("b"))
    for body in (first, second, first, second, first):
        answer = shop.post(body)
        assert answer.counts == {"records": len(body["records"])}
    assert workspace.skipped(answer.request_id) == [("records", 0, "", "batch_known")]
    assert people(workspace) == [person(None, DEVICE_ID, sessions=1, a=1, b=1)]
    assert equal(workspace)


def test_batches_may_change_their_order_but_not_their_person(workspace: Workspace) -> None:
    shop = Shop(workspace)
    one, two, three, four, five = (shop.batch(event(name)) for name in "abcde")
    for body in (two, four, one, one, four):
        shop.post(body)
    assert people(workspace) == [person(None, DEVICE_ID, a=1, b=1, d=1)]
    shop.send(login("ada"))
    late = shop.post(three)  # may be of before a log-in of somebody else, in the batch that has not arrived
    assert workspace.skipped(late.request_id) == [("records", 0, "", "batch_late")]
    shop.post(five)
    assert people(workspace) == [person("ada", DEVICE_ID, a=1, b=1, d=1, e=1)]
    six, seven = shop.batch(event("a"), login("bob"), event("b")), shop.batch(event("c"), login("ada"), event("d"))
    shop.post(seven)
    late = shop.post(six)
    assert workspace.skipped(late.request_id) == [("records", n, "", "batch_late") for n in range(3)]
    assert people(workspace) == [person("ada", DEVICE_ID, a=1, b=1, c=1, d=2, e=1)]
    eight, nine = shop.batch(event("e")), shop.batch(event("a"), {"type": "logout"}, event("f"))
    shop.post(nine)
    late = shop.post(eight | {"records": [*eight["records"], event("g") | {"seq": 1_000}]})
    assert workspace.skipped(late.request_id) == [("records", 0, "", "batch_late")]
    assert people(workspace) == [person("ada", a=2, b=1, c=1, d=2, e=1), person(None, DEVICE_ID, f=1, g=1)]
    assert equal(workspace)


def test_a_batch_that_is_very_old_counts_as_known(workspace: Workspace) -> None:
    shop = Shop(workspace)
    first = shop.batch(event("a"))
    for _ in range(60):
        shop.send(event("b"))
    assert workspace.skipped(shop.post(first).request_id) == [("records", 0, "", "batch_known")]


def test_what_a_device_tells(workspace: Workspace) -> None:
    shop = Shop(workspace)
    workspace.post("/v1/subscription_groups", {"id": "news", "name": "News", "channel": "email"})
    described = {
        "model": "Pixel 9", "os": "Android", "browser": "Chrome", "locale": "de-AT", "time_zone": "Europe/Vienna",
        "ad_tracking_enabled": False, "battery": 5, "carrier": 7,
    }  # fmt: skip
    answer = shop.send(
        SESSION,
        {"type": "device", "device": described},
        {"type": "attributes", "attributes": {"first_name": "Ada", "email": "Ada@Example.org", "tier": "gold", "n": 1}},
        {"type": "attributes", "attributes": {"n": {"inc": 2}}},
        event("viewed", properties={"sku": "m", "time": 5}),
        {"type": "purchase", "product_id": "mug", "currency": "usd", "price": 2.5, "quantity": 2},
        {"type": "alias", "alias_label": "cookie", "alias_name": "c-1"},
        {"type": "push_token", "token": "push-1"},
        {"type": "subscription_group", "subscription_group_id": "news", "subscription_state": "subscribed"},
        {"type": "session_end"},
        app_version="1.2.0",
    )
    assert set(workspace.skipped(answer.request_id)) == {
        ("records", 1, "battery", "invalid_name"),
        ("records", 1, "carrier", "invalid_value"),
        ("records", 4, "time", "reserved_name"),
    }
    (user,) = workspace.export(device_id=DEVICE_ID)
    now = user["apps"][0]["first_used"]
    assert stable(user) == {
        "user_aliases": [{"alias_name": "c-1", "alias_label": "cookie"}],
        "first_name": "Ada",
        "email": "ada@example.org",
        "country": "AT",
        "language": "de",
        "time_zone": "Europe/Vienna",
        "custom_attributes": {"tier": "gold", "n": 3},
        "custom_events": [{"name": "viewed", "first": now, "last": now, "count": 1}],
        "purchases": [{"name": "mug", "first": now, "last": now, "count": 2}],
        "total_revenue": 5.0,
        "push_subscribe": "subscribed",
        "email_subscribe": "subscribed",
        "apps": [
            {"name": "Shop", "platform": "web", "version": "1.2.0", "sessions": 1, "first_used": now, "last_used": now}
        ],
        "devices": [
            {
                "device_id": DEVICE_ID, "model": "Pixel 9", "os": "Android", "browser": "Chrome", "locale": "de-AT",
                "time_zone": "Europe/Vienna", "ad_tracking_enabled": False,
            }
        ],
        "push_tokens": [
            {
                "app": shop.app.id, "platform": "web", "token": "push-1", "device_id": DEVICE_ID,
                "notifications_enabled": True, "provisionally_opted_in": False,
            }
        ],
    }  # fmt: skip
    for name, value in (("browser", "Chrome"), ("device_model", "Pixel 9"), ("device_os", "Android")):
        found = workspace.segment({"groups": [{"filters": [{"field": name, "op": "equals", "value": value}]}]})
        assert len(found) == 1, name
    for app_ids, size in (([shop.app.id], 1), ("none", 0), (["other"], 0)):
        assert len(workspace.segment({"apps": app_ids})) == size
    assert equal(workspace)


def test_what_is_guessed_goes_behind_what_is_said(workspace: Workspace) -> None:
    shop = Shop(workspace)
    shop.send({"type": "device", "device": {"locale": "de-DE"}}, login("ada"))
    shop.send({"type": "device", "device": {"locale": "fr-CH"}})
    assert (workspace.user("ada")["language"], workspace.user("ada")["country"]) == ("fr", "CH")
    workspace.track({"attributes": [{"external_id": "ada", "language": "it"}]})
    shop.send({"type": "device", "device": {"locale": "es-ES", "browser": None}})
    assert (workspace.user("ada")["language"], workspace.user("ada")["country"]) == ("it", "ES")


def test_push_tokens_go_with_their_device(workspace: Workspace) -> None:
    shop = Shop(workspace, "ios")
    imported = [{"app_id": shop.app.id, "token": "t"}]
    workspace.track({"attributes": [{"push_token_import": True, "push_tokens": imported, "country": "IT"}]})
    shop.send({"type": "push_token", "token": "t"})
    assert people(workspace) == [person(None, DEVICE_ID)]
    shop.send(login("ada"))
    assert workspace.user("ada")["country"] == "IT"
    shop.send(LOGOUT)
    assert "push_tokens" not in workspace.user("ada")
    (visitor,) = workspace.export(device_id=DEVICE_ID)
    assert [one["token"] for one in visitor["push_tokens"]] == ["t"]
    assert equal(workspace)


def test_order_is_that_of_the_sequence_and_clocks_are_bounded(workspace: Workspace) -> None:
    shop, year = Shop(workspace), 365 * 86_400_000.0
    now = times_now() / 1000
    body: Json = {"device_id": DEVICE_ID, "batch": 1, "sent_at": now + year, "records": []}
    tiers = [("gold", 3, now + year - 1_000), ("iron", 1, now + year - 9_000), ("lead", 2, now + year - 20_000)]
    for tier, sequence, at in tiers:
        body["records"].append({"type": "attributes", "seq": sequence, "at": at, "attributes": {"tier": tier}})
        body["records"].append({"type": "event", "seq": sequence + 10, "at": at, "name": tier})
    answer = shop.post(body)
    clock = answer.body["clock"]
    assert -year - 5_000 < clock["skew_ms"] <= -year + 5_000
    assert clock["bounded"] == 3  # what was said to be before the record before it
    (user,) = workspace.export(device_id=DEVICE_ID)
    assert user["custom_attributes"]["tier"] == "gold"
    first = {one["name"]: times.parse(one["first"]) for one in user["custom_events"]}
    assert 0 < times_now() - (first["iron"] or 0) < 60_000_000
    assert (first["iron"] or 0) <= (first["lead"] or 0) <= (first["gold"] or 0)
    future = shop.post({"device_id": DEVICE_ID, "batch": 2, "records": [event("x", seq=99, at=now + year)]})
    assert future.body["clock"] == {"skew_ms": None, "bounded": 1}
    ancient = shop.post({"device_id": DEVICE_ID, "batch": 3, "records": [event("y", seq=100, at=0)]})
    assert ancient.body["clock"] == {"skew_ms": None, "bounded": 1}
    exact = shop.post({"device_id": DEVICE_ID, "batch": 4, "records": [event("z", seq=101, ago=1_500)]})
    assert exact.body["clock"] == {"skew_ms": None, "bounded": 0}
    assert equal(workspace)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device_id": "short"}, sdk.BAD_DEVICE),
        ({"device_id": 5}, sdk.BAD_DEVICE),
        ({"device_id": "x" * 256}, sdk.BAD_DEVICE),
        ({"device_id": "nul\0nul\0nul"}, sdk.BAD_DEVICE),
        ({"batch": 0}, sdk.BAD_BATCH),
        ({"batch": "1"}, sdk.BAD_BATCH),
        ({"batch": 2**53}, sdk.BAD_BATCH),
        ({"records": []}, sdk.BAD_RECORDS % 500),
        ({"records": {}}, sdk.BAD_RECORDS % 500),
        ({"records": [{}] * 501}, sdk.BAD_RECORDS % 500),
        ({"sent_at": "now"}, sdk.BAD_SENT),
        ({"app_version": 5}, sdk.BAD_VERSION),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_batch_is(workspace: Workspace, change: Json, message: str) -> None:
    shop = Shop(workspace)
    answer = shop.post(shop.batch(event("a")) | change)
    assert (answer.status, answer.message) == (400, message)
    assert workspace.state().profiles == {}


def test_a_wrong_record_is_named_and_the_others_go_on(workspace: Workspace) -> None:
    shop = Shop(workspace)
    wrong: list[tuple[Any, str]] = [
        (5, "must be an object"),
        ({"type": "page", "seq": 1}, sdk.BAD_TYPE % ", ".join(sdk.READERS)),
        (event("a", seq=0), sdk.BAD_SEQUENCE),
        (event("a", seq=7), sdk.REPEATED_SEQUENCE),
        (event("a", seq=8, ago=-1), sdk.BAD_MOMENT),
        (event("", seq=9), "'name' is required"),
        ({"type": "purchase", "seq": 10, "product_id": "m", "currency": "x", "price": 1}, "'currency' is not valid"),
        ({"type": "attributes", "seq": 11, "attributes": {"external_id": "bob"}}, sdk.BAD_ATTRIBUTES),
        ({"type": "attributes", "seq": 11, "attributes": {"push_tokens": []}}, sdk.BAD_ATTRIBUTES),
        ({"type": "attributes", "seq": 11, "attributes": []}, sdk.BAD_ATTRIBUTES),
        ({"type": "attributes", "seq": 11, "attributes": {"email": "x"}}, identifiers.BAD_EMAIL),
        ({"type": "device", "seq": 12, "device": "phone"}, BAD_DESCRIPTION),
        ({"type": "alias", "seq": 13, "alias_label": "l"}, "'user_alias' must have 'alias_name' and 'alias_label'"),
        ({"type": "push_token", "seq": 14, "token": ""}, sdk.BAD_TOKEN),
        ({"type": "change_user", "seq": 15, "user_id": " "}, sdk.BAD_USER),
        ({"type": "session_start", "seq": 16, "session_id": "x" * 65}, sdk.BAD_SESSION),
        (
            {"type": "subscription_group", "seq": 17, "subscription_group_id": "x", "subscription_state": "subscribed"},
            "'subscription_group_id' is not a valid subscription group",
        ),
    ]  # fmt: skip
    records = [event("good", seq=7), *(record for record, _ in wrong)]
    answer = shop.post({"device_id": DEVICE_ID, "batch": 1, "records": records})
    assert (answer.status, answer.counts) == (201, {"records": 1})
    assert answer.types == [sentence for _, sentence in wrong]
    assert answer.errors == [("records", n) for n in range(1, len(records))]
    alone = shop.post({"device_id": DEVICE_ID, "batch": 2, "records": [wrong[1][0]]})
    assert (alone.status, alone.message, len(alone.types)) == (400, sdk.NOTHING_VALID, 1)
    assert people(workspace) == [person(None, DEVICE_ID, good=1)]


def test_who_may_send(workspace: Workspace) -> None:
    shop, other = Shop(workspace), Shop(workspace.service.workspace())
    body = shop.batch(event("a"))
    assert shop.post(body | {"sdk_key": shop.app.sdk_key}, X_Onefold_SDK_Key="").status == 201
    beacon = shop.batch(event("a"), sdk_key=shop.app.sdk_key)
    assert shop.post(beacon, X_Onefold_SDK_Key="", Content_Type="text/plain;charset=UTF-8").status == 201
    for key in ("sdk_" + "x" * 32, "nothing", shop.app.sdk_key[:-1], workspace.key):
        assert (shop.post(body, key=key).status, shop.post(body, key=key).message) == (401, errors.INVALID_KEY)
    assert shop.post(body, X_Onefold_SDK_Key="").status == 401
    assert shop.post(body, Content_Type="application/x-www-form-urlencoded").status == 415
    assert shop.post(b"{" + b" " * 300_000 + b"}").status == 413
    assert shop.post(b"{").status == 400
    # The key opens nothing else, and a device of one app is none of another.
    for method, path in (("GET", "/v1/apps"), ("POST", "/users/export/ids"), ("POST", "/users/track")):
        headers = {"Authorization": f"Bearer {shop.app.sdk_key}", "Content-Type": "application/json"}
        assert workspace.service.send(method, path, b"{}", headers).status == 401
    other.send(event("b"))
    assert people(workspace) == [person(None, DEVICE_ID, a=2)]
    assert people(other.workspace) == [person(None, DEVICE_ID, b=1)]


def test_two_apps_share_no_device(workspace: Workspace) -> None:
    shop = Shop(workspace)
    kiosk = apps.App("k" * 36, "Kiosk", "ios", apps.new_sdk_key(), 1)
    apps.create(workspace.service.database, workspace.id, kiosk, 10)
    shop.send(event("a"))
    shop.post(shop.batch(event("b")), key=kiosk.sdk_key)
    assert people(workspace) == [person(None, DEVICE_ID, a=1), person(None, DEVICE_ID, b=1)]
    assert len(workspace.export(device_id=DEVICE_ID)) == 2
    assert {key[1:] for key in workspace.state().index if key[0] == DEVICE} == {
        (shop.app.id, DEVICE_ID),
        (kiosk.id, DEVICE_ID),
    }


def test_pages_of_allowed_origins(workspace: Workspace) -> None:
    any_page = Shop(workspace)
    answer = any_page.post(any_page.batch(event("a")), Origin="https://anything.example")
    assert answer.headers["access-control-allow-origin"] == "https://anything.example"
    shop = Shop(workspace.service.workspace(), allowed_origins=("https://shop.example.org",))
    taken = shop.post(shop.batch(event("a")), Origin="https://shop.example.org")
    assert (taken.status, taken.headers["access-control-allow-origin"]) == (201, "https://shop.example.org")
    assert "retry-after" in taken.headers["access-control-expose-headers"].lower()
    refused = shop.post(shop.batch(event("b")), Origin="https://evil.example")
    assert (refused.status, refused.message) == (403, errors.ACCESS_DENIED)
    assert "access-control-allow-origin" not in refused.headers
    assert shop.post(shop.batch(event("c"))).status == 201  # no page
    assert people(shop.workspace) == [person(None, DEVICE_ID, a=1, c=1)]


def test_a_browser_asks_before(on_sqlite: Service) -> None:
    async def asked(path: str) -> httpx.Response:
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        return await on_sqlite._client.request("OPTIONS", path, headers=headers)

    answer = on_sqlite.loop.run(asked("/v1/sdk/data"))
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "https://a.example")
    assert "x-onefold-sdk-key" in answer.headers["access-control-allow-headers"].lower()
    assert on_sqlite.loop.run(asked("/users/track")).status_code == 404


def test_an_app_that_is_disabled_or_has_another_key(workspace: Workspace) -> None:
    shop = Shop(workspace)
    gateway = workspace.service.services.sdk
    assert shop.post(shop.batch(event("a"))).status == 201
    for values, status in (
        ({"disabled": True}, 403),
        ({"disabled": False}, 201),
        ({"sdk_key": apps.new_sdk_key()}, 401),
    ):
        assert apps.change(workspace.service.database, workspace.id, shop.app.id, values)
        gateway._known.clear()  # the time of the key cache is over
        assert shop.post(shop.batch(event("a"))).status == status


def test_limits_of_their_own(valkey_server: ValkeyServer, tmp_path: Any) -> None:
    settings = settings_for(
        f"sqlite:///{tmp_path}/onefold.db", valkey_server.url, tmp_path,
        sdk_batches_per_device=2, sdk_batches_per_address=3, max_sdk_records=3,
    )  # fmt: skip
    with running(settings) as service:
        workspace = service.workspace()
        shop = Shop(workspace)
        assert shop.post(shop.batch(*[event("a")] * 4)).message == sdk.BAD_RECORDS % 3
        assert [shop.post(shop.batch(event("a"))).status for _ in range(2)] == [201, 429]
        refused = shop.post(shop.batch(event("a"), device=OTHER))
        assert (refused.status, refused.body["limit"]) == (429, "sdk-address")
        assert int(refused.headers["retry-after"]) > 0
        assert workspace.track({"attributes": [{"external_id": "a"}]}).status == 201


def test_a_deleted_person_is_a_stranger(workspace: Workspace) -> None:
    shop = Shop(workspace)
    shop.send(event("a"), login("ada"))
    workspace.post("/users/delete", {"external_ids": ["ada"]})
    assert people(workspace) == []
    shop.send(event("b"))
    assert people(workspace) == [person(None, DEVICE_ID, b=1)]
    assert equal(workspace)


def test_a_login_and_its_undo(workspace: Workspace) -> None:
    shop = Shop(workspace)
    shop.send(login("ada"), device=OTHER)
    shop.send(event("a"), login("ada"), {"type": "device", "device": {"os": "Linux"}})
    (record,) = merges(workspace, "external_id=ada")
    assert {"device": {"app_id": shop.app.id, "device_id": DEVICE_ID}} in record["moved_identifiers"]
    assert undo(workspace, record["id"]).status == 200
    assert people(workspace) == [person("ada", OTHER), person(None, DEVICE_ID, a=1)]
    assert equal(workspace)


def test_a_profile_has_so_many_devices(workspace: Workspace) -> None:
    shop = Shop(workspace)
    names = [f"device-{n:03}" for n in range(103)]
    for name in names:
        assert shop.post(shop.batch(login("ada"), device=name), drain=False).status == 201
    workspace.drain()
    shop.send(login("ada"), device="device-one-more")
    (found,) = (one for one in people(workspace) if one["who"] == "ada")
    assert len(found["devices"]) <= 104
    assert equal(workspace)


def test_with_sdk_authentication_nobody_posts_as_somebody_else(workspace: Workspace) -> None:
    shop = Shop(workspace, sdk_authentication=True, public_keys=(PEM,))
    shop.send(event("a"))  # a visitor needs no signature
    for signature in (None, "x.y.z", BOB, EXPIRED, ADA[:-4] + "AAAA", 5):
        refused = shop.post(shop.batch(login("ada") | {"signature": signature}))
        assert (refused.status, refused.message) == (403, sdk.BAD_SIGNATURE)
    shop.send(login("ada") | {"signature": ADA}, event("b"))
    for more in ({}, {"signature": BOB}):
        answer = shop.send(event("c"), **more)
        assert workspace.skipped(answer.request_id) == [("records", 0, "", "not_signed")]
    assert shop.post(shop.batch(event("d"), signature=EXPIRED)).status == 403
    shop.send(event("e"), signature=ADA)
    assert people(workspace) == [person("ada", DEVICE_ID, a=1, b=1, e=1)]
    # What the record itself says may have expired while it waited.
    shop.send(login("ada") | {"signature": EXPIRED}, event("f"), signature=ADA)
    # Who has the device next may be said, and then tells of himself.
    answer = shop.send(event("g"), login("bob") | {"signature": BOB}, event("h"))
    assert workspace.skipped(answer.request_id) == [("records", 0, "", "not_signed")]
    answer = shop.send(event("i"), {"type": "device", "device": {"model": "m"}}, LOGOUT, event("j"))
    assert workspace.skipped(answer.request_id) == [("records", n, "", "not_signed") for n in range(2)]
    assert people(workspace) == [
        person("ada", a=1, b=1, e=1, f=1),
        person("bob", h=1),
        person(None, DEVICE_ID, j=1),
    ]
    assert equal(workspace)


ALL_TOLD: list[Json] = [
    SESSION,
    {"type": "session_end"},
    {"type": "device", "device": {"model": "m"}},
    {"type": "attributes", "attributes": {"tier": "gold"}},
    event("a"),
    {"type": "purchase", "product_id": "p", "currency": "USD", "price": 1},
    {"type": "alias", "alias_label": "l", "alias_name": "n"},
    {"type": "push_token", "token": "t"},
]


@pytest.mark.parametrize("apart", [False, True], ids=["one batch", "many"])
def test_a_device_leaves_a_blocked_profile(workspace: Workspace, apart: bool) -> None:
    """Nothing that it tells has an effect there, whatever it is, and it may log in as somebody else, or log out."""
    shop = Shop(workspace)
    workspace.track({"attributes": [{"external_id": "dummy"}]})
    workspace.post("/v1/flags", {"flags": [{"external_id": "dummy", "spam_blocked": True}]})
    records = [login("dummy"), *ALL_TOLD, login("ada"), event("b"), login("dummy"), LOGOUT, event("c")]
    sent = [shop.send(one) for one in records] if apart else [shop.send(*records)]
    reasons = [reason for answer in sent for *_, reason in workspace.skipped(answer.request_id)]
    # The visitor is not merged into it either.
    assert reasons == ["profile_blocked"] * (1 + len(ALL_TOLD))
    assert people(workspace) == [
        person("dummy", created="rest"),
        person(None),
        person("ada", b=1),
        person(None, DEVICE_ID, c=1),
    ]
    (dummy,) = workspace.export(external_ids=["dummy"])
    assert not {"custom_attributes", "purchases", "push_tokens", "apps"} & dummy.keys()
    assert dummy["user_aliases"] == []
    assert equal(workspace)


def test_a_person_gets_many_tokens_at_once(workspace: Workspace) -> None:
    """Those that came before go, and never the one in hand."""
    shop, names = Shop(workspace), [f"token-{n:03}" for n in range(130)]
    random.Random(7).shuffle(names)
    answer = shop.send(login("ada"), *({"type": "push_token", "token": name} for name in names))
    assert workspace.skipped(answer.request_id) == []
    (ada,) = workspace.export(external_ids=["ada"])
    assert names[-1] in [one["token"] for one in ada["push_tokens"]]
    assert len(ada["push_tokens"]) == 100
    assert equal(workspace)


def test_requests_at_once_are_one_look_up_of_their_key(workspace: Workspace) -> None:
    shop = Shop(workspace)
    gateway = shop.workspace.service.services.sdk
    before = gateway.lookups

    async def ask() -> list[str]:
        return [one.app.id for one in await asyncio.gather(*(known() for _ in range(64)))]

    async def known() -> Known:
        return await gateway.authenticate(shop.app.sdk_key, lambda: ip_address("192.0.2.1"))

    assert asyncio.run(ask()) == [shop.app.id] * 64
    assert gateway.lookups == before + 1
    assert asyncio.run(ask()) == [shop.app.id] * 64
    assert gateway.lookups == before + 1
