"""docs/visitors.md does what it says: its blocks run in a page, and what comes of each use is looked at from outside.

The uses are those of the articles about anonymous users, and of the FAQ about people whom only the API has made.
"""

import json
import re
from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium
from tests.browser.pages import site
from tests.browser.shop import Json, Shop, events
from tests.docs.markdown import blocks
from tests.e2e.service import Service
from tests.polling import until

PAGE = "docs/visitors.md"
SCRIPTS = [block.text for block in blocks(PAGE) if block.language == "js"]
CALLS = [block.text for block in blocks(PAGE) if block.language == "sh" and not block.not_run]
HOST, KEY = "https://data.example.org", "the SDK key of the app"
FORM = "<form onsubmit='return false'><input name=first_name><input name=email><button>Buy</button></form>"
LOOKED, LEAD, CHECKOUT, LOG_IN, LOG_OUT, LEFT, ASK = SCRIPTS


@pytest.fixture
def shop(onefold: Service) -> Iterator[Shop]:
    made = Shop(onefold)
    pages = {f"/{name}": filled(made, name) for name in ("visitors", "sdk")}
    pages["/script"] = pages["/visitors"].split("\n")[0]
    with site(pages) as made.origin:
        yield made


def filled(shop: Shop, name: str) -> str:
    """The page that a block of HTML is, with a form behind it."""
    (text,) = (block.text for block in blocks(f"docs/{name}.md") if block.language == "html")
    assert (HOST in text, KEY in text) == (True, True)
    return text.replace(HOST, shop.onefold.url).replace(KEY, shop.sdk_key) + f'<link rel="icon" href="data:,">{FORM}'


def send(shop: Shop, call: str) -> Json:
    """What a call of the page answers."""
    path, body = re.search(r"\$URL(\S+)", call), re.search(r"-d '(.*)'", call, re.DOTALL)
    assert path
    assert body
    status, answer, _ = shop.onefold.call("POST", path[1], json.loads(body[1]), shop.key)
    assert status in (200, 201), answer
    found: Json = answer
    return found


def members(shop: Shop, segment: Json) -> set[str]:
    _, found, _ = shop.onefold.call("GET", f"/v1/profiles?segment={segment['id']}", None, shop.key)
    return {one["braze_id"] for one in found["profiles"]}


def test_the_uses(browser: Chromium, shop: Shop) -> None:
    leads, by_alias, came = CALLS
    shop.onefold.call("POST", "/users/track", {"attributes": [{"external_id": "imported"}]}, shop.key)
    visitor = browser.visitor()
    page = visitor.page(f"{shop.origin}/visitors")

    def told(script: str) -> None:
        page.run(f"async () => {{ {script}; await onefold.requestImmediateDataFlush() }}")

    def anonymous() -> Json:
        (found,) = (one for one in shop.people() if one.get("external_id") is None)
        return found

    told(LOOKED)
    assert (events(anonymous()), anonymous()["custom_attributes"]) == (
        {"viewed_product": 1},
        {"interested_in": "pottery"},
    )
    lead_segment, came_segment = send(shop, leads), send(shop, came)
    assert members(shop, lead_segment) == set()
    told(LEAD)
    visitor_id = anonymous()["braze_id"]
    assert members(shop, lead_segment) == {visitor_id}
    assert members(shop, came_segment) == {visitor_id}  # and not who was imported

    told(CHECKOUT)
    page.fill("[name=first_name]", "Joe")
    page.fill("[name=email]", "Joe@Example.org")
    page.click("button")
    until(lambda: anonymous().get("purchases"))
    send(shop, by_alias)
    guest = anonymous()
    assert guest["user_aliases"] == [{"alias_name": "joe@example.org", "alias_label": "email"}]
    assert (guest["first_name"], guest["total_revenue"], guest["custom_attributes"]["newsletter"]) == (
        "Joe",
        80.0,
        True,
    )

    told(LOG_IN)
    (joe,) = (one for one in shop.people() if one.get("external_id") == "joe")
    assert (joe["braze_id"], joe["total_revenue"], events(joe)) == (visitor_id, 80.0, {"viewed_product": 1})
    assert (members(shop, lead_segment), members(shop, came_segment)) == (set(), {visitor_id})

    told(LOG_OUT)
    told(LEFT)
    after = anonymous()
    assert (after["braze_id"] != visitor_id, events(after)) == (True, {"left_cart": 1})
    assert members(shop, came_segment) == {visitor_id, after["braze_id"]}
    told("onefold.getUser().setEmail('joe@example.org')")
    twice = {
        "identifier_to_merge": {"email": "joe@example.org", "prioritization": ["unidentified"]},
        "identifier_to_keep": {"external_id": "joe"},
    }
    shop.onefold.call("POST", "/users/merge", {"merge_updates": [twice]}, shop.key)
    until(lambda: len(shop.people()) == 2)
    (joe,) = (one for one in shop.people() if one.get("external_id") == "joe")
    assert (events(joe), joe["sessions"]["count"]) == ({"viewed_product": 1, "left_cart": 1}, 2)
    assert visitor.errors() == []


def test_asking_first(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = visitor.page(f"{shop.origin}/script")
    page.run(f"() => {{ {ASK.replace(KEY, shop.sdk_key)} }}")
    assert page.run("() => [onefold.openSession(), localStorage.length]") == [False, 0]
    page.run("() => { onefold.enableSDK(); onefold.openSession() }")
    page.run("() => onefold.requestImmediateDataFlush()")
    assert shop.person()["sessions"]["count"] == 1


def test_the_page_of_the_web_sdk(browser: Chromium, shop: Shop) -> None:
    page = browser.visitor().page(f"{shop.origin}/sdk")
    page.run("() => onefold.requestImmediateDataFlush()")
    person = shop.person({"viewed_product": 1})
    assert (person["email"], person["sessions"]["count"]) == ("ada@example.org", 1)
