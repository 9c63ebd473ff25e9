"""A request of a tracking SDK: one call, or a batch of them. Checked call by call, and stored as one request.

A call is known by its message id. Which calls of a request were accepted before is found when it is stored, under the
lock that numbers requests, and stands behind the document: a blank for each call, or a tab for one that is known. So a
redo and a replay see what was found then, and the body is still JSON.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from hashlib import blake2b
from typing import Any, Final

import msgspec

from app.contract import body as bodies
from app.contract import elements, sdk
from app.contract.checked import Checked
from app.contract.errors import TOO_LARGE, ObjectError, ObjectRefusedError, RefusedError
from app.contract.kinds import TRACKING
from app.contract.sdk_records import Sender
from app.contract.tracking import calls
from app.contract.tracking.calls import Call, Json
from app.domain import device_commands, reasons
from app.domain.commands import Command, Unreadable
from app.domain.device_commands import AliasUser, DropCall, Visit
from app.domain.identifiers import device_key
from app.domain.ids import lasting
from app.domain.profile import EXTERNAL, Identifier

#: Codec of a request of calls.
CODEC_CALLS: Final = 1
ARRAY: Final = "batch"
#: Calls of one request.
MAX_CALLS: Final = 2_500
#: What stands behind a stored document for each of its calls.
NEW: Final = b" "
KNOWN: Final = b"\t"

BAD_BODY: Final = "The body must be a JSON object"
BAD_BATCH: Final = f"'batch' must be an array of 1 to {MAX_CALLS} calls"
NOTHING_VALID: Final = "Valid calls must be provided in the 'batch' field."


def write_key_of(body: bytes) -> str | None:
    """The member `writeKey` of a body, or of its first call, as far as it can be read."""
    try:
        document = bodies.parse_object(body) or {}
    except RefusedError:
        return None
    batch = document.get(ARRAY)
    first = batch[0] if isinstance(batch, list) and batch and isinstance(batch[0], dict) else {}
    found = document.get("writeKey", first.get("writeKey"))
    return found if isinstance(found, str) else None


def devices_of(body: bytes) -> list[str]:
    """The anonymous ids of a request, each once, as far as it can be read."""
    try:
        document = bodies.parse_object(body) or {}
    except RefusedError:
        return []
    batch = document.get(ARRAY)
    sent = batch[:MAX_CALLS] if isinstance(batch, list) else [document]
    found = (one.get("anonymousId") for one in sent if isinstance(one, dict))
    return list(dict.fromkeys(one for one in found if isinstance(one, str) and one))


def check(body: bytes, sender: Sender, received_us: int, secret: bytes, kind: str | None, most_bytes: int) -> Checked:
    """Check a request of one call of a kind, or of a batch for None. `most_bytes` of a call.

    `secret` is that of the workspace. Raises RefusedError when nothing of it can be processed.
    """
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, BAD_BODY)
    sent: Any = document.get(ARRAY) if kind is None else [document | {"type": kind}]
    common = _context(document) if kind is None else {}
    if not isinstance(sent, list) or not 0 < len(sent) <= MAX_CALLS:
        raise RefusedError(400, BAD_BATCH)
    read: list[Call] = []
    errors: list[ObjectError] = []
    for index, one in enumerate(sent):
        try:
            if len(body) > most_bytes and _size(one) > most_bytes:
                raise ObjectRefusedError(TOO_LARGE)
            read.append(calls.read(one, index, sender, received_us, document.get("sentAt"), common))
        except ObjectRefusedError as refused:
            errors.append(elements.object_error(refused, ARRAY, index, one))
    if not read:
        if kind is not None:
            raise elements.refused(errors[0].type, sent[0])
        raise RefusedError(400, NOTHING_VALID, errors)
    stored = {
        "app": sender.app_id,
        "name": sender.name,
        "platform": sender.platform,
        "region": sender.region,
        "signed": sender.verify is not None,
        "refused": [error.index for error in errors],
        "calls": [_stored(call) for call in read],
    }
    answer: dict[str, object] = {"success": True, "ok": True, "message": "success"}
    if errors:
        answer["errors"] = [error.as_json() for error in errors]
    return Checked(
        TRACKING,
        CODEC_CALLS,
        msgspec.json.encode(stored) + NEW * len(read),
        msgspec.json.encode(answer),
        tuple(errors),
        tuple(_digest(secret, sender.app_id, call.message_id) for call in read),
    )


def _context(document: Json) -> Json:
    """The context of a batch, behind that of each call."""
    found = document.get("context")
    return bodies.pruned(found, bodies.unstorable_scalar, []) if isinstance(found, dict) else {}


def _size(call: object) -> int:
    """Bytes of a call, with what no store can hold left out."""
    return len(msgspec.json.encode(call, enc_hook=lambda _value: None))


def _digest(secret: bytes, app_id: str, message_id: str) -> bytes:
    """24 bytes that stand for an app and one of its message ids: the first eight are those of the app."""
    if not message_id:
        return b""
    app = blake2b(app_id.encode(), key=lasting(secret), digest_size=8, person=b"app of messages").digest()
    text = f"{app_id} {message_id}".encode()
    return app + blake2b(text, key=lasting(secret), digest_size=16, person=b"message id").digest()


def _stored(call: Call) -> list[Any]:
    records = [[one.kind, one.payload, one.ignored] for one in call.records]
    whom = [call.device, call.user, call.signed_by, call.is_alias]
    return [call.index, *whom, call.version, call.time_us, records]


def decode(body: bytes) -> list[Command]:
    """The commands of a stored request, in the order of the calls. Total, as app.contract.sdk.decode."""
    document = msgspec.json.decode(body)
    sent = document["calls"]
    marks = body[len(body) - len(sent) :]
    found: list[Command] = []
    for n, call in enumerate(sent):
        if marks[n : n + 1] == KNOWN:
            found.append(DropCall(call[0], reasons.MESSAGE_KNOWN))
        else:
            found += _commands(document, *call)
    return [*found, *(DropCall(index, reasons.CALL_REFUSED) for index in document["refused"])]


def _commands(
    document: Json,
    index: int,
    device: str | None,
    user: str | None,
    signed_by: str | None,
    is_alias: bool,
    version: str,
    time_us: int,
    records: Sequence[Sequence[Any]],
) -> Iterator[Command]:
    if device is None:
        key: Identifier = (EXTERNAL, "", user or "")
    else:
        key = device_key(document["app"], device)
        if is_alias:
            yield AliasUser(index, key, user or "")
            return
        yield Visit(index, key, signed=document["signed"], signed_by=signed_by)
        if user is not None:
            yield device_commands.CallUser(index, key, user)
    told = {**document, "version": version, "device": device}
    for kind, payload, ignored in records:
        try:
            for command in sdk.commands_of(told, key, (index, kind, 0, time_us), payload, ignored):
                yield _of_call(command, update_only=device is not None)
        except ObjectRefusedError:
            yield Unreadable(index, ARRAY)


_OF_CALLS: Final[dict[type, type]] = {
    device_commands.StartSession: device_commands.CallSession,
    device_commands.EndSession: device_commands.CallSessionEnd,
    device_commands.DescribeDevice: device_commands.CallDevice,
    device_commands.DeviceTokens: device_commands.CallTokens,
    device_commands.DeviceAttributes: device_commands.CallAttributes,
    device_commands.DeviceEvent: device_commands.CallEvent,
    device_commands.DevicePurchase: device_commands.CallPurchase,
}


def _of_call(command: Any, *, update_only: bool) -> Command:
    """The command as one of a call. A call that names no device makes the profile of the person it names."""
    if isinstance(command, Unreadable):
        return replace(command, input_array=ARRAY)
    values = {member.name: getattr(command, member.name) for member in fields(command)}
    if "update_only" in values:
        values["update_only"] = update_only
    made: Command = _OF_CALLS[type(command)](**values)
    return made
