"""SDKs of others on a page, as they are (`make clients`) and with documented options alone: every call lands once, on
the right profile, whatever becomes of tabs and answers; and nothing is asked of any host but Onefold and the site.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from tests.browser.chromium import INSTALLED, Chromium, Page, Visitor
from tests.browser.pages import site
from tests.browser.shop import Json, events, everybody
from tests.e2e.service import Service
from tests.missing import missing
from tests.polling import until

#: What loads each SDK. It leaves behind `sdk`, with the methods of the tracking API. HOST is Onefold.
SEGMENT: Final = """
<script src="/files/@segment/analytics-next/dist/umd/index.js"></script>
<script>window.sdk = AnalyticsNext.AnalyticsBrowser.load({writeKey: KEY, cdnURL: HOST}, OPTIONS)</script>"""
RUDDERSTACK: Final = """
<script src="/files/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"></script>
<script>
  window.sdk = new rudderanalytics.RudderAnalytics();
  sdk.load(KEY, HOST, {configUrl: HOST, ...OPTIONS});
</script>"""
JITSU: Final = """
<script type="module">
  import { jitsuAnalytics } from "/files/@jitsu/js/dist/jitsu.es.js";
  window.sdk = jitsuAnalytics({host: HOST, writeKey: `${KEY}:secret`, ...OPTIONS});
</script>"""
BATCHES: Final = {"strategy": "batching", "config": {"size": 4, "timeout": 200}}
#: What loads an SDK, and its options.
SDKS: Final[dict[str, tuple[str, Json]]] = {
    "segment": (SEGMENT, {}),
    "segment, batches": (SEGMENT, {"integrations": {"Segment.io": {"deliveryStrategy": BATCHES}}}),
    "rudderstack": (RUDDERSTACK, {}),
    "rudderstack, batches": (RUDDERSTACK, {"queueOptions": {"batch": {"enabled": True, "flushInterval": 200}}}),
    "rudderstack, beacons": (RUDDERSTACK, {"useBeacon": True, "beaconQueueOptions": {"flushQueueInterval": 200}}),
    "jitsu": (JITSU, {"cookieDomain": "127.0.0.1"}),
}
#: Those that keep what is not answered yet, for the next page.
KEEPING: Final = [name for name in SDKS if name != "jitsu"]
ORDER: Final[Json] = {
    "order_id": "o-1",
    "total": 27.5,
    "currency": "USD",
    "products": [
        {"product_id": "mug", "name": "Mug", "price": 10, "quantity": 2},
        {"product_id": "tea", "name": "Tea", "price": 7.5, "quantity": 1},
    ],
}
TELL: Final = """async (calls) => {
  for (const [method, ...said] of calls) await Promise.race([sdk[method](...said), new Promise(setTimeout)]);
}"""


class Shop:
    """Somebody's site, with a page for an SDK."""

    def __init__(self, onefold: Service, sdk: str) -> None:
        self._onefold = onefold
        self._key = onefold.workspace("legacy")
        _, app, _ = onefold.call("POST", "/v1/apps", {"name": "Shop", "platform": "web"}, self._key)
        loading, options = SDKS[sdk]
        given = [
            f"{n} = {json.dumps(v)}" for n, v in (("KEY", app["sdk_key"]), ("HOST", onefold.url), ("OPTIONS", options))
        ]
        head = f'<!doctype html><link rel="icon" href="data:,"><script>const {", ".join(given)}</script>'
        self.pages = {"/": head + loading, "/away": head}
        self.origin = ""

    def visit(self, visitor: Visitor) -> Page:
        page = visitor.page(f"{self.origin}/")
        until(lambda: page.run("() => 'sdk' in window"))
        return page

    def people(self) -> list[Json]:
        return everybody(self._onefold, self._key)

    def person(self, **wanted: int) -> Json:
        """The only one there is, once these events were counted."""

        def found() -> Json:
            people = self.people()
            return people[0] if len(people) == 1 and events(people[0]) == wanted else {}

        return until(found, 15, 0.05, f"nobody with {wanted}: {self.people()}")


@pytest.fixture
def shop(onefold: Service, sdk: str) -> Iterator[Shop]:
    if not all((INSTALLED / "node_modules" / name).is_dir() for name in ("@segment/analytics-next", "@jitsu/js")):
        missing("the tracking SDKs are not installed, see `make clients`")
    made = Shop(onefold, sdk)
    with site(made.pages, INSTALLED / "node_modules") as made.origin:
        yield made


def tell(page: Page, *calls: list[Any]) -> None:
    """Make calls, in this order, without waiting until they are answered."""
    page.run(TELL, list(calls))


def nothing_else(visitor: Visitor, shop: Shop, onefold: Service) -> None:
    """No other host was asked, and no page complained."""
    hosts = {one["url"].split("/")[2] for one in visitor.requests() if one["url"].startswith("http")}
    assert hosts == {shop.origin.split("/")[2], onefold.url.split("/")[2]}
    assert visitor.errors() == []


@pytest.mark.parametrize("sdk", SDKS)
def test_a_visit(browser: Chromium, onefold: Service, shop: Shop, sdk: str) -> None:
    visitor = browser.visitor(locale="de-AT", timezoneId="Europe/Vienna", viewport={"width": 900, "height": 700})
    page = shop.visit(visitor)
    tell(page, ["page", "Home", {"path": "/"}], ["track", "Looked", {"sku": "mug"}])
    shop.person(**{"Viewed Home Page": 1, "Looked": 1})
    page.reload()
    until(lambda: page.run("() => 'sdk' in window"))
    second = shop.visit(visitor)
    tell(page, ["track", "Looked", {"sku": "tea"}])
    tell(second, ["track", "Looked", {"sku": "mug"}])
    anonymous = shop.person(**{"Viewed Home Page": 1, "Looked": 3})
    assert (anonymous.get("external_id"), anonymous["created_from"]) == (None, "sdk")
    tell(
        second,
        ["identify", "ada", {"firstName": "Ada", "email": "Ada@Example.org", "plan": "pro"}],
        ["group", "engines", {"seats": 3}],
        ["track", "Order Completed", ORDER],
    )
    person = shop.person(**{"Viewed Home Page": 1, "Looked": 3, "ecommerce.order_placed": 1})
    until(lambda: "group_id" in shop.people()[0]["custom_attributes"])
    (person,) = shop.people()
    assert (person["braze_id"], person["external_id"]) == (anonymous["braze_id"], "ada")
    assert (person["first_name"], person["email"], person["custom_attributes"]) == (
        "Ada",
        "ada@example.org",
        {"plan": "pro", "group_id": "engines", "group_traits": {"seats": 3}},
    )
    (device,) = person["devices"]
    assert (device["browser"], device["locale"]) == ("Chrome", "de-AT")
    assert all("version" not in app for app in person.get("apps", ()))
    nothing_else(visitor, shop, onefold)


@pytest.mark.parametrize("sdk", KEEPING)
def test_whoever_leaves_at_once_loses_nothing(browser: Chromium, shop: Shop, sdk: str) -> None:
    """The page is left in the moment of the call: what was not sent then is sent by the next page."""
    visitor = browser.visitor()
    page = shop.visit(visitor)
    tell(page, ["track", "Looked"])
    shop.person(Looked=1)
    page.run("() => { sdk.track('Left'); location.href = '/away' }")
    until(lambda: page.call("url").endswith("/away"))
    tell(shop.visit(visitor), ["track", "Back"])
    shop.person(Looked=1, Left=1, Back=1)


def answered(visitor: Visitor, before: int) -> bool:
    """Whether it is known what became of a call, behind so many others."""
    return any("status" in one for one in visitor.requests("/v1/t")[before:])


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_an_answer_that_is_lost(browser: Chromium, shop: Shop, sdk: str) -> None:
    """The SDK sends the call again, with the same message id."""
    visitor = browser.visitor()
    page = shop.visit(visitor)
    tell(page, ["track", "Looked"])
    shop.person(Looked=1)
    for what in ("lose", 503, 429):
        visitor.meddle(what, "**/v1/t*")
        before = len(visitor.requests("/v1/t"))
        tell(page, ["track", f"Met {what}"])
        until(partial(answered, visitor, before))
        visitor.meddle("pass", "**/v1/t*")
    shop.person(**{"Looked": 1, "Met lose": 1, "Met 503": 1, "Met 429": 1})


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_an_alias(browser: Chromium, shop: Shop, sdk: str) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor)
    tell(page, ["track", "Looked"], ["alias", "ada"])
    until(lambda: [one.get("external_id") for one in shop.people()] == ["ada"], 15, 0.05)
    shop.person(Looked=1)
