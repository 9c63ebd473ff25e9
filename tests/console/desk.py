"""The console of a service, and browsers that talk to it without a screen."""

import hashlib
import itertools
import re
import secrets
from collections.abc import Mapping
from html import unescape
from typing import Final
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette

from app.console.app import routes
from app.console.serving import COOKIE
from app.services.accounts import EVERYWHERE
from app.store import accounts, acts
from app.store.acts import Act
from tests.api.harness import Service, Workspace, times_now

#: Hostile as a value of any field: script, template, address, formula, direction of text, NUL, half an emoji.
HOSTILE: Final = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "'{{7*7191}}${7*7191}<%= 7*7191 %>",
    "javascript:window.hacked=1",
    "=cmd()|'/C calc'!A0",
    "\u202egnp.exe\u2066",
    "a\0b",
    "\ud83d",
    "x" * 5_000,
)
_names = itertools.count(1)


class Browser:
    """Keeps cookies, and sends the token of the last page with each form."""

    def __init__(self, service: Service, app: Starlette, address: str = "127.0.0.1") -> None:
        self._service = service
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://onefold.example"
        )
        self.csrf = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._remember(self.send("GET", path, headers=headers))

    def post(self, path: str, fields: Mapping[str, object] | None = None, **headers: str) -> httpx.Response:
        """A form with the token of the last page, unless `fields` have another one."""
        content = urlencode({"csrf": self.csrf, **(fields or {})}, doseq=True, errors="replace").encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self._remember(self.send("POST", path, content, headers))

    def send(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._service.loop.run(self.client.request(method, path, content=content, headers=named))

    def log_in(self, name: str, password: str, leads_to: str = "") -> httpx.Response:
        self.get("/console/log-in")
        return self.post("/console/log-in", {"name": name, "password": password, "next": leads_to})

    @property
    def session(self) -> str:
        return str(self.client.cookies.get(COOKIE, default=""))

    def _remember(self, response: httpx.Response) -> httpx.Response:
        if (found := re.search(r'name="csrf" value="([0-9a-f]+)"', response.text)) is not None:
            self.csrf = found[1]
        assert response.status_code != 500, response.text
        return response


class Desk:
    """The console over a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = Starlette(routes=routes(service.services))

    def browser(self, address: str = "127.0.0.1") -> Browser:
        return Browser(self.service, self.app, address)

    def account(self, roles: Mapping[int, str], password: str = "") -> str:
        """The name of a new account. Without a password nobody can log in with it: see `logged_in`."""
        name = f"account {next(_names)} {secrets.token_hex(4)}"
        accounts.create(self.service.database, name, password, roles, times_now())
        return name

    def logged_in(self, role: str | None, workspace: Workspace | None = None) -> Browser:
        """The browser of a new account that has a role in one workspace, or everywhere."""
        place = EVERYWHERE if workspace is None else workspace.id
        return self.session_of(self.account({} if role is None else {place: role}))

    def session_of(self, name: str, now_us: int | None = None) -> Browser:
        """A browser in which an account is logged in, without the time that a password takes."""
        browser, session = self.browser(), secrets.token_urlsafe(32)
        digest = hashlib.sha256(session.encode()).digest()
        accounts.begin_session(self.service.database, digest, name, now_us or times_now(), 20)
        browser.client.cookies.set(COOKIE, session, domain="onefold.example", path="/console")
        browser.csrf = hashlib.sha256(b"csrf\0" + session.encode()).hexdigest()
        return browser

    def acts(self, workspace: Workspace | None = None) -> list[Act]:
        """What was done in a workspace, the newest first."""
        place = EVERYWHERE if workspace is None else workspace.id
        return acts.listed(self.service.database, place, None, 100)


def texts(response: httpx.Response) -> str:
    """What a page shows, without its markup."""
    return unescape(re.sub(r"<[^>]*>", " ", response.text))


__all__ = ["HOSTILE", "Browser", "Desk", "texts"]
