"""What devices of apps send: POST /v1/sdk/data. The form is written down in docs/sdk.md.

Two tiers, as of /users/track. The first (app.contract.sdk_clean) takes batches of which certainly nothing can be
refused; all others are checked here, record by record. A batch is stored with the time of each record.

Records take effect in the order of their sequence numbers. A wall clock never decides an order: it only says how long
before the sending something was, and no time lies behind the receipt, nor before that of the record before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Final

import msgspec

from app.contract import body as bodies
from app.contract import elements, identifiers, push_tokens, sdk_clean, subscription_states, track
from app.contract.checked import Checked
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.contract.kinds import SDK
from app.contract.occurrences import read_event, read_purchase, read_recommended
from app.contract.sdk_records import (
    ANYBODY,
    ARRAY,
    MAX_DROPPED,
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
from app.domain import numbers, times
from app.domain.commands import Command, TrackAttributes, TrackEvent, TrackPurchase, Unreadable
from app.domain.device_commands import (
    AddAlias,
    ChangeUser,
    DescribeDevice,
    DeviceAttributes,
    DeviceEvent,
    DevicePurchase,
    DeviceTokens,
    EndSession,
    LogOut,
    SdkBatch,
    StartSession,
)
from app.domain.identifiers import device_key
from app.domain.profile import Identifier

#: Codec of a batch.
CODEC_BATCH: Final = 1
#: A record is not older than that when it arrives.
MAX_AGE_US: Final = 30 * times.DAY

BAD_BODY: Final = "The body must be an object of 'device_id', 'batch' and 'records'"
BAD_DEVICE: Final = "'device_id' must be a text of 8 to 255 bytes"
BAD_BATCH: Final = "'batch' must be an integer from 1 to 9007199254740991"
BAD_RECORDS: Final = "'records' must be an array of 1 to %d objects"
BAD_SENT: Final = "'sent_at' must be a number of milliseconds since 1970"
BAD_VERSION: Final = "'app_version' must be a text of at most 255 characters"
NOTHING_VALID: Final = "Valid data must be provided in the 'records' field."
BAD_SIGNATURE: Final = "The SDK authentication signature is missing or not valid"
BAD_TYPE: Final = "'type' must be one of %s"
BAD_SEQUENCE: Final = "'seq' must be an integer from 1 to 9007199254740991"
REPEATED_SEQUENCE: Final = "'seq' is that of another record"
BAD_MOMENT: Final = "'at' and 'ago' must be numbers of milliseconds"
BAD_SESSION: Final = f"'session_id' must be a text of at most {MAX_SESSION} characters"
BAD_ATTRIBUTES: Final = (
    "'attributes' must be an object without identifiers, control keys, push tokens, sessions and spam marks"
)
BAD_TOKEN: Final = "'token' must be a text of 1 to 4,096 bytes"  # noqa: S105 - a sentence
BAD_USER: Final = "'user_id' must be a non-empty text of at most 987 bytes"


@dataclass(frozen=True, slots=True)
class CheckedBatch(Checked):
    """A batch that is taken, and what is counted of it."""

    #: Types of its records.
    types: tuple[str, ...] = ()
    #: Records that the device has lost since its last batch, as it says.
    dropped: int = 0


def sdk_key_of(body: bytes) -> str | None:
    """The member `sdk_key` of a body, as far as it can be read."""
    try:
        found = (bodies.parse_object(body) or {}).get("sdk_key")
    except RefusedError:
        return None
    return found if isinstance(found, str) else None


def device_of(body: bytes) -> str:
    """The device that sends. Raises RefusedError(400)."""
    device = sdk_clean.device_of(bodies.without_mark(body))
    if device is not None and device.isascii() and device.isprintable() and 8 <= len(device) <= 255:
        return device
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, BAD_BODY)
    return _device(document)


def group_ids(body: bytes) -> set[str]:
    """The subscription groups that a batch names, as far as it can be read."""
    if b"subscription_group" not in body and b"\\u00" not in body:
        return set()
    try:
        records = (bodies.parse_object(body) or {}).get(ARRAY)
    except RefusedError:
        return set()
    found = [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
    named = {one for record in found for one in subscription_states.group_ids(record.get("attributes"))}
    return named | {one for record in found for one in subscription_states.group_ids(_group_states(record))}


def check(body: bytes, sender: Sender, received_us: int) -> CheckedBatch:
    """Check a batch. Raises RefusedError when nothing of it can be processed."""
    batch = sdk_clean.read(bodies.without_mark(body), sender)
    return _checked(batch or read(body, sender), sender, received_us)


def read(body: bytes, sender: Sender) -> Batch:
    """The batch in a body, record by record: the second tier. Raises RefusedError as `check`."""
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, BAD_BODY)
    records = document.get(ARRAY)
    if not isinstance(records, list) or not 0 < len(records) <= sender.most_records:
        raise RefusedError(400, BAD_RECORDS % sender.most_records)
    device, number = _device(document), numbers.integer(document.get("batch"))
    if number is None or not 1 <= number <= MAX_NUMBER:
        raise RefusedError(400, BAD_BATCH)
    version = document.get("app_version")
    if version is not None and not (isinstance(version, str) and len(version) <= MAX_TEXT and _is_sound(version)):
        raise RefusedError(400, BAD_VERSION)
    sent_us = _milliseconds(document.get("sent_at"))
    if document.get("sent_at") is not None and sent_us is None:
        raise RefusedError(400, BAD_SENT)
    if sender.verify is not None:
        sender = replace(sender, verify=cache(sender.verify))  # a batch may have many with the same one
    signed_by = _signed_by(document.get("signature"), sender)
    kept, errors = _read_all(records, replace(sender, signed_by=signed_by))
    if not kept:
        raise RefusedError(400, NOTHING_VALID, errors)
    dropped = numbers.integer(document.get("dropped")) or 0
    return Batch(device, number, version, sent_us, signed_by, kept, errors, dropped)


def _checked(batch: Batch, sender: Sender, received_us: int) -> CheckedBatch:
    """The form that is stored, and the answer, of a batch that arrived then."""
    read, errors = batch.records, batch.errors
    bounded = _dated(read, batch.sent_us, received_us)
    stored = {
        "app": sender.app_id,
        "name": sender.name,
        "platform": sender.platform,
        "version": batch.version or "",
        "device": batch.device,
        "batch": batch.number,
        "signed": sender.verify is not None,
        "by": batch.signed_by,
        "region": sender.region,
        ARRAY: [[one.index, one.kind, one.sequence, one.time_us, one.payload, one.ignored] for one in read],
    }
    skew = None if batch.sent_us is None else (received_us - batch.sent_us) // 1000
    answer: dict[str, object] = {
        "records_processed": len(read),
        "clock": {"skew_ms": skew, "bounded": bounded},
        "message": "success",
    }
    if errors:
        answer["errors"] = [error.as_json() for error in errors]
    return CheckedBatch(
        SDK,
        CODEC_BATCH,
        msgspec.json.encode(stored),
        msgspec.json.encode(answer),
        tuple(errors),
        types=tuple("event" if one.kind == "recommended" else one.kind for one in read),
        dropped=min(max(batch.dropped, 0), MAX_DROPPED),
    )


def _read_all(records: list[Any], sender: Sender) -> tuple[list[Record], list[ObjectError]]:
    """The records in the order of their sequence numbers, and why the others are refused."""
    read: list[Record] = []
    errors: list[ObjectError] = []
    known: set[int] = set()
    for index, record in enumerate(records):
        try:
            one = _read(elements.checked(record), index, sender)
            if one.sequence in known:
                raise ObjectRefusedError(REPEATED_SEQUENCE)
        except ObjectRefusedError as refused:
            errors.append(elements.object_error(refused, ARRAY, index, record))
        else:
            known.add(one.sequence)
            read.append(one)
    return sorted(read, key=lambda one: one.sequence), errors


def _read(record: dict[str, Any], index: int, sender: Sender) -> Record:
    kind, sequence = record.get("type"), numbers.integer(record.get("seq"))
    if not isinstance(kind, str) or kind not in READERS:
        raise ObjectRefusedError(BAD_TYPE % ", ".join(READERS))
    if sequence is None or not 1 <= sequence <= MAX_NUMBER:
        raise ObjectRefusedError(BAD_SEQUENCE)
    at, ago = (_number(record.get(name)) for name in ("at", "ago"))
    stored, payload, ignored = READERS[kind](record, index, sender)
    return Record(index, stored, sequence, at, ago, payload, ignored)


def _dated(records: list[Record], sent_us: int | None, received_us: int) -> int:
    """Give the records their times, none of which is behind the receipt, before that of the record before it, or older
    than MAX_AGE_US; how many had to be bounded."""
    bounded, before = 0, received_us - MAX_AGE_US
    for one in records:
        if one.ago is not None:
            said = received_us - int(one.ago * 1000)
        elif one.at is None:
            said = received_us
        elif sent_us is not None:  # the error of the clock is in both
            said = received_us - (sent_us - int(one.at * 1000))
        else:
            said = int(one.at * 1000)
        one.time_us = min(max(said, before), received_us)
        bounded += one.time_us != said
        before = one.time_us
    return bounded


def _event(record: dict[str, Any], index: int, sender: Sender) -> Read:
    reader = read_recommended if sender.ecommerce_events else read_event
    obj = ANYBODY | {"name": record.get("name"), "properties": record.get("properties")}
    kept, ignored, command = track.sound_object("events", obj | _NOW, index, sender.region, reader)
    recommended = isinstance(command, TrackEvent) and command.recommended
    return "recommended" if recommended else "event", _without_time(kept), ignored


def _purchase(record: dict[str, Any], index: int, sender: Sender) -> Read:
    names = ("product_id", "currency", "price", "quantity", "properties")
    obj = ANYBODY | {name: record[name] for name in names if name in record}
    kept, ignored, _ = track.sound_object("purchases", obj | _NOW, index, sender.region, read_purchase)
    return "purchase", _without_time(kept), ignored


def _attributes(record: dict[str, Any], index: int, sender: Sender) -> Read:
    obj = record.get("attributes")
    if not isinstance(obj, dict) or not NOT_OF_DEVICES.isdisjoint(obj):
        raise ObjectRefusedError(BAD_ATTRIBUTES)
    found = subscription_states.with_channels(obj, sender.groups) | ANYBODY
    kept, ignored, _ = track.sound_object("attributes", found, index, sender.region, track.READERS["attributes"])
    return "attributes", kept, ignored


def _group_states(record: dict[str, Any]) -> dict[str, Any]:
    """A record of a subscription group as attributes."""
    names = ("subscription_group_id", "subscription_state")
    return {subscription_states.FIELD: [{name: record[name] for name in names if name in record}]}


def _group(record: dict[str, Any], index: int, sender: Sender) -> Read:
    return _attributes({"attributes": _group_states(record)}, index, sender)


def _start(record: dict[str, Any], _index: int, _sender: Sender) -> Read:
    session = record.get("session_id")
    if session is not None and not (isinstance(session, str) and len(session) <= MAX_SESSION):
        raise ObjectRefusedError(BAD_SESSION)
    return "session_start", {"session": session or ""}, []


def _nothing(kind: str) -> Callable[[dict[str, Any], int, Sender], Read]:
    return lambda _record, _index, _sender: (kind, {}, [])


def _alias(record: dict[str, Any], _index: int, _sender: Sender) -> Read:
    label, name = identifiers.alias(record)
    return "alias", {"label": label, "name": name}, []


def _token(record: dict[str, Any], _index: int, _sender: Sender) -> Read:
    token = record.get("token")
    if not isinstance(token, str) or not token.strip() or len(token.encode()) > push_tokens.MAX_TOKEN:
        raise ObjectRefusedError(BAD_TOKEN)
    return "push_token", {"token": token}, []


def _user(record: dict[str, Any], _index: int, sender: Sender) -> Read:
    try:
        user = identifiers.external_id(record.get("user_id"))
    except ObjectRefusedError:
        raise ObjectRefusedError(BAD_USER) from None
    if sender.verify is not None and sender.signed_by != user:  # the record's own may have expired while it waited
        signature = record.get("signature")
        if not isinstance(signature, str) or sender.verify(signature) != user:
            raise RefusedError(403, BAD_SIGNATURE)
    return "change_user", {"user": user}, []


#: The reader of each type of record, which is sound (app.contract.elements): the kind under which it is stored, its
#: members, and (field, reason) of what was left out. Raises ObjectRefusedError.
READERS: Final[Mapping[str, Callable[[dict[str, Any], int, Sender], Read]]] = {
    "session_start": _start,
    "session_end": _nothing("session_end"),
    "device": described,
    "attributes": _attributes,
    "event": _event,
    "purchase": _purchase,
    "alias": _alias,
    "push_token": _token,
    "change_user": _user,
    "logout": _nothing("logout"),
    "subscription_group": _group,
}
#: A time that the readers of occurrences take; the real one is known when all records were read.
_NOW: Final = {"time": times.iso(0)}


def _without_time(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name != "time"}


def _signed_by(signature: object, sender: Sender) -> str | None:
    """Whose signature it is; None where none was sent, or none is asked for. Raises RefusedError(403)."""
    if sender.verify is None or signature is None:
        return None
    found = sender.verify(signature) if isinstance(signature, str) else None
    if found is None:
        raise RefusedError(403, BAD_SIGNATURE)
    return found


def _device(document: dict[str, Any]) -> str:
    device = document.get("device_id")
    if not isinstance(device, str) or not _is_sound(device) or not 8 <= len(device.encode()) <= 255:
        raise RefusedError(400, BAD_DEVICE)
    return device


def _is_sound(text: str) -> bool:
    return bodies.unsound(text) is None and bodies.unstorable(text) is None


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_NUMBER:
        raise ObjectRefusedError(BAD_MOMENT)
    return value


def _milliseconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_NUMBER:
        return None
    return int(value * 1000)


def decode(body: bytes) -> list[Command]:
    """The commands of a stored batch, in the order of effect.

    Total, as app.contract.track.decode: what another version of a reader takes no longer is Unreadable.
    """
    document = msgspec.json.decode(body)
    key = device_key(document["app"], document["device"])
    records = document[ARRAY]
    numbered = tuple((index, sequence) for index, _, sequence, *_ in records)
    first_change = next((sequence for _, kind, sequence, *_ in records if kind in ("change_user", "logout")), 0)
    commands: list[Command] = [
        SdkBatch(
            key,
            document["batch"],
            numbered,
            first_change,
            signed=document["signed"],
            signed_by=document["by"],
        )
    ]
    for index, kind, sequence, time_us, payload, ignored in records:
        try:
            commands += commands_of(document, key, (index, kind, sequence, time_us), payload, ignored)
        except ObjectRefusedError:
            commands.append(Unreadable(index, ARRAY))
    return commands


def commands_of(
    document: Mapping[str, Any],
    key: Identifier,
    place: tuple[int, str, int, int],
    payload: dict[str, Any],
    ignored: Sequence[tuple[str, str]],
) -> Iterator[Command]:
    """The commands of a record: its index, stored kind, sequence number and time. `document` tells of the app.

    Raises ObjectRefusedError for what another version of a reader took.
    """
    index, kind, sequence, time_us = place
    region = document["region"]
    dropped = [(name, reason) for name, reason in ignored]
    match kind:
        case "session_start":
            told = (document["name"], document["platform"], document["version"])
            yield StartSession(index, key, time_us, payload["session"], *told)
        case "session_end":
            yield EndSession(index, key, time_us)
        case "device":
            yield DescribeDevice(index, key, payload["members"], payload["detected"], dropped)
        case "alias":
            yield AddAlias(index, key, payload["label"], payload["name"])
        case "change_user":
            yield ChangeUser(index, key, payload["user"], sequence)
        case "logout":
            yield LogOut(index, key, sequence)
        case "push_token":
            tokens = [[document["app"], document["platform"], payload["token"], document["device"]]]
            sent: dict[str, object] = {push_tokens.FIELD: tokens}
            yield DeviceTokens(index, key, update_only=True, merge_objects=False, fields=sent, custom={})
        case "attributes":
            command = track.READERS["attributes"](payload, index, region)
            command.ignored.extend(dropped)
            yield _of_device(command, key)
        case "event" | "recommended" | "purchase":
            reader = {"event": read_event, "recommended": read_recommended, "purchase": read_purchase}[kind]
            found: Any = reader(payload | {"time": times.iso(time_us), "app_id": document["app"]}, index, region)
            found.ignored.extend(dropped)
            yield _of_device(found, key)
        case _:
            yield Unreadable(index, ARRAY)


_OF_DEVICES: Final[dict[type, type]] = {
    TrackAttributes: DeviceAttributes,
    TrackEvent: DeviceEvent,
    TrackPurchase: DevicePurchase,
}


def _of_device(command: Any, key: Identifier) -> Command:
    """The command, about whoever has the device."""
    values = {member.name: getattr(command, member.name) for member in fields(command)}
    made: Command = _OF_DEVICES[type(command)](**values | {"identifier": key, "update_only": True})
    return made
