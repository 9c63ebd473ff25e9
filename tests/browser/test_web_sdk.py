"""onefold.js on a page: nothing is lost and nothing counts twice, whatever happens to tabs, network, storage, clock."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.sdk import ADA, EXPIRED, PEM
from tests.browser.chromium import Chromium, Meddling, Page, Visitor
from tests.browser.pages import site
from tests.browser.shop import Json, Shop, events, trail
from tests.e2e.service import Service
from tests.polling import until

#: What is told is counted by an event, and an array shows in which order it had its effect.
LOG = """(names) => names.every(
  (name) => onefold.logCustomEvent(name) && onefold.getUser().addToCustomAttributeArray("trail", name))"""
FLUSH = "() => onefold.requestImmediateDataFlush()"
STORED = "() => Object.keys(localStorage).length + document.cookie.length"


@pytest.fixture
def shop(onefold: Service) -> Iterator[Shop]:
    made = Shop(onefold)
    with site(made.pages) as made.origin:
        yield made


def log(page: Page, *names: str) -> None:
    assert page.run(LOG, list(names)) is True


def sent(visitor: Visitor) -> list[Json]:
    """Batches that left the browser."""
    return [json.loads(one["body"]) for one in visitor.requests("/v1/sdk/data")]


def waiting(page: Page) -> int:
    """Records that wait in the storage that all tabs share."""
    found: int = page.run("() => Object.keys(localStorage).filter((key) => key.includes('.q.')).length")
    return found


def test_a_first_visit(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor(locale="de-AT", timezoneId="Europe/Vienna", viewport={"width": 900, "height": 700})
    page = shop.visit(visitor, appVersion="2.1")
    log(page, "looked")
    person = shop.person({"looked": 1})
    (device,) = person["devices"]
    assert device["device_id"] == page.run("() => onefold.getDeviceId()")
    version = page.run("() => /Chrome\\/([\\d.]+)/.exec(navigator.userAgent)[1]")
    assert device | {"device_id": ""} == {
        "device_id": "",
        "os": "Linux",
        "browser": "Chrome",
        "browser_version": version,
        "locale": "de-AT",
        "time_zone": "Europe/Vienna",
        "resolution": "900x700",
    }
    assert (person["language"], person["country"], person["time_zone"]) == ("de", "AT", "Europe/Vienna")
    assert (person["created_from"], person["sessions"]["count"]) == ("sdk", 1)
    assert (person["apps"][0]["version"], person.get("external_id")) == ("2.1", None)
    hosts = {one["url"].split("/")[2] for one in visitor.requests()}
    assert hosts == {shop.origin.split("/")[2], shop.onefold.url.split("/")[2]}
    assert visitor.errors() == []


def test_two_tabs_and_a_reload_are_one_visit_of_one_device(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    first, second = shop.visit(visitor), shop.visit(visitor)
    for page in (first, second, first, second):
        log(page, "looked")
    first.reload()
    log(first, "looked")
    second.reload()
    log(second, "looked")
    person = shop.person({"looked": 6})
    assert events(person) == {"looked": 6}
    assert (person["sessions"]["count"], len(person["devices"])) == (1, 1)
    assert len({first.run("() => onefold.getDeviceId()"), second.run("() => onefold.getDeviceId()")}) == 1


def test_a_tab_takes_over_from_one_that_is_closed(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    first = shop.visit(visitor)
    log(first, "a")
    shop.person({"a": 1})
    second = shop.visit(visitor)
    log(second, "b")  # sent by the first tab
    shop.person({"b": 1})
    log(first, "c")
    log(second, "d")
    first.close()
    log(second, "e")
    assert trail(shop.person({"e": 1})) == ["a", "b", "c", "d", "e"]
    assert set(events(shop.person()).values()) == {1}


def test_any_tab_sends_when_it_is_asked_to(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    pages = [shop.visit(visitor, flushIntervalInSeconds=600) for _ in range(3)]
    names = [f"n{number}" for number in range(9)]
    for number, name in enumerate(names):
        log(pages[number % 3], name)
        assert pages[number % 3].run(FLUSH) is True
        assert events(shop.person())[name] == 1
    assert trail(shop.person()) == names


def test_offline_for_a_while(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor)
    log(page, "a")
    shop.person({"a": 1})
    visitor.offline()
    names = [f"n{number:02}" for number in range(20)]
    for name in names:
        log(page, name)
    until(lambda: any(one.get("status", 0) is None for one in visitor.requests("/v1/sdk/data")))  # it has tried
    assert events(shop.person()) == {"a": 1}
    visitor.online()
    person = shop.person({names[-1]: 1})
    assert trail(person) == ["a", *names]
    assert set(events(person).values()) == {1}


@pytest.mark.parametrize("how", ["hold", "lose", "fail", 503])
def test_a_tab_that_dies_in_mid_flush_loses_nothing(browser: Chromium, shop: Shop, how: Meddling) -> None:
    """The batch does not leave, or arrives and its answer is lost, or is not taken."""
    visitor = browser.visitor()
    page = shop.visit(visitor)
    log(page, "a")
    shop.person({"a": 1})
    visitor.meddle(how)
    before = len(sent(visitor))
    log(page, "b", "c")
    until(lambda: len(sent(visitor)) > before)
    if how == "lose":
        shop.person({"c": 1})
    log(page, "d")
    page.crash()
    visitor.meddle("pass")
    log(shop.visit(visitor), "e")
    person = shop.person({"e": 1})
    assert trail(person) == ["a", "b", "c", "d", "e"]
    assert set(events(person).values()) == {1}
    assert person["sessions"]["count"] == 1


FULL = """for (let size = 5 << 20; size >= 1; size >>= 1)
  try { localStorage.setItem(`filler.${size}`, "x".repeat(size)) } catch {}"""
#: A script of the browser that comes before the page's, and whether what is told outlives the page.
STORAGES = {
    "absent": ("delete window.localStorage; Object.defineProperty(window, 'localStorage', {value: undefined})", False),
    "blocked": (
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})",
        False,
    ),
    "unwritable": (
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
        False,
    ),
    "full": (FULL, True),
    "cut": ("setTimeout(() => { Storage.prototype.setItem = () => { throw new Error('gone') } }, 50)", True),
    "without locks": ("delete Navigator.prototype.locks", True),
}


@pytest.mark.parametrize("storage", STORAGES)
def test_without_storage_it_goes_on(browser: Chromium, shop: Shop, storage: str) -> None:
    visitor = browser.visitor()
    visitor.before(f"if (location.pathname === '/') {{ {STORAGES[storage][0]} }}")
    page = shop.visit(visitor)
    for name in "abc":
        log(page, name)
    assert trail(shop.person({"c": 1})) == ["a", "b", "c"]
    assert page.run("() => onefold.changeUser('ada') && onefold.logCustomEvent('d')") is True
    person = shop.person({"d": 1})
    assert (person["external_id"], person["sessions"]["count"]) == ("ada", 1)
    assert visitor.errors() == []


def test_storage_that_is_taken_away_breaks_no_page(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor)
    log(page, "a")
    shop.person({"a": 1})
    page.run("""() => {
      for (const name of ["getItem", "setItem", "removeItem", "key"])
        Storage.prototype[name] = () => { throw new Error("gone") };
    }""")
    log(page, "b")  # of another device, since nothing is known of the first one
    until(lambda: any(events(one) == {"b": 1} for one in shop.people()))
    assert visitor.errors() == []


def test_full_storage_of_two_tabs(browser: Chromium, shop: Shop) -> None:
    """What has no room in the storage that tabs share is sent by the tab that has it."""
    visitor = browser.visitor()
    first, second = shop.visit(visitor), shop.visit(visitor)
    log(first, "a")
    log(second, "b")
    shop.person({"a": 1, "b": 1})
    first.run(f"() => {{ {FULL} }}")
    for number in range(3):
        log(first, f"first{number}")
        log(second, f"second{number}")
    wanted = {f"{tab}{number}": 1 for tab in ("first", "second") for number in range(3)}
    person = shop.person(wanted)
    assert events(person) == {"a": 1, "b": 1} | wanted
    assert len(person["devices"]) == 1


def test_two_tabs_that_send_at_once(browser: Chromium, shop: Shop) -> None:
    """Each takes the sending from the other while something is on its way: no record is in two batches."""
    visitor = browser.visitor()
    tabs = [shop.visit(visitor), shop.visit(visitor)]
    log(tabs[0], "first")
    wanted = {"first": 1}
    for number in range(25):
        for n, tab in enumerate(tabs):
            name = f"{number}.{n}"
            tab.run(f"() => {{ onefold.logCustomEvent('{name}'); onefold.requestImmediateDataFlush() }}")
            wanted[name] = 1
    assert events(shop.person(wanted)) == wanted


def test_a_queue_that_is_full_loses_the_oldest_and_says_so(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor, maxQueuedRecords=6)
    log(page, "a")
    shop.person({"a": 1})
    visitor.meddle("fail")
    log(page, "b")
    until(lambda: visitor.requests("/v1/sdk/data")[-1].get("status", 0) is None)
    log(page, *(f"n{number}" for number in range(8)))
    assert waiting(page) == 6 + 2  # with what is in the batch that was begun
    visitor.meddle("pass")
    person = shop.person({"n7": 1})
    assert trail(person)[-2:] == ["n6", "n7"]
    answered = [json.loads(one["body"]) for one in visitor.requests("/v1/sdk/data") if one.get("status") == 201]
    assert 2 * len(events(person)) + sum(batch.get("dropped", 0) for batch in answered) == 20


@pytest.mark.parametrize("step", [-400, 400], ids=["back", "forward"])
def test_a_clock_that_steps_changes_no_order(browser: Chromium, shop: Shop, step: int) -> None:
    visitor = browser.visitor()
    visitor.before("const now = Date.now; Date.now = () => now() + (window.skew || 0)")
    page = shop.visit(visitor)
    visitor.meddle("fail")
    log(page, "a", "b")
    page.run(f"() => {{ window.skew = {step} * 86400e3 }}")
    log(page, "c", "d")
    visitor.meddle("pass")
    person = shop.person({"d": 1})
    assert trail(person) == ["a", "b", "c", "d"]
    moments = [datetime.fromisoformat(one["time"]) for one in person["timeline"]]
    assert max(abs(datetime.now(UTC) - moment) for moment in moments) < timedelta(minutes=2)
    assert person["sessions"]["count"] == 1
    page.reload()  # the next page has the right clock again
    log(page, "e")
    assert trail(shop.person({"e": 1})) == ["a", "b", "c", "d", "e"]


def test_nothing_is_stored_or_sent_before_consent(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor, allow=False)
    calls = (
        "() => [onefold.openSession(), onefold.logCustomEvent('a'), onefold.changeUser('ada'), onefold.isDisabled()]"
    )
    assert page.run(calls) == [False, False, False, True]
    assert page.run("() => onefold.getDeviceId() ?? null") is None
    assert page.run(FLUSH) is False
    assert [one["url"] for one in visitor.requests(shop.onefold.url)] == [f"{shop.onefold.url}/sdk/onefold.js"]
    kept = "async () => [(await indexedDB.databases()).length, sessionStorage.length, (await caches.keys()).length]"
    assert (page.run(STORED), page.run(kept)) == (0, [0, 0, 0])
    assert visitor.call("cookies") == []
    page.run("() => { onefold.enableSDK(); onefold.openSession() }")
    log(page, "b")
    assert events(shop.person({"b": 1})) == {"b": 1}
    page.run("() => onefold.disableSDK()")
    count = len(sent(visitor))
    again = shop.visit(visitor)  # whose options allow it
    assert again.run("() => [onefold.logCustomEvent('c'), onefold.isDisabled()]") == [False, True]
    again.run("() => onefold.wipeData()")
    assert (again.run(FLUSH), len(sent(visitor))) == (False, count)
    assert again.run("() => Object.keys(localStorage).filter((key) => !key.endsWith('.off'))") == []
    assert visitor.call("cookies") == []


def test_a_form_tells_what_is_no_secret(browser: Chromium, shop: Shop) -> None:
    page = shop.visit(browser.visitor())
    options = {"purchase": {"product_id": "mug", "price": 3}, "attributes": {"coupon": "coupon"}}
    page.run("(options) => void onefold.captureForm(document.getElementById('checkout'), options)", options)
    for name, text in {"email": "Guest@Example.org", "fname": "Ada", "coupon": "X1"}.items():
        page.fill(f"[name={name}]", text)
    page.fill("[name=note]", "hush-1")
    page.fill("[name=cc-number]", "hush-2")
    page.click("button")
    until(lambda: shop.person().get("purchases"))
    person = shop.person()
    assert person["user_aliases"] == [{"alias_name": "guest@example.org", "alias_label": "email"}]
    assert (person["first_name"], person["custom_attributes"]) == ("Ada", {"coupon": "X1"})
    assert (person["total_revenue"], person["purchases"][0]["name"]) == (3.0, "mug")
    assert "hush" not in json.dumps(person)


def test_crawlers_are_no_visitors(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor(userAgent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    page = shop.visit(visitor)
    assert page.run("() => [onefold.logCustomEvent('a'), onefold.isDisabled()]") == [False, True]
    page.run("() => onefold.enableSDK()")
    assert (page.run(STORED), sent(visitor)) == (0, [])


SIGN = "(signature) => onefold.setSdkAuthenticationSignature(signature)"


def test_each_record_goes_with_the_signature_of_who_had_the_device(browser: Chromium, shop: Shop) -> None:
    """Also when that person has logged out since, or the page was loaded anew and has not signed anything yet."""
    wanted = {"public_keys": [PEM], "sdk_authentication": True}
    assert shop.onefold.call("PUT", f"/v1/apps/{shop.app_id}", wanted, shop.key)[0] == 200
    visitor = browser.visitor()
    page = shop.visit(visitor)
    log(page, "a")
    shop.person({"a": 1})
    visitor.offline()
    page.run("(signature) => onefold.changeUser('ada', signature)", ADA)
    log(page, "b")
    page.run("() => onefold.logout()")
    log(page, "c")
    visitor.online()

    def found() -> list[tuple[str | None, Json]]:
        return [(one.get("external_id"), events(one)) for one in shop.people()]

    until(lambda: found() == [("ada", {"a": 1, "b": 1}), (None, {"c": 1})], 15, 0.05, "log-out")
    # What is asked for again is the signature of the one who has the device.
    page.run("() => void onefold.subscribeToSdkAuthenticationFailures(() => (window.asked = (window.asked ?? 0) + 1))")
    page.run("(signature) => onefold.changeUser('ada', signature)", EXPIRED)
    log(page, "d")
    until(lambda: page.run("() => window.asked > 0"))
    page.run(SIGN, ADA)
    until(lambda: found() == [("ada", {"a": 1, "b": 1, "c": 1, "d": 1})], 15, 0.05, "a new signature")
    page.reload()
    log(page, "e")
    until(lambda: found()[0][1].get("e") == 1, 15, 0.05, "a reload")


def test_a_visit_ends_when_something_happened_last(browser: Chromium, shop: Shop) -> None:
    visitor = browser.visitor()
    page = shop.visit(visitor)
    log(page, "a")
    shop.person({"a": 1})
    page.run("() => { const now = Date.now; Date.now = () => now() + 4 * 86400000; onefold.openSession(); }")
    until(lambda: shop.person()["sessions"]["count"] == 2)
    # The browser may tell of a request later than the service has applied it.
    (end,) = until(lambda: [one for batch in sent(visitor) for one in batch["records"] if one["type"] == "session_end"])
    assert abs(end["at"] / 1000 - datetime.now(UTC).timestamp()) < 60


def test_a_large_record_of_many_bytes_holds_nobody_up(browser: Chromium, shop: Shop) -> None:
    page = shop.visit(browser.visitor())
    page.run("() => onefold.logCustomEvent('large', { text: '\\u6f22'.repeat(30000) })")
    log(page, "a")
    assert events(shop.person({"a": 1}))["a"] == 1
