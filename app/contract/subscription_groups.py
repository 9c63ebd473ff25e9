"""Subscription groups as administrators make them: /v1/subscription_groups. Endpoints of our own."""

from typing import Any, Final

from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.contract.identifiers import text
from app.domain.profile import CHANNEL_EMAIL, CHANNEL_PHONE, MARK_PREFIX

MAX_NAME: Final = 255
MAX_ID: Final = 255

#: What a group can be for, and by what address its members are known.
CHANNELS: Final = {"email": CHANNEL_EMAIL, "sms": CHANNEL_PHONE, "whatsapp": CHANNEL_PHONE}

BAD_BODY: Final = "The body must be an object of 'name', 'channel' and, if it is to be a certain one, 'id'"
BAD_CHANGE: Final = "The body must be an object of 'id' and 'name'"
BAD_NAME: Final = f"'name' must be a text of 1 to {MAX_NAME} characters"
BAD_CHANNEL: Final = f"'channel' must be one of {', '.join(CHANNELS)}"
BAD_ID: Final = f"'id' must be a text of 1 to {MAX_ID} characters that does not begin with '{MARK_PREFIX}'"
TAKEN: Final = "A subscription group has this id already"
UNKNOWN: Final = "No subscription group has this id"
TOO_MANY: Final = "The workspace has as many subscription groups as it may have"


def read_new(body: bytes) -> tuple[str, str, str | None]:
    """(name, channel, id or None for one of ours) of a group to be made. Raises RefusedError(400)."""
    document = _document(body, BAD_BODY)
    if document.keys() - {"name", "channel", "id"}:
        raise RefusedError(400, BAD_BODY)
    channel = document.get("channel")
    if not isinstance(channel, str) or channel not in CHANNELS:
        raise RefusedError(400, BAD_CHANNEL)
    given = document.get("id")
    return checked_name(document.get("name")), channel, None if given is None else checked_id(given)


def read_change(body: bytes) -> tuple[str, str]:
    """(id, new name) of a group to be renamed. Raises RefusedError(400)."""
    document = _document(body, BAD_CHANGE)
    if document.keys() != {"id", "name"}:
        raise RefusedError(400, BAD_CHANGE)
    return checked_id(document["id"]), checked_name(document["name"])


def checked_name(value: object) -> str:
    """Raises RefusedError(400)."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise RefusedError(400, BAD_NAME)
    return value


def checked_id(value: object) -> str:
    """Raises RefusedError(400)."""
    known = group_id(value)
    if known is None or known.startswith(MARK_PREFIX):
        raise RefusedError(400, BAD_ID)
    return known


def group_id(value: object) -> str | None:
    """The id of a group as clients send it: a text, or a number; None for what no group can have."""
    sent = text(value)
    return sent if sent is not None and sent.strip() and len(sent) <= MAX_ID and "\0" not in sent else None


def _document(body: bytes, wanted: str) -> dict[str, Any]:
    document = parse_object(body)
    if document is None or unsound(document) is not None:
        raise RefusedError(400, wanted)
    return document
