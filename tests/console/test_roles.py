"""Every page by every role: what a role allows is decided on the server, and what it forbids is written down."""

import re

import pytest

from app.console.page import Page
from app.console.pages import FAMILIES, PAGES
from app.services import accounts
from app.services.accounts import ADMIN, OPERATOR, READER, ROLES
from tests.api.harness import Workspace
from tests.console.desk import Desk


def address(page: Page, workspace: Workspace) -> str:
    """The page with something in each member of its path."""
    path = page.path.replace("{workspace_id:int}", str(workspace.id))
    return "/console" + re.sub(r"\{\w+:int\}", "7", re.sub(r"\{\w+\}", "x", path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.method} {page.path}")
def test_a_page_by_role(desk: Desk, workspace: Workspace, page: Page) -> None:
    path = address(page, workspace)
    assert desk.browser().send(page.method, path).status_code == 303  # a stranger logs in first
    for role in ROLES:
        browser = desk.logged_in(role, workspace if page.is_of_workspace else None)
        answer = browser.post(path) if page.act else browser.get(path)
        is_allowed = ROLES.index(role) >= ROLES.index(page.role)
        assert (answer.status_code != 403) is is_allowed, (role, answer.status_code, answer.text)
        if page.act:
            last = desk.acts(workspace if page.is_of_workspace else None)[0]
            assert (last.act, last.status) == (page.act, answer.status_code)
    if page.is_of_workspace:
        for nobody in (desk.logged_in(None), desk.logged_in(ADMIN, desk.service.workspace())):
            answer = nobody.post(path) if page.act else nobody.get(path)
            assert answer.status_code == 404


def test_the_table_of_pages() -> None:
    """A page that changes something has a name in the log of acts and needs more than a reader; paths are unique."""
    keys = [(page.method, page.path) for page in PAGES]
    assert len(set(keys)) == len(keys)
    for page in PAGES:
        assert (page.method, bool(page.act)) in (("GET", False), ("POST", True)), page.path
        assert page.role in ROLES
        assert not page.title or page.method == "GET"
        if page.act and page.is_of_workspace:
            assert page.role in (OPERATOR, ADMIN), page.path
    assert {name for name, pages in FAMILIES.items() if not pages} == set()


def test_the_higher_of_two_roles_holds(desk: Desk, workspace: Workspace) -> None:
    other = desk.service.workspace()
    browser = desk.session_of(desk.account({0: READER, workspace.id: ADMIN}))
    assert browser.get(f"/console/{workspace.id}/keys/new").status_code == 200
    assert browser.get(f"/console/{other.id}/keys").status_code == 200
    assert browser.get(f"/console/{other.id}/keys/new").status_code == 403
    shown = browser.get("/console/").text
    assert f"/console/{workspace.id}/" in shown
    only = desk.logged_in(READER, workspace).get("/console/").text
    assert (f"/console/{workspace.id}/" in only, f"/console/{other.id}/" in only) == (True, False)


def test_nobody_floods_the_log_of_acts(desk: Desk, workspace: Workspace) -> None:
    """What is beyond a rate is refused, and not written down."""
    browser = desk.logged_in(READER, workspace)
    path = f"/console/{workspace.id}/keys"
    found = [browser.post(path).status_code for _ in range(64)]
    assert found[:60] == [403] * 60
    assert 429 in found
    assert len([act for act in desk.acts(workspace) if act.act == "keys.create"]) == found.count(403)
    assert browser.get(path).status_code == 200


@pytest.mark.parametrize("number", ["0", "00", "99999999999999999999", "-1", "x", "1/keys/nothing"])
def test_no_such_workspace(desk: Desk, number: str) -> None:
    answer = desk.logged_in(ADMIN).get(f"/console/{number}/keys")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_a_role_that_is_taken_away_is_gone_at_once(desk: Desk, workspace: Workspace) -> None:
    name = desk.account({workspace.id: ADMIN})
    browser = desk.session_of(name)
    assert browser.get(f"/console/{workspace.id}/keys/new").status_code == 200
    accounts.grant(desk.service.database, name, workspace.id, None)
    assert browser.get(f"/console/{workspace.id}/keys").status_code == 404
