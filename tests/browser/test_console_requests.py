"""Requests, dead letters, jobs and data points in the console, as an operator uses them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from app.adapters.clock import now_us
from app.contract import kinds
from app.domain.jobs import ARCHIVAL
from app.services.accounts import OPERATOR
from app.store import jobs
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.browser.chromium import Chromium
from tests.browser.console import DESK, PHONE, console
from tests.e2e.service import Service
from tests.polling import until

#: A live part of the page comes again, as it does after some seconds.
AGAIN = """async () => {
  const part = document.querySelector("main [hx-get]");
  await htmx.ajax("GET", part.getAttribute("hx-get"), { source: part, target: part });
}"""
HOSTILE = "<img src=x onerror=window.hacked=1>{{7*7}}"


@contextmanager
def database_of(onefold: Service) -> Iterator[Database]:
    database = Database(onefold.database_url or f"sqlite:///{onefold.data_dir / 'onefold.db'}", pool_size=1)
    try:
        yield database
    finally:
        database.dispose()


def test_why_did_my_user_not_change(browser: Chromium, onefold: Service) -> None:
    """The request is found by the e-mail address that it names, with the field that had no effect, and by its error."""
    there = console(onefold, browser, OPERATOR, **PHONE)
    person = {"email": "Ada@Example.org", "dob": "31/12", "n": 1}
    status, _, headers = there.call("POST", "/users/track", {"attributes": [{"external_id": "bob", "n": 1}, person]})
    assert status == 201
    assert there.call("POST", "/users/track", {"attributes": [{HOSTILE: 1}]})[0] == 400
    page = there.open("/requests")
    page.fill("[name=email]", "ada@example.ORG")
    page.click("main form button")
    page.shows("attributes[1].dob", "#found table")
    page.shows("invalid_value", "#found table")
    page.click(f"text={headers['X-Request-Id']}")
    page.shows("What had no effect", "h2")
    page.shows("invalid_value", "main table")
    page = there.open("/requests?live=on")
    page.shows("live", ".state.live")
    there.call("POST", "/users/track", {"attributes": [{"external_id": "carl", "n": 1}]})
    page.shows("2", "main")
    page = there.open("/errors")
    page.shows("is required", "main table")
    page.click("main table td a")
    page.shows("/users/track", "#found table")
    page.fill("[name=external_id]", HOSTILE)
    page.click("main form button")
    page.shows("No request that is kept matches.", "#found")
    assert page.call("inputValue", "[name=external_id]") == HOSTILE
    assert page.run("() => typeof window.hacked") == "undefined"
    assert there.visitor.errors() == []


def test_a_dead_letter_is_sent_again(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, OPERATOR, **DESK)
    with database_of(onefold) as database, database.write(database.inbox) as connection:
        inbox.append(connection, there.workspace_id, 0, [Entry(kinds.TRACK, 99, b"{")], now_us())
    assert there.call("POST", "/users/track", {"attributes": [{"external_id": "ada", "n": 1}]})[0] == 201
    assert there.call("GET", "/v1/requests?status=applied&external_id=ada")[0] == 200
    there.call("POST", "/users/export/ids", {"external_ids": ["ada"]})  # by then the letter is there
    page = there.open("/dead-letters")
    page.shows("DecodeError", "main table")
    page.call("check", "main [name=id]")
    page.click("text=Send the chosen ones again")
    page.shows("1 sent again.", "[role=status]")
    page.shows("-8", "main table tr.over td a")
    assert there.visitor.errors() == []
    # It cannot be read the second time either. No letter stays: other tests ask this Onefold whether all is well.
    with database_of(onefold) as database:
        until(lambda: _letters(database, there.workspace_id) == 2, message="it is not dead again")
        with database.write() as connection:
            connection.execute(text("delete from dead where workspace_id = :w"), {"w": there.workspace_id})


def _letters(database: Database, workspace_id: int) -> int:
    with database.read() as connection:
        found = text("select count(*) from dead where workspace_id = :w")
        return int(connection.execute(found, {"w": workspace_id}).scalar_one())


def test_a_job_is_cancelled(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, OPERATOR, **DESK)
    number = str(uuid.uuid4())
    with database_of(onefold) as database, database.write() as connection:
        hour = 3_600_000_000
        jobs.create(connection, there.workspace_id, number, ARCHIVAL, HOSTILE, {}, "shop", now_us(), now_us() + hour)
    page = there.open("/jobs")
    page.shows(HOSTILE, "main table")
    page.click("text=Live")
    page.shows(HOSTILE, "main table")
    page.click("main table summary")
    page.call("check", "main table [type=checkbox]")
    page.run(AGAIN)  # the list comes again, and leaves the form as it is
    assert page.call("isChecked", "main table [type=checkbox]") is True
    page.click("main table button")
    page.shows(f"The job {number} is cancelled.", "[role=status]")
    page.shows("cancelled", "main table .state")
    assert page.run("() => typeof window.hacked") == "undefined"
    assert there.visitor.errors() == []


def test_data_points(browser: Chromium, onefold: Service) -> None:
    there = console(onefold, browser, OPERATOR, **DESK)
    body = {"attributes": [{"external_id": "ada", "a": 1, "b": 2, "c": 3}]}
    assert there.call("POST", "/users/track", body)[0] == 201
    page = there.open("/data-points")
    page.shows("3", ".cards dd")
    page.fill("[name=days]", "2")
    page.click("main form button")
    page.shows("3", ".cards dd")
    assert page.run("() => document.querySelectorAll('main tbody tr').length") == 2
    assert there.visitor.errors() == []
