"""Messages and engagements: POST and GET /v1/messages. Endpoints of our own; Onefold itself sends nothing."""

from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.address_events import time_of
from app.contract.checked import Checked, commands_checked
from app.contract.errors import ObjectRefusedError, RefusedError
from app.domain import times
from app.domain.commands import RecordMessage
from app.domain.messages import CANVAS_STEPS, CHANNELS, ENGAGEMENTS
from app.domain.profile import Profile

#: Messages of one request.
MAX_MESSAGES: Final = 500
MAX_ID: Final = 255

BAD_BODY: Final = f"'messages' must be an array of 1 to {MAX_MESSAGES} objects"
NOTHING_VALID: Final = "Valid data must be provided in the 'messages' field."
BAD_TYPE: Final = f"'type' must be one of {', '.join((*ENGAGEMENTS, *CANVAS_STEPS))}"
BAD_CHANNEL: Final = f"'channel' must be one of {', '.join(CHANNELS)}, and is left out for {' and '.join(CANVAS_STEPS)}"
BAD_ID: Final = f"'%s' must be a text of 1 to {MAX_ID} characters"
NO_CANVAS: Final = f"'canvas_id' is required for {' and '.join(CANVAS_STEPS)}"


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """POST /v1/messages. `region`: of phone numbers without a `+`. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    messages = document.get("messages")
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_MESSAGES:
        raise RefusedError(400, BAD_BODY)
    commands, errors = elements.read_all(
        {"messages": messages}, lambda _name, message, index: _read(message, index, region)
    )
    answer = elements.answer("messages_processed", commands, errors, NOTHING_VALID)
    return commands_checked(commands, answer, errors)


def _read(message: dict[str, Any], index: int, region: str) -> RecordMessage:
    kind, channel = message.get("type"), message.get("channel")
    if not isinstance(kind, str) or kind not in (*ENGAGEMENTS, *CANVAS_STEPS):
        raise ObjectRefusedError(BAD_TYPE)
    in_canvas = kind in CANVAS_STEPS
    if in_canvas is not (channel is None) or not (channel is None or channel in CHANNELS):
        raise ObjectRefusedError(BAD_CHANNEL)
    canvas = _id(message, "canvas_id")
    if in_canvas and canvas is None:
        raise ObjectRefusedError(NO_CANVAS)
    return RecordMessage(
        index,
        identifiers.of(message, region),
        kind if in_canvas else f"{channel}_{kind}",
        time_of(message),
        _id(message, "id"),
        _id(message, "campaign_id"),
        canvas,
    )


def _id(message: dict[str, Any], name: str) -> str | None:
    sent = message.get(name)
    if sent is None:
        return None
    found = identifiers.text(sent)
    if found is None or not found.strip() or len(found) > MAX_ID:
        raise ObjectRefusedError(BAD_ID % name)
    return found


def listing(profile: Profile) -> dict[str, object]:
    """What is known of a profile's messages, the newest first."""
    section: dict[str, Any] = profile.messages or {}
    history = sorted(section.get("history", {}).items(), key=lambda named: (-named[1]["at"], named[0]))
    return {
        "braze_id": profile.braze_id,
        "last": _moments(section.get("received", {})),
        "campaigns": [
            {"id": name, "last": _moments(found)} for name, found in sorted(section.get("campaigns", {}).items())
        ],
        "canvases": [
            {"id": name, "last": _moments(found)} for name, found in sorted(section.get("canvases", {}).items())
        ],
        "messages": [
            {"id": name, "time": times.iso(entry["at"])} | {key: value for key, value in entry.items() if key != "at"}
            for name, entry in history
        ],
    }


def campaigns(profile: Profile) -> list[dict[str, object]] | None:
    """What an export shows of campaigns; None where there are none."""
    found = _summaries(profile, "campaigns")
    return [
        {"api_campaign_id": name, **_last(last, "last_received"), "engaged": _engaged(last)}
        for name, last in sorted(found.items())
    ] or None


def canvases(profile: Profile) -> list[dict[str, object]] | None:
    """What an export shows of canvases; None where there are none."""
    found = _summaries(profile, "canvases")
    return [
        {
            "api_canvas_id": name,
            **_last(last, "last_received_message"),
            **{f"last_{step}": times.iso(last[step]) for step in CANVAS_STEPS if step in last},
        }
        for name, last in sorted(found.items())
    ] or None


def _summaries(profile: Profile, name: str) -> dict[str, dict[str, int]]:
    section: dict[str, Any] = profile.messages or {}
    found: dict[str, dict[str, int]] = section.get(name, {})
    return found


def _last(last: dict[str, int], title: str) -> dict[str, str]:
    received = [us for kind, us in last.items() if kind.endswith("_received")]
    return {title: times.iso(max(received))} if received else {}


def _engaged(last: dict[str, int]) -> dict[str, bool]:
    """`{"opened_email": true}` of what was done with messages of a campaign."""
    done = (kind.rpartition("_") for kind in sorted(last) if not kind.endswith("_received"))
    return {f"{what}_{channel}": True for channel, _, what in done}


def _moments(found: dict[str, int]) -> dict[str, str]:
    return {kind: times.iso(us) for kind, us in sorted(found.items())}
