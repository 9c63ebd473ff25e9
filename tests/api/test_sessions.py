"""Sessions from the outside, on both stores: what devices send is in series and filters, and merges keep all of it."""

from typing import Any

from app.domain import times
from tests.api.asking import get
from tests.api.charts import asked, day_of, segment
from tests.api.harness import Json, Workspace, times_now
from tests.api.merging import braze_id, merges, undo
from tests.api.reference import equal
from tests.api.sdk import LOGOUT, Shop, login

DAY_MS = 24 * 3_600_000


def session(days_ago: int = 0, seconds: int | None = None) -> list[Json]:
    """A session that began some days and an hour ago, and took so long, if it has ended."""
    began = days_ago * DAY_MS + 3_600_000
    start: Json = {"type": "session_start", "ago": began}
    return [start] if seconds is None else [start, {"type": "session_end", "ago": began - seconds * 1_000}]


def counts(workspace: Workspace, path: str, member: str, length: int = 3, **query: object) -> list[int]:
    """Days up to that of an hour ago."""
    query = {"ending_at": times.iso(times_now() - times.HOUR)} | query
    return [one[member] for one in asked(workspace, f"{path}?", length=length, **query)]


def active(workspace: Workspace, kind: str, length: int = 3, **query: object) -> list[int]:
    return counts(workspace, f"/kpi/{kind}/data_series", kind, length, **query)


def test_series_of_sessions_and_active_people(workspace: Workspace) -> None:
    """A person counts once a day in each app and in all; whoever turns out to be one counts so from tomorrow on."""
    shop, kiosk = Shop(workspace), Shop(workspace, "ios", "Kiosk", 1)
    number = segment(workspace, groups=[])
    shop.send(*session(2), *session(1), *session(), *session())
    kiosk.send(*session(1), *session())
    sessions = "/sessions/data_series"
    assert counts(workspace, sessions, "sessions") == [1, 2, 3]
    assert counts(workspace, sessions, "sessions", app_id=kiosk.app.id) == [0, 1, 1]
    hours = asked(workspace, f"{sessions}?", length=100, unit="hour")
    assert sum(one["sessions"] for one in hours) == 6
    assert active(workspace, "dau") == [1, 2, 2]
    assert active(workspace, "mau") == [1, 2, 2]
    shop.send(login("ada"))
    kiosk.send(login("ada"))
    late = Shop(workspace, "web", "Late", 2)
    late.send(*session(2), login("ada"), device="device-two")
    for app, daily, monthly in (
        ("", [2, 2, 2], [2, 3, 3]),
        (shop.app.id, [1, 1, 1], [1, 1, 1]),
        (kiosk.app.id, [0, 1, 1], [0, 1, 1]),
        (late.app.id, [1, 0, 0], [1, 1, 1]),
        ("nobody", [0, 0, 0], [0, 0, 0]),
    ):
        found = active(workspace, "dau", app_id=app), active(workspace, "mau", app_id=app)
        assert found == (daily, monthly), app
    # Tomorrow they are one person, and so they are for 29 days in all.
    now = times_now()
    for days, expected in ((2, 1), (29, 1), (31, 0)):
        ending = times.iso(now - times.HOUR + days * times.DAY)
        assert active(workspace, "mau", length=1, ending_at=ending) == [expected], days
    assert counts(workspace, sessions, "sessions", segment_id=number) == [2, 2, 3]
    assert counts(workspace, sessions, "sessions", segment_id=number, app_id=late.app.id) == [1, 0, 0]
    newest = asked(workspace, "/kpi/dau/data_series?", length=1, ending_at=times.iso(now - times.HOUR))
    assert [one["time"] for one in newest] == [day_of(now - times.HOUR)]
    assert get(workspace, "/events/list").body["events"] == []
    assert equal(workspace)


def preview(workspace: Workspace, *filters: Json, **more: Any) -> list[str | None]:
    """Who is in it, by external id, as the API says."""
    document = {"groups": [{"filters": list(filters)}], "sample": 10, **more}
    answer = workspace.post("/v1/segments/preview", document, drain=False)
    assert answer.status == 200, answer.text
    assert answer.body["size"] == len(answer.body["sample"])
    return sorted((one.get("external_id") for one in answer.body["sample"]), key=str)


def test_filters_of_sessions_apps_and_devices(workspace: Workspace) -> None:
    shop, kiosk = Shop(workspace), Shop(workspace, "ios", "Kiosk", 1)
    workspace.track({"attributes": [{"external_id": "api", "k": 1}]})
    pixel = {"model": "Pixel 9", "os": "Android", "browser": "Chrome", "carrier": "A1", "locale": "de-AT"}
    shop.send(
        {"type": "device", "device": pixel, "ago": 20 * DAY_MS}, *session(9, 10), *session(3, 60), *session(0, 21),
        login("ada"), app_version="1.2.0",
    )  # fmt: skip
    kiosk.send(
        {"type": "device", "device": {"model": "iPad", "os": "iOS"}, "ago": 20 * DAY_MS}, *session(2, 40),
        *session(1, 41), *session(), {"type": "push_token", "token": "t", "ago": 0}, login("bob"), device="device-bob",
        app_version="1.10.0",
    )  # fmt: skip
    kiosk.send({"type": "event", "name": "view", "ago": 0}, login("eve"), device="device-eve")
    ada, bob, eve, api = "ada", "bob", "eve", "api"
    for field, rest, expected in (
        ("session_count", {"op": "more_than", "value": 0}, [ada, bob]),
        ("session_count", {"op": "exactly", "value": 3}, [ada, bob]),
        ("session_count", {"op": "less_than", "value": 1}, [api, eve]),
        ("session_count_for_app", {"op": "at_least", "value": 3, "name": kiosk.app.id}, [bob]),
        ("x_sessions_in_y_days", {"op": "exactly", "x": 2, "y": 5}, [ada]),
        ("x_sessions_in_y_days", {"op": "more_than", "x": 2, "y": 30}, [ada, bob]),
        ("x_sessions_in_y_days", {"op": "less_than", "x": 1, "y": 30}, [api, eve]),
        ("median_session_duration", {"op": "exactly", "value": 21}, [ada]),
        ("median_session_duration", {"op": "exactly", "value": 40.5}, [bob]),
        ("median_session_duration", {"op": "more_than", "value": 21}, [bob]),
        ("median_session_duration", {"op": "is_blank"}, [api, eve]),
        ("first_used_app", {"op": "more_than_x_days_ago", "value": 5}, [ada]),
        ("last_used_app", {"op": "less_than_x_days_ago", "value": 1}, [ada, bob]),
        ("first_used_app", {"op": "less_than_x_days_ago", "value": 5, "name": kiosk.app.id}, [bob]),
        ("last_used_app", {"op": "is_blank", "name": shop.app.id}, [api, bob, eve]),
        ("app_version", {"op": "equals", "value": "1.2.0", "name": shop.app.id}, [ada]),
        ("app_version_number", {"op": "more_than", "value": "1.9", "name": kiosk.app.id}, [bob]),
        ("has_app", {"op": "is_true"}, [ada, bob]),
        ("has_app", {"op": "is_false", "name": kiosk.app.id}, [ada, api, eve]),
        ("device_count", {"op": "exactly", "value": 0}, [api]),
        ("device_model", {"op": "equals", "value": "Pixel 9"}, [ada]),
        ("device_os", {"op": "is_any_of", "value": ["iOS", "Android"]}, [ada, bob]),
        ("device_carrier", {"op": "equals", "value": "A1"}, [ada]),
        ("device_locale", {"op": "is_not_blank"}, [ada]),
        ("browser", {"op": "contains_any_of", "value": ["Chro"]}, [ada]),
        ("push_enabled", {"op": "is_true"}, [bob]),
        ("push_enabled", {"op": "is_true", "name": shop.app.id}, []),
        ("uninstalled", {"op": "is_not_blank"}, []),
        ("created_from", {"op": "equals", "value": "sdk"}, [ada, bob, eve]),
    ):
        assert preview(workspace, {"field": field, **rest}) == expected, (field, rest)
    ipad = [{"path": path, "op": "equals", "value": value} for path, value in (("os", "iOS"), ("model", "iPad"))]
    same = {"field": "device", "op": "any_element", "criteria": ipad}
    assert preview(workspace, same) == [bob]
    assert preview(workspace, apps=[shop.app.id]) == [ada]
    assert preview(workspace, apps="none") == [api, eve]
    told = [{"type": "uninstall", "external_id": "bob", "app_id": kiosk.app.id}]
    assert workspace.post("/v1/address_events", {"events": told}).status == 201
    assert preview(workspace, {"field": "uninstalled", "op": "less_than_x_days_ago", "value": 1}) == [bob]
    assert preview(workspace, {"field": "push_enabled", "op": "is_true"}) == []
    uninstalls = asked(workspace, "/kpi/uninstalls/data_series?", length=1, app_id=kiosk.app.id)
    assert [one["uninstalls"] for one in uninstalls] == [1]
    assert equal(workspace)


def test_what_identify_merges_of_sessions_apps_and_devices(workspace: Workspace) -> None:
    """Each field of the document, by its rule; and an undo separates them again."""
    shop, kiosk, cart = (Shop(workspace, "web", name, n) for n, name in enumerate(("Shop", "Kiosk", "Cart")))
    shop.send(*session(4, 10), login("ada"), {"type": "push_token", "token": "hers", "ago": 0}, app_version="1.0")
    kiosk.send(*session(3), login("ada"), device="device-kiosk")
    alias = {"type": "alias", "alias_label": "cookie", "alias_name": "c-1", "ago": 6 * DAY_MS}
    described = {"type": "device", "device": {"model": "Guest"}, "ago": 6 * DAY_MS}
    token = {"type": "push_token", "token": "guest", "ago": 0}
    shop.send(alias, described, *session(5, 30), *session(0, 50), token, device="device-guest", app_version="2.0")
    # The guest's profile gets what it did in the other app by a merge of two guests.
    cart.send(alias | {"alias_name": "c-2"}, *session(2), device="device-cart")
    guests = [{"user_alias": {"alias_label": "cookie", "alias_name": f"c-{n}"}} for n in (2, 1)]
    update = {"identifier_to_merge": guests[0], "identifier_to_keep": guests[1]}
    workspace.post("/users/merge", {"merge_updates": [update]})
    before = shown(workspace)
    identify = {"external_id": "ada", "user_alias": {"alias_label": "cookie", "alias_name": "c-1"}}
    answer = workspace.post("/users/identify", {"aliases_to_identify": [identify]})
    assert workspace.skipped(answer.request_id) == []
    found, now = shown(workspace), times_now() - times.HOUR
    apps = found.pop("apps")
    assert {name: (app["sessions"], app["version"]) for name, app in apps.items()} == {
        "Shop": (3, "2.0"), "Kiosk": (1, None), "Cart": (1, None),
    }  # fmt: skip
    assert {name: (ago(app["first_used"], now), ago(app["last_used"], now)) for name, app in apps.items()} == {
        "Shop": (5, 0), "Kiosk": (3, 3), "Cart": (2, 2),
    }  # fmt: skip
    assert found.pop("sessions") == (5, 5, 0)
    assert found == {
        "devices": ["device-cart", "device-guest", "device-kiosk", "device-one"],
        "models": ["Guest"],
        "tokens": ["guest", "hers"],
    }
    assert preview(workspace, {"field": "x_sessions_in_y_days", "op": "exactly", "x": 5, "y": 30}) == ["ada"]
    assert preview(workspace, {"field": "median_session_duration", "op": "exactly", "value": 30}) == ["ada"]
    assert preview(workspace, {"field": "external_id", "op": "is_blank"}) == []
    assert equal(workspace)
    undo(workspace, merges(workspace, f"braze_id={braze_id(workspace, 'ada')}")[0]["id"])
    assert shown(workspace) == before
    assert equal(workspace)


def shown(workspace: Workspace) -> Json:
    """What is known of sessions, apps and devices of the person."""
    (user,) = workspace.export(external_ids=["ada"])
    person = get(workspace, f"/v1/profiles/{user['braze_id']}").body["profile"]["sessions"]
    now = times_now() - times.HOUR
    return {
        "apps": {
            app["name"]: {name: app.get(name) for name in ("version", "sessions", "first_used", "last_used")}
            for app in user["apps"]
        },
        "sessions": (person["count"], ago(person["first"], now), ago(person["last"], now)),
        "devices": sorted(device["device_id"] for device in user["devices"]),
        "models": [device["model"] for device in user["devices"] if "model" in device],
        "tokens": sorted(token["token"] for token in user["push_tokens"]),
    }


def ago(moment: str, now_us: int) -> int:
    """Whole days, to the nearest."""
    us = times.parse(moment)
    assert us is not None
    return round((now_us - us) / times.DAY)


def test_a_session_is_of_whoever_had_the_device(workspace: Workspace) -> None:
    """One that goes on while somebody else logs in has no length; one that ends twice has one."""
    shop = Shop(workspace)
    shop.send(login("ada"), *session(), login("bob"), {"type": "session_end"})
    duration = {"field": "median_session_duration", "op": "is_not_blank"}
    assert preview(workspace, duration) == []
    shop.send(*session(0, 5), {"type": "session_end"}, LOGOUT)
    assert preview(workspace, duration) == ["bob"]
    assert preview(workspace, {"field": "median_session_duration", "op": "less_than", "value": 6}) == [
        None,
        "ada",
        "bob",
    ]
    assert equal(workspace)
