"""What clients ask for, after the contract has read and normalised it. One dataclass per kind of object."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from app.domain.profile import Key

STREAM_NORMAL: Final = 0
STREAM_BULK: Final = 1
STREAM_NAMES: Final = ("normal", "bulk")


@dataclass(slots=True)
class TrackAttributes:
    """One element of `attributes`."""

    #: Position in the array as submitted.
    index: int
    #: The identifier that addresses the profile.
    key: Key
    #: `_update_existing_only`; None when it was left out.
    update_only: bool | None
    merge_objects: bool
    #: Reserved fields, normalised; None clears the field.
    fields: dict[str, object]
    #: Custom attributes as sent.
    custom: dict[str, object]
    #: (field, reason) of what was dropped while reading.
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "attributes"


@dataclass(slots=True)
class TrackEvent:
    """One element of `events`."""

    index: int
    key: Key
    update_only: bool | None
    name: str
    time_us: int
    app_id: str | None
    properties: dict[str, object] | None
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "events"


@dataclass(slots=True)
class TrackPurchase:
    """One element of `purchases`, or of the singular `purchase`."""

    index: int
    key: Key
    update_only: bool | None
    product_id: str
    currency: str
    #: Per unit, in the currency's base unit; negative for a refund.
    price: Decimal
    quantity: int
    time_us: int
    app_id: str | None
    properties: dict[str, object] | None
    ignored: list[tuple[str, str]] = field(default_factory=list)

    input_array = "purchases"


@dataclass(slots=True)
class ChangeSettings:
    """New values of fields of ApplySettings."""

    index: int
    values: dict[str, object]

    input_array = "settings"


Track = TrackAttributes | TrackEvent | TrackPurchase
Command = Track | ChangeSettings


@dataclass(slots=True)
class Request:
    """An accepted request: its place in the order of its workspace, and what it asks for, in the order of effect."""

    stream: int
    seq: int
    #: Time of acceptance in microseconds; strictly increasing in a workspace.
    accepted_us: int
    commands: list[Command]
