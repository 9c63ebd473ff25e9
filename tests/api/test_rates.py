"""Rates of a workspace: the table that is in force, fixed rates, and booking what had none, on both stores."""

import json
from typing import Any

import pytest
import structlog

from app.adapters.rates import reference_table
from app.services.permissions import PERMISSIONS
from app.store import lane, partitions, workspaces
from app.store.profiles import unbooked
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.reference import equal_to_the_reference
from tests.command_line import run
from workers import rates

TIME = "2026-02-10T09:15:00Z"


def until(workspace: Workspace) -> int | None:
    with workspace.service.database.read() as connection:
        found = lane.read(connection, workspace.id)
    assert found is not None
    return found.settings.rates_until


def purchase(workspace: Workspace, who: str, currency: str, price: float) -> None:
    sent = {"external_id": who, "product_id": "p", "currency": currency, "price": price, "time": TIME}
    assert workspace.track({"purchases": [sent]}).status == 201


def revenue(workspace: Workspace, who: str) -> float:
    return float(workspace.user(who)["total_revenue"])


def test_a_newer_table_comes_by_a_command(service: Service) -> None:
    """Once for whoever has an older one or none; what was applied before stays as it was booked."""
    database, last = service.database, reference_table().last_day
    none, old, current = (service.workspace() for _ in range(3))
    old.change(rates_until=last - 400)
    current.change(rates_until=last + 1)
    canary = workspaces.canary(database, times_now())
    purchase(none, "before", "EUR", 10)
    queued = rates.announce(database, last, times_now())
    assert queued >= 2
    assert rates.announce(database, last, times_now()) == queued  # not applied yet: the repeat changes nothing
    for workspace in (none, old, current):
        workspace.drain()
    assert [until(workspace) for workspace in (none, old, current)] == [last, last, last + 1]
    purchase(none, "after", "EUR", 10)
    assert revenue(none, "before") == 0
    assert revenue(none, "after") > 0
    for every in workspaces.listed(database):
        service.drain(workspaces.number(every))
    assert rates.announce(database, last, times_now()) == 0
    with database.read() as connection:
        lane_ = lane.read(connection, canary)
        assert lane_ is not None
        assert lane_.settings.rates_until is None
    for workspace in (none, old, current):
        equal_to_the_reference(workspace)


def put(workspace: Workspace, body: object, key: str = "") -> Answer:
    with workspace.service.draining(workspace.id):
        headers = workspace.headers() | ({"Authorization": f"Bearer {key}"} if key else {})
        return workspace.service.send("PUT", "/v1/rates", json.dumps(body).encode(), headers, key or workspace.key)


def rate(currency: object, usd: object, first: object = "2026-01-01") -> Json:
    return {"currency": currency, "usd": usd, "from": first}


def shown(workspace: Workspace) -> Json:
    answer = workspace.service.send("GET", "/v1/rates", None, workspace.headers(), workspace.key)
    assert answer.status == 200
    return answer.body


def test_fixed_rates(workspace: Workspace) -> None:
    assert shown(workspace) == {"rates_until": None, "fixed": [], "message": "success"}
    first = put(workspace, {"rates": [rate("btc", "97000.50"), rate("BTC", 5, "2026-02-11"), rate("FRF", 1e-7)]})
    assert first.status == 200, first.text
    fixed = [rate("BTC", "97000.5"), rate("BTC", "5", "2026-02-11"), rate("FRF", "0.0000001")]
    assert first.body == shown(workspace) == {"rates_until": None, "fixed": fixed, "message": "success"}
    purchase(workspace, "a", "BTC", 2)
    assert revenue(workspace, "a") == 194_001
    assert put(workspace, {"rates": [rate("BTC", None), rate("FRF", None), rate("EUR", None)]}).body["fixed"] == [
        rate("BTC", "5", "2026-02-11")
    ]
    equal_to_the_reference(workspace)


WRONG: list[Any] = [0, -1, "0.00", "", "x", "1e3", "NaN", "1" * 16, True, [], 1e300, "-1"]
BAD: list[object] = [
    *({}, [], {"rates": []}, {"rates": {}}, {"rates": [rate("BTC", 1)], "x": 1}, {"rates": [rate("BTC", 1)] * 1001}),
    *({"rates": [rate(code, 1)]} for code in ("USD", "QQQ", "", None, 1, "XXX")),
    *({"rates": [rate("BTC", usd)]} for usd in WRONG),
    *({"rates": [rate("BTC", 1, day)]} for day in ("2026-02-30", "yesterday", "", None, 1, "2026-1-1", "0000-01-01")),
    {"rates": [rate("BTC", 1, f"2026-{n // 28 + 1:02}-{n % 28 + 1:02}") for n in range(51)]},
]


def test_malformed_rates_change_nothing(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    for body in BAD:
        assert put(workspace, body).status == 400, body
    assert shown(workspace)["fixed"] == []
    weak = on_sqlite.key(workspace.id, *(set(PERMISSIONS) - {"admin.rates"}))
    assert put(workspace, {"rates": [rate("BTC", 1)]}, weak).status in (401, 403)


def test_booking(workspace: Workspace) -> None:
    """What has a rate now counts, once; the rest stays; merges and profiles without amounts are left alone."""
    for who, currency, price in (("a", "BTC", 2), ("a", "FRF", 3), ("b", "BTC", 1.5), ("c", "USD", 7)):
        purchase(workspace, who, currency, price)
    assert [revenue(workspace, who) for who in "abc"] == [0, 0, 7]
    assert put(workspace, {"rates": [rate("BTC", 100)]}).status == 200
    for queued in (2, 1):  # FRF still waits
        answer = workspace.post("/v1/rates/book", {})
        assert (answer.status, answer.body) == (201, {"queued": queued, "message": "success"})
        assert [revenue(workspace, who) for who in "abc"] == [200, 150, 7]
    commerce = [profile.commerce for _, profile in sorted(workspace.state().profiles.items())]
    assert [each.get("unbooked") for each in commerce if each] == [{"FRF": "3"}]
    assert workspace.post("/v1/rates/book", {"cursor": "x"}).status == 400
    equal_to_the_reference(workspace)


def test_pages_find_everybody(workspace: Workspace) -> None:
    for n in range(7):
        purchase(workspace, f"u{n}", "BTC", 1)
        workspace.track({"attributes": [{"external_id": f"u{n}", "k": 1}]})
    for most in range(5, 30):
        after, found, pages = 0, list[str](), 0
        while True:
            with workspace.service.database.read() as connection:
                some, last = unbooked.page(connection, workspace.id, after, most)
            found += some
            pages += 1
            if last is None:
                break
            after = last
        assert len(found) == len(set(found)) == 7, most


@pytest.fixture
def on_the_command_line(service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What names the workspace to `onefold rates …`, on both stores. A line of log is no part of the output."""
    monkeypatch.setattr(partitions, "log", structlog.wrap_logger(structlog.testing.ReturnLogger(), processors=[]))
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", service.settings.database_url)
    with service.database.read() as connection:
        name = connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar()
    return ["--workspace", str(name)]


def test_on_the_command_line(workspace: Workspace, on_the_command_line: list[str]) -> None:
    """As the API has it: list, set, take away, refuse, and book."""
    of = on_the_command_line

    def listed() -> list[Json]:
        found: list[Json] = json.loads(run("rates", "list", *of, "--json"))
        return found

    assert listed() == []
    purchase(workspace, "a", "BTC", 2)
    assert revenue(workspace, "a") == 0
    for currency, usd, first in (
        ("btc", "97000.50", "2026-01-01"),
        ("BTC", "5", "2026-02-11"),
        ("frf", "0.2", "1999-01-01"),
    ):
        said = run("rates", "set", currency, usd, "--from", first, *of)
        assert said == "queued: in force behind everything accepted before\n"
    assert listed() == []  # not yet
    workspace.drain()
    fixed = [rate("BTC", "97000.5"), rate("BTC", "5", "2026-02-11"), rate("FRF", "0.2", "1999-01-01")]
    assert listed() == shown(workspace)["fixed"] == fixed
    text = run("rates", "list", *of)
    assert all(value in text for line in fixed for value in line.values())
    purchase(workspace, "b", "BTC", 2)
    assert revenue(workspace, "b") == 194_001
    # What had no rate is booked at that of the day on which it is booked.
    assert run("rates", "book", *of) == "queued for 1 profiles\n"
    workspace.drain()
    assert revenue(workspace, "a") == 10
    assert run("rates", "book", *of) == "queued for 0 profiles\n"
    run("rates", "set", "BTC", "none", "--from", "2026-02-11", *of)
    workspace.drain()
    assert listed() == [fixed[0], fixed[2]]
    equal_to_the_reference(workspace)


@pytest.mark.parametrize(
    "words",
    [
        ["USD", "1", "--from", "2026-01-01"],
        ["XXX?", "1", "--from", "2026-01-01"],
        ["EUR", "0", "--from", "2026-01-01"],
        ["EUR", "one", "--from", "2026-01-01"],
        ["EUR", "1e9", "--from", "2026-01-01"],
        ["EUR", "1", "--from", "2026-02-30"],
        ["EUR", "1", "--from", "01/02/2026"],
        ["EUR", "1\u200b", "--from", "2026-01-01"],
        ["EUR", "1"],
    ],
)
def test_a_wrong_rate_on_the_command_line(
    workspace: Workspace, on_the_command_line: list[str], words: list[str]
) -> None:
    """One sentence, and nothing is queued."""
    shown = run("rates", "set", *words, *on_the_command_line, fails=True)
    assert ("'rates[0]' must have a known 'currency'" in shown) is ("--from" in words)
    assert "Traceback" not in shown
    assert workspace.service.drain(workspace.id).requests == 0
    assert json.loads(run("rates", "list", *on_the_command_line, "--json")) == []


def test_a_workspace_that_is_not_there(on_the_command_line: list[str]) -> None:
    for words in (["list"], ["book"], ["set", "EUR", "1", "--from", "2026-01-01"]):
        assert "No workspace has this name" in run("rates", *words, "--workspace", "nowhere", fails=True)
