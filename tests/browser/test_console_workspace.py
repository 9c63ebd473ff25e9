"""The jobs of the pages about a workspace itself: overview, limits, usage, apps, settings, and what was done."""

from tests.browser.chromium import Chromium
from tests.browser.console import DESK, PHONE, SETTLED, console
from tests.e2e.service import Service
from tests.polling import until

TRACK = {"attributes": [{"external_id": "ada", "first_name": "Ada"}]}


def test_a_burst_limit_is_raised_and_the_429s_stop(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, **DESK)
    there.call("PUT", "/v1/limits", {"track_burst_limit": 2, "burst_window_seconds": 600})
    assert [there.call("POST", "/users/track", TRACK)[0] for _ in range(4)] == [201, 201, 429, 429]
    page = there.open("/limits")
    page.shows("empty", "main")
    page.shows("2", "[aria-label='Calls of the last hour by key'] .bad")  # 429s of the key
    page.fill("[name=track_burst_limit]", "500")
    page.fill("[name=burst_window_seconds]", "1")
    page.click("text=Change the limits of /users/track")
    page.shows("The limits are changed.", "[role=status]")
    page.shows("500", "[aria-label=Limits]")
    until(lambda: there.call("POST", "/users/track", TRACK)[0] == 201, 10, 0.1, "still over the limit")
    assert [there.call("POST", "/users/track", TRACK)[0] for _ in range(5)] == [201] * 5
    canvases = "() => document.querySelectorAll('.chart canvas').length"
    until(lambda: page.run(canvases) == 1, 10, 0.1, "the chart is not drawn")
    assert there.visitor.errors() == []


def test_overview_and_usage(browser: Chromium, onefold: Service) -> None:
    """The numbers move by themselves; usage says which key got which answer."""
    there = console(onefold, browser, **PHONE)
    page = there.open("/overview")
    page.shows("Accepted", "main")
    assert there.call("POST", "/users/track", TRACK)[0] == 201
    assert there.call("POST", "/users/track", {"nothing": 1})[0] == 400
    applied = (
        "() => [...document.querySelectorAll('.cards dd')].slice(0, 3).map((one) => one.firstChild.textContent.trim())"
    )
    until(lambda: page.run(applied) == ["1", "1", "0"], 15, 0.1, "the overview does not move")
    page.open(f"{onefold.url}/console/{there.workspace_id}/usage")

    def lines() -> list[list[str]]:
        page.reload()
        page.run(SETTLED)
        rows = "[aria-label^='Answers by key'] tbody tr"
        found: list[list[str]] = page.run(
            "(rows) => [...document.querySelectorAll(rows)].map("
            "  (row) => [...row.cells].map((one) => one.textContent.trim()))",
            rows,
        )
        return sorted(found)

    counted = [["tests", "POST /users/track", "201", "1"], ["tests", "POST /users/track", "400", "1"]]
    until(lambda: lines() == counted, 20, 0.5, "usage was not counted")
    page.call("selectOption", "[name=hours]", "24")
    page.fill("[name=endpoint]", "GET /nothing")
    page.click("text=Show")
    page.shows("Nothing in this time.", "main")
    assert there.visitor.errors() == []


def test_apps_settings_and_what_was_done(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, **DESK)
    page = there.open("/apps")
    page.fill("[name=name]", "Shop")
    page.fill("[name=origins]", "https://shop.example.org")
    page.click("text=Make the app")
    page.shows("The app Shop is made.", "[role=status]")
    page.click("main tbody a")
    page.call("check", "[name=disabled]")
    page.click("text=Change the app")
    page.shows("off", "main tbody")
    _, apps, _ = there.call("GET", "/v1/apps")
    assert [(one["name"], one["disabled"], one["allowed_origins"]) for one in apps["apps"]] == [
        ("Shop", True, ["https://shop.example.org"])
    ]
    page.click("nav >> text=Settings")
    page.fill("[name=time_zone]", "Mars/Olympus")
    page.click("main button")
    page.shows("IANA", "[role=alert]")
    page.fill("[name=time_zone]", "Europe/Paris")
    page.click("main button")
    page.shows("Changed: time_zone.", "[role=status]")
    page.click("nav >> text=Audit log")
    acts = page.run("() => [...document.querySelectorAll('main tbody tr')].map((row) => row.cells[2].textContent)")
    assert acts == ["settings.change", "settings.change", "apps.change", "apps.create"]
    assert [error for error in there.visitor.errors() if "422" not in error] == []
