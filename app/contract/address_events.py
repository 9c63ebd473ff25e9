"""What is told of addresses: POST /v1/address_events, and the endpoints that take marks away (spec subscriptions.md 3).

Mail and message providers tell of bounces, complaints, refusals and numbers that are no numbers.
"""

from typing import Any, Final

from app.contract import addresses, elements, identifiers
from app.contract import body as bodies
from app.contract.checked import Checked, commands_checked
from app.contract.errors import ObjectRefusedError, RefusedError
from app.contract.subscriptions import SUCCESS, listed, phone, read_emails
from app.domain import times
from app.domain.commands import AddressEvent
from app.domain.profile import EMAIL, PHONE, Identifier
from app.domain.subscriptions import (
    BOUNCE_REMOVED,
    HARD_BOUNCE,
    INVALID_PHONE,
    INVALID_PHONE_REMOVED,
    SPAM_REMOVED,
    SPAM_REPORT,
    UNINSTALL,
    UNSUBSCRIBE,
)

#: Events of one request.
MAX_EVENTS: Final = 500
EVENTS: Final = (HARD_BOUNCE, SPAM_REPORT, UNSUBSCRIBE, INVALID_PHONE, UNINSTALL)
#: Why a number is invalid.
REASONS: Final = ("provider_error", "deactivated")

BAD_BODY: Final = f"'events' must be an array of 1 to {MAX_EVENTS} objects"
NOTHING_VALID: Final = "Valid data must be provided in the 'events' field."
BAD_TYPE: Final = f"'type' must be one of {', '.join(EVENTS)}"
MAX_APP: Final = 255
BAD_APP: Final = f"'app_id' must be the id of the app that is gone, and is of {UNINSTALL} alone"
BAD_TIME: Final = "'time' is not a time"
BAD_REASON: Final = f"'reason' must be one of {', '.join(REASONS)}"
BAD_PHONE: Final = "'phone' must be E.164"
BAD_NUMBERS: Final = "'phone_numbers' must be an array of 1 to 50 numbers in E.164"


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """POST /v1/address_events. `region`: of phone numbers that name a person. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    events = document.get("events")
    if not isinstance(events, list) or not 0 < len(events) <= MAX_EVENTS:
        raise RefusedError(400, BAD_BODY)
    commands, errors = elements.read_all({"events": events}, lambda _name, event, index: _read(event, index, region))
    answer = elements.answer("events_processed", commands, errors, NOTHING_VALID)
    return commands_checked(commands, answer, errors)


def _read(event: dict[str, Any], index: int, region: str) -> AddressEvent:
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in EVENTS:
        raise ObjectRefusedError(BAD_TYPE)
    reason = event.get("reason")
    if reason is not None and (not isinstance(reason, str) or reason not in REASONS or kind != INVALID_PHONE):
        raise ObjectRefusedError(BAD_REASON)
    app_id = event.get("app_id")
    if app_id is not None and (kind != UNINSTALL or not isinstance(app_id, str) or not 0 < len(app_id) <= MAX_APP):
        raise ObjectRefusedError(BAD_APP)
    who = _who(kind, event, region)
    return AddressEvent("events", index, kind, who, time_of(event), reason or REASONS[0], app_id)


def _who(kind: str, event: dict[str, Any], region: str) -> Identifier:
    if kind == UNINSTALL:
        return identifiers.of(event, region)
    if kind == INVALID_PHONE:
        number = phone(event.get("phone"), region)
        if number is None:
            raise ObjectRefusedError(BAD_PHONE)
        return (PHONE, "", number)
    return (EMAIL, "", identifiers.email(event.get("email")))


def time_of(event: dict[str, Any]) -> int | None:
    """The member `time` of an event in microseconds; None when it was left out. Raises ObjectRefusedError."""
    sent = event.get("time")
    if sent is None:
        return None
    found = times.moment(sent) if isinstance(sent, str) else None
    if found is None:
        raise ObjectRefusedError(BAD_TIME)
    return found


def check_bounce_removal(body: bytes) -> Checked:
    """POST /email/bounce/remove. Raises RefusedError."""
    return _of_emails(body, BOUNCE_REMOVED)


def check_spam_removal(body: bytes) -> Checked:
    """POST /email/spam/remove. Raises RefusedError."""
    return _of_emails(body, SPAM_REMOVED)


def check_blocklist(body: bytes) -> Checked:
    """POST /email/blocklist, and /email/blacklist, its former name. Raises RefusedError."""
    return _of_emails(body, UNSUBSCRIBE, HARD_BOUNCE)


def _of_emails(body: bytes, *kinds: str) -> Checked:
    emails = read_emails(bodies.parse_object(body) or {})
    commands = [
        AddressEvent("email", index, kind, (EMAIL, "", email)) for index, email in enumerate(emails) for kind in kinds
    ]
    return commands_checked(commands, SUCCESS)


def check_number_removal(body: bytes) -> Checked:
    """POST /sms/invalid_phone_numbers/remove. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    values = listed(document, "phone_numbers")
    numbers = [phone(value) for value in values]
    if not numbers:
        raise RefusedError(400, BAD_NUMBERS)
    commands = []
    for index, number in enumerate(numbers):
        if number is None:
            raise RefusedError(400, BAD_NUMBERS)
        commands.append(AddressEvent("phone_numbers", index, INVALID_PHONE_REMOVED, (PHONE, "", number)))
    return commands_checked(commands, SUCCESS)
