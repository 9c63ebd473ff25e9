"""The tracking API over HTTP, on both stores: every way to call it, who is who, calls that come twice, who may send."""

import gzip
import json
import random
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.api.tracking.endpoints import ALLOWED
from app.contract import errors
from app.contract.sdk_records import MAX_SESSION
from app.contract.tracking import batch, calls, surroundings
from app.domain import times
from app.domain.profile import DEVICE, EXTERNAL
from app.store import apps
from tests.api.harness import Json, Service, Workspace, running, settings_for, times_now
from tests.api.reference import equal
from tests.api.sdk import ADA, BOB, PEM, Site, people, person
from tests.servers import ValkeyServer

TAKEN = {"success": True, "ok": True, "message": "success"}
VISITOR, OTHER = "anonymous-1", "anonymous-2"


def track(event: str, **more: Any) -> Json:
    return {"type": "track", "event": event, "anonymousId": VISITOR, **more}


def identify(user: str, **more: Any) -> Json:
    return {"type": "identify", "userId": user, "anonymousId": VISITOR, **more}


CALLS: dict[str, tuple[Json, Json]] = {
    "identify": ({"traits": {"plan": "pro"}}, {}),
    "track": ({"event": "Signed Up"}, {"Signed Up": 1}),
    "page": ({"name": "Home"}, {"Viewed Home Page": 1}),
    "screen": ({"name": "Home"}, {"Viewed Home Screen": 1}),
    "group": ({"groupId": "g"}, {}),
}


@pytest.mark.parametrize("kind", [*CALLS, "alias"])
def test_every_path_of_a_call(workspace: Workspace, kind: str) -> None:
    site = Site(workspace)
    sent, events = CALLS.get(kind, ({"previousId": VISITOR, "userId": "ada"}, {}))
    paths = [f"/v1/{kind}", f"/v1/{kind[0]}", f"/api/s/{kind}", f"/api/s/s2s/{kind}"]
    for path in paths:
        answer = site.send_to(path, sent | {"anonymousId": VISITOR})
        assert (answer.status, answer.body) == (200, TAKEN), path
        UUID(answer.headers["x-request-id"])
    who = "ada" if kind == "alias" else None
    assert people(workspace) == [person(who, VISITOR, **{name: 4 * count for name, count in events.items()})]
    (user,) = workspace.export(device_id=VISITOR)
    custom = {"identify": {"plan": "pro"}, "group": {"group_id": "g"}}.get(kind)
    assert user.get("custom_attributes") == custom
    assert equal(workspace)


def test_every_path_of_a_batch(workspace: Workspace) -> None:
    site = Site(workspace)
    for path in ("/v1/batch", "/v1/b", f"/beacon/v1/batch?writeKey={site.app.sdk_key}"):
        headers = {"Authorization": "", "Content_Type": "text/plain;charset=UTF-8"} if "beacon" in path else {}
        answer = site.send_to(path, {"batch": [track("a"), track("b")]}, headers)
        assert (answer.status, answer.body) == (200, TAKEN), path
    assert people(workspace) == [person(None, VISITOR, a=3, b=3)]


def test_where_the_key_may_stand(workspace: Workspace) -> None:
    site = Site(workspace)
    key, nothing = site.app.sdk_key, {"Authorization": ""}
    body = {"batch": [track("a")]}
    ways: list[tuple[str, Json, dict[str, str]]] = [
        ("/v1/batch", body, {}),
        ("/v1/batch", body, {"Authorization": site.basic() + "\t"}),
        ("/v1/batch", body, nothing | {"X_Write_Key": key}),
        ("/v1/batch", body, nothing | {"X_Write_Key": f"{key}:secret"}),
        ("/v1/batch", body, {"Authorization": "Bearer token", "X_Write_Key": key}),
        (f"/v1/batch?writeKey={key}", body, nothing),
        ("/v1/batch", body | {"writeKey": key}, nothing),
        ("/v1/batch", {"batch": [track("a", writeKey=key)]}, nothing),
        ("/v1/track", track("a", writeKey=key), nothing),
    ]
    for path, sent, headers in ways:
        assert site.send_to(path, sent, headers).status == 200, headers
    assert people(workspace) == [person(None, VISITOR, a=len(ways))]
    for headers in (nothing, {"Authorization": "Basic !"}, {"Authorization": site.basic(workspace.key)}):
        refused = site.send_to("/v1/batch", body, headers)
        assert (refused.status, refused.message) == (401, errors.INVALID_KEY)


def test_how_a_body_may_come(workspace: Workspace) -> None:
    site, body = Site(workspace), json.dumps({"batch": [track("a")]}).encode()
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
        assert site.send_to("/v1/batch", body, Content_Type=kind).status == 200, kind
    assert site.send_to("/v1/batch", gzip.compress(body), Content_Encoding="gzip").status == 200
    assert people(workspace) == [person(None, VISITOR, a=5)]
    assert site.send_to("/v1/batch", body, Content_Type="image/png").status == 415
    assert site.send_to("/v1/batch", b" " * 513_000).status == 413
    assert site.send_to("/v1/batch", gzip.compress(b" " * 513_000), Content_Encoding="gzip").status == 413


STORIES: dict[str, tuple[list[Json], list[Json]]] = {
    "an unknown anonymous id is a visitor": ([track("a"), track("a")], [person(None, VISITOR, a=2)]),
    "who is identified keeps everything": (
        [track("a"), identify("ada"), track("b")],
        [person("ada", VISITOR, a=1, b=1)],
    ),
    "a second device is merged into the person": (
        [identify("ada"), track("a", anonymousId=OTHER), identify("ada", anonymousId=OTHER)],
        [person("ada", VISITOR, OTHER, a=1)],
    ),
    "every call with both ids identifies": ([track("a"), track("b", userId="ada")], [person("ada", VISITOR, a=1, b=1)]),
    "from one person to another no data moves": (
        [identify("ada"), track("a", userId="ada"), track("b", userId="bob"), track("a", userId="ada")],
        [person("ada", VISITOR, a=2), person("bob", b=1)],
    ),
    "a server names people alone": (
        [track("a", anonymousId=None, userId="ada"), identify("ada", anonymousId="", traits={"n": 1})],
        [person("ada", created="rest", a=1)],
    ),
    "a person of a server meets the device": (
        [track("a", anonymousId=None, userId="ada"), track("b"), identify("ada")],
        [person("ada", VISITOR, created="rest", a=1, b=1)],
    ),
    "an alias identifies a visitor": (
        [track("a"), {"type": "alias", "previousId": VISITOR, "userId": "ada"}, track("b")],
        [person("ada", VISITOR, a=1, b=1)],
    ),
    "without a previous id it is the anonymous one": (
        [track("a"), {"type": "alias", "anonymousId": VISITOR, "userId": "ada"}],
        [person("ada", VISITOR, a=1)],
    ),
    "an alias of a known person merges the visitor": (
        [
            track("a", anonymousId=None, userId="ada"),
            track("b"),
            {"type": "alias", "previousId": VISITOR, "userId": "ada"},
        ],
        [person("ada", VISITOR, created="rest", a=1, b=1)],
    ),
    "an alias never merges two people": (
        [identify("ada"), {"type": "alias", "previousId": VISITOR, "userId": "bob"}, track("a")],
        [person("ada", VISITOR, a=1)],
    ),
    "not by their external ids either": (
        [
            track("a", anonymousId=None, userId="ada"),
            track("b", anonymousId=None, userId="bob"),
            {"type": "alias", "previousId": "ada", "userId": "bob"},
        ],
        [person("ada", created="rest", a=1), person("bob", created="rest", b=1)],
    ),
    "an alias that comes before its visitor": (
        [{"type": "alias", "previousId": VISITOR, "userId": "ada"}, track("a")],
        [person("ada", VISITOR, a=1)],
    ),
    "an id that stands for nobody": ([identify("null"), track("a", userId="undefined")], [person(None, VISITOR, a=1)]),
    "page and screen without a name": (
        [{"type": "page", "anonymousId": VISITOR}, {"type": "screen", "anonymousId": VISITOR, "name": ""}],
        [person(None, VISITOR) | {"events": {"Loaded a Page": 1, "Loaded a Screen": 1}}],
    ),
    "RudderStack tells where a session begins": (
        [
            track("a", context={"sessionId": 17, "sessionStart": True}),
            track("a", context={"sessionId": 17}),
            track("Application Opened", context={"sessionId": 17}),
        ],
        [person(None, VISITOR, sessions=1) | {"events": {"a": 2, "Application Opened": 1}}],
    ),
    "mobile SDKs of Segment tell that the app was opened": (
        [track("Application Opened"), track("Application Backgrounded"), track("Application Opened")],
        [person(None, VISITOR, sessions=2) | {"events": {"Application Opened": 2, "Application Backgrounded": 1}}],
    ),
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
def test_who_is_who(workspace: Workspace, story: str, together: bool) -> None:
    site, (sent, expected) = Site(workspace), STORIES[story]
    for batch_ in [sent] if together else [[one] for one in sent]:
        assert site.calls(*batch_).status == 200
    assert people(workspace) == expected
    assert equal(workspace)


def test_why_an_alias_has_no_effect(workspace: Workspace) -> None:
    site = Site(workspace)
    answer = site.calls(
        identify("ada"),
        {"type": "alias", "previousId": VISITOR, "userId": "bob"},
        {"type": "alias", "previousId": VISITOR, "userId": "ada"},
    )
    assert workspace.skipped(answer.request_id) == [
        ("batch", 1, "", "identified_otherwise"),
        ("batch", 2, "", "already_identified"),
    ]


def test_a_message_counts_once(workspace: Workspace) -> None:
    site, other = Site(workspace), Site(workspace.service.workspace())
    first = [track("a", messageId="m-a"), track("b", messageId="m-b"), track("a", messageId="m-a"), track("c")]
    answer = site.calls(*first)
    assert workspace.skipped(answer.request_id) == [("batch", 2, "", "message_known")]
    again = site.calls(track("new", messageId="m-new"), *first, drain=False)
    alone = site.send_to("/v1/track", track("a", messageId="m-a"))
    assert (again.status, again.body, alone.status, alone.body) == (200, TAKEN, 200, TAKEN)
    assert workspace.skipped(again.request_id) == [("batch", n, "", "message_known") for n in (1, 2, 3)]
    assert workspace.skipped(alone.request_id) == [("batch", 0, "", "message_known")]
    assert people(workspace) == [person(None, VISITOR, a=1, b=1, c=2, new=1)]
    # An id belongs to an app of a workspace.
    kiosk = apps.App("k" * 36, "Kiosk", "ios", apps.new_sdk_key(), 1)
    apps.create(workspace.service.database, workspace.id, kiosk, 10)
    site.send_to("/v1/track", track("a", messageId="m-a"), Authorization=site.basic(kiosk.sdk_key))
    other.calls(track("a", messageId="m-a"))
    assert people(workspace) == [person(None, VISITOR, a=1, b=1, c=2, new=1), person(None, VISITOR, a=1)]
    assert people(other.workspace) == [person(None, VISITOR, a=1)]
    assert equal(workspace)


def test_a_wrong_call_is_named_and_the_others_go_on(workspace: Workspace) -> None:
    site = Site(workspace)
    wrong: list[tuple[Any, str]] = [
        (5, "must be an object"),
        ({"type": "delete", "userId": "a"}, calls.BAD_CALL % ", ".join(calls.TYPES)),
        ({"userId": "a"}, calls.BAD_CALL % ", ".join(calls.TYPES)),
        ({"type": "track", "event": "a"}, calls.NOBODY),
        (track(""), calls.NO_EVENT),
        (track("x" * 256), calls.NO_EVENT),
        (track("a", userId={"a": 1}), calls.BAD_USER),
        (track("a", userId="x" * 988), calls.BAD_USER),
        (track("a", anonymousId="x" * 256), calls.BAD_ANONYMOUS),
        (track("a", anonymousId=[1]), calls.BAD_ANONYMOUS),
        (track("a", messageId={"a": 1}), calls.BAD_MESSAGE_ID),
        (track("a", properties="p"), calls.BAD_OBJECT % "properties"),
        (track("a", context="c"), calls.BAD_OBJECT % "context"),
        (track("nul\0"), "must not contain the character NUL (U+0000)"),
        (identify("ada", traits=[1]), calls.BAD_OBJECT % "traits"),
        ({"type": "group", "userId": "ada"}, calls.NO_GROUP),
        ({"type": "alias", "userId": "ada"}, calls.NO_ALIAS),
        ({"type": "alias", "previousId": "ada"}, calls.NO_ALIAS),
        ({"type": "alias", "previousId": "ada", "userId": "ada"}, calls.NO_ALIAS),
        (track("a", properties={"text": "x" * 33_000}), errors.TOO_LARGE),
    ]  # fmt: skip
    answer = site.calls(track("good"), *(call for call, _ in wrong if isinstance(call, dict)))
    sentences = [sentence for call, sentence in wrong if isinstance(call, dict)]
    assert (answer.status, answer.types) == (200, sentences)
    assert answer.errors == [("batch", n) for n in range(1, len(wrong))]
    assert workspace.skipped(answer.request_id) == [("batch", n, "", "call_refused") for n in range(1, len(wrong))]
    assert people(workspace) == [person(None, VISITOR, good=1)]
    alone = site.send_to("/v1/batch", {"batch": [wrong[0][0], wrong[3][0]]})
    assert (alone.status, alone.message, alone.types) == (400, batch.NOTHING_VALID, [wrong[0][1], wrong[3][1]])
    single = site.send_to("/v1/track", {"event": "a"})
    assert (single.status, single.message) == (400, calls.NOBODY)
    malformed: list[Json] = [{"batch": []}, {"batch": {}}, {}, {"batch": [{}] * 2_501}]
    for body in malformed:
        assert site.send_to("/v1/batch", body).message == batch.BAD_BATCH
    assert site.send_to("/v1/batch", b"[]").message == batch.BAD_BODY
    assert site.send_to("/v1/batch", b"{").status == 400
    assert site.send_to("/api/s/delete", {"userId": "a"}).status == 404
    assert equal(workspace)


def test_traits_and_context(workspace: Workspace) -> None:
    site = Site(workspace, "ios")
    context = {
        "locale": "de-AT", "timezone": "Europe/Vienna", "app": {"version": "1.2"},
        "os": {"name": "iOS", "version": "18"},
        "device": {"id": "idfv-1", "type": "ios", "model": "iPhone17,1", "advertisingId": "idfa-1", "token": "push-1"},
        "screen": {"width": 390, "height": 844}, "network": {"carrier": "A1"},
    }  # fmt: skip
    traits = {
        "email": "Ada@Example.org", "name": "Ada King Lovelace", "phone": "+34600123450",
        "birthday": "1815-12-10T00:00:00Z",
        "gender": "F", "address": {"city": "London", "country": "GB", "street": "St James's Square 12"}, "plan": "pro",
        "braze_id": "b", "language": "klingon", "company": {"name": "Engines"},
    }  # fmt: skip
    answer = site.calls(identify("ada", traits=traits), track("Application Opened"), context=context)
    assert set(workspace.skipped(answer.request_id)) == {
        ("batch", 0, "braze_id", "reserved_name"),
        ("batch", 0, "language", "invalid_value"),
    }
    (user,) = workspace.export(external_ids=["ada"])
    shown = {name: user[name] for name in ("email", "first_name", "last_name", "phone", "dob", "gender", "home_city")}
    assert shown == {
        "email": "ada@example.org", "first_name": "Ada", "last_name": "King Lovelace", "phone": "+34600123450",
        "dob": "1815-12-10T00:00:00.000Z", "gender": "F", "home_city": "London",
    }  # fmt: skip
    assert (user["country"], user["language"], user["time_zone"]) == ("GB", "de", "Europe/Vienna")
    assert user["custom_attributes"] == {
        "plan": "pro",
        "company": {"name": "Engines"},
        "address": {"city": "London", "country": "GB", "street": "St James's Square 12"},
    }
    (device,) = user["devices"]
    assert device == {
        "device_id": VISITOR, "model": "iPhone17,1", "os": "iOS", "os_version": "18", "carrier": "A1",
        "locale": "de-AT", "time_zone": "Europe/Vienna", "resolution": "390x844", "idfa": "idfa-1", "idfv": "idfv-1",
    }  # fmt: skip
    assert [one["token"] for one in user["push_tokens"]] == ["push-1"]
    assert (user["apps"][0]["version"], user["apps"][0]["sessions"]) == ("1.2", 1)
    assert equal(workspace)


APP, SDK = {"name": "Shop", "version": "1.2"}, {"name": "SDK", "version": "3.0"}


@pytest.mark.parametrize(
    ("context", "version"),
    [
        ({"app": APP}, "1.2"),
        ({"app": {"version": "1.2"}, "library": {}}, "1.2"),
        ({"app": APP, "library": SDK}, "1.2"),
        ({"app": SDK, "library": SDK | {"snippet": "x"}}, ""),
        ({"app": APP, "library": {"version": "1.2"}}, "1.2"),
        ({"library": SDK}, ""),
        ({"app": {"version": 1}}, ""),
        ({"app": "1.2", "library": None}, ""),
    ],
    ids=["an app", "no name", "beside a library", "a library", "of the same version", "no app", "no text", "no object"],
)
def test_the_version_of_the_app(context: Json, version: str) -> None:
    assert surroundings.version(context) == version


ORDER: Json = {
    "order_id": "o-1", "affiliation": "Shop", "total": "27.50", "currency": "USD", "coupon": "spring",
    "products": [
        {"product_id": "mug", "sku": "m-1", "name": "Mug", "price": 10, "quantity": 2, "category": "Kitchen"},
        {"product_id": "tea", "name": "Tea", "price": "7.50"},
    ],
}  # fmt: skip

UNFIT: Json = {name: value for name, value in ORDER.items() if name != "order_id"}
UNFIT["products"] = [*ORDER["products"], {"name": "no price"}]


def test_an_order(workspace: Workspace) -> None:
    site = Site(workspace)
    site.calls(track("Order Completed", properties=ORDER))
    (user,) = workspace.export(device_id=VISITOR)
    assert (user["total_orders"], [one["name"] for one in user["custom_events"]]) == (1, ["ecommerce.order_placed"])
    assert "purchases" not in user
    answer = site.calls(track("Order Completed", properties=UNFIT))
    assert workspace.skipped(answer.request_id) == [("batch", 0, "products.2", "invalid_value")]
    (user,) = workspace.export(device_id=VISITOR)
    assert {one["name"]: one["count"] for one in user["purchases"]} == {"mug": 2, "tea": 1}
    assert [one["name"] for one in user["custom_events"]] == ["ecommerce.order_placed"]
    site.calls(track("Order Completed", properties={"order_id": "o"}))
    (user,) = workspace.export(device_id=VISITOR)
    assert [one["name"] for one in user["custom_events"]] == ["Order Completed", "ecommerce.order_placed"]
    assert equal(workspace)


def test_times(workspace: Workspace) -> None:
    site, year = Site(workspace), 365 * times.DAY
    now = times_now()

    def at(us: int) -> str:
        return times.iso(us)

    site.calls(
        track("fast clock", timestamp=at(now + year - 60_000_000), sentAt=at(now + year)),
        track("imported", timestamp=at(now - year)),
        track("imported beside", timestamp=at(now - year), originalTimestamp=at(now), sentAt=at(now)),
        track("future", timestamp=at(now + year)),
        track("no time", timestamp="yesterday"),
        sentAt=at(now),
    )
    (profile,) = workspace.state().profiles.values()
    ages = {name: (now - first) / 1e6 for name, (_, first, _) in (profile.events or {}).items()}
    assert {name: round(age / 60) for name, age in ages.items()} == {
        "fast clock": 1,
        "imported": 365 * 24 * 60,
        "imported beside": 365 * 24 * 60,
        "future": 0,
        "no time": 0,
    }


def test_what_sdks_fetch_before(workspace: Workspace) -> None:
    site = Site(workspace)
    key = site.app.sdk_key
    found = site.send_to(
        f"/v1/projects/{key}/settings", None, method="GET", Authorization="", Origin="https://a.example"
    )
    integration = found.body["integrations"]["Segment.io"]
    assert (integration["apiKey"], integration["protocol"]) == (key, "http")
    assert integration["apiHost"].endswith("/v1")
    assert found.body["metrics"] == {"sampleRate": 0}
    assert found.headers["access-control-allow-origin"] == "https://a.example"
    for path in ("/sourceConfig", f"/sourceConfig/?p=npm&writeKey={key}"):
        source = site.send_to(path, None, method="GET").body["source"]
        assert (source["id"], source["destinations"], source["enabled"]) == (site.app.id, [], True)
    for path in (f"/v1/projects/{key[:-1]}/settings", "/sourceConfig"):
        assert site.send_to(path, None, method="GET", Authorization=site.basic("x")).status == 401


def test_a_browser_asks_before(on_sqlite: Service) -> None:
    async def asked(path: str, wanted: str | None = None) -> httpx.Response:
        headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        headers |= {} if wanted is None else {"Access-Control-Request-Headers": wanted}
        return await on_sqlite._client.request("OPTIONS", path, headers=headers)

    for path in ("/v1/i", "/v1/batch", "/api/s/track", "/beacon/v1/batch", "/sourceConfig/", "/v1/projects/k/settings"):
        answer = on_sqlite.loop.run(asked(path))
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "https://a.example"), path
        assert answer.headers["access-control-allow-headers"] == ALLOWED
    for wanted, granted in (
        ("anonymousid,authorization,content-type,rsa-retry-attempt,sentat", True),
        ("x-of-tomorrow", True),
        ("", False),
        ("a b", False),
        ("a" * 101, False),
        (",".join("a" * 51), False),
    ):
        answer = on_sqlite.loop.run(asked("/v1/t", wanted))
        assert answer.headers["access-control-allow-headers"] == (wanted if granted else ALLOWED), wanted


def test_pages_of_allowed_origins(workspace: Workspace) -> None:
    site = Site(workspace, allowed_origins=("https://shop.example.org",))
    assert site.send_to("/v1/t", track("a"), Origin="https://shop.example.org").status == 200
    refused = site.send_to("/v1/t", track("b"), Origin="https://evil.example")
    assert (refused.status, "access-control-allow-origin" in refused.headers) == (403, False)
    assert people(workspace) == [person(None, VISITOR, a=1)]


def test_sdk_authentication(workspace: Workspace) -> None:
    site = Site(workspace, sdk_authentication=True, public_keys=(PEM,))
    ada, bob = {"signature": ADA}, {"signature": BOB}
    site.calls(track("a"))
    for context in ({}, {"signature": "x.y.z"}, bob):
        for sent in (identify("ada", context=context), track("b", anonymousId=None, userId="ada", context=context)):
            refused = site.calls(sent)
            assert (refused.status, refused.types) == (400, [calls.BAD_SIGNATURE])
    site.calls(identify("ada", context=ada), track("c", userId="ada", context=ada))
    late = site.calls(
        track("d"), track("e", context=bob), track("f", userId="bob", context=bob), track("g", context=ada)
    )
    # Bob logs in, with what he has signed, so the device is not Ada's any more.
    assert workspace.skipped(late.request_id) == [("batch", n, "", "not_signed") for n in (0, 1, 3)]
    assert people(workspace) == [person("ada", a=1, c=1), person("bob", VISITOR, f=1)]
    assert equal(workspace)


def test_limits_of_their_own(valkey_server: ValkeyServer, tmp_path: Any) -> None:
    settings = settings_for(
        f"sqlite:///{tmp_path}/onefold.db", valkey_server.url, tmp_path,
        sdk_batches_per_device=2, sdk_batches_per_address=3, max_tracking_batch_kilobytes=2,
        max_tracking_call_kilobytes=1, max_message_ids=2,
    )  # fmt: skip
    with running(settings) as service:
        workspace = service.workspace()
        site = Site(workspace)
        large = track("a", properties={"text": "x" * 1_100})
        assert site.calls(track("b", messageId="m"), large).types == [errors.TOO_LARGE]
        assert site.send_to("/v1/track", track("c", properties={"text": "x" * 2_100})).status == 413
        assert site.calls(track("a")).status == 200
        refused = site.calls(track("a"))
        assert (refused.status, refused.body["limit"]) == (429, "sdk-address")
        assert int(refused.headers["retry-after"]) > 0
        assert workspace.track({"attributes": [{"external_id": "a"}]}).status == 201


def test_a_person_gets_many_devices_at_once(workspace: Workspace) -> None:
    """Each call of a batch comes from a device of its own: the one in hand is never that which goes."""
    site = Site(workspace)
    names = [f"device-{n:03}" for n in range(130)]
    random.Random(7).shuffle(names)
    site.calls(identify("ada"))
    site.calls(*(track("a", anonymousId=name, userId="ada") for name in names))
    (found,) = people(workspace)
    assert found["events"] == {"a": 130}
    kinds = {key[0] for key in workspace.state().index}
    assert {DEVICE, EXTERNAL} <= kinds
    assert equal(workspace)


def test_calls_and_batches_of_a_device(workspace: Workspace) -> None:
    """The same device sends by the gateway and by a tracking SDK."""
    site = Site(workspace)
    site.calls(track("a", anonymousId="device-one"))
    site.send({"type": "event", "name": "b"}, {"type": "change_user", "user_id": "ada"})
    site.calls(track("c", anonymousId="device-one", userId="bob"))
    site.send({"type": "event", "name": "d"}, {"type": "logout"}, {"type": "event", "name": "e"})
    assert people(workspace) == [person("ada", a=1, b=1), person("bob", c=1, d=1), person(None, "device-one", e=1)]
    assert MAX_SESSION == 64
    assert equal(workspace)
