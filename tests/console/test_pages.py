"""What holds for every page: its headers, its size, that nothing in it is script; static files."""

import re
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import Final

import pytest

from app.console import static
from app.console.page import Page
from app.console.pages import PAGES
from app.domain.jobs import ARCHIVE
from app.quota.bucket import Grant
from app.services import refusals
from app.services.accounts import ADMIN
from app.services.quotas import Admission, Quota
from app.services.refusals import ServiceError
from app.services.statuses import STATUSES, status_of
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


GRANT: Final = Grant(granted=0, limit=1, remaining=0, reset_ms=1_900, retry_after_ms=1_900, name="burst", now_ms=0)
QUOTA: Final = Quota((), None, "key:track", counts_down=False, terse=False, policy="")
#: Refusals that say more than their name.
WITH_DETAILS: Final[Mapping[type[ServiceError], Callable[[], ServiceError]]] = {
    refusals.InjectedError: lambda: refusals.InjectedError(503, 1),
    refusals.JobUnderWayError: lambda: refusals.JobUnderWayError(ARCHIVE),
    refusals.LimitTooHighError: lambda: refusals.LimitTooHighError("burst", 2, 1),
    refusals.NotUndoneError: lambda: refusals.NotUndoneError("merge_too_old"),
    refusals.RateLimitedError: lambda: refusals.RateLimitedError(Admission(GRANT, QUOTA)),
    refusals.TooFrequentError: lambda: refusals.TooFrequentError(GRANT),
    refusals.TooManyFailuresError: lambda: refusals.TooManyFailuresError(GRANT),
}


def test_a_refusal_has_the_status_of_the_api_and_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a service, whatever page it comes to: none is a 500, nor depends on how its class is called."""
    browser, told = desk.logged_in(ADMIN), dict[type[ServiceError], str]()
    for kind in STATUSES:
        error = WITH_DETAILS.get(kind, kind)()

        async def refuse(*_: object, error: ServiceError = error) -> None:
            raise error

        monkeypatch.setattr(desk.service.services.workspaces, "listed", refuse)
        answer = browser.send("GET", "/console/")
        found = status_of(error)
        assert answer.status_code == found.status, kind
        assert ("retry-after" in answer.headers) or not found.retry_after, kind
        said = re.search("<p>(.*)</p>", answer.text)
        assert said is not None, kind
        assert said[1].endswith("."), kind
        told[kind] = unescape(said[1])
    assert told[refusals.GroupTakenError] == "A subscription group has this id already."
    assert (
        told[refusals.LimitTooHighError] == "The limit 'burst' may be at most 2 requests in 1 seconds on this server."
    )
    assert told[refusals.NotUndoneError] == "The merge is too old to be undone."
    assert told[refusals.TooFrequentError] == "Too many attempts. Try again in 2 seconds."


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
