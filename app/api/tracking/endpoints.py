"""The tracking API of Segment, RudderStack and Jitsu: their SDKs send to Onefold as they are (docs/tracking.md)."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request, Response

from app.api.answers import Answer, answered, queued
from app.api.bodies import JSON, TEXT, hold, receive
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import WRITE_KEY, Endpoint
from app.api.refusals import Refusal
from app.api.sdk.pages import Pages, allowed
from app.api.track.models import TrackRefusal
from app.api.tracking import models, sources
from app.contract.errors import INVALID_URL, RefusedError
from app.contract.tracking import batch as contract
from app.contract.tracking.calls import TYPES
from app.services.caller import Caller
from app.services.registry import Services
from app.services.sdk import GROUP, Known

HEADER: Final = "X-Write-Key"
#: The content types of these SDKs, none among them; all send JSON. RudderStack's for Node names a form.
CONTENT: Final = (JSON, TEXT, "application/x-www-form-urlencoded", "")
BATCH: Final = ("/v1/batch", "/v1/b", "/beacon/v1/batch")
#: Path by call, long and short.
PATHS: Final = {f"/v1/{name}": kind for kind in TYPES for name in (kind, kind[0])}
JITSU: Final = ("/api/s/{call}", "/api/s/s2s/{call}")
SETTINGS: Final = "/v1/projects/{write_key}/settings"
SOURCES: Final = ("/sourceConfig", "/sourceConfig/")

#: What a page may send, for a day. Which app it is for is asked then.
PREFLIGHT: Final = {"Access-Control-Allow-Methods": "POST, GET", "Access-Control-Max-Age": "86400"}
#: Headers that are allowed where the browser names none that can be read.
ALLOWED: Final = f"Content-Type, Authorization, {HEADER}"
#: Names of headers, as a browser asks for them.
_NAMES: Final = re.compile(r"[A-Za-z0-9-]{1,100}(?:, ?[A-Za-z0-9-]{1,100}){0,49}")

_TAG: Final = "Tracking"
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "identify": {"userId": "ada", "anonymousId": "a-1", "traits": {"firstName": "Ada", "plan": "pro"}},
    "track": {"anonymousId": "a-1", "event": "Signed Up", "properties": {"plan": "pro"}, "messageId": "m-1"},
    "page": {"anonymousId": "a-1", "name": "Home", "properties": {"path": "/"}},
    "screen": {"anonymousId": "a-1", "name": "Home"},
    "group": {"userId": "ada", "groupId": "g-1", "traits": {"name": "Analytical Engines"}},
    "alias": {"userId": "ada", "previousId": "a-1"},
}
_KEYS: Final = (
    Parameter("Authorization", "header", str, "Basic, with the SDK key as the user and without a password."),
    Parameter(HEADER, "header", str, "The SDK key. `key:anything` is the key as well, as Jitsu's SDK wants it."),
    Parameter("writeKey", "query", str, "The same, for a beacon; or the member `writeKey` of the body."),
)
_ANSWERS: Final = {200: models.Taken, 400: TrackRefusal}
_OF_CALLS: Final = {**_ANSWERS, 404: Refusal}


def endpoints(_services: Services) -> list[Endpoint]:
    made = [_posting(path, _call(kind, kind)) for path, kind in PATHS.items()]
    made += [_posting(path, _BATCH) for path in BATCH]
    called = Parameter("call", "path", str, f"One of {', '.join(TYPES)}.")
    made += [_posting(path, _call("Jitsu's", "track", called)) for path in JITSU]
    made.append(Endpoint("GET", SETTINGS, WRITE_KEY, GROUP, _unused, _SETTINGS))
    return made + [Endpoint("GET", path, WRITE_KEY, GROUP, _unused, _SOURCE) for path in SOURCES]


def _posting(path: str, documentation: Documentation) -> Endpoint:
    return Endpoint("POST", path, WRITE_KEY, GROUP, _unused, documentation)


def _call(title: str, kind: str, *more: Parameter) -> Documentation:
    return Documentation(
        title=f"Take one call: {title}",
        tag=_TAG,
        text="A call of the tracking API. A call with a `messageId` counts once in seven days.",
        body=models.Call,
        example=_EXAMPLES[kind],
        answers=_OF_CALLS if more else _ANSWERS,
        parameters=(*more, *_KEYS),
    )


_BATCH: Final = Documentation(
    title="Take many calls",
    tag=_TAG,
    text="Up to 2,500 calls, each with its `type`. Those that cannot be read are in `errors`; the others go on.",
    body=models.Batch,
    example={"batch": [{"type": kind, **example} for kind, example in _EXAMPLES.items()]},
    answers=_ANSWERS,
    parameters=_KEYS,
)
_SETTINGS: Final = Documentation(
    title="What Segment's SDKs fetch before they send",
    tag=_TAG,
    text="Says that calls go to this server, and that there is nothing else to load.",
    answers={200: models.SegmentSettings},
    parameters=(Parameter("write_key", "path", str, "The app's SDK key."),),
)
_SOURCE: Final = Documentation(
    title="What RudderStack's SDKs fetch before they send",
    tag=_TAG,
    text="Says that there is such a source, and that it has no other destinations.",
    answers={200: models.SourceConfig},
    parameters=_KEYS,
)


async def _unused(_caller: Caller, _request: Request) -> Answer:
    raise AssertionError("served by `serve`")


def serve(services: Services, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint as a request handler."""
    limit, seconds = services.sdk.limits.calls_bytes, services.receive_timeout_seconds

    async def early(request: Request) -> str | None:
        body = await hold(request, limit, seconds, types=CONTENT)
        return None if body is None else contract.write_key_of(body)

    async def calls(known: Known, request: Request) -> Answer:
        kind = PATHS.get(endpoint.path) or request.path_params.get("call")
        if kind is not None and kind not in TYPES:
            raise RefusedError(404, INVALID_URL)
        body = await receive(request, limit, seconds, types=CONTENT)
        return queued(await services.sdk.accept_calls(known, body, kind), 200)

    async def settings(known: Known, request: Request) -> Answer:
        return answered(200, sources.segment(known.app.sdk_key, sources.server_of(request, services.trusted_proxies)))

    async def source(known: Known, _request: Request) -> Answer:
        return answered(200, sources.rudderstack(known))

    action = calls if endpoint.method == "POST" else settings if endpoint.path == SETTINGS else source
    return Pages(services, endpoint.path, write_key, early if endpoint.method == "POST" else None, action).handle


def write_key(request: Request) -> str | None:
    """The SDK key of a request, wherever an SDK puts it but in the body."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    found = _user(value.strip()) if scheme.lower() == "basic" else None
    for sent in (found, request.headers.get(HEADER), request.query_params.get("writeKey")):
        if sent:
            return sent.partition(":")[0]
    sent = request.path_params.get("write_key")
    return sent if isinstance(sent, str) else None


def _user(value: str) -> str | None:
    """The user name of basic authentication."""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks whether a page may send; None where nothing of ours is asked for.

    Versions of these SDKs add headers of their own, such as RudderStack's `Rsa-Retry-Attempt`. None of them means
    anything here, so whatever a page wants to send is allowed.
    """
    if request.method != "OPTIONS" or not _is_ours(request.scope["path"]):
        return None
    asked = request.headers.get("access-control-request-headers", "")
    names = asked if _NAMES.fullmatch(asked) else ALLOWED
    response = Response(status_code=204, headers=PREFLIGHT | {"Access-Control-Allow-Headers": names})
    return allowed(response, request.headers.get("origin"))


def _is_ours(path: str) -> bool:
    if path in PATHS or path in BATCH or path in SOURCES:
        return True
    return path.startswith("/api/s/") or (path.startswith("/v1/projects/") and path.endswith("/settings"))
