"""The console in a browser: the jobs of Segments, Duplicates, Subscriptions and Alerts, as an operator does them."""

from tests.browser.chromium import Chromium
from tests.browser.console import DESK, PHONE, Console, console, sideways
from tests.e2e.service import Service
from tests.polling import until

HOSTILE = "<img src=x onerror=window.hacked=1>{{7*7}}"


def unharmed(there: Console) -> None:
    """Nothing of what was stored ran, and nothing failed but forms that were wrong on purpose."""
    assert [error for error in there.visitor.errors() if "status of 422" not in error] == []


def test_the_segment_of_leads(browser: Chromium, onefold: Service) -> None:
    """External User ID is blank and is_lead_profile is true: built, counted, kept, and why somebody is in it."""
    there = console(onefold, browser, **DESK)
    alias = {"alias_label": "lead", "alias_name": HOSTILE}
    track = {
        "attributes": [
            {"user_alias": alias, "_update_existing_only": False, "is_lead_profile": True, "email": "l@example.org"},
            {"external_id": "ada", "is_lead_profile": True},
        ]
    }
    assert there.call("POST", "/users/track", track)[0] == 201
    page = there.open("/segments")
    page.click("text=Build a segment")
    page.call("selectOption", "fieldset:nth-of-type(1) [name=field]", "external_id")
    page.call("selectOption", "fieldset:nth-of-type(1) [name=op]", "is_blank")
    page.call("selectOption", "fieldset:nth-of-type(2) [name=field]", "custom_attribute")
    page.fill("fieldset:nth-of-type(2) [name=name]", "is_lead_profile")
    page.call("selectOption", "fieldset:nth-of-type(2) [name=op]", "is_true")
    page.click("button:text-is('Count')")
    page.shows("external_id is_blank AND custom_attribute is_lead_profile is_true", "main")
    page.shows("People", "dl.cards")
    assert page.text("dl.cards dd") == "1"
    page.fill("form[method=post] [name=name]", f"Leads {HOSTILE}")
    page.click("text=Keep the segment")
    page.shows(f"The segment Leads {HOSTILE} is kept.", "[role=status]")
    page.call("selectOption", "[name=by]", "email")
    page.fill("[name=who]", "l@example.org")
    page.click("text=Tell why")
    page.shows("is in it", "h3")
    page.fill("[name=who]", "ada")
    page.call("selectOption", "[name=by]", "external_id")
    page.click("text=Tell why")
    page.shows("is not in it", "h3")
    assert page.text("tbody tr:nth-child(1) .state") == "no"
    assert page.text("tbody tr:nth-child(2) .state") == "yes"
    unharmed(there)


def test_a_rule_is_run_and_the_run_taken_back(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, **DESK)
    for name in ("ada", f"ada {HOSTILE}"):
        track = {"attributes": [{"external_id": name, "email": "ada@example.org"}]}
        assert there.call("POST", "/users/track", track)[0] == 201
    page = there.open("/duplicates")
    page.call("selectOption", "fieldset:nth-of-type(1) [name=ties]", "created_at")
    page.call("selectOption", "fieldset:nth-of-type(1) [name=prioritization]", "oldest")
    page.click("text=Keep the rules")
    page.shows("The rules are kept", "[role=status]")
    page.click("a:text-is('Preview')")
    page.shows(f"ada {HOSTILE}", "main table")
    page.click("text=To the rules and runs")
    page.click("button:text-is('Run')")
    page.shows("The run is queued.", "[role=status]")

    def cards() -> list[str]:
        return page.text("dl.cards").split("\n")

    until(lambda: page.run("() => document.querySelector('dl.cards') !== null"))
    until(lambda: "done" in cards() and cards()[cards().index("Merged") + 1] == "1", 60, 0.2, "it merges nobody")
    page.shows("merged", "main table")
    page.click("text=Take the run back")
    page.click("text=Take it back")
    page.shows("The run is being taken back.", "[role=status]")
    until(lambda: page.run("() => document.querySelector('dl.cards') !== null"))
    until(lambda: "Taken back" in cards() and cards()[cards().index("Taken back") + 1] == "1", 60, 0.2, "it stays")
    asked = {"external_ids": ["ada", f"ada {HOSTILE}"], "fields_to_export": ["external_id"]}
    _, answer, _ = there.call("POST", "/users/export/ids", asked)
    assert len(answer["users"]) == 2
    unharmed(there)


def test_a_group_is_made_and_set(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, **PHONE)
    track = {"attributes": [{"external_id": "ada", "email": "ada@example.org"}]}
    assert there.call("POST", "/users/track", track)[0] == 201
    page = there.open("/subscriptions")
    page.fill("form[method=post] [name=name]", f"News {HOSTILE}")
    page.click("text=Make the group")
    page.shows("is made.", "[role=status]")
    page.fill("form[method=get] [name=who]", "ada")
    page.click("text=Show the states")
    page.shows("no recorded state", "main table")
    page.call("selectOption", "[name=state]", "subscribed")
    page.click("button:text-is('Set the state')")
    page.shows("The state is set by the request", "[role=status]")
    page.fill("form[method=get] [name=who]", "ada")
    page.click("text=Show the states")
    page.shows(f"News {HOSTILE}: subscribed", "main table")
    assert sideways(page) == 0
    unharmed(there)


def test_an_alert_is_made_tested_and_deleted(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, **DESK)
    page = there.open("/alerts")
    page.click("text=New alert")
    page.fill("[name=name]", f"Backlog {HOSTILE}")
    page.call("selectOption", "[name=metric]", "backlog_requests")
    page.fill("[name=above]", "many")
    page.fill("[name=webhook]", "https://hooks.example.org/onefold")
    page.click("text=Keep the alert")
    page.shows("'above' must be a whole number", "[role=alert]")
    page.fill("[name=above]", "1000")
    page.click("text=Keep the alert")
    page.shows("It is shown this once.", "main")
    page.click("text=To the alerts")
    page.shows(f"Backlog {HOSTILE}", "main table")
    page.click("main table form button")
    page.shows("A test is on its way", "[role=status]")
    page.shows("this is a test of the alert", "[aria-label='Messages of alerts']")
    page.click("main table summary")
    page.click("button.grave")
    page.shows("Nothing is watched yet.", "main")
    unharmed(there)
