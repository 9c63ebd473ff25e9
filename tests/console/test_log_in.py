"""Log-in: passwords, throttling, sessions that begin, end and are nobody else's; tokens of forms."""

import re
from ipaddress import ip_address

import pytest

from app.domain.times import DAY, HOUR, MINUTE
from app.services import accounts, log_ins, passwords
from app.services.accounts import ADMIN, EVERYWHERE
from app.services.refusals import TooFrequentError
from app.store import accounts as store
from app.store.engine import Database
from tests.api.harness import Workspace, times_now
from tests.console.desk import Desk
from tests.console.password import HASHED, PASSWORD
from tests.stores import NOW_US


def test_log_in_and_out(desk: Desk) -> None:
    name, browser = desk.account({EVERYWHERE: ADMIN}, HASHED), desk.browser()
    assert browser.get("/console/").headers["location"] == "/console/log-in?next=%2Fconsole%2F"
    before = browser.get("/console/log-in")
    assert before.status_code == 200
    fixed = browser.session
    wrong = browser.log_in(name, "another password")
    assert (wrong.status_code, browser.session) == (401, fixed)
    assert "There is no such account, or it has another password." in wrong.text
    right = browser.log_in(name, PASSWORD, "/console/1/keys")
    assert (right.status_code, right.headers["location"]) == (303, "/console/1/keys")
    cookie = right.headers["set-cookie"]
    assert re.search(r"; HttpOnly; Path=/console; SameSite=strict$", cookie), cookie
    # What a browser had before, and an attacker may know, is nothing now (session fixation).
    session = browser.session
    assert session != fixed
    assert browser.get("/console/").status_code == 200
    stranger = desk.browser()
    stranger.client.cookies.set("onefold_console", fixed, domain="onefold.example", path="/console")
    assert stranger.get("/console/").status_code == 303
    assert browser.post("/console/log-out").headers["location"] == "/console/log-in"
    stranger.client.cookies.set("onefold_console", session, domain="onefold.example", path="/console")
    assert stranger.get("/console/").status_code == 303
    done = [(act.act, act.account, act.address, act.status) for act in desk.acts()[:3]]
    assert done == [
        ("log-out", name, "127.0.0.1", 303),
        ("log-in", name, "127.0.0.1", 303),
        ("log-in", name, "127.0.0.1", 401),
    ]


def test_a_name_that_nobody_has_is_not_written_down(desk: Desk) -> None:
    before = len(desk.acts())
    assert desk.browser("198.51.100.9").log_in(PASSWORD, "x").status_code == 401
    assert len(desk.acts()) == before


@pytest.mark.parametrize(
    "leads_to",
    ["https://evil.example/", "//evil.example", "/console/../x", "/console/\\evil", "javascript:alert(1)", "/v1/x", ""],
)
def test_a_log_in_leads_nowhere_else(desk: Desk, leads_to: str) -> None:
    shown = desk.browser().get(f"/console/log-in?next={leads_to}")
    assert shown.status_code == 200
    name = desk.account({EVERYWHERE: ADMIN}, HASHED)
    assert desk.browser().log_in(name, PASSWORD, leads_to).headers["location"] == "/console/"


def test_attempts_are_throttled_by_account_and_by_address(desk: Desk) -> None:
    """Two in a minute for an account, and four from an address, whoever it tries to be."""
    name, known = desk.account({EVERYWHERE: ADMIN}, HASHED), desk.service.services.log_ins
    clock = [NOW_US]
    throttled = log_ins.LogIns(desk.service.database, known._calls, known._hashing, lambda: clock[0], HOUR, 2)

    def attempt(account: str, address: str, password: str = "x") -> str:
        try:
            return desk.service.loop.run(throttled.log_in(account, password, ip_address(address))) and "in"
        except log_ins.WrongPasswordError:
            return "wrong"
        except TooFrequentError as refused:
            return "refused" if 0 < refused.grant.retry_after_ms <= 60_000 else "too long"

    of_account = [attempt(name, f"198.51.100.{n}", password) for n, password in enumerate(("x", "x", PASSWORD))]
    assert of_account == ["wrong", "wrong", "refused"]
    assert [attempt(f"nobody {n}", "203.0.113.7") for n in range(5)] == ["wrong"] * 4 + ["refused"]
    # An IPv6 client has a whole network.
    assert [attempt(f"no one {n}", f"2001:db8::{n + 1}") for n in range(5)] == ["wrong"] * 4 + ["refused"]
    clock[0] += MINUTE
    assert attempt(name, "203.0.113.7", PASSWORD) == "in"


def test_a_throttled_log_in_is_a_page(desk: Desk) -> None:
    known, browser = desk.service.services.log_ins, desk.browser("203.0.113.99")
    for _ in range(known._by_address.capacity):
        known._take("address 203.0.113.99", known._by_address)
    refused = browser.log_in("somebody", PASSWORD)
    assert (refused.status_code, "Too many attempts" in refused.text) == (429, True)
    assert 0 < int(refused.headers["retry-after"]) <= 60


def test_a_session_ends(desk: Desk) -> None:
    name, now = desk.account({EVERYWHERE: ADMIN}), times_now()
    hours = int(desk.service.settings.console_session_hours)
    assert desk.session_of(name, now - (hours - 1) * HOUR).get("/console/").status_code == 200
    assert desk.session_of(name, now - hours * HOUR).get("/console/").status_code == 303
    # Used all the time, and over after seven days nevertheless.
    browser = desk.session_of(name, now - 7 * DAY)
    assert browser.get("/console/").status_code == 303


def test_a_page_that_looks_for_news_keeps_no_session_alive(desk: Desk) -> None:

    name, now = desk.account({EVERYWHERE: ADMIN}), times_now()
    browser = desk.session_of(name, now - HOUR)
    digest = log_ins._digest(browser.session)

    def seen() -> int:
        found = store.find_session(desk.service.database, digest)
        assert found is not None
        return found.seen_us

    browser.get("/console/", HX_Request="true")
    assert seen() == now - HOUR
    browser.get("/console/")
    assert seen() >= now
    browser.client.cookies.clear()
    over = browser.get("/console/", HX_Request="true")
    assert (over.status_code, over.headers["hx-redirect"]) == (401, "/console/log-in")


def test_another_password_ends_all_sessions(desk: Desk) -> None:
    name = desk.account({EVERYWHERE: ADMIN}, HASHED)
    browser = desk.session_of(name)
    password = accounts.reset(desk.service.database, name)
    assert browser.get("/console/").status_code == 303
    assert browser.log_in(name, password).status_code == 303
    accounts.delete(desk.service.database, name)
    assert browser.get("/console/").status_code == 303


def test_sessions_of_an_account_are_bounded(desk: Desk) -> None:
    name, now = desk.account({EVERYWHERE: ADMIN}), times_now()
    browsers = [desk.session_of(name, now + n) for n in range(log_ins.MOST_SESSIONS + 1)]
    assert [browser.get("/console/").status_code for browser in browsers[:2]] == [303, 200]


@pytest.mark.parametrize("token", ["", "0" * 64, "x", "\u00e9"], ids=["none", "another", "short", "not ASCII"])
def test_a_form_without_the_token_does_nothing(desk: Desk, workspace: Workspace, token: str) -> None:
    browser = desk.logged_in(ADMIN, workspace)
    path = f"/console/{workspace.id}/keys"
    fields = {"name": "k", "permission": "users.track"}
    assert browser.post(path, {**fields, "csrf": token}).status_code == 403
    other = desk.logged_in(ADMIN, workspace).csrf  # a token is of one session
    assert browser.post(path, {**fields, "csrf": other}).status_code == 403
    assert desk.acts(workspace) == []
    assert browser.post(path, fields).status_code == 201


def test_the_token_may_be_a_header(desk: Desk, workspace: Workspace) -> None:
    """As htmx sends it."""
    browser = desk.logged_in(ADMIN, workspace)
    path, token = f"/console/{workspace.id}/keys/revoke", browser.csrf
    assert browser.post(path, {"csrf": "", "name": "k"}, X_CSRF_Token=token).status_code == 303


def test_what_is_no_form(desk: Desk, workspace: Workspace) -> None:
    browser = desk.logged_in(ADMIN, workspace)
    path, headers = f"/console/{workspace.id}/keys", {"Content-Type": "application/x-www-form-urlencoded"}
    found = [
        browser.send("POST", path, content, kind).status_code
        for content, kind in (
            (b"{}", {"Content-Type": "application/json"}),
            (b"x", {}),
            (b"x" * 300_000, headers),
            (b"&".join(b"a%d=1" % n for n in range(1_001)), headers),
            (b"\xff\xfe=%ff%00", headers),
        )
    ]
    assert found == [415, 415, 413, 413, 403]
    assert browser.send("PUT", path).status_code == 404
    many = "&".join(f"a{n}=1" for n in range(1_001))
    for page in (f"{path}?{many}", f"/console/log-in?{many}", f"{path}?x=%ff%00"):
        assert browser.get(page).status_code in (200, 413), page


def test_cookies_behind_tls_are_for_tls_alone(desk: Desk) -> None:
    browser = desk.browser("192.0.2.1")
    assert "Secure" not in browser.get("/console/log-in", X_Forwarded_Proto="https").headers["set-cookie"]
    browser.client.cookies.clear()
    secure = desk.service.loop.run(browser.client.get("https://onefold.example/console/log-in"))
    assert "Secure" in secure.headers["set-cookie"]


def test_accounts(database: Database) -> None:
    with pytest.raises(accounts.InvalidRoleError):
        accounts.create(database, "a", {EVERYWHERE: "owner"}, NOW_US)
    password = accounts.create(database, "a", {EVERYWHERE: ADMIN}, NOW_US)
    with pytest.raises(accounts.NameTakenError):
        accounts.create(database, "a", {}, NOW_US)
    (made,) = accounts.listed(database)
    assert (made.name, made.roles, passwords.matches(password, made.password)) == ("a", {EVERYWHERE: ADMIN}, True)
    assert password not in made.password
    for role in (None, "reader"):
        with pytest.raises(accounts.LastAdminError):
            accounts.grant(database, "a", EVERYWHERE, role)
    with pytest.raises(accounts.LastAdminError):
        accounts.delete(database, "a")
    accounts.create(database, "b", {EVERYWHERE: ADMIN}, NOW_US)
    accounts.delete(database, "a")
    with pytest.raises(accounts.UnknownNameError):
        accounts.reset(database, "a")


def test_passwords() -> None:
    assert passwords.matches(PASSWORD, HASHED)
    assert not passwords.matches(PASSWORD + " ", HASHED)
    assert not passwords.matches(PASSWORD, "")
    assert passwords.hashed(PASSWORD) != HASHED
    for wrong in ("short", "x" * 257, " " + PASSWORD, "tab\tinside it"):
        with pytest.raises(passwords.InvalidPasswordError):
            passwords.checked(wrong)
