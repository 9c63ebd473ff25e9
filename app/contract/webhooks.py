"""Change webhooks as administrators make them, /v1/webhooks, and what they are told. Endpoints of our own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.domain import times
from app.domain.webhooks import EVENTS, MAX_CHANGED, OF_SEGMENT, TEST, Webhook, names_of, type_of

MAX_URL: Final = 2_048
DEFAULT_MESSAGES: Final = 50
MAX_MESSAGES: Final = 500
#: The states of a message that was not taken yet.
STATES: Final = ("due", "dead")
PROFILE: Final = "profile"
MAX_SEGMENT_ID: Final = 100
#: How long messages are signed with the former secret as well.
FORMER_SECRET_HOURS: Final = 24

_MEMBERS: Final = ("url", "events", "segment_id", "include", "enabled")
_NAMED: Final = "'url', 'events', 'segment_id', 'include' and 'enabled'"
BAD_NEW: Final = f"The body must be an object with 'url', 'events', and no other than {_NAMED}"
BAD_CHANGE: Final = f"The body must be an object with one or more of {_NAMED}"
BAD_URL: Final = "'url' must be an http or https URL that this server may call"
BAD_EVENTS: Final = f"'events' must be an array of one or more of {', '.join(EVENTS)}"
BAD_SEGMENT: Final = "'segment_id' must be null or the id of a segment"
NO_SEGMENT: Final = f"Only a webhook with a 'segment_id' can be told of {' or '.join(OF_SEGMENT)}"
BAD_INCLUDE: Final = "'include' must be null or 'profile'"
BAD_FLAG: Final = "'enabled' must be true or false"
BAD_QUERY: Final = "Only these may be asked for: state, limit"
BAD_STATE: Final = f"'state' must be {' or '.join(STATES)}"
BAD_LIMIT: Final = f"'limit' must be a whole number from 1 to {MAX_MESSAGES}"
UNKNOWN: Final = "No webhook has this id"
TOO_MANY: Final = "The workspace has as many webhooks as it may have"


def read_new(body: bytes) -> dict[str, Any]:
    """The fields of a webhook to be made, by their names in app.domain.webhooks.Webhook. Raises RefusedError(400)."""
    document = _document(body, BAD_NEW)
    if not {"url", "events"} <= document.keys() or document.keys() - set(_MEMBERS):
        raise RefusedError(400, BAD_NEW)
    return new(document)


def new(document: Mapping[str, Any]) -> dict[str, Any]:
    """As `read_new`, of the members themselves."""
    fields: dict[str, Any] = {"with_profile": False, "enabled": True, "segment_id": ""} | changes(document)
    check(fields["events"], fields["segment_id"])
    return fields


def check(events: Sequence[str], segment_id: str) -> None:
    """Raises RefusedError(400) where a webhook may not be told of these events."""
    if not segment_id and any(name in OF_SEGMENT for name in events):
        raise RefusedError(400, NO_SEGMENT)


def read_change(body: bytes) -> dict[str, Any]:
    """What is to be changed of a webhook, by its field. Raises RefusedError(400)."""
    document = _document(body, BAD_CHANGE)
    if not document or document.keys() - set(_MEMBERS):
        raise RefusedError(400, BAD_CHANGE)
    return changes(document)


def changes(document: Mapping[str, Any]) -> dict[str, Any]:
    """As `read_change`, of the members themselves. Which addresses may be called is a setting of the server."""
    fields: dict[str, Any] = {}
    if "url" in document:
        url = document["url"]
        if not isinstance(url, str) or not 0 < len(url) <= MAX_URL:
            raise RefusedError(400, BAD_URL)
        fields["url"] = url
    if "events" in document:
        events = document["events"]
        if not isinstance(events, list) or not events or not all(one in EVENTS for one in events):
            raise RefusedError(400, BAD_EVENTS)
        fields["events"] = tuple(name for name in EVENTS if name in events)
    if "segment_id" in document:
        segment_id = document["segment_id"]
        if segment_id is not None and not (isinstance(segment_id, str) and 0 < len(segment_id) <= MAX_SEGMENT_ID):
            raise RefusedError(400, BAD_SEGMENT)
        fields["segment_id"] = segment_id or ""
    if "include" in document:
        if document["include"] not in (None, PROFILE):
            raise RefusedError(400, BAD_INCLUDE)
        fields["with_profile"] = document["include"] == PROFILE
    if "enabled" in document:
        if not isinstance(document["enabled"], bool):
            raise RefusedError(400, BAD_FLAG)
        fields["enabled"] = document["enabled"]
    return fields


def read_messages(parameters: Mapping[str, str]) -> tuple[str, int]:
    """(state, how many) of the query of GET /v1/webhooks/{id}/messages. Raises RefusedError(400)."""
    if parameters.keys() - {"state", "limit"}:
        raise RefusedError(400, BAD_QUERY)
    state = parameters.get("state", STATES[0])
    if state not in STATES:
        raise RefusedError(400, BAD_STATE)
    limit = parameters.get("limit", str(DEFAULT_MESSAGES))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 1 <= int(limit) <= MAX_MESSAGES):
        raise RefusedError(400, BAD_LIMIT)
    return state, int(limit)


def shown(webhook: Webhook, *, secret: bool = False) -> dict[str, Any]:
    """A webhook as JSON, with its secret or without."""
    document: dict[str, Any] = {
        "id": webhook.id,
        "url": webhook.url,
        "events": list(webhook.events),
        "segment_id": webhook.segment_id or None,
        "include": PROFILE if webhook.with_profile else None,
        "enabled": webhook.enabled,
        "created_at": times.iso(webhook.created_us),
        "created_by": webhook.created_by,
        "delivered_at": times.iso(webhook.delivered_us) if webhook.delivered_us else None,
        "failures": webhook.failures,
        "error": webhook.error,
        "dropped": webhook.dropped,
    }
    if secret:
        document["secret"] = webhook.secret
    return document


def message(
    wanted: int,
    types: int,
    us: int,
    doc: Mapping[str, Any],
    request_id: str | None,
    person: Mapping[str, Any],
    others: Sequence[str] = (),
) -> dict[str, Any]:
    """What a webhook is told of an event. `doc` is what the outbox keeps of it, `person` how somebody is called now,
    `others` the braze_ids of those who were merged, or came back."""
    if types & TEST:
        return {"type": type_of(types, wanted), "timestamp": times.iso(us), "data": {}}
    changed = list(doc.get("changed", ()))
    data: dict[str, Any] = {"braze_id": doc["braze_id"], "external_id": doc["external_id"], **person}
    data |= {"types": names_of(types), "changed": changed[:MAX_CHANGED], "request_id": request_id}
    if len(changed) > MAX_CHANGED:
        data["more_changed"] = True
    if others:
        data["merged_braze_ids"] = list(others)
    return {"type": type_of(types, wanted), "timestamp": times.iso(us), "data": data}


def person(core: Mapping[str, Any], external_id: str | None) -> dict[str, Any]:
    """How somebody is called, by their section `core`."""
    aliases: dict[str, str] = core.get("aliases") or {}
    named: dict[str, Any] = {
        "external_id": external_id,
        "user_aliases": [{"alias_name": name, "alias_label": label} for label, name in sorted(aliases.items())],
    }
    for name in ("email", "phone"):
        if core.get(name):
            named[name] = core[name]
    return named


def _document(body: bytes, wanted: str) -> dict[str, Any]:
    document = parse_object(body)
    if document is None or unsound(document) is not None:
        raise RefusedError(400, wanted)
    return document
