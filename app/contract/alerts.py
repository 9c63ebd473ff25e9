"""Alerts as administrators make them, /v1/alerts, and the messages that they send. Endpoints of our own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.contract import addresses
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.domain import numbers, times
from app.domain.alerts import (
    EMAIL,
    FIRING,
    GAUGES,
    INSTALLATION,
    METRICS,
    OF_INSTALLATION,
    RESOLVED,
    RESPONSES,
    TEST,
    WEBHOOK,
    Alert,
)

MAX_NAME: Final = 255
MAX_ABOVE: Final = 10**12
MAX_WINDOW_MINUTES: Final = 60
MAX_WAIT_SECONDS: Final = 86_400
MAX_ENDPOINT: Final = 255
MAX_KEY_ID: Final = 64
MAX_EMAILS: Final = 10
MAX_URL: Final = 2_048
DEFAULT_WINDOW_MINUTES: Final = 5
DEFAULT_WAIT_SECONDS: Final = 60
DEFAULT_MESSAGES: Final = 50
MAX_MESSAGES: Final = 500

_MEMBERS: Final = (
    "name", "metric", "above", "window_minutes", "for_seconds", "clear_seconds", "key_id", "endpoint", "webhook",
    "emails", "enabled",
)  # fmt: skip
_NAMED: Final = f"{', '.join(repr(name) for name in _MEMBERS[:-1])} and '{_MEMBERS[-1]}'"
_CHANGES: Final = (*_MEMBERS, "new_secret")

BAD_NEW: Final = (
    f"The body must be an object with 'name', 'metric', 'above', one of 'webhook' and 'emails', and no other than"
    f" {_NAMED}"
)
BAD_CHANGE: Final = f"The body must be an object with one or more of 'new_secret', {_NAMED}"
BAD_NAME: Final = f"'name' must be a text of 1 to {MAX_NAME} printable characters"
BAD_METRIC: Final = f"'metric' must be one of {', '.join(METRICS)}"
NOT_YOURS: Final = "Only an alert of the installation can watch 'invalid_keys': `onefold alerts create --installation`"
BAD_NUMBER: Final = "'%s' must be a whole number from %d to %d"
BAD_KEY: Final = "'key_id' must be null, or the id of a key or an app"
BAD_ENDPOINT: Final = "'endpoint' must be null, or a path with its method or without, such as 'POST /users/track'"
NOT_OF_RESPONSES: Final = f"'key_id' and 'endpoint' go with {', '.join(RESPONSES)} alone"
NO_KEY_OF_ALL: Final = "An alert of the installation adds up all keys: it has no 'key_id'"
BAD_CHANNEL: Final = "An alert has either a 'webhook' or 'emails'"
BAD_WEBHOOK: Final = "'webhook' must be an http or https URL that this server may call"
BAD_EMAILS: Final = f"'emails' must be an array of 1 to {MAX_EMAILS} e-mail addresses"
NO_MAIL: Final = "E-mail is not set up on this server (ONEFOLD_SMTP_HOST): use a 'webhook'"
BAD_FLAG: Final = "'enabled' must be true or false"
BAD_RENEWAL: Final = "'new_secret' must be true, and goes with a 'webhook'"
UNKNOWN: Final = "No alert has this id"
TOO_MANY: Final = "The workspace has as many alerts as it may have"
TOO_MANY_MESSAGES: Final = "The alerts of the workspace have sent as many messages in this hour as they may"
CHANGED: Final = "The alert was changed at the same time: look at it again"

#: Members of a detail, in the order in which a person reads them.
_DETAILS: Final = ("workspace", "stream", "key_id", "endpoint", "status", "value")
_UNITS: Final = {
    "lag_seconds": "the oldest request waits for %d s",
    "backlog_requests": "%d requests wait to be applied",
    "lane_standing_seconds": "a lane has not moved for %d s",
    "responses_4xx": "%d answers 4xx",
    "responses_5xx": "%d answers 5xx",
    "responses_429": "%d answers 429",
    "invalid_keys": "%d requests without a live key",
    "dead_letters": "%d requests could not be applied",
    "ecommerce_failures": "%d e-commerce events did not follow their schema",
}


def read_new(body: bytes, *, installation: bool = False) -> dict[str, Any]:
    """The fields of an alert to be made, by their names in app.domain.alerts.Alert. Raises RefusedError(400)."""
    document = _document(body, BAD_NEW)
    if not {"name", "metric", "above"} <= document.keys() or document.keys() - set(_MEMBERS):
        raise RefusedError(400, BAD_NEW)
    return new(document, installation=installation)


def new(document: Mapping[str, Any], *, installation: bool) -> dict[str, Any]:
    """As `read_new`, of the members themselves."""
    fields = {
        "window_minutes": DEFAULT_WINDOW_MINUTES,
        "for_seconds": DEFAULT_WAIT_SECONDS,
        "clear_seconds": DEFAULT_WAIT_SECONDS,
        "key_id": "",
        "endpoint": "",
        "enabled": True,
    } | changes(document)
    fields.pop("new_secret", None)  # it gets one anyway
    if "channel" not in fields:
        raise RefusedError(400, BAD_CHANNEL)
    check_together(fields, installation=installation)
    return fields


def read_change(body: bytes) -> dict[str, Any]:
    """What is to be changed of an alert, by its field. Raises RefusedError(400)."""
    document = _document(body, BAD_CHANGE)
    if not document or document.keys() - set(_CHANGES):
        raise RefusedError(400, BAD_CHANGE)
    return changes(document)


def check_together(fields: Mapping[str, Any], *, installation: bool) -> None:
    """Raises RefusedError(400) for fields that are right one by one, and mean nothing together."""
    if fields["metric"] in OF_INSTALLATION and not installation:
        raise RefusedError(400, NOT_YOURS)
    if (fields["key_id"] or fields["endpoint"]) and fields["metric"] not in RESPONSES:
        raise RefusedError(400, NOT_OF_RESPONSES)
    if fields["key_id"] and installation:
        raise RefusedError(400, NO_KEY_OF_ALL)
    if "new_secret" in fields and fields["channel"] != WEBHOOK:
        raise RefusedError(400, BAD_RENEWAL)


def read_messages(parameters: Mapping[str, str]) -> tuple[str | None, int]:
    """(alert or None for all, how many) of the query of GET /v1/alert_messages. Raises RefusedError(400)."""
    if parameters.keys() - {"alert_id", "limit"}:
        raise RefusedError(400, "Only these may be asked for: alert_id, limit")
    limit = parameters.get("limit", str(DEFAULT_MESSAGES))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9 and 1 <= int(limit) <= MAX_MESSAGES):
        raise RefusedError(400, BAD_NUMBER % ("limit", 1, MAX_MESSAGES))
    alert_id = parameters.get("alert_id")
    if alert_id is not None and "\0" in alert_id:
        raise RefusedError(400, UNKNOWN)
    return alert_id, int(limit)


def changes(document: Mapping[str, Any]) -> dict[str, Any]:
    """As `read_change`, of the members themselves."""
    fields: dict[str, Any] = {}
    if "name" in document:
        fields["name"] = _name(document["name"])
    if "metric" in document:
        if not isinstance(document["metric"], str) or document["metric"] not in METRICS:
            raise RefusedError(400, BAD_METRIC)
        fields["metric"] = document["metric"]
    for name, least, most in (
        ("above", 0, MAX_ABOVE),
        ("window_minutes", 1, MAX_WINDOW_MINUTES),
        ("for_seconds", 0, MAX_WAIT_SECONDS),
        ("clear_seconds", 0, MAX_WAIT_SECONDS),
    ):
        if name in document:
            fields[name] = _number(document[name], name, least, most)
    if "key_id" in document:
        fields["key_id"] = _key_id(document["key_id"])
    if "endpoint" in document:
        fields["endpoint"] = _endpoint(document["endpoint"])
    if "enabled" in document:
        if not isinstance(document["enabled"], bool):
            raise RefusedError(400, BAD_FLAG)
        fields["enabled"] = document["enabled"]
    if "new_secret" in document:
        if document["new_secret"] is not True:
            raise RefusedError(400, BAD_RENEWAL)
        fields["new_secret"] = True
    return fields | _channel(document)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise RefusedError(400, BAD_NAME)
    return value


def _number(value: object, name: str, least: int, most: int) -> int:
    found = numbers.integer(value)
    if found is None or not least <= found <= most:
        raise RefusedError(400, BAD_NUMBER % (name, least, most))
    return found


def _key_id(value: object) -> str:
    if value is None:
        return ""
    is_id = isinstance(value, str) and value.isascii() and 0 < len(value) <= MAX_KEY_ID
    if not (is_id and all(one.isalnum() or one == "-" for one in str(value))):
        raise RefusedError(400, BAD_KEY)
    return str(value)


def _endpoint(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_ENDPOINT or not value.isascii() or not value.isprintable():
        raise RefusedError(400, BAD_ENDPOINT)
    method, _, path = value.rpartition(" ")
    if not path.startswith("/") or (method and not (method.isalpha() and method.isupper())):
        raise RefusedError(400, BAD_ENDPOINT)
    return value


def _channel(document: Mapping[str, Any]) -> dict[str, Any]:
    """A webhook is not looked at here: which addresses may be called is a setting of the server."""
    webhook, emails = document.get("webhook"), document.get("emails")
    if webhook is not None and emails is not None:
        raise RefusedError(400, BAD_CHANNEL)
    if webhook is not None:
        if not isinstance(webhook, str) or not 0 < len(webhook) <= MAX_URL:
            raise RefusedError(400, BAD_WEBHOOK)
        return {"channel": WEBHOOK, "targets": (webhook,)}
    if emails is not None:
        if not isinstance(emails, list) or not 1 <= len(emails) <= MAX_EMAILS:
            raise RefusedError(400, BAD_EMAILS)
        found = [addresses.email(one) if isinstance(one, str) else None for one in emails]
        if any(one is None or not one.isascii() for one in found):
            raise RefusedError(400, BAD_EMAILS)
        return {"channel": EMAIL, "targets": tuple(dict.fromkeys(str(one) for one in found))}
    if document.keys() & {"webhook", "emails"}:
        raise RefusedError(400, BAD_CHANNEL)
    return {}


def _document(body: bytes, wanted: str) -> dict[str, Any]:
    document = parse_object(body)
    if document is None or unsound(document) is not None:
        raise RefusedError(400, wanted)
    return document


def shown(alert: Alert) -> dict[str, Any]:
    """An alert as JSON, with its secret where it was just given one."""
    return {
        **({"secret": alert.secret} if alert.secret else {}),
        "id": alert.id,
        "name": alert.name,
        "metric": alert.metric,
        "above": alert.above,
        "window_minutes": None if alert.metric in GAUGES else alert.window_minutes,
        "for_seconds": alert.for_seconds,
        "clear_seconds": alert.clear_seconds,
        "key_id": alert.key_id or None,
        "endpoint": alert.endpoint or None,
        "webhook": alert.targets[0] if alert.channel == WEBHOOK else None,
        "emails": list(alert.targets) if alert.channel == EMAIL else None,
        "enabled": alert.enabled,
        "state": alert.standing.state,
        "since": times.iso(alert.standing.since_us),
        "value": alert.value,
        "checked_at": times.iso(alert.checked_us) if alert.checked_us else None,
        "created_at": times.iso(alert.created_us),
        "created_by": alert.created_by,
    }


def message(
    alert: Alert,
    message_id: str,
    said: str,
    now_us: int,
    *,
    value: int | None,
    details: Sequence[Mapping[str, Any]] = (),
    server: str = "",
    workspace: str = "",
) -> dict[str, Any]:
    """What a webhook gets. `text` is for people, and for receivers that show nothing else, such as Slack's.

    `server` and `workspace`: what they are called; "" = nothing is said of them.
    """
    return {
        "text": sentence(alert, said, value, workspace),
        "id": message_id,
        "state": said,
        "at": times.iso(now_us),
        "server": server or None,
        "workspace": workspace or None,
        "alert": {
            "id": alert.id,
            "name": alert.name,
            "metric": alert.metric,
            "above": alert.above,
            "window_minutes": None if alert.metric in GAUGES else alert.window_minutes,
            "key_id": alert.key_id or None,
            "endpoint": alert.endpoint or None,
            "scope": "installation" if alert.workspace_id == INSTALLATION else "workspace",
        },
        "value": value,
        "details": [dict(one) for one in details],
    }


def sentence(alert: Alert, said: str, value: int | None, workspace: str = "") -> str:
    """What a message says, in words."""
    place = f"Onefold, {workspace}" if workspace else "Onefold"
    if said == TEST:
        return f"{place}: this is a test of the alert {alert.name}"
    number = _UNITS[alert.metric] % (value or 0)
    if alert.metric not in GAUGES:
        number += f" in {alert.window_minutes} min"
    begins = {FIRING: "firing", RESOLVED: "resolved"}[said]
    return f"{place}: {alert.name} is {begins}: {number} (allowed: {alert.above})"


def subject(doc: Mapping[str, Any]) -> str:
    """The subject of the e-mail with a message."""
    alert = doc["alert"]
    return f"[Onefold] {str(doc['state']).upper()}: {alert['name']}"


def letter(doc: Mapping[str, Any]) -> str:
    """The text of the e-mail with a message."""
    lines = [str(doc["text"]), "", f"When: {doc['at']}"]
    if doc["server"]:
        lines.append(f"Server: {doc['server']}")
    lines += [f"Alert: {doc['alert']['id']}", f"Message: {doc['id']}"]
    if doc["details"]:
        lines += ["", "Most of it:"]
        lines += [
            "  " + ", ".join(f"{n} {one[n]}" for n in _DETAILS if one.get(n) is not None) for one in doc["details"]
        ]
    return "\n".join([*lines, ""])
