"""The console in a browser: log-in by its form, the job of each page, and every page for everybody: axe-core, width."""

from app.console.pages import PAGES
from app.services.accounts import READER
from tests.browser.chromium import Chromium
from tests.browser.console import DESK, PHONE, SETTLED, axe, console, faults, sideways
from tests.e2e.service import Service
from tests.polling import until

HOSTILE = "<img src=x onerror=window.hacked=1>{{7*7}}"


#: Whether a page has a frame of its own.
IS_WHOLE = "(path) => fetch(path).then((it) => it.text()).then((it) => it.includes('<h1'))"


def test_log_in(browser: Chromium, onefold: Service) -> None:
    """As after `make run`, by keyboard alone."""
    name, _, password = (onefold.data_dir / "console.auth").read_text().strip().partition(":")
    visitor = browser.visitor(**DESK)
    page = visitor.page(f"{onefold.url}/console")
    page.shows("Log in", "h1")
    page.call("evaluate", axe())
    assert faults(page) == []
    page.call("focus", "[name=name]")
    for text, key in ((name, "Tab"), ("wrong " + password, "Enter")):
        page.call("type", ":focus", text)
        page.call("press", ":focus", key)
    page.shows("another password", "[role=alert]")
    page.fill("[name=password]", password)
    page.click("main button")
    page.shows("Workspaces", "h1")
    page.shows("default", "main table")
    (cookie,) = visitor.call("cookies")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    page.click("header form button")
    page.shows("Log in", "h1")
    # A wrong password is answered 401, which browsers write to the console.
    assert [error for error in visitor.errors() if "401" not in error] == []


def test_keys(browser: Chromium, onefold: Service) -> None:
    """A key is made and works, another one replaces it, and the first is revoked."""
    there = console(onefold, browser, **DESK)
    page = there.open("/keys")
    page.click("text=New key")
    page.fill("[name=name]", f"shop {HOSTILE}")
    page.call("check", "[value='users.export.ids']")
    page.click("text=Make the key")
    page.shows("shown this once", "main")
    key = page.call("inputValue", "#key")
    track = {"attributes": [{"external_id": "ada"}]}
    assert onefold.call("POST", "/users/track", track, key)[0] == 201
    page.click("text=To the keys")
    page.shows(f"shop {HOSTILE}", "main table")
    page.click("tr:has-text('shop') a:has-text('Replace')")
    assert page.call("isChecked", "[value='users.export.ids']") is True
    page.fill("[name=name]", "shop 2")
    page.click("text=Make the key")
    second = page.call("inputValue", "#key")
    page.click("text=To the keys")
    page.click("tr:has-text('shop <img') summary")
    page.call("check", "tr:has-text('shop <img') [type=checkbox]")
    page.click("tr:has-text('shop <img') button")
    page.shows("is revoked", "[role=status]")
    until(lambda: onefold.call("POST", "/users/track", track, key)[0] == 401, 10, 0.1, "the key works still")
    assert onefold.call("POST", "/users/track", track, second)[0] == 201
    assert page.run("() => typeof window.hacked") == "undefined"
    assert there.visitor.errors() == []


def test_every_page_is_for_everybody(browser: Chromium, onefold: Service) -> None:
    """By the table: no serious fault for axe-core, not wider than a phone, and nothing that the policy refuses."""
    found: dict[str, object] = {}
    for role, how in (("admin", DESK), (READER, PHONE)):
        there = console(onefold, browser, role, everywhere=role != READER, **how)
        there.visitor.before(axe())
        page, sizes = there.open("/", base=""), list[int]()
        for one in PAGES:
            below = "/console" + one.path.replace("{workspace_id:int}", str(there.workspace_id))
            if one.act or "{" in below or (role == READER and one.role != READER):
                continue
            if not one.title and not page.run(IS_WHOLE, below):
                continue  # a part of a page, which is looked at there
            page.open(f"{onefold.url}{below}")
            page.run(SETTLED)
            wide = sideways(page)
            wrong = [*faults(page), *([f"{wide} px too wide"] if wide else [])]
            sizes.append(page.run("() => performance.getEntriesByType('navigation')[0].transferSize"))
            if wrong:
                found[f"{role} {one.path}"] = wrong
        assert found == {}
        assert there.visitor.errors() == []
        assert max(sizes) < 100_000
