"""Records of devices as both tiers of the gateway read them (app.contract.sdk, app.contract.sdk_clean)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.contract import addresses, locales
from app.contract.errors import ObjectError, ObjectRefusedError
from app.domain.reasons import INVALID_NAME, INVALID_VALUE

ARRAY: Final = "records"
MAX_NUMBER: Final = 2**53 - 1
#: Of the records that a device says it has lost.
MAX_DROPPED: Final = 100_000
MAX_SESSION: Final = 64
MAX_TEXT: Final = 255

BAD_DESCRIPTION: Final = "'device' must be an object"

#: Members of a device that are kept, all of them texts but one.
MEMBERS: Final = (
    "model", "os", "os_version", "browser", "browser_version", "carrier", "locale", "time_zone", "resolution",
    "idfv", "idfa", "google_ad_id", "roku_ad_id",
)  # fmt: skip
TRACKING: Final = "ad_tracking_enabled"
#: What a record of attributes may not have: a device addresses nobody but its own person, its sessions are counted,
#: and only who sends messages knows of spam marks.
NOT_OF_DEVICES: Final = frozenset(
    (
        "external_id", "user_alias", "braze_id", "_update_existing_only", "push_token_import", "push_tokens",
        "first_session", "last_session", "marked_email_as_spam_at",
    )
)  # fmt: skip
#: Stands for the device where the readers of /users/track ask for an identifier.
ANYBODY: Final = {"external_id": "-"}

Read = tuple[str, dict[str, Any], list[tuple[str, str]]]
"""The kind under which a record is stored, its members, and (field, reason) of what was left out."""

Verify = Callable[[str], str | None]
"""A signature to the external id that it is about; None for one that is not valid."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The app of a batch, and what its workspace has decided."""

    app_id: str
    name: str
    platform: str
    region: str = addresses.DEFAULT_REGION
    ecommerce_events: bool = False
    most_records: int = 500
    #: {id: channel} of the subscription groups that there are, of those that `group_ids` names.
    groups: Mapping[str, int] = field(default_factory=dict)
    #: Where data of known people needs a signature.
    verify: Verify | None = None
    #: Whose signature the batch has.
    signed_by: str | None = None


@dataclass(slots=True)
class Record:
    """A record that is taken. Its time is known when all of a batch were read."""

    index: int
    kind: str
    sequence: int
    #: What the device says: milliseconds of its wall clock, and of a clock that never steps, before the sending.
    at: float | None
    ago: float | None
    payload: dict[str, Any]
    ignored: list[tuple[str, str]]
    time_us: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What stands in a batch."""

    device: str
    number: int
    version: str | None
    #: The device's wall clock when it sent the batch, in microseconds.
    sent_us: int | None
    #: Whose signature the batch has.
    signed_by: str | None
    #: In the order of their sequence numbers; and why the others are refused.
    records: list[Record]
    errors: list[ObjectError]
    #: Records that the device has lost since its last batch, as it says.
    dropped: int


def described(record: dict[str, Any], _index: int, _sender: Sender) -> Read:
    obj = record.get("device")
    if not isinstance(obj, dict):
        raise ObjectRefusedError(BAD_DESCRIPTION)
    members: dict[str, object] = {}
    ignored: list[tuple[str, str]] = []
    for name, value in obj.items():
        if name not in MEMBERS and name != TRACKING:
            ignored.append((name, INVALID_NAME))
        elif value is None or (isinstance(value, bool) if name == TRACKING else is_text(value)):
            members[name] = value
        else:
            ignored.append((name, INVALID_VALUE))
    return "device", {"members": members, "detected": _detected(members)}, ignored


def _detected(members: dict[str, object]) -> dict[str, str]:
    """What can be guessed of the person: `de-AT` is a language and a country."""
    found: dict[str, str | None] = {}
    locale, zone = members.get("locale"), members.get("time_zone")
    if isinstance(locale, str):
        tags = locale.replace("_", "-").split("-")
        found["language"] = locales.language(locale)
        found["country"] = next((code for tag in tags[1:] if len(tag) == 2 and (code := locales.country(tag))), None)
    if isinstance(zone, str):
        found["time_zone"] = locales.time_zone(zone)
    return {name: value for name, value in found.items() if value is not None}


def is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT
