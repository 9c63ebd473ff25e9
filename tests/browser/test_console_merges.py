"""The jobs of the pages People and Merge, as an operator does them."""

from typing import Any

from app.services.accounts import OPERATOR
from tests.browser.chromium import Chromium, Page
from tests.browser.console import DESK, PHONE, Console, axe, console, faults, sideways
from tests.e2e.service import Service
from tests.polling import until

HOSTILE = "<img src=x onerror=window.hacked=1>{{7*7}}"
GUEST = {"alias_label": "web", "alias_name": "guest-7"}


def people(there: Console, *attributes: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> None:
    status, answer, _ = there.call("POST", "/users/track", {"attributes": [*attributes], "events": [*events]})
    assert status == 201, answer
    until(
        lambda: len(there.call("GET", "/v1/profiles")[1]["profiles"]) == len(attributes), 20, 0.1, "nobody is there yet"
    )


def sound(page: Page) -> None:
    page.call("evaluate", axe())
    assert faults(page) == []
    assert sideways(page) == 0


def test_find_merge_see_why_and_undo(browser: Chromium, onefold: Service) -> None:
    """A person is found by e-mail, and merged with another after a look at what comes of it; then that is undone."""
    there = console(onefold, browser, OPERATOR, **DESK)
    people(
        there,
        {"external_id": "ada", "email": "ada@example.org", "first_name": f"Ada {HOSTILE}", "tier": "gold"},
        {"user_alias": GUEST, "city": "Ulm", "tier": "silver", "_update_existing_only": False},
        events=({"external_id": "ada", "name": "view", "time": "2026-11-27"},),
    )
    page = there.open("/people")
    page.fill("[name=q]", "ada@example.org")
    page.click("main form button")
    page.click("main table a")
    page.shows(f"Ada {HOSTILE}", "h1")
    page.shows("gold", "main")
    sound(page)
    page.click("text=Merge somebody into this person")
    page.fill("[name=merge]", "guest-7")
    page.click("text=Compare")
    page.shows("What a merge would do", "main")
    page.shows("custom_attributes.city", "main")
    page.shows("silver", "main")
    sound(page)
    page.click("text=Merge them")
    page.shows("They are one person now.", "[role=status]")
    page.shows("alias web: guest-7", "main section")
    page.call("click", "summary")
    sound(page)
    page.click("text=To the person")
    page.shows("merged", "main")  # in the timeline
    page.click("text=Why is this one person?")
    page.click("text=Take this person out again")
    page.shows("Cannot be separated for sure", "main")
    sound(page)
    page.click("main form button")
    page.shows("one of their own again", "[role=status]")
    page.shows("guest-7", "main")
    page.shows("restored", "main")
    (found,) = there.call("GET", "/v1/profiles?search=ada@example.org")[1]["profiles"]
    assert "user_aliases" not in found or found["user_aliases"] == []
    assert page.run("() => typeof window.hacked") == "undefined"
    assert there.visitor.errors() == []


def test_one_is_taken_out_of_a_chain_of_three(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, OPERATOR, **PHONE)
    people(there, *({"external_id": name, "email": f"{name}@example.org", "of": name} for name in ("ann", "ben", "cy")))
    for merged, kept in (("ben", "ann"), ("ann", "cy")):
        pair = {"identifier_to_merge": {"external_id": merged}, "identifier_to_keep": {"external_id": kept}}
        assert there.call("POST", "/users/merge", {"merge_updates": [pair]})[0] == 202
    until(lambda: len(there.call("GET", "/v1/profiles")[1]["profiles"]) == 1, 20, 0.1, "they are not merged yet")
    page = there.open("/people?q=cy@example.org")
    page.click("main table a")
    page.click("text=Why is this one person?")
    page.shows("external_id ben", "main")
    sound(page)
    page.click("section:has-text('external_id ben') >> text=Take this person out again")
    page.shows("Merges that stand on this one", "main")
    sound(page)
    page.click("main form button")
    page.shows("one of their own again", "[role=status]")
    page.shows("ben", "main")
    names = {person["external_id"] for person in there.call("GET", "/v1/profiles")[1]["profiles"]}
    assert names == {"ben", "cy"}
    assert there.visitor.errors() == []
