"""The member `context` of a call: what of it is said of the device, its session and its push token.

The name of a browser is read from the user agent as sdk/web/src/device.ts does, so both call it the same.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from app.contract import push_tokens, sdk_records

#: Names in a user agent, the more special before what it pretends to be as well.
BROWSERS: Final = tuple(
    (name, re.compile(mark))
    for name, mark in (
        ("Edge", r"Edg(?:e|A|iOS)?/([\d.]+)"),
        ("Opera", r"(?:OPR|Opera)/([\d.]+)"),
        ("Samsung Browser", r"SamsungBrowser/([\d.]+)"),
        ("Firefox", r"(?:Firefox|FxiOS)/([\d.]+)"),
        ("Chrome", r"(?:Chrome|CriOS)/([\d.]+)"),
        ("Safari", r"Version/([\d.]+).*Safari"),
    )
)
SYSTEMS: Final = (
    ("iPhone", "iOS"), ("iPad", "iOS"), ("iPod", "iOS"), ("Android", "Android"), ("CrOS", "Chrome OS"),
    ("Windows", "Windows"), ("Mac OS X", "Mac OS"), ("Linux", "Linux"),
)  # fmt: skip
#: Characters of a user agent that are looked at.
MAX_AGENT: Final = 1_000
#: Events of mobile SDKs that begin and end a use of the app, where no session is told.
OPENED: Final = "Application Opened"
BACKGROUNDED: Final = "Application Backgrounded"
Json = dict[str, Any]


def version(context: Mapping[str, Any]) -> str:
    """The version of the app; "" where none is told. RudderStack's web SDK tells its own, as that of an app."""
    app, library = (_object(context.get(name)) for name in ("app", "library"))
    is_sdk = "name" in app and all(app.get(name) == library.get(name) for name in ("name", "version"))
    return "" if is_sdk else _text(app.get("version")) or ""


def records(context: Mapping[str, Any], event: str | None) -> list[Json]:
    """What is told of the device, before what happened on it."""
    found: list[Json] = []
    described = description(context)
    if described:
        found.append({"type": "device", "device": described})
    token = _object(context.get("device")).get("token")
    if isinstance(token, str) and token.strip() and len(token.encode()) <= push_tokens.MAX_TOKEN:
        found.append({"type": "push_token", "token": token})
    session = context.get("sessionId")
    if context.get("sessionStart") is True:
        named = {} if session is None else {"session_id": str(session)[: sdk_records.MAX_SESSION]}
        found.append({"type": "session_start"} | named)
    elif event == OPENED and session is None:
        found.append({"type": "session_start"})
    elif event == BACKGROUNDED:
        found.append({"type": "session_end"})
    return found


def description(context: Mapping[str, Any]) -> Json:
    """The members of a device (app.contract.sdk_records.MEMBERS) that the context tells."""
    device, system, screen = (_object(context.get(name)) for name in ("device", "os", "screen"))
    agent = context.get("userAgent")
    agent = agent[:MAX_AGENT] if isinstance(agent, str) else ""
    browser = next(((name, at[1]) for name, mark in BROWSERS if (at := mark.search(agent))), (None, None))
    named = _text(system.get("name")) or next((name for mark, name in SYSTEMS if mark in agent), None)
    width, height = screen.get("width"), screen.get("height")
    found = {
        "model": _text(device.get("model")),
        "os": named,
        "os_version": _text(system.get("version")),
        "browser": browser[0],
        "browser_version": browser[1],
        "carrier": _text(_object(context.get("network")).get("carrier")),
        "locale": _text(context.get("locale")),
        "time_zone": _text(context.get("timezone")),
        "resolution": f"{width}x{height}" if _is_size(width) and _is_size(height) else None,
        **_advertising(device, (named or "").lower()),
    }
    return {name: value for name, value in found.items() if value is not None}


def _advertising(device: Json, system: str) -> Json:
    tracking = device.get("adTrackingEnabled")
    kind = (_text(device.get("type")) or system).lower()
    names = {"ios": "idfa", "android": "google_ad_id"}
    told: Json = {sdk_records.TRACKING: tracking if isinstance(tracking, bool) else None}
    if kind in names:
        told[names[kind]] = _text(device.get("advertisingId"))
    if kind == "ios":
        told["idfv"] = _text(device.get("id"))
    return told


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= sdk_records.MAX_TEXT else None


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 100_000
