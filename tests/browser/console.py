"""Somebody at the console in a browser: logged in, without the time that a password takes."""

import hashlib
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from app.adapters.clock import now_us
from app.console.serving import COOKIE
from app.services.accounts import ADMIN, EVERYWHERE
from app.services.permissions import PERMISSIONS
from app.store import accounts, keys, workspaces
from app.store.engine import Database
from tests.browser.chromium import INSTALLED, Chromium, Page, Visitor
from tests.e2e.service import Service
from tests.missing import missing

AXE: Final = INSTALLED / "node_modules" / "axe-core" / "axe.min.js"
#: How a page is looked at: a desk, and a phone in the dark.
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 800}, "colorScheme": "dark", "hasTouch": True}

#: Waits until the parts of a page that come after its frame are there.
SETTLED: Final = """() => new Promise((resolve) => {
  const look = () => (document.querySelector(".htmx-request") ? setTimeout(look, 20) : resolve());
  setTimeout(look, 50);
})"""


@dataclass
class Console:
    """The console of a workspace of its own, as an account with a role in it sees it."""

    onefold: Service
    visitor: Visitor
    workspace_id: int
    workspace_name: str
    #: A key of the workspace with all permissions.
    key: str

    def open(self, path: str, base: str | None = None) -> Page:
        """A page of the workspace, `/keys`; with `base=""` one of the installation."""
        start = f"/{self.workspace_id}" if base is None else base
        return self.visitor.page(f"{self.onefold.url}/console{start}{path}")

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any, Any]:
        """A request to the API with the key of the workspace."""
        return self.onefold.call(method, path, body, self.key)


def console(
    onefold: Service, browser: Chromium, role: str = ADMIN, *, everywhere: bool = False, **options: object
) -> Console:
    """A workspace, an account with a role in it (or everywhere), and a browser in which it is logged in.

    `options` are those of `Chromium.visitor`: see DESK and PHONE.
    """
    with _database(onefold) as database:
        name, now = uuid.uuid4().hex, now_us()
        number = workspaces.number(workspaces.create(database, name, "legacy", now))
        key = keys.create(database, number, "tests", PERMISSIONS, now)
        session = secrets.token_urlsafe(32)
        accounts.create(database, f"{role} {name[:8]}", "", {EVERYWHERE if everywhere else number: role}, now)
        accounts.begin_session(database, hashlib.sha256(session.encode()).digest(), f"{role} {name[:8]}", now, 20)
    visitor = browser.visitor(**options)
    visitor.call("addCookies", [{"name": COOKIE, "value": session, "url": f"{onefold.url}/console"}])
    return Console(onefold, visitor, number, name, key)


@contextmanager
def _database(onefold: Service) -> Iterator[Database]:
    database = Database(onefold.database_url or f"sqlite:///{onefold.data_dir / 'onefold.db'}", pool_size=1)
    try:
        yield database
    finally:
        database.dispose()


#: What axe-core finds of weight. Its list of what is well is long, and nobody reads it.
_FAULTS: Final = """async () => {
  const { violations } = await axe.run({ resultTypes: ["violations"] });
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return grave.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`);
}"""


def axe() -> str:
    """The script of axe-core, which `faults` needs in the page: run it, or have the visitor run it in each page."""
    if not AXE.is_file():
        missing("no axe-core: see `make clients`")
    return AXE.read_text()


def faults(page: Page) -> list[str]:
    """What axe-core finds of weight: the rule, and the first element that breaks it."""
    found: list[str] = page.run(_FAULTS)
    return found


def sideways(page: Page) -> int:
    """Pixels by which the whole page is wider than the screen."""
    found: int = page.run("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found
