"""One call of a tracking SDK: whom it names, and what it says as records of the gateway (app.contract.sdk)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from app.contract import body as bodies
from app.contract import elements, identifiers, occurrences, sdk
from app.contract.errors import ObjectRefusedError
from app.contract.sdk_records import Sender
from app.contract.tracking import clock, orders, surroundings, traits
from app.domain.reasons import INVALID_VALUE

MAX_ANONYMOUS_ID: Final = 255
MAX_GROUP_ID: Final = 255

BAD_CALL: Final = "'type' must be one of %s"
BAD_USER: Final = "'userId' must be a non-empty text of at most 987 bytes"
BAD_ANONYMOUS: Final = f"'anonymousId' must be a text of at most {MAX_ANONYMOUS_ID} bytes"
BAD_PREVIOUS: Final = f"'previousId' must be a text of at most {MAX_ANONYMOUS_ID} bytes"
BAD_MESSAGE_ID: Final = "'messageId' must be a text"
NOBODY: Final = "'userId' or 'anonymousId' is required"
NO_ALIAS: Final = "An alias needs 'userId', and another 'previousId' or 'anonymousId'"
NO_EVENT: Final = "'event' must be a non-empty text of at most 255 characters"
NO_GROUP: Final = f"'groupId' must be a text of at most {MAX_GROUP_ID} characters"
BAD_OBJECT: Final = "'%s' must be an object"
BAD_SIGNATURE: Final = "'context.signature' must be the SDK authentication signature of 'userId'"

Json = dict[str, Any]
Ignored = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is stored: kind, members, and (field, reason) of what was left out."""

    kind: str
    payload: Json
    ignored: Ignored


@dataclass(frozen=True, slots=True)
class Call:
    """A call that can be applied."""

    index: int
    #: "" = none.
    message_id: str
    #: The anonymous id, and the external id. At least one of them.
    device: str | None
    user: str | None
    #: Whose signature came with it.
    signed_by: str | None
    version: str
    time_us: int
    records: list[Record]
    #: Of an alias: `device` is who the visitor was.
    is_alias: bool = False


def read(sent: object, index: int, sender: Sender, received_us: int, sent_at: object, common: Json) -> Call:
    """One element of a batch. `common` is the context of the batch, `sent_at` its time of sending.

    Raises ObjectRefusedError.
    """
    lost: Ignored = []
    call = bodies.pruned(elements.checked(sent), bodies.unstorable_scalar, lost)
    kind = call.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ObjectRefusedError(BAD_CALL % ", ".join(TYPES))
    context = common | _object(call, "context")
    user, device = _user(call), _device(call, "anonymousId", BAD_ANONYMOUS)
    signed_by = _signed_by(context, user, sender)
    time_us, no_time = clock.moment(call, sent_at, received_us)
    if no_time is not None:
        lost.append((no_time, INVALID_VALUE))
    found = Call(
        index, _message_id(call), device, user, signed_by, surroundings.version(context), time_us, [],
        is_alias=kind == "alias",
    )  # fmt: skip
    if found.is_alias:
        device = _device(call, "previousId", BAD_PREVIOUS) or device
        if user is None or device is None or device == user:
            raise ObjectRefusedError(NO_ALIAS)
        return replace(found, device=device)
    if user is None and device is None:
        raise ObjectRefusedError(NOBODY)
    said = TYPES[kind](call, context, sender, index)
    if said and lost:
        said[0] = replace(said[0], ignored=[*said[0].ignored, *lost])
    event = call.get("event") if kind == "track" else None
    around = surroundings.records(context, event if isinstance(event, str) else None) if device is not None else []
    return replace(found, records=[*(_record(one, index, sender) for one in around), *said])


def _track(call: Json, _context: Json, sender: Sender, index: int) -> list[Record]:
    event, properties = call.get("event"), _object(call, "properties")
    name = identifiers.text(event)
    if name is None or not 0 < len(name.strip()) <= occurrences.MAX_NAME:
        raise ObjectRefusedError(NO_EVENT)
    if name.strip().lower() in orders.NAMES:
        order = _ordered(properties, sender, index)
        if order:
            return order
    return [_event(name, properties, sender, index)]


def _ordered(properties: Json, sender: Sender, index: int) -> list[Record]:
    """The records of an order; none where it tells of no product, which makes it an event as any other."""
    placed = orders.placed(properties, sender.name) if sender.ecommerce_events else None
    if placed is not None:
        return [_record(placed, index, sender)]
    found: list[Record] = []
    lost: Ignored = []
    for n, purchase in enumerate(orders.purchases(properties)):
        try:
            if purchase is None:
                raise ObjectRefusedError("")
            found.append(_record(purchase, index, sender))
        except ObjectRefusedError:
            lost.append((f"products.{n}", INVALID_VALUE))
    if found and lost:
        found[0] = replace(found[0], ignored=[*found[0].ignored, *lost])
    return found


def _viewed(what: str) -> Callable[[Json, Json, Sender, int], list[Record]]:
    def read_view(call: Json, _context: Json, sender: Sender, index: int) -> list[Record]:
        properties = _object(call, "properties")
        name = identifiers.text(call.get("name") or properties.get("name"))
        if isinstance(category := call.get("category"), str):
            properties = {"category": category} | properties
        event = f"Viewed {name.strip()} {what}" if name is not None and name.strip() else f"Loaded a {what}"
        return [_event(event, properties, sender, index)]

    return read_view


def _identify(call: Json, context: Json, sender: Sender, index: int) -> list[Record]:
    # RudderStack's SDKs send the traits in the context.
    found, ignored = traits.attributes(_object(context, "traits") | _object(call, "traits"))
    return [_attributes(found, ignored, sender, index)]


def _group(call: Json, _context: Json, sender: Sender, index: int) -> list[Record]:
    group = identifiers.text(call.get("groupId"))
    if group is None or not group.strip() or len(group) > MAX_GROUP_ID:
        raise ObjectRefusedError(NO_GROUP)
    told = _object(call, "traits")
    found: Json = {"group_id": group} | ({"group_traits": told} if told else {})
    return [_attributes(found, [], sender, index)]


def _alias(_call: Json, _context: Json, _sender: Sender, _index: int) -> list[Record]:
    return []


TYPES: Final[Mapping[str, Callable[[Json, Json, Sender, int], list[Record]]]] = {
    "identify": _identify,
    "track": _track,
    "page": _viewed("Page"),
    "screen": _viewed("Screen"),
    "group": _group,
    "alias": _alias,
}


def _event(name: str, properties: Json, sender: Sender, index: int) -> Record:
    return _record({"type": "event", "name": name, "properties": properties}, index, sender)


def _attributes(found: Json, ignored: Ignored, sender: Sender, index: int) -> Record:
    record = _record({"type": "attributes", "attributes": found}, index, sender)
    return replace(record, ignored=[*record.ignored, *ignored])


def _record(record: Json, index: int, sender: Sender) -> Record:
    return Record(*sdk.READERS[record["type"]](elements.checked(record), index, sender))


def _object(values: Json, name: str) -> Json:
    found = values.get(name)
    if found is None or found == []:  # PHP's empty array
        return {}
    if not isinstance(found, dict):
        raise ObjectRefusedError(BAD_OBJECT % name)
    return found


def _user(call: Json) -> str | None:
    sent = call.get("userId")
    if not identifiers.is_sent(sent):
        return None
    try:
        return identifiers.external_id(sent)
    except ObjectRefusedError:
        raise ObjectRefusedError(BAD_USER) from None


def _device(call: Json, name: str, sentence: str) -> str | None:
    sent = call.get(name)
    if not identifiers.is_sent(sent):
        return None
    found = identifiers.text(sent)
    if found is None or not found.strip() or len(found.encode()) > MAX_ANONYMOUS_ID:
        raise ObjectRefusedError(sentence)
    return found


def _message_id(call: Json) -> str:
    sent = call.get("messageId")
    if not identifiers.is_sent(sent):
        return ""
    found = identifiers.text(sent)
    if found is None:
        raise ObjectRefusedError(BAD_MESSAGE_ID)
    return found


def _signed_by(context: Json, user: str | None, sender: Sender) -> str | None:
    """Whose signature it is, where the app asks for one: whoever is named needs their own."""
    if sender.verify is None:
        return None
    sent = context.get("signature")
    found = sender.verify(sent) if isinstance(sent, str) else None
    if user is not None and found != user:
        raise ObjectRefusedError(BAD_SIGNATURE)
    return found
