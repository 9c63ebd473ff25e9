"""Event and purchase objects of /users/track (spec events-purchases.md)."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from app.contract import addresses, ecommerce, identifiers, locales
from app.contract import body as bodies
from app.contract.attributes import flag
from app.contract.errors import ObjectRefusedError
from app.domain import numbers, times
from app.domain.commands import TrackEvent, TrackPurchase
from app.domain.reasons import OUT_OF_RANGE, RESERVED_NAME, TOO_MANY_PROPERTIES

MAX_NAME: Final = 255
MAX_PROPERTIES_BYTES: Final = 100 * 1024
MAX_PROPERTIES: Final = 256
MAX_PROPERTY_TEXT: Final = 255
#: So many properties that are no arrays and no objects cannot reach MAX_PROPERTIES_BYTES: in JSON a character has at
#: most six bytes, and a member six beside its texts.
_FEW: Final = MAX_PROPERTIES_BYTES // (6 * (MAX_NAME + MAX_PROPERTY_TEXT) + 6)
MAX_PRICE: Final = Decimal(10) ** 12
MAX_QUANTITY: Final = 100
BAD_PROPERTIES: Final = "Invalid 'properties' field"

EVENT_RESERVED: Final = frozenset(("time", "event_name"))
PURCHASE_RESERVED: Final = frozenset(("time", "product_id", "quantity", "event_name", "price", "currency"))

_DECIMAL: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)


def read_event(obj: dict[str, Any], index: int, region: str = addresses.DEFAULT_REGION) -> TrackEvent:
    """The command of one event object. Raises ObjectRefusedError."""
    return _event(obj, obj.get("properties"), index, region, [])


def _event(
    obj: dict[str, Any], properties: object, index: int, region: str, ignored: list[tuple[str, str]]
) -> TrackEvent:
    identifier = identifiers.of(obj, region)
    name = _name(obj.get("name"), "name")
    time_us = _time(obj.get("time"))
    return TrackEvent(
        index=index,
        identifier=identifier,
        update_only=flag(obj.get("_update_existing_only")),
        name=name,
        time_us=time_us,
        app_id=_app_id(obj.get("app_id")),
        properties=_properties(properties, EVENT_RESERVED, ignored),
        ignored=ignored,
    )


def read_recommended(obj: dict[str, Any], index: int, region: str = addresses.DEFAULT_REGION) -> TrackEvent:
    """As `read_event`, where the recommended e-commerce events have a schema and effects. Raises ObjectRefusedError.

    Of their properties a number out of range costs itself alone, however deep it is: with the property that holds it, a
    cart would lose its lines.
    """
    if not is_recommended(obj):
        return read_event(obj, index, region)
    properties, lost = obj.get("properties"), list[tuple[str, str]]()
    kept = bodies.pruned(properties, _out_of_range, lost) if isinstance(properties, dict) else properties
    event = _event(obj, kept, index, region, lost)
    ecommerce.check(event.name, properties)
    event.recommended = True
    return event


def is_recommended(obj: Mapping[str, object]) -> bool:
    """Whether an event object has the name of a recommended e-commerce event."""
    name = obj.get("name")
    return isinstance(name, str) and name.strip() in ecommerce.SCHEMAS


def read_purchase(obj: dict[str, Any], index: int, region: str = addresses.DEFAULT_REGION) -> TrackPurchase:
    """The command of one purchase object. Raises ObjectRefusedError."""
    identifier = identifiers.of(obj, region)
    product_id = _name(obj.get("product_id"), "product_id")
    sent = obj.get("currency")
    currency = locales.currency(sent) if isinstance(sent, str) else None
    if currency is None:
        raise ObjectRefusedError("'currency' is not valid")
    price = _price(obj.get("price"))
    quantity = 1 if obj.get("quantity") is None else numbers.integer(obj["quantity"])
    if quantity is None or not 1 <= quantity <= MAX_QUANTITY:
        raise ObjectRefusedError("'quantity' is not valid")
    time_us = _time(obj.get("time"))
    ignored: list[tuple[str, str]] = []
    properties = _properties(obj.get("properties"), PURCHASE_RESERVED, ignored)
    return TrackPurchase(
        index=index,
        identifier=identifier,
        update_only=flag(obj.get("_update_existing_only")),
        product_id=product_id,
        currency=currency,
        price=price,
        quantity=quantity,
        time_us=time_us,
        app_id=_app_id(obj.get("app_id")),
        properties=properties,
        ignored=ignored,
    )


def _name(value: object, field: str) -> str:
    if value is None:
        raise ObjectRefusedError(f"'{field}' is required")
    found = identifiers.text(value)
    if found is None:
        raise ObjectRefusedError(f"'{field}' is not valid")
    found = found.strip()
    if not found:
        raise ObjectRefusedError(f"'{field}' is required")
    if len(found) > MAX_NAME:
        raise ObjectRefusedError(f"'{field}' is not valid")
    return found


def _time(value: object) -> int:
    if value is None:
        raise ObjectRefusedError("'time' is required")
    us = times.past_or_future(value) if isinstance(value, str) else None
    if us is None:
        raise ObjectRefusedError("'time' is not valid")
    return us


def _price(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ObjectRefusedError("'price' is not valid")
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ObjectRefusedError("'price' is not valid")
    price = Decimal(value if isinstance(value, str) else repr(value))
    if abs(price) > MAX_PRICE:
        raise ObjectRefusedError("'price' is not valid")
    return price


def _app_id(value: object) -> str | None:
    """Any placeholder is tolerated; what names no app is kept without attribution."""
    return value if isinstance(value, str) and 0 < len(value) <= 255 else None


def _properties(value: object, reserved: frozenset[str], ignored: list[tuple[str, str]]) -> dict[str, object] | None:
    """The properties as they are stored. A reserved name says nothing that the object itself does not say: left out."""
    if value is None or value == []:  # PHP's empty array (DECISIONS D63)
        return None
    if not isinstance(value, dict):
        raise ObjectRefusedError(BAD_PROPERTIES)
    kept: dict[str, object] = {}
    for name, member in value.items():
        if not name or len(name) > MAX_NAME:
            raise ObjectRefusedError(BAD_PROPERTIES)
        if name in reserved:
            ignored.append((name, RESERVED_NAME))
        elif len(kept) == MAX_PROPERTIES:
            ignored.append((name, TOO_MANY_PROPERTIES))
        elif isinstance(member, str):
            kept[name] = member[:MAX_PROPERTY_TEXT]
        elif member is not None:
            try:
                kept[name] = _stored(member)
            except _OutOfRangeError:
                ignored.append((name, OUT_OF_RANGE))
    measured = len(kept) > _FEW or any(isinstance(member, (list, dict)) for member in kept.values())
    if measured and len(msgspec.json.encode(kept)) > MAX_PROPERTIES_BYTES:
        raise ObjectRefusedError(BAD_PROPERTIES)
    return kept


def _stored(value: object) -> object:
    """A property value in the form that both stores give back alike. Raises _OutOfRangeError."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        found = numbers.canonical(value)
        if found is None:
            raise _OutOfRangeError
        return found
    if isinstance(value, list):
        return [_stored(member) for member in value]
    if isinstance(value, dict):
        return {name: _stored(member) for name, member in value.items()}
    raise _OutOfRangeError


def _out_of_range(value: object) -> str | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return OUT_OF_RANGE if numbers.canonical(value) is None else None


class _OutOfRangeError(Exception):
    """A number that no store keeps."""
