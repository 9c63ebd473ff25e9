"""Data series of the contract and data points: whole answers, every parameter, and days that begin at half past."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import app as cli
from app.domain import series as kinds
from app.domain import times
from app.store import series
from tests.api.asking import get
from tests.api.charts import asked, data, day_of, segment
from tests.api.harness import Json, Service, Workspace, times_now
from workers import replay

DAYS = ("/events/data_series?event=view", "/purchases/quantity_series?", "/purchases/revenue_series?")
KPIS = {"dau": "dau", "mau": "mau", "new_users": "new_users", "uninstalls": "uninstalls"}
#: Every series, with the member that has its figure.
ALL = {
    "/events/data_series?event=view": "count",
    "/purchases/quantity_series?": "purchase_quantity",
    "/purchases/revenue_series?": "revenue",
    "/sessions/data_series?": "sessions",
    **{f"/kpi/{name}/data_series?": member for name, member in KPIS.items()},
}


def noon(ago: int) -> int:
    """Noon of a day, UTC, some days ago; a moment that is not yet to come."""
    today = times_now() // times.DAY * times.DAY
    return today - ago * times.DAY + (times.HOUR * 12 if ago else 0)


def event(ago: int, name: str = "view", **members: object) -> Json:
    return {"external_id": "ada", "name": name, "time": times.iso(noon(ago)), **members}


def purchase(ago: int, product: str, price: float, quantity: int = 1, **members: object) -> Json:
    obj = {"external_id": "ada", "product_id": product, "currency": "USD", "price": price, "quantity": quantity}
    return {**obj, "time": times.iso(noon(ago)), **members}


def order(ago: int, kind: str, total: float, **members: object) -> Json:
    sent: Json = {"order_id": "1", "total_value": total, "currency": "USD", "source": "web", "products": []}
    if kind == "cancelled":
        sent["cancel_reason"] = "x"
    return event(ago, f"ecommerce.order_{kind}", properties=sent, **members)


def fill(workspace: Workspace) -> None:
    workspace.track(
        {
            "events": [
                *(event(0, app_id="web"), event(0), event(1, app_id="ios"), event(1, "other"), event(2), event(2)),
                *(order(1, "placed", 50.25), order(1, "refunded", 10), order(0, "cancelled", 50.25)),
            ],
            "purchases": [
                *(purchase(0, "jacket", 80.0, 2, app_id="web"), purchase(1, "shoe", 19.99, 3)),
                *(purchase(1, "jacket", -80.0), purchase(2, "jacket", 1, currency="BTC")),
            ],
        }
    )


def test_whole_answers(workspace: Workspace) -> None:
    fill(workspace)
    today = times_now()
    names = [day_of(today, ago=ago) for ago in (3, 2, 1, 0)]

    def series_of(member: str, *figures: float) -> Json:
        return {"data": [{"time": day, member: n} for day, n in zip(names, figures, strict=True)], "message": "success"}

    rows: list[tuple[str, str, tuple[float, ...]]] = [
        ("/events/data_series?length=4&event=view", "count", (0, 2, 1, 2)),
        ("/events/data_series?length=4&event=%20view&unit=day", "count", (0, 2, 1, 2)),
        ("/events/data_series?length=4&event=view&app_id=web", "count", (0, 0, 0, 1)),
        ("/events/data_series?length=4&event=view&app_id=nobody", "count", (0, 0, 0, 0)),
        ("/events/data_series?length=4&event=View", "count", (0, 0, 0, 0)),
        ("/events/data_series?length=4&event=a%00", "count", (0, 0, 0, 0)),
        ("/events/data_series?length=4&event=ecommerce.order_placed", "count", (0, 0, 1, 0)),
        ("/purchases/quantity_series?length=4", "purchase_quantity", (0, 1, 4, 2)),
        ("/purchases/quantity_series?length=4&product=jacket", "purchase_quantity", (0, 1, 1, 2)),
        ("/purchases/quantity_series?length=4&product=shoe", "purchase_quantity", (0, 0, 3, 0)),
        ("/purchases/quantity_series?length=4&app_id=web", "purchase_quantity", (0, 0, 0, 2)),
        # what has no rate is counted with nothing
        ("/purchases/revenue_series?length=4", "revenue", (0.0, 0.0, 3 * 19.99 - 80.0 + 40.25, 160.0)),
        ("/purchases/revenue_series?length=4&product=jacket", "revenue", (0.0, 0.0, -80.0, 160.0)),
        ("/purchases/revenue_series?length=4&app_id=web", "revenue", (0.0, 0.0, 0.0, 160.0)),
        ("/sessions/data_series?length=4", "sessions", (0, 0, 0, 0)),
        ("/kpi/new_users/data_series?length=4", "new_users", (0, 0, 0, 1)),
        ("/kpi/new_users/data_series?length=4&app_id=web", "new_users", (0, 0, 0, 1)),
        ("/kpi/new_users/data_series?length=4&app_id=ios", "new_users", (0, 0, 0, 0)),
        ("/kpi/dau/data_series?length=4", "dau", (0, 0, 0, 0)),
        ("/kpi/mau/data_series?length=4", "mau", (0, 0, 0, 0)),
        ("/kpi/uninstalls/data_series?length=4", "uninstalls", (0, 0, 0, 0)),
    ]
    assert [(path, get(workspace, path).body) for path, _, _ in rows] == [
        (path, series_of(member, *(round(n, 2) for n in figures))) for path, member, figures in rows
    ]
    assert replay.differences(workspace.service.database, workspace.id, workspace.secret) == []


def test_a_sum_that_is_wrong_is_seen(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    fill(workspace)
    for table in ("series_day", "series_hour"):
        with on_sqlite.database.write() as connection:
            connection.execute(text(f"update {table} set low = low + 1 where workspace_id = :w"), {"w": workspace.id})
        assert replay.differences(on_sqlite.database, workspace.id, workspace.secret) == ["series differ"]
        with on_sqlite.database.write() as connection:
            connection.execute(text(f"update {table} set low = low - 1 where workspace_id = :w"), {"w": workspace.id})


def test_hours_of_a_zone_with_a_half_hour(workspace: Workspace) -> None:
    """Of a day in Kolkata: hours begin at half past, and the day at 18:30 of the day before, UTC."""
    workspace.change(time_zone="Asia/Kolkata")
    midnight = (times_now() // times.DAY - 3) * times.DAY - 11 * times.HOUR // 2
    moments = [-1, 0, 29, 30, 59, 60, 24 * 60 - 1, 24 * 60]
    workspace.track({"events": [event(0, time=times.iso(midnight + minute * times.MINUTE)) for minute in moments]})
    ending = times.iso(midnight + 100 * times.MINUTE)
    hours = asked(workspace, "/events/data_series?event=view", unit="hour", length=3, ending_at=ending)
    assert hours == [
        {"time": times.iso(midnight + n * times.HOUR), "count": count} for n, count in ((-1, 1), (0, 4), (1, 1))
    ]
    day = day_of(midnight, "Asia/Kolkata")
    days = asked(workspace, "/events/data_series?event=view", length=3, ending_at=times.iso(midnight + times.DAY))
    before, after = day_of(midnight - 1, "Asia/Kolkata"), day_of(midnight + times.DAY, "Asia/Kolkata")
    assert days == [{"time": before, "count": 1}, {"time": day, "count": 6}, {"time": after, "count": 1}]


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "'length' must be an integer between 1 and 100"),
        *(
            (f"length={length}", "'length' must be an integer between 1 and 100")
            for length in ("0", "101", "-1", "1.0", "x", "", "<integer>", "1e1", "%D9%A1", "0000000001")
        ),
        ("length=1&ending_at=soon", "'ending_at' must be a date and time"),
        ("length=1&ending_at=2026-13-01", "'ending_at' must be a date and time"),
    ],
)
def test_what_is_refused(on_sqlite: Service, path: str, query: str, message: str) -> None:
    answer = get(shared(on_sqlite), f"{path}&{query}")
    assert (answer.status, answer.body) == (400, {"message": message})


_shared: dict[int, Workspace] = {}


def shared(service: Service) -> Workspace:
    """One workspace for tests that change nothing."""
    return _shared.setdefault(id(service), service.workspace())


@pytest.mark.parametrize("path", [path for path, member in ALL.items() if not path.startswith("/kpi")])
def test_units(on_sqlite: Service, path: str) -> None:
    workspace = shared(on_sqlite)
    for unit in ("week", "Hour", "<string>"):
        answer = get(workspace, f"{path}&length=1&unit={unit}")
        assert (answer.status, answer.message) == (400, "'unit' must be 'day' or 'hour'")
    (hour,) = asked(workspace, path, length=1, unit="hour")
    assert hour["time"] in {
        times.iso(us // times.HOUR * times.HOUR) for us in (times_now(), times_now() - times.MINUTE)
    }


def test_an_event_is_needed(on_sqlite: Service) -> None:
    for query in ("length=1", "event=&length=1", "event=%20&length=1"):
        answer = get(shared(on_sqlite), f"/events/data_series?{query}")
        assert (answer.status, answer.message) == (400, "'event' is required")


@pytest.mark.parametrize("path", ALL)
def test_permissions_and_the_end(on_sqlite: Service, path: str) -> None:
    workspace = shared(on_sqlite)
    permission = path.partition("?")[0][1:].replace("/", ".")
    answer = get(workspace, f"{path}&length=1", Authorization=f"Bearer {on_sqlite.key(workspace.id, permission)}")
    assert (answer.status, answer.headers["X-RateLimit-Limit"]) == (200, "250000")
    other = on_sqlite.key(workspace.id, "users.track")
    assert get(workspace, f"{path}&length=1", Authorization=f"Bearer {other}").status == 403
    day, before, after = (day_of(noon(50), ago=ago) for ago in (0, 1, -1))
    rows: dict[str, list[str]] = {
        day: [before, day],
        f"{day}T23:59:59+02:00": [before, day],
        f"{day}T23:59:59-05:00": [day, after],
        "1970-01-01": [],
        "0001-01-01T00:00:00Z": [],
        "3000-12-31T23:59:59Z": ["3000-12-30", "3000-12-31"],
    }
    for ending, days in rows.items():
        assert [one["time"] for one in asked(workspace, path, length=2, ending_at=ending)] == days
    unescaped = get(workspace, f"{path}&length=1&ending_at={day}T23:59:59+02:00")
    assert [one["time"] for one in data(unescaped)] == [day]


def test_how_far_back(on_sqlite: Service) -> None:
    """Days of 400 days and hours of 32: what is older is no answer of 0."""
    workspace = shared(on_sqlite)
    now = times_now()
    days = asked(workspace, "/kpi/dau/data_series?", length=100, ending_at=times.iso(now - 390 * times.DAY))
    assert [one["time"] for one in days] == [day_of(now, ago=ago) for ago in range(400, 389, -1)]
    hours = asked(
        workspace, "/sessions/data_series?", length=100, unit="hour", ending_at=times.iso(now - 31 * times.DAY)
    )
    assert len(hours) == 25
    assert len(asked(workspace, "/kpi/dau/data_series?", length=100)) == 100


def test_of_a_segment(service: Service) -> None:
    """What its present members did, also before they were members, and what whoever they absorbed did."""
    workspace = service.workspace()
    number = segment(workspace)
    people = ("ada", "bob", "eve")
    workspace.track(
        {
            "attributes": [{"external_id": "ada", "tier": "gold"}, {"external_id": "bob", "tier": "silver"}],
            "events": [
                *(event(ago, external_id=who) for who in people for ago in (0, 1, 30)),
                event(0, app_id="web"),
                event(0, "other"),
            ],
        }
    )

    def counts(**query: object) -> list[int]:
        path = "/events/data_series?event=view"
        return [one["count"] for one in asked(workspace, path, length=3, segment_id=number, **query)]

    assert counts() == [0, 1, 2]
    assert counts(app_id="web") == [0, 0, 1]
    hours = asked(workspace, "/events/data_series?event=view", length=100, unit="hour", segment_id=number)
    assert sum(one["count"] for one in hours) == 3
    merge = {"identifier_to_merge": {"external_id": "bob"}, "identifier_to_keep": {"external_id": "ada"}}
    workspace.post("/users/merge", {"merge_updates": [merge]})
    assert counts() == [0, 2, 3]
    workspace.post("/users/delete", {"external_ids": ["ada"]})
    assert counts() == [0, 0, 0]
    everybody = [one["count"] for one in asked(workspace, "/events/data_series?event=view", length=3)]
    assert everybody == [0, 3, 4]
    reach = asked(workspace, "/events/data_series?event=view", length=100, segment_id=number)
    assert len(reach) == 32
    assert asked(workspace, "/sessions/data_series?", length=1, segment_id=number)[0]["sessions"] == 0
    untracked = segment(workspace, analytics_tracking_enabled=False)
    for wrong, status, message in (
        (untracked, 400, "Analytics tracking is not enabled for this segment"),
        ("nobody", 404, "Unknown segment"),
        ("a%00", 404, "Unknown segment"),
    ):
        answer = get(workspace, f"/events/data_series?event=view&length=1&segment_id={wrong}")
        assert (answer.status, answer.message) == (status, message)


def test_uninstalls(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ada", "k": 1}]})
    told = [{"type": "uninstall", "external_id": "ada", "time": times.iso(noon(1))}] * 2
    answer = workspace.post("/v1/address_events", {"events": told})
    assert answer.status == 201, answer.text
    assert [one["uninstalls"] for one in asked(workspace, "/kpi/uninstalls/data_series?", length=2)] == [2, 0]


POINTS: list[tuple[str, list[Any], tuple[int, int]]] = [
    ("a scalar", [{"k": 1}], (1, 0)),
    ("a scalar again", [{"k": 1}, {"k": 1}], (2, 1)),
    ("another type", [{"k": 1}, {"k": "1"}], (2, 0)),
    ("a time again", [{"k": "2026-01-05"}, {"k": "2026-01-05T00:00:00Z"}], (2, 1)),
    ("an array again", [{"k": ["a", "b"]}, {"k": ["a", "b"]}], (2, 1)),
    ("an array in another order", [{"k": ["a", "b"]}, {"k": ["b", "a"]}], (2, 0)),
    ("nothing to add", [{"k": ["a"]}, {"k": {"add": ["a"]}}], (2, 1)),
    ("an object", [{"k": {"a": 1, "b": 2}}, {"k": {"a": 1, "b": 2}}], (2, 1)),
    ("an object of one member", [{"k": {"a": 1}}, {"k": {"a": 2}, "_merge_objects": True}], (2, 0)),
    ("counting", [{"k": {"inc": 1}}, {"k": {"inc": 0}}], (2, 1)),
    ("an array of objects", [{"k": [{"a": 1, "b": 2}, {"a": 2}]}], (3, 0)),
    ("an array of objects again", [{"k": [{"a": 1, "b": 2}]}, {"k": [{"a": 1, "b": 2}]}], (4, 2)),
    ("an object more", [{"k": {"$add": [{"a": 1, "b": 2}, {"a": 2}]}}], (3, 0)),
    (
        "an object changed and one removed",
        [
            {"k": [{"a": 1, "b": 2}, {"a": 2}]},
            {
                "k": {
                    "$update": [{"$identifier_key": "a", "$identifier_value": 1, "$new_object": {"a": 1, "b": 3}}],
                    "$remove": [{"$identifier_key": "a", "$identifier_value": 2}],
                }
            },
        ],
        (5, 0),
    ),
    ("removing", [{"k": 1}, {"k": None}], (2, 0)),
    ("removing what is not there", [{"k": None}], (1, 1)),
    ("no effect", [{"k": "x" * 256, "$k": 1, "o": [[1]]}], (0, 0)),
    ("fields and identifiers", [{"first_name": "Ada", "email": "ada@example.org", "country": "ES"}], (0, 0)),
    ("nobody", [{"_update_existing_only": True, "k": 1}], (0, 0)),
]


@pytest.mark.parametrize(("objects", "expected"), [row[1:] for row in POINTS], ids=[row[0] for row in POINTS])
def test_data_points(on_sqlite: Service, objects: list[Json], expected: tuple[int, int]) -> None:
    workspace = on_sqlite.workspace()
    for one in objects:
        workspace.track({"attributes": [{"external_id": "ada", **one}]})
    (today,) = asked(workspace, "/v1/data_points?", length=1)
    assert (today["data_points"], today["saved_by_deltas"]) == expected


def test_data_points_by_day(workspace: Workspace) -> None:
    assert len(asked(workspace, "/v1/data_points?")) == 30
    fill(workspace)  # none of it costs any
    sent = {"external_id": "ada", "a": 1, "b": {"c": 1}, "first_name": "Ada"}
    workspace.track({"attributes": [sent, sent]})
    workspace.post(
        "/users/alias/new", {"user_aliases": [{"external_id": "ada", "alias_label": "a", "alias_name": "b"}]}
    )
    found = asked(workspace, "/v1/data_points?", length=400)
    assert len(found) == 400
    today = times_now()
    assert found[-2:] == [
        {"time": day_of(today, ago=1), "data_points": 0, "saved_by_deltas": 0},
        {"time": day_of(today), "data_points": 4, "saved_by_deltas": 2},
    ]
    for length in ("0", "401", "x"):
        answer = get(workspace, f"/v1/data_points?length={length}")
        assert (answer.status, answer.message) == (400, "'length' must be an integer between 1 and 400")


def test_what_is_over_goes(workspace: Workspace) -> None:
    """Days and hours that are over are deleted; what is left is what the reference says of then."""
    fill(workspace)
    database, now = workspace.service.database, times_now()

    def rows() -> dict[str, int]:
        with database.read() as connection:
            found = series.everything(connection, workspace.id)
        return {unit: sum(1 for _, each, _ in found if each == unit) for unit in ("day", "hour")}

    before = rows()
    series.expire(database, now + 31 * times.DAY)
    assert rows() == before
    series.expire(database, now + 37 * times.DAY)
    assert rows() == {**before, "hour": 0}
    assert replay.differences(database, workspace.id, workspace.secret) == ["series differ"]
    late = now + 37 * times.DAY
    assert replay.differences(database, workspace.id, workspace.secret, now_us=late) == []
    series.expire(database, now + 405 * times.DAY)
    assert rows() == {"day": 0, "hour": 0}
    assert kinds.DAYS == 400


def test_the_command(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = on_sqlite.workspace()
    workspace.track({"attributes": [{"external_id": "ada", "k": 1}] * 3})
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(on_sqlite.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")
    with on_sqlite.database.read() as connection:
        statement = text("select name from workspace where id = :id")
        title = connection.execute(statement, {"id": workspace.id}).scalar_one()
    command = ["data-points", "list", "--days", "1", "--workspace", str(title)]
    today = day_of(times_now())
    printed = CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False).output
    assert json.loads(printed) == [{"time": today, "data_points": 3, "saved_by_deltas": 2}]
    table = CliRunner().invoke(cli, command, catch_exceptions=False).output
    assert [word for word in (today, "saved by deltas") if word not in table] == []
