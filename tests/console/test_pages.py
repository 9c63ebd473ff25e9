"""What holds for every page: its headers, its size, that nothing in it is script; static files."""

import re
from pathlib import Path

import pytest

from app.console import static
from app.console.page import Page
from app.console.pages import PAGES
from app.services.accounts import ADMIN
from tests.api.harness import Workspace
from tests.console.desk import Desk

CONSOLE = Path(static.__file__).parents[1]
TEMPLATES = sorted(CONSOLE.rglob("*.html"))
#: What a policy without `unsafe-inline` refuses, and what would let a value through unescaped.
FORBIDDEN = re.compile(
    r"\|\s*safe|\bstyle=|<style|<script(?![^>]*\bsrc=)|\bon[a-z]+=|\bhx-on|autoescape\s+false|Markup|javascript:"
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(CONSOLE)))
def test_a_template_has_nothing_inline(template: Path) -> None:
    assert FORBIDDEN.findall(template.read_text()) == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not page.act and "{" not in page.path.replace("{workspace_id:int}", "")],
    ids=lambda page: page.path,
)  # fmt: skip
def test_a_page(desk: Desk, workspace: Workspace, page: Page) -> None:
    path = "/console" + page.path.replace("{workspace_id:int}", str(workspace.id))
    answer = desk.logged_in(ADMIN).get(path)
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert len(answer.content) < 60_000
    if "<html" in answer.text:
        assert len(re.findall(r"<h1[ >]", answer.text)) == 1
        assert '<html lang="en">' in answer.text
        assert (page.title == "") or 'aria-current="page"' in answer.text
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", answer.text, re.DOTALL):
            assert 'name="csrf"' in form


def test_the_frame_is_small(desk: Desk) -> None:
    """Everything that a page with a chart needs, as browsers are sent it."""
    browser, size = desk.browser(), 0
    for name in static.TYPES:
        answer = browser.send("GET", static.address(name), headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        size += int(answer.headers["content-length"])
        tag = {"If-None-Match": answer.headers["etag"]}
        assert browser.send("GET", static.address(name), headers=tag).status_code == 304
    assert size < 60_000  # with the page itself below 100 KB


def test_static_files(desk: Desk) -> None:
    browser = desk.browser()
    assert browser.send("GET", "/console/static/console.css").headers["cache-control"] == "no-cache"
    assert browser.send("GET", "/console/static/console.css?v=old").headers["cache-control"] == "no-cache"
    for name in ("nothing.js", "__init__.py", "..%2f..%2fserving.py", "README.md"):
        assert browser.send("GET", f"/console/static/{name}").status_code == 404
    kept = {path.name for path in Path(static.__file__).parent.iterdir() if path.suffix in (".css", ".js", ".svg")}
    assert kept == set(static.TYPES)
    readme = (Path(static.__file__).parent / "README.md").read_text()
    for name in kept:
        assert name in readme or re.sub(r"\.css$", ".js", name) in readme, name


def test_errors_tell_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("secret of somebody")

    browser = desk.logged_in(ADMIN)
    monkeypatch.setattr(desk.service.services.workspaces, "listed", fail)
    answer = browser.send("GET", "/console/")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert "written to the log" in answer.text
    assert browser.get("/console/nothing/here").status_code == 404
    assert browser.get("/console").headers["location"] == "/console/"
