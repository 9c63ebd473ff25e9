"""Recommended e-commerce events: the schema of their properties, and what is wrong with one (spec ecommerce.md 1, 2).

SCHEMAS is the table. A violation is one sentence about the first fault, in the order missing, extra, type, value. It
names properties of the schema and keys that were sent, never a value.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from app.contract import locales
from app.contract.errors import ObjectRefusedError
from app.domain import numbers

MAX_BYTES: Final = 102_400
#: Keys that a sentence names, and characters that it shows of one.
MAX_NAMED: Final = 10
MAX_SHOWN: Final = 100

MISSING: Final = "MISSING_PROPERTY"
EXTRA: Final = "EXTRA_PROPERTY"
TYPE: Final = "UNEXPECTED_DATA_TYPE"
VALUE: Final = "INVALID_VALUE"
CODES: Final = (MISSING, EXTRA, TYPE, VALUE)

ADD, REMOVE, REPLACE = "add", "remove", "replace"


@dataclass(frozen=True, slots=True)
class Type:
    """A type of property: its name in sentences, what belongs to it, and what is wrong with a value of it."""

    name: str
    holds: Callable[[object], bool]
    #: None where the value is right. Gets the path of the property.
    fault: Callable[[Any, str], str | None] = lambda _value, _path: None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return numbers.integer(value) is not None


def _below(least: int) -> Callable[[Any, str], str | None]:
    def fault(value: float, path: str) -> str | None:
        return None if value >= least else f"The property '{path}' did not have a minimum value of {least}, inclusively"

    return fault


def _amount(value: float, path: str) -> str | None:
    """What no store can hold would be left out of the properties, and the order would have no amount."""
    too_low = _below(0)(value, path)
    if too_low is None and numbers.canonical(value) is None:
        return f"The property '{path}' must be below {2**63}"
    return too_low


def _empty(value: str, path: str) -> str | None:
    return None if value.strip() else f"The property '{path}' must not be empty"


def _currency(value: str, path: str) -> str | None:
    name = path.rpartition("/")[2]
    return None if locales.currency(value) is not None else f"'{name}' must be an ISO 4217 currency"


def _one_of(*allowed: str) -> Callable[[Any, str], str | None]:
    def fault(value: str, path: str) -> str | None:
        return None if value in allowed else f"The property '{path}' must be one of {', '.join(allowed)}"

    return fault


def _alerts(value: list[object], path: str) -> str | None:
    allowed = ("price_drop", "back_in_stock")
    if all(isinstance(member, str) and member in allowed for member in value):
        return None
    return f"The property '{path}' must hold {' or '.join(allowed)}"


_TEXT: Final = Type("string", lambda value: isinstance(value, str))
_FULL_TEXT: Final = Type("string", lambda value: isinstance(value, str), _empty)
_CURRENCY: Final = Type("string", lambda value: isinstance(value, str), _currency)
_ACTION: Final = Type("string", lambda value: isinstance(value, str), _one_of(ADD, REMOVE, REPLACE))
_MONEY: Final = Type("number", _is_number, _amount)
#: An amount that may be missing: one that no store can hold is left out, and the event counts.
_SUM: Final = Type("number", _is_number, _below(0))
_QUANTITY: Final = Type("integer", _is_integer, _below(1))
_QUANTITY_OR_NONE: Final = Type("integer", _is_integer, _below(0))
_OBJECT: Final = Type("object", lambda value: isinstance(value, dict))
_OBJECTS: Final = Type(
    "array of objects", lambda value: isinstance(value, list) and all(isinstance(member, dict) for member in value)
)
_ALERTS: Final = Type("array", lambda value: isinstance(value, list), _alerts)


@dataclass(frozen=True, slots=True)
class Schema:
    """Properties of one event, or members of one product."""

    required: Mapping[str, Type]
    optional: Mapping[str, Type]


_PRODUCT_OPTIONAL: Final = {"image_url": _TEXT, "product_url": _TEXT, "metadata": _OBJECT}
_PRODUCT: Final = {"product_id": _TEXT, "product_name": _TEXT, "variant_id": _TEXT}
#: An element of `products`. A cart that is replaced may say that a line is gone.
PRODUCT: Final = Schema({**_PRODUCT, "quantity": _QUANTITY, "price": _MONEY}, _PRODUCT_OPTIONAL)
PRODUCT_OF_CART: Final = Schema({**_PRODUCT, "quantity": _QUANTITY_OR_NONE, "price": _MONEY}, _PRODUCT_OPTIONAL)

_ALWAYS: Final = {"currency": _CURRENCY, "source": _FULL_TEXT}
_SUMS: Final = {"subtotal_value": _SUM, "tax": _SUM, "shipping": _SUM}
_DISCOUNTS: Final = {"total_discounts": _SUM, "discounts": _OBJECTS}
_ORDER: Final = {"order_id": _TEXT, "total_value": _MONEY, "products": _OBJECTS, **_ALWAYS}
_METADATA: Final = {"metadata": _OBJECT}

PRODUCT_VIEWED: Final = "ecommerce.product_viewed"
CART_UPDATED: Final = "ecommerce.cart_updated"
CHECKOUT_STARTED: Final = "ecommerce.checkout_started"
ORDER_PLACED: Final = "ecommerce.order_placed"
ORDER_CANCELLED: Final = "ecommerce.order_cancelled"
ORDER_REFUNDED: Final = "ecommerce.order_refunded"

SCHEMAS: Final[Mapping[str, Schema]] = {
    PRODUCT_VIEWED: Schema(
        {**_PRODUCT, "price": _MONEY, **_ALWAYS},
        {"image_url": _TEXT, "product_url": _TEXT, "type": _ALERTS, **_METADATA},
    ),
    CART_UPDATED: Schema(
        {"cart_id": _TEXT, "products": _OBJECTS, **_ALWAYS},
        {"action": _ACTION, "total_value": _SUM, **_SUMS, **_METADATA},
    ),
    CHECKOUT_STARTED: Schema(
        {"checkout_id": _TEXT, "total_value": _MONEY, "products": _OBJECTS, **_ALWAYS},
        {"cart_id": _TEXT, **_SUMS, **_METADATA},
    ),
    ORDER_PLACED: Schema(_ORDER, {"cart_id": _TEXT, **_SUMS, **_DISCOUNTS, **_METADATA}),
    ORDER_CANCELLED: Schema({**_ORDER, "cancel_reason": _TEXT}, {**_SUMS, **_DISCOUNTS, **_METADATA}),
    ORDER_REFUNDED: Schema(_ORDER, {**_DISCOUNTS, **_METADATA}),
}


def check(name: str, properties: object) -> None:
    """Check the properties of an event of SCHEMAS, as they were sent. Raises ObjectRefusedError with a code."""
    sent = properties if isinstance(properties, dict) else {}
    products = sent.get("products")
    parts = [("#/", sent, _schema_of(name, sent))]
    if isinstance(products, list) and "products" in SCHEMAS[name].required:
        line = PRODUCT_OF_CART if name == CART_UPDATED and not _is_change(sent) else PRODUCT
        parts += [(f"#/products/{n}", one, line) for n, one in enumerate(products) if isinstance(one, dict)]
    for code, fault in ((MISSING, _missing), (EXTRA, _extra), (TYPE, _wrong_type), (VALUE, _wrong_value)):
        for path, part, schema in parts:
            sentence = fault(path, part, schema)
            if sentence is not None:
                raise ObjectRefusedError(sentence, code)
    if len(msgspec.json.encode(sent)) > MAX_BYTES:
        raise ObjectRefusedError(f"The properties must have at most {MAX_BYTES} bytes", VALUE)


def follows(name: str, properties: object) -> bool:
    """Whether `check` would let them pass."""
    try:
        check(name, properties)
    except ObjectRefusedError:
        return False
    return True


def _is_change(sent: Mapping[str, object]) -> bool:
    """Whether a cart event adds or removes lines, and so does not tell the whole cart."""
    return sent.get("action") in (ADD, REMOVE)


def _schema_of(name: str, sent: Mapping[str, object]) -> Schema:
    schema = SCHEMAS[name]
    if name == CART_UPDATED and not _is_change(sent):
        return Schema({**schema.required, "total_value": _MONEY}, schema.optional)
    return schema


def _missing(path: str, part: Mapping[str, object], schema: Schema) -> str | None:
    for name in schema.required:
        if part.get(name) is None:
            return f"The property '{path}' did not contain a required property of '{name}'"
    return None


def _extra(path: str, part: Mapping[str, object], schema: Schema) -> str | None:
    extra = [name for name in part if name not in schema.required and name not in schema.optional]
    if not extra:
        return None
    shown = json.dumps([name[:MAX_SHOWN] for name in extra[:MAX_NAMED]], ensure_ascii=False)
    return f"The property '{path}' contains additional properties {shown} outside of the schema when none are allowed"


def _typed(path: str, part: Mapping[str, object], schema: Schema) -> list[tuple[str, object, Type]]:
    """(path, value, type) of the properties that were sent: null is not, nor is [] for an object (DECISIONS D63)."""
    base = path if path.endswith("/") else f"{path}/"
    types = {**schema.optional, **schema.required}
    return [
        (base + name, value, types[name])
        for name, value in part.items()
        if name in types and value is not None and not (value == [] and types[name] is _OBJECT)
    ]


def _wrong_type(path: str, part: Mapping[str, object], schema: Schema) -> str | None:
    for place, value, type_ in _typed(path, part, schema):
        if not type_.holds(value):
            return f"The property '{place}' of type {_name(value)} did not match the following type: {type_.name}"
    return None


def _wrong_value(path: str, part: Mapping[str, object], schema: Schema) -> str | None:
    faults = (type_.fault(value, place) for place, value, type_ in _typed(path, part, schema))
    return next((fault for fault in faults if fault is not None), None)


def _name(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "number")
