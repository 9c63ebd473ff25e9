"""From a request of a browser to a page: session, role, form and CSRF token, the log of acts, and what went wrong."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from typing import Final
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response

from app.console.forms import Form, UnreadableFormError, parse, read
from app.console.page import ROOT, SAID, Page, RefusedPageError, Visit, see_other
from app.console.rendering import Renderer
from app.contract.errors import RefusedError
from app.services import budget
from app.services.accepting.gate import Place
from app.services.accounts import EVERYWHERE, READER, allows
from app.services.caller import Caller
from app.services.log_ins import Visitor
from app.services.networks import Address, client_address, is_trusted
from app.services.refusals import OverloadedError, ServiceError, TooFrequentError, UnavailableError
from app.services.registry import Services
from app.services.statuses import status_of

log = structlog.get_logger()

#: The cookie of a browser: of somebody who is logged in, the id of the session.
COOKIE: Final = "onefold_console"
CSRF: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"
LOG_IN: Final = f"{ROOT}/log-in"
#: What takes longer is an error page. People wait longer than clients of the API, and a password takes long.
PAGE_SECONDS: Final = 10.0
MAX_WORKSPACE: Final = 2**63 - 1

NOT_FOUND: Final = "There is no such page, or none for this account."
FORBIDDEN: Final = "The role of this account does not allow that."
TOO_OLD: Final = (
    "This form is from before the last log-in, or from elsewhere. Open the page again, and send it once more."
)
OVERLOADED: Final = "Too many requests at once. Try again in a moment."
#: Where people need more words than programs. The others are those of the API.
WORDS: Final[Mapping[type[ServiceError], str]] = {
    UnavailableError: "The database does not answer. Nothing may have happened, or everything: look again in a moment.",
    OverloadedError: OVERLOADED,
}
INTERNAL: Final = "Something went wrong, and was written to the log of the service."
UNREADABLE: Final = "What was sent is no form of this page."
LATE: Final = "The form took too long to arrive."

Handler = Callable[[Request], Awaitable[Response]]


class Front:
    """What every page goes through. One per process."""

    def __init__(self, services: Services, renderer: Renderer) -> None:
        self.services = services
        self.renderer = renderer

    def page(self, page: Page) -> Handler:
        """The handler of a page."""

        async def handle(request: Request, _place: Place) -> Response:
            return await self._visit(request, page)

        return self.guarded(handle)

    def guarded(self, handle: Callable[[Request, Place], Awaitable[Response]]) -> Handler:
        """A handler within the bounds of the process: whatever it raises is an error page."""

        async def answer(request: Request) -> Response:
            with budget.answering(PAGE_SECONDS):
                try:
                    place = self.services.gate.enter()
                except OverloadedError:
                    return self.renderer.error(503, OVERLOADED, {"Retry-After": "1"})
                try:
                    return await handle(request, place)
                except Exception as error:  # noqa: BLE001 - the last resort of a browser
                    return self._refused(error)
                finally:
                    place.leave()

        return answer

    async def not_found(self, _request: Request) -> Response:
        return self.renderer.error(404, NOT_FOUND)

    async def form(self, request: Request, session: str) -> Form:
        """The form of a POST, with the token of the session in it. Raises RefusedPageError, UnreadableFormError."""
        seconds = self.services.receive_timeout_seconds
        budget.extend(seconds)
        try:
            async with asyncio.timeout(seconds):
                form = await read(request)
        except TimeoutError:
            raise RefusedPageError(408, LATE) from None
        sent = form[CSRF] or request.headers.get(CSRF_HEADER, "")
        if not session or not compare_digest(sent.encode(), csrf(session).encode()):
            raise RefusedPageError(403, TOO_OLD)
        return form

    def client(self, request: Request) -> Address | None:
        """Where the browser is, as far as proxies are believed."""
        forwarded = request.headers.getlist("x-forwarded-for")
        return client_address(_peer(request), forwarded, self.services.trusted_proxies)

    def set_cookie(self, request: Request, response: Response, session: str) -> None:
        """Give a browser the id of a session."""
        response.set_cookie(
            COOKIE, session, path=ROOT, httponly=True, samesite="strict", secure=self._is_secure(request)
        )

    async def _visit(self, request: Request, page: Page) -> Response:
        services = self.services
        session, is_fragment = request.cookies.get(COOKIE, ""), "hx-request" in request.headers
        visitor = await services.log_ins.visitor(session, sees=not is_fragment) if session else None
        if visitor is None:
            return _to_log_in(request, is_fragment=is_fragment)
        caller, role = await self._workspace(request, page, visitor)
        if caller is not None:
            budget.charge(caller.workspace_id)
        visit = Visit(
            request=request,
            services=services,
            page=page,
            visitor=visitor,
            role=role,
            client=self.client(request),
            csrf=csrf(session),
            form=Form(),
            query=parse(request.url.query),
            said="" if is_fragment or page.act else _said(request),
            _caller=caller,
            _show=self.renderer.page,
        )
        if page.act:
            visit.form = await self.form(request, session)
            return await self._act(visit)
        if not allows(role, page.role):
            raise RefusedPageError(403, FORBIDDEN)
        return await page.handler(visit)

    async def _workspace(self, request: Request, page: Page, visitor: Visitor) -> tuple[Caller | None, str]:
        """The workspace of the page, if it is of one, and the role there. Raises RefusedPageError(404)."""
        if not page.is_of_workspace:
            return None, visitor.role_in(EVERYWHERE) or READER
        number = request.path_params["workspace_id"]
        role = visitor.role_in(number)
        if role is None or not 0 < number <= MAX_WORKSPACE:
            raise RefusedPageError(404, NOT_FOUND)
        caller = await self.services.workspaces.operator(number, visitor.account)
        if caller is None:
            raise RefusedPageError(404, NOT_FOUND)
        return caller, role

    async def _act(self, visit: Visit) -> Response:
        """Do what a POST asks for, and nothing that was not written down. What the role forbids is written down too."""
        acts, workspace_id = self.services.acts, visit.workspace.workspace_id if visit.workspace else EVERYWHERE
        number = await acts.begin(visit.visitor.account, workspace_id, visit.page.act, visit.client)
        status = 500
        try:
            if not allows(visit.role, visit.page.role):
                raise RefusedPageError(403, FORBIDDEN)
            response = await visit.page.handler(visit)
            status = response.status_code
        except Exception as error:  # noqa: BLE001 - as in `guarded`; its status is written down
            response = self._refused(error)
            status = response.status_code
        finally:
            await self._finish(number, status, visit.target)
        return response

    async def _finish(self, number: int, status: int, target: str) -> None:
        try:
            await self.services.acts.finish(number, status, target)
        except UnavailableError:
            log.warning("act_not_finished", act=number)

    def _refused(self, error: Exception) -> Response:
        if isinstance(error, RefusedPageError):
            return self.renderer.error(error.status, error.message, error.headers)
        if isinstance(error, UnreadableFormError):
            return self.renderer.error(error.status, UNREADABLE)
        if isinstance(error, RefusedError):
            return self.renderer.error(error.status, sentence(error.message))
        if isinstance(error, TooFrequentError):
            seconds = -(-error.grant.retry_after_ms // 1_000)
            return self.renderer.error(
                429, f"Too many attempts. Try again in {seconds} seconds.", {"Retry-After": str(seconds)}
            )
        if isinstance(error, ServiceError):  # a page that could say it better would have caught it
            found = status_of(error)
            headers = {"Retry-After": str(found.retry_after)} if found.retry_after else {}
            return self.renderer.error(found.status, WORDS.get(type(error), sentence(found.message)), headers)
        # The message of an error may hold a value of a client; its class never does.
        log.error("internal_error", path=ROOT, error=type(error).__name__)
        return self.renderer.error(500, INTERNAL)

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came by TLS, as far as we know."""
        if self.services.public_url.startswith("https:") or request.url.scheme == "https":
            return True
        told = request.headers.get("x-forwarded-proto", "").strip().lower()
        return told == "https" and is_trusted(_peer(request), self.services.trusted_proxies)


def csrf(session: str) -> str:
    """The token that a form of a session holds. It does not tell the session."""
    return hashlib.sha256(b"csrf\0" + session.encode("utf-8", "replace")).hexdigest()


def sentence(message: str) -> str:
    """A message of the API, most of which end without a full stop, as a page says it."""
    return message if message.endswith(".") else f"{message}."


def new_session() -> str:
    """For a browser that is not logged in: nobody finds it in the database."""
    return secrets.token_urlsafe(32)


def _to_log_in(request: Request, *, is_fragment: bool) -> Response:
    if is_fragment:  # htmx leads the whole page there
        return Response(status_code=401, headers={"HX-Redirect": LOG_IN})
    if request.method != "GET":
        return see_other(LOG_IN)
    return see_other(f"{LOG_IN}?next={quote(request.url.path, safe='')}")


def _said(request: Request) -> str:
    try:
        return bytes.fromhex(request.cookies.get(SAID, "")).decode()
    except ValueError:
        return ""


def _peer(request: Request) -> str | None:
    return None if request.client is None else request.client.host
