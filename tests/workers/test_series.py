"""Series are what happened, summed by day and hour of the workspace's zone, whatever the drain did to get there."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import series as kinds
from app.domain import times
from app.domain.reasons import SERIES_FULL, TOO_OLD_FOR_SERIES
from app.store import series, workspaces
from app.store.engine import Database
from tests.accepting import accept, track
from tests.applying import applier
from tests.stores import NOW_US, workspace
from workers import replay
from workers.batches import BatchSize

_names = (f"s{n}" for n in itertools.count())

#: On both sides of changes of the clock, by whole and half hours; offsets of half and three quarters of an hour.
ZONES = (
    *("UTC", "Europe/Paris", "America/New_York"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"),
)


def place(zone: str, us: int) -> tuple[str, datetime]:
    """The day by the calendar of a zone, and when its hour of the clock began: as plainly as can be said."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    local = moment.astimezone(ZoneInfo(zone))
    return local.date().isoformat(), moment - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )


#: About when clocks change: Paris, New York, Lord Howe (by half an hour), and a day on which none does.
BASES = ("2026-03-29T00:20:00Z", "2026-11-01T05:10:00Z", "2026-04-04T14:40:00Z", "2026-10-03T14:50:00Z", NOW_US)
AGES = st.one_of(
    st.integers(0, 6 * 60), st.integers(0, 50 * 24 * 60), st.sampled_from([days * 24 * 60 for days in (32, 400, 401)])
)
EVENTS = st.tuples(st.just("event"), st.sampled_from(["view", "cart"]), st.sampled_from([None, "web", "ios"]), AGES)
PURCHASES = st.tuples(
    st.just("purchase"), st.integers(1, 3), st.sampled_from([None, "web"]), AGES, st.sampled_from([-250, 0, 1999])
)
ORDERS = st.tuples(st.just("order"), st.booleans(), st.sampled_from([None, "web"]), AGES, st.integers(0, 9_999))
REQUESTS = st.one_of(
    st.lists(st.one_of(EVENTS, PURCHASES, ORDERS), min_size=1, max_size=6), st.sampled_from(ZONES), st.none()
)


class Model:
    """What the series have to be: {(kind, name, app, unit, which): [count, amount]}."""

    def __init__(self) -> None:
        self.zone, self.too_old = "UTC", 0
        self.sums: dict[tuple[int, str, str, str, str], list[int]] = {}

    def add(self, kind: int, name: str, app: str | None, us: int, accepted_us: int, count: int, amount: int) -> None:
        if accepted_us - us > 400 * times.DAY:
            self.too_old += 1
            return
        day, hour = place(self.zone, us)
        self._add((kind, name, app or "", "day", day), count, amount)
        if accepted_us - us <= 32 * times.DAY and kind < kinds.NEW_USERS:
            self._add((kind, name, app or "", "hour", hour.isoformat()), count, amount)

    def _add(self, key: tuple[int, str, str, str, str], count: int, amount: int) -> None:
        before = self.sums.setdefault(key, [0, 0])
        self.sums[key] = [before[0] + count, before[1] + amount]

    def take(self, one: tuple[Any, ...], accepted_us: int) -> tuple[str, dict[str, Any]]:
        """What happens by an object, and the object in its array."""
        what, said, app, age, *more = one
        us = accepted_us // 1_000 * 1_000 - age * times.MINUTE
        obj: dict[str, Any] = {"external_id": "ada", "time": times.iso(us)} | ({} if app is None else {"app_id": app})
        if what == "event":
            self.add(kinds.EVENTS, said, app, us, accepted_us, 1, 0)
            return "events", obj | {"name": said}
        (cents,) = more
        if what == "purchase":
            self.add(kinds.PURCHASES, "", app, us, accepted_us, said, cents * said)
            self.add(kinds.PRODUCTS, "jacket", app, us, accepted_us, said, cents * said)
            return "purchases", obj | {
                "product_id": "jacket", "price": cents / 100, "currency": "USD", "quantity": said,
            }  # fmt: skip
        name = "ecommerce.order_placed" if said else "ecommerce.order_refunded"
        self.add(kinds.PURCHASES, "", app, us, accepted_us, 0, cents if said else -cents)
        self.add(kinds.EVENTS, name, app, us, accepted_us, 1, 0)
        order = {"order_id": "1", "total_value": cents / 100, "currency": "USD", "source": "web", "products": []}
        return "events", obj | {"name": name, "properties": order}


def kept(database: Database, workspace_id: int) -> dict[tuple[int, str, str, str, str], list[int]]:
    """What is stored, as Model has it, without what is counted of profiles and attributes."""
    with database.read() as connection:
        found = series.everything(connection, workspace_id)
    return {
        (*key, unit, _which(unit, at)): list(sums)
        for (key, unit, at), sums in found.items()
        if key[0] not in (kinds.NEW_USERS, kinds.DATA_POINTS)
    }


def _which(unit: str, at: int) -> str:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return (epoch + (timedelta(days=at) if unit == "day" else timedelta(minutes=at))).isoformat()[
        : 10 if unit == "day" else None
    ]


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(BASES), st.sampled_from(ZONES), st.lists(REQUESTS, max_size=12), st.sampled_from([1, 2, 64]))
def test_any_history_in_any_batches(
    database: Database, base: str | int, zone: str, requests: list[Any], limit: int
) -> None:
    """None drains what there is; the name of a zone changes that of the workspace."""
    one, model, worker = workspace(database, next(_names)), Model(), applier(database)
    worker._sizes = {stream: BatchSize(limit) for stream in (0, 1)}
    started = base if isinstance(base, int) else times.parse(base)
    assert started is not None
    too_old = 0
    for n, request in enumerate([zone, *requests, None]):
        us = started + n * times.SECOND
        if request is None:
            summary = worker.drain(one)
            too_old += summary.skipped_by_reason.pop(TOO_OLD_FOR_SERIES, 0)
            assert (summary.dead, summary.skipped_by_reason) == (0, {})
        elif isinstance(request, str):
            model.zone = request
            accept(database, one, us, time_zone=request)
        else:
            body: dict[str, list[dict[str, Any]]] = {"events": [], "purchases": []}
            for array, obj in (model.take(each, us) for each in request):
                body[array].append(obj)
            accept(database, one, us, body)
    assert kept(database, one) == model.sums
    assert too_old == model.too_old
    assert replay.differences(database, one, workspaces.secret(database, one)) == []


WHEN = times.iso(NOW_US - times.HOUR)


def event(name: str, app: str | None = None) -> dict[str, Any]:
    return {"external_id": "ada", "name": name, "time": WHEN} | ({} if app is None else {"app_id": app})


def bought(product: str, price: float = 1, quantity: int = 1, app: str | None = None) -> dict[str, Any]:
    obj = {"external_id": "ada", "product_id": product, "currency": "USD", "price": price, "quantity": quantity}
    return {**obj, "time": WHEN} | ({} if app is None else {"app_id": app})


def test_names_leave_room_for_the_sums_of_the_workspace(database: Database) -> None:
    one = workspace(database)
    for body in ({"events": [event(f"name {n}") for n in range(9)]}, {"purchases": [bought("p", 2, 3, "ios")]}):
        assert track(database, one, body)
        applier(database, most_series=4).drain(one)
    with database.read() as connection:
        found = {key for key, unit, _ in series.everything(connection, one) if unit == "day"}
    assert {(kinds.NEW_USERS, "", ""), (kinds.PURCHASES, "", "")} < found
    assert (kinds.PRODUCTS, "p", "") not in found
    assert replay.differences(database, one, workspaces.secret(database, one), most_series=4) == []


def test_the_series_are_full(database: Database) -> None:
    """What comes beyond half of the room is counted without its app; beyond all of it not at all, and told of."""
    one = workspace(database)
    worker = applier(database, most_series=6)
    told = []
    for body in (
        {"events": [event("view"), event("view", "web")]},
        {"events": [event("view", "ios"), event("view", "web"), event("cart", "ios")]},
        {"purchases": [bought("p", 2, 3, "ios")]},
        {"events": [event("new", "web"), event("view", "new"), event("new")], "purchases": [bought("q")]},
    ):
        assert track(database, one, body)
        told.append(worker.drain(one).skipped_by_reason)
        worker = applier(database, most_series=6)  # one that remembers nothing
    assert told == [{}, {}, {}, {SERIES_FULL: 3}]
    with database.read() as connection:
        found = series.everything(connection, one)
    assert {key: sums for (key, unit, _), sums in found.items() if unit == "day"} == {
        (kinds.EVENTS, "view", ""): (3, 0),
        (kinds.EVENTS, "view", "web"): (2, 0),
        (kinds.NEW_USERS, "", ""): (1, 0),
        (kinds.EVENTS, "cart", ""): (1, 0),
        (kinds.PURCHASES, "", ""): (4, 700),
        (kinds.PRODUCTS, "p", ""): (3, 600),
    }
    secret = workspaces.secret(database, one)
    assert replay.differences(database, one, secret, most_series=6) == []
    assert replay.differences(database, one, secret) == ["series differ"]


def test_long_names_and_apps(database: Database) -> None:
    one, name = workspace(database), "\U0001f600" * 255
    assert track(database, one, {"events": [event(name, "\U0001f600" * 255), event(name, "x" * 256), event(name, "")]})
    assert applier(database).drain(one).dead == 0
    with database.read() as connection:
        apps = {
            key[2]: sums
            for (key, unit, _), sums in series.everything(connection, one).items()
            if key[1] and unit == "day"
        }
    assert apps == {"\U0001f600" * 255: (1, 0), "": (2, 0)}


def test_amounts_that_no_column_holds(database: Database) -> None:
    one, worker = workspace(database), applier(database)
    for price in (10**12, 10**12, -(10**12)):
        assert track(database, one, {"purchases": [bought("p", price, 100)] * 700})
        worker.drain(one)
    with database.read() as connection:
        found = series.days(connection, one, kinds.PRODUCTS, "p", None, 0, 10**6)
    assert list(found.values()) == [(210_000, 700 * 10**16)]
    assert replay.differences(database, one, workspaces.secret(database, one)) == []
