"""The first tier of SDK data: a batch of which certainly nothing can be refused, read by one decode in C.

It makes the Batch that the readers of app.contract.sdk make of the same body, for less than a fifth of their work. What
it is not sure of is theirs: all of a batch that holds an unusual record.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from app.contract import body as bodies
from app.contract import clean, ecommerce, locales
from app.contract.sdk_records import (
    ANYBODY,
    MAX_NUMBER,
    MAX_SESSION,
    MAX_TEXT,
    NOT_OF_DEVICES,
    Batch,
    Read,
    Record,
    Sender,
    described,
)
from app.domain.numbers import MAX_INT

_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)] | Annotated[float, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class _Record(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True, gc=False):
    seq: _Number
    at: _Milliseconds | None = None
    ago: _Milliseconds | None = None


class _Start(_Record, tag="session_start", forbid_unknown_fields=True, kw_only=True, gc=False):
    session_id: Annotated[str, msgspec.Meta(max_length=MAX_SESSION)] | None = None


class _End(_Record, tag="session_end", forbid_unknown_fields=True, kw_only=True, gc=False):
    pass


class _Device(_Record, tag="device", forbid_unknown_fields=True, kw_only=True, gc=False):
    device: clean.Object


class _Attributes(_Record, tag="attributes", forbid_unknown_fields=True, kw_only=True, gc=False):
    attributes: clean.Object


class _Event(_Record, tag="event", forbid_unknown_fields=True, kw_only=True, gc=False):
    name: clean.Name
    properties: dict[clean.PropertyName, clean.Value] | None = None


class _Purchase(_Record, tag="purchase", forbid_unknown_fields=True, kw_only=True, gc=False):
    product_id: clean.Name
    currency: str
    price: clean.Price
    quantity: clean.Quantity | msgspec.UnsetType = msgspec.UNSET
    properties: dict[clean.PropertyName, clean.Value] | msgspec.UnsetType | None = msgspec.UNSET


class _LogOut(_Record, tag="logout", forbid_unknown_fields=True, kw_only=True, gc=False):
    pass


_One = _Start | _End | _Device | _Attributes | _Event | _Purchase | _LogOut


class _Body(msgspec.Struct, gc=False):
    device_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    batch: _Number
    records: Annotated[list[_One], msgspec.Meta(min_length=1)]
    app_version: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | None = None
    sent_at: _Milliseconds | None = None
    dropped: Annotated[int, msgspec.Meta(ge=-MAX_INT - 1, le=MAX_INT)] | None = None


class _Sender(msgspec.Struct, gc=False):
    device_id: str


_decode: Final = msgspec.json.Decoder(_Body).decode
_decode_sender: Final = msgspec.json.Decoder(_Sender).decode


def device_of(body: bytes) -> str | None:
    """The member `device_id` of a body, for the price of skipping the rest; None where that is not sure."""
    try:
        return _decode_sender(body).device_id
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def read(body: bytes, sender: Sender) -> Batch | None:
    """What is in a body of which certainly nothing can be refused; else None."""
    if sender.verify is not None or clean.most_bytes(body) > clean.MAX_BYTES or bodies.may_hold_nul(body):
        return None
    try:
        found = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if len(found.records) > sender.most_records or not 8 <= len(found.device_id.encode()) <= 255:
        return None
    records = [_record(index, one, sender) for index, one in enumerate(found.records)]
    kept = [one for one in records if one is not None]
    if len(kept) < len(records) or len({one.sequence for one in kept}) < len(kept):
        return None
    kept.sort(key=lambda one: one.sequence)
    sent_us = None if found.sent_at is None else int(found.sent_at * 1000)
    return Batch(found.device_id, found.batch, found.app_version, sent_us, None, kept, [], found.dropped or 0)


def _record(index: int, one: _One, sender: Sender) -> Record | None:
    """A record as its reader in app.contract.sdk makes it; None where it may be refused."""
    found = _READERS[type(one)](one, sender)
    return None if found is None else Record(index, found[0], one.seq, one.at, one.ago, found[1], found[2])


def _event(one: _Event, sender: Sender) -> Read | None:
    name, kind = one.name.strip(), "event"
    if not name:
        return None
    if sender.ecommerce_events and name in ecommerce.SCHEMAS:
        if not ecommerce.follows(name, one.properties):
            return None
        kind = "recommended"
    return kind, ANYBODY | {"name": one.name, "properties": one.properties}, []


def _purchase(one: _Purchase, _sender: Sender) -> Read | None:
    if one.product_id.isspace() or locales.currency(one.currency) is None:
        return None
    payload = ANYBODY | {"product_id": one.product_id, "currency": one.currency, "price": one.price}
    for name in ("quantity", "properties"):
        value = getattr(one, name)
        if value is not msgspec.UNSET:
            payload[name] = value
    return "purchase", payload, []


def _attributes(one: _Attributes, sender: Sender) -> Read | None:
    obj: dict[str, Any] = one.attributes
    if not NOT_OF_DEVICES.isdisjoint(obj) or not clean.are_attributes(obj, clean.risky(sender.region)):
        return None
    return "attributes", obj | ANYBODY, []


def _device(one: _Device, sender: Sender) -> Read:
    return described({"device": one.device}, 0, sender)


def _start(one: _Start, _sender: Sender) -> Read:
    return "session_start", {"session": one.session_id or ""}, []


def _end(_one: _End, _sender: Sender) -> Read:
    return "session_end", {}, []


def _log_out(_one: _LogOut, _sender: Sender) -> Read:
    return "logout", {}, []


_READERS: Final[Mapping[type, Callable[[Any, Sender], Read | None]]] = {
    _Start: _start,
    _End: _end,
    _Device: _device,
    _Attributes: _attributes,
    _Event: _event,
    _Purchase: _purchase,
    _LogOut: _log_out,
}
