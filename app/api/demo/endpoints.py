"""GET /demo: a shop that tells Onefold of its visitors, and beside it the visitor's own profile.

It is there with `onefold up --demo` alone, and for browsers of this machine alone. The profile is that of a device,
whose id nobody can guess. The browser that asks for a device first has it: another one, which has learned the id, is
shown nothing. The people of the shop are in a workspace of their own, so no log-in there leads to anybody else.
"""

from collections import OrderedDict
from html import escape
from importlib.resources import files
from ipaddress import ip_address
from secrets import compare_digest, token_urlsafe
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi import FastAPI, Request, Response

from app.api.answers import Sending, answered, refuse, respond
from app.api.endpoint import client_of
from app.api.people import answers
from app.api.sdk import script
from app.contract.cursor import Page
from app.contract.errors import INVALID_URL, RefusedError
from app.services import budget
from app.services.keys import Address
from app.services.refusals import ServiceError, UnknownProfileError
from app.services.registry import Services

PATH: Final = "/demo"
PROFILE: Final = "/demo/profile"
_FILES: Final = {"/demo/shop.js": "text/javascript", "/demo/shop.css": "text/css"}
COOKIE: Final = "onefold_demo"
DEVICE: Final = "X-Onefold-Device"
MAX_DEVICE: Final = 255
#: Devices whose browser is known. Beyond it those that were seen longest ago are forgotten.
MAX_DEVICES: Final = 10_000
#: Names by which this machine calls itself. Another name may be anybody's that leads here (DNS rebinding).
NAMES: Final = frozenset(("localhost", "127.0.0.1", "::1"))
#: What a proxy adds: then the browser may be anywhere.
_PROXIED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_EVENTS: Final = Page(20, "")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Owners:
    """Which browser a device belongs to, by the cookie of the browser. Bounded."""

    def __init__(self, most: int = MAX_DEVICES) -> None:
        self._most = most
        self._cookies: OrderedDict[str, str] = OrderedDict()

    def has(self, cookie: str, device: str) -> bool:
        """Whether the device is this browser's. One that nobody has asked for yet is from now on."""
        owner = self._cookies.setdefault(device, cookie)
        self._cookies.move_to_end(device)
        while len(self._cookies) > self._most:
            self._cookies.popitem(last=False)
        return compare_digest(owner.encode(), cookie.encode())


def add(app: FastAPI, services: Services, sdk_key: str) -> None:
    """Serve the shop of an app."""
    folder = files("app.api.demo") / "files"
    page = (folder / "page.html").read_text("utf-8")
    page = page.replace("{sdk_key}", escape(sdk_key)).replace(
        "{integrity}", script.integrity(script.read("onefold.js"))
    )
    owners = Owners()

    async def shop(request: Request) -> Response:
        if not is_local(request):
            return refuse(RefusedError(404, INVALID_URL), None)
        response = Response(page, media_type="text/html", headers=_HEADERS | {"X-Request-Id": str(uuid4())})
        if not _cookie(request):
            response.set_cookie(COOKIE, token_urlsafe(24), path=PATH, httponly=True, samesite="strict")
        return response

    async def file(request: Request) -> Response:
        path = request.scope["path"]
        if not is_local(request):
            return refuse(RefusedError(404, INVALID_URL), None)
        content = (folder / path.rpartition("/")[2]).read_bytes()
        return Response(content, media_type=_FILES[path], headers=_HEADERS | {"X-Request-Id": str(uuid4())})

    async def profile(request: Request) -> Response:
        def client() -> Address | None:
            return client_of(request, services)

        device, cookie = request.headers.get(DEVICE, ""), _cookie(request)
        if not is_local(request) or not cookie or not 0 < len(device) <= MAX_DEVICE:
            return refuse(RefusedError(404, INVALID_URL), None)
        with budget.answering(services.answer_seconds):
            try:
                place = services.gate.enter()
            except ServiceError as refused:
                return refuse(refused, None)
            try:
                known = await services.sdk.authenticate(sdk_key, client)
                place.belongs_to(known.caller.workspace_id)
                if not owners.has(cookie, device):
                    raise UnknownProfileError
                seen = await services.people.of_device(known.caller, known.app.id, device, _EVENTS)
                answer = answered(200, answers.person(known.caller, seen.value), stale=seen.stale)
                response = respond(answer, None)
            except ServiceError as refused:
                response = refuse(refused, None)
            except BaseException:
                place.leave()
                raise
            response.headers.update(_HEADERS)
            return Sending(response, place)

    app.add_route(PATH, shop, methods=["GET"])
    app.add_route(PROFILE, profile, methods=["GET"])
    for path in _FILES:
        app.add_route(path, file, methods=["GET"])


def is_local(request: Request) -> bool:
    """Whether a browser of this machine asks, by a name of this machine, and through no proxy."""
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname
        local = request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
    return local and name in NAMES and not any(header in request.headers for header in _PROXIED)


def _cookie(request: Request) -> str:
    return request.cookies.get(COOKIE, "")
