"""The shop of `onefold up --demo` in a browser: a visit, a guest's purchase, a log-in, a log-out, and the live view."""

from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.browser.chromium import Chromium, Page, Visitor
from tests.browser.shop import Json, events, everybody
from tests.e2e.service import Service
from tests.polling import until

BLANK: Json = {"groups": [{"filters": [{"field": "external_id", "op": "is_blank"}]}]}


class Demo:
    """The shop, and its people from the outside."""

    def __init__(self, onefold: Service) -> None:
        self.onefold = onefold
        self.url = f"{onefold.url}/demo"
        self.key = (onefold.data_dir / "demo.key").read_text().strip()

    def of(self, page: Page) -> Json:
        """Whoever uses the device of a page, once there is somebody."""
        device = page.run("() => onefold.getDeviceId()")
        return until(lambda: self._of(device), 15, 0.05, f"nobody uses {device}")

    def _of(self, device: str) -> Json:
        found = [
            one
            for one in everybody(self.onefold, self.key)
            if device in [each["device_id"] for each in one.get("devices", ())]
        ]
        return found[0] if found else {}

    def segment(self, definition: Json) -> set[str]:
        """The braze_ids of those whom a segment has."""
        _, made, _ = self.onefold.call("POST", "/v1/segments", {"name": "s"} | definition, self.key)
        path = f"/v1/profiles?limit=100&segment={made['id']}"
        try:
            _, found, _ = self.onefold.call("GET", path, None, self.key)
            return {one["braze_id"] for one in found["profiles"]}
        finally:
            self.onefold.call("DELETE", f"/v1/segments/{made['id']}", None, self.key)


@pytest.fixture
def demo(onefold: Service) -> Demo:
    return Demo(onefold)


def fact(page: Page, name: str) -> str | None:
    """What the live view says of something."""
    found: dict[str, str] = page.run(
        "() => Object.fromEntries([...document.querySelectorAll('#facts dt')]"
        ".map((term) => [term.textContent, term.nextSibling.textContent]))"
    )
    return found.get(name)


def test_a_visit(browser: Chromium, demo: Demo) -> None:
    visitor = browser.visitor(locale="fr-CH", timezoneId="Europe/Zurich")
    page = visitor.page(demo.url)
    page.shows("anonymous", "#state")
    person = demo.of(page)
    assert (person.get("external_id"), person["created_from"], person["sessions"]["count"]) == (None, "sdk", 1)
    (device,) = person["devices"]
    assert (device["browser"], device["os"], device["locale"]) == ("Chrome", "Linux", "fr-CH")
    assert (person["language"], person["time_zone"]) == ("fr", "Europe/Zurich")
    assert person["apps"][0]["name"] == "Demo shop"
    assert (fact(page, "Language"), fact(page, "Time zone"), fact(page, "braze_id")) == (
        "fr", "Europe/Zurich", person["braze_id"],
    )  # fmt: skip
    assert person["braze_id"] in demo.segment(BLANK)
    assert visitor.errors() == []
    assert {one["url"].split("/")[2] for one in visitor.requests()} == {demo.onefold.url.split("/")[2]}


def test_from_guest_to_customer_and_out_again(browser: Chromium, demo: Demo) -> None:
    visitor = browser.visitor()
    page = visitor.page(demo.url)
    page.click("li[data-product=mug] button:has-text('Look')")
    page.click("li[data-product=mug] button:has-text('Add')")
    page.click("li[data-product=bowl] button:has-text('Add')")
    page.fill("[name=first_name]", "Grace")
    page.fill("[name=email]", "Grace@Example.org")
    page.click("#buy")
    page.shows("checked_out", "#counts")
    guest = demo.of(page)
    assert guest["user_aliases"] == [{"alias_name": "grace@example.org", "alias_label": "email"}]
    assert (guest["first_name"], guest["email"], guest["total_revenue"]) == ("Grace", "grace@example.org", 44.0)
    assert {one["name"]: one["count"] for one in guest["purchases"]} == {"bowl": 1, "mug": 1}
    assert guest["custom_attributes"] == {"is_lead_profile": True}
    assert guest["braze_id"] in demo.segment(BLANK)

    page.fill("#user", "grace")  # whom nobody knows: the guest is her
    page.click("#login button")
    page.shows("grace", "#state")
    customer = demo.of(page)
    assert (customer["braze_id"], customer["external_id"]) == (guest["braze_id"], "grace")
    assert events(customer) == {"viewed_product": 1, "added_to_cart": 2, "checked_out": 1}
    assert guest["braze_id"] not in demo.segment(BLANK)

    other = browser.visitor().page(demo.url)  # another browser: anonymous, until she logs in there
    other.click("li[data-product=mug] button:has-text('Look')")
    other.shows("viewed_product", "#counts")
    stranger = demo.of(other)
    assert stranger["braze_id"] != guest["braze_id"]
    other.fill("#user", "grace")
    other.click("#login button")
    other.shows("grace", "#state")
    merged = demo.of(other)
    assert (merged["braze_id"], merged["merged_profiles"], len(merged["devices"])) == (guest["braze_id"], 1, 2)
    assert events(merged) == {"viewed_product": 2, "added_to_cart": 2, "checked_out": 1}
    assert merged["sessions"]["count"] == 2
    assert not {guest["braze_id"], stranger["braze_id"]} & demo.segment(BLANK)

    page.click("#logout")
    page.shows("anonymous", "#state")
    after = demo.of(page)
    assert after["braze_id"] not in (guest["braze_id"], stranger["braze_id"])
    assert (after.get("external_id"), events(after), after["sessions"]["count"]) == (None, {}, 1)
    assert after["braze_id"] in demo.segment(BLANK)


SCRIPT = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"


def test_what_visitors_write_is_shown_as_text(browser: Chromium, demo: Demo) -> None:
    visitor = browser.visitor()
    page = visitor.page(demo.url)
    page.shows("anonymous", "#state")
    told = """async (text) => {
      const user = onefold.getUser();
      user.setFirstName(text); user.setEmail('a@example.org'); user.addAlias(text, text);
      user.setCustomUserAttribute(text, text); user.setCustomUserAttribute('o', { [text]: [text] });
      onefold.logCustomEvent(text, { [text]: text }); onefold.logPurchase(text, 1);
      onefold.changeUser(text);
      await onefold.requestImmediateDataFlush();
    }"""
    page.run(told, SCRIPT)
    page.shows(SCRIPT, "#state")
    page.click("summary")
    for selector in ("#facts", "#counts", "#timeline"):
        page.shows(SCRIPT, selector)
    page.shows("onerror", "#json")
    assert page.run("() => [typeof window.hacked, document.querySelectorAll('img, aside script').length]") == [
        "undefined",
        0,
    ]
    inserted = """(text) => new Promise((resolve) => {
      document.addEventListener("securitypolicyviolation", (e) => resolve([e.violatedDirective, window.hacked]));
      document.body.insertAdjacentHTML("beforeend", text);
    })"""  # and if it were not: the policy of the page lets nothing of it run
    assert page.run(inserted, SCRIPT) == ["script-src-attr", None]


def ask(url: str, **headers: str) -> tuple[int, bytes, Any]:
    asked = Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def cookie_of(visitor: Visitor) -> str:
    (cookie,) = visitor.call("cookies")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/demo")
    return f"{cookie['name']}={cookie['value']}"


def test_nobody_else_sees_the_profile(browser: Chromium, demo: Demo) -> None:
    visitor = browser.visitor()
    page = visitor.page(demo.url)
    page.shows("anonymous", "#state")
    device, own = page.run("() => onefold.getDeviceId()"), cookie_of(visitor)
    profile = f"{demo.url}/profile"
    status, body, headers = ask(profile, X_Onefold_Device=device, Cookie=own)
    assert (status, device.encode() in body) == (200, True)
    assert "Access-Control-Allow-Origin" not in headers
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    strange = {
        "another browser": {"Cookie": "onefold_demo=x"},
        "no cookie": {"Cookie": ""},
        "no device": {"X_Onefold_Device": ""},
        "another device": {"X_Onefold_Device": "0" * 36},
        "a NUL": {"X_Onefold_Device": "a\0b"},
        "a name that leads here": {"Host": "evil.example"},
        "a proxy": {"X_Forwarded_For": "198.51.100.7"},
        "no name": {"Host": "["},
    }
    for what, more in strange.items():
        asked = {"X_Onefold_Device": device, "Cookie": own} | more
        status, body, _ = ask(profile, **asked)
        assert (status in (400, 404), device.encode() in body) == (True, False), what
    assert ask(demo.url, Host="evil.example")[0] == 404
    assert ask(f"{demo.url}/shop.js", X_Forwarded_For="198.51.100.7")[0] == 404


def test_what_is_not_recorded_is_not_shown(browser: Chromium, demo: Demo) -> None:
    visitor = browser.visitor()
    page = visitor.page(demo.url)
    page.shows("anonymous", "#state")
    page.click("#recording")
    page.shows("not recorded", "#state")
    count = len(visitor.requests("/v1/sdk/data"))
    page.click("li[data-product=mug] button:has-text('Look')")
    page.reload()
    page.shows("not recorded", "#state")
    assert len(visitor.requests("/v1/sdk/data")) == count
    page.click("#recording")
    page.shows("anonymous", "#state")
