"""POST /users/track: from bytes to what is queued and what is answered (spec track.md).

Two tiers. Tier 1 (`_clean`) is one decode in C and a short look at every object; it proves that nothing can be
refused, and the bytes go to the inbox as they came. Only when it is not sure, tier 2 (`_walk`) reads every object
exactly, writes the errors and keeps the valid rest. The worker reads with the readers of tier 2, so that applying
cannot fail on data.

More than 300 lines: both tiers must agree on every object, so they stand side by side.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from app.contract import addresses, clean, ecommerce, elements, identifiers, locales, push_tokens, subscription_states
from app.contract import body as bodies
from app.contract.attributes import read as read_attributes
from app.contract.checked import Checked
from app.contract.errors import BLACKLISTED, BLACKLISTED_CODE, ObjectError, ObjectRefusedError, RefusedError
from app.contract.kinds import TRACK
from app.contract.occurrences import is_recommended, read_event, read_purchase, read_recommended
from app.domain import times
from app.domain.commands import ImportToken, Track, TrackEvent, Unreadable
from app.domain.profile import ALIAS, EXTERNAL, Identifier

NO_VALID_DATA: Final = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
TOO_MANY: Final = "Max Input Length Exceeded"

#: How the body of a request is stored in the inbox.
CODEC_AS_SENT: Final = 1
CODEC_VALID_REST: Final = 2
#: Bit of the codec: the recommended e-commerce events in the body have been checked, and have their effects. It is set
#: where there is such an event in a workspace that wants it, so a redo does not depend on what is wanted by then.
ECOMMERCE: Final = 32
#: Option of a workspace.
ECOMMERCE_OPTION: Final = "ecommerce_events"
#: What stands in a body that names subscription groups, unless its letters are escaped.
_GROUPS: Final = b"subscription_group_id"
#: The same of push tokens.
_TOKENS: Final = b"push_tokens"
#: Member of a document of CODEC_VALID_REST: the region of its phone numbers without a `+`, when it is not the default.
_REGION: Final = "region"

ARRAYS: Final = ("attributes", "events", "purchases")
Reader = Callable[[dict[str, Any], int, str], Track]
"""(object, index, region of phone numbers without a `+`) to its command. Raises ObjectRefusedError."""

READERS: Final[Mapping[str, Reader]] = {
    "attributes": read_attributes,
    "events": read_event,
    "purchases": read_purchase,
}
_ECOMMERCE_READERS: Final[Mapping[str, Reader]] = {**READERS, "events": read_recommended}


@dataclass(frozen=True, slots=True)
class Limits:
    """Objects that one request may carry; None where the plan sets no such limit (spec track.md 2.2)."""

    combined: int | None
    per_array: int | None
    #: Objects that name the same profile by the same identifier, over all arrays.
    per_profile: int | None = None

    def check(self, counts: Sequence[int]) -> None:
        """`counts` by array. Raises RefusedError."""
        if self.combined is not None and sum(counts) > self.combined:
            raise RefusedError(400, TOO_MANY)
        if self.per_array is not None and max(counts) > self.per_array:
            raise RefusedError(400, TOO_MANY)

    def check_profiles(self, keys: Iterable[Identifier]) -> None:
        """`keys` of all objects that are accepted. Raises RefusedError."""
        if self.per_profile is not None and max(Counter(keys).values(), default=0) > self.per_profile:
            raise RefusedError(400, TOO_MANY)


def check(
    body: bytes,
    limits: Limits,
    region: str = addresses.DEFAULT_REGION,
    *,
    ecommerce_events: bool = False,
    groups: Mapping[str, int] = MappingProxyType({}),
    blocked: Collection[str] = (),
    platforms: Mapping[str, str] = MappingProxyType({}),
) -> Checked:
    """Check a request. Raises RefusedError when nothing can be processed.

    `region`: of phone numbers without a `+`. `ecommerce_events`: the recommended events have a schema and effects.
    `groups`: {id: channel} of the subscription groups that there are, of those that `names_of` tells. `platforms`:
    {id: platform} of the apps, likewise. `blocked`: external ids of profiles that take no data.
    """
    checked = None if blocked else check_clean(body, limits, region, ecommerce_events=ecommerce_events)
    if checked is not None:
        return checked
    return check_exactly(
        body,
        limits,
        region,
        ecommerce_events=ecommerce_events,
        groups=groups,
        blocked=blocked,
        platforms=platforms,
    )


def check_clean(
    body: bytes, limits: Limits, region: str = addresses.DEFAULT_REGION, *, ecommerce_events: bool = False
) -> Checked | None:
    """As `check`, of a request of which certainly nothing can be refused. None when that is not sure: as for every
    request that `names_of` tells something of. Raises RefusedError only for a limit.
    """
    unmarked = bodies.without_mark(body)
    found = _clean(unmarked, limits, region, _ECOMMERCE_READERS if ecommerce_events else READERS)
    if found is None:
        return None
    codec = CODEC_AS_SENT | ECOMMERCE if found.recommended else CODEC_AS_SENT
    return Checked(TRACK, codec, unmarked, _answer(dict(zip(ARRAYS, found.counts, strict=True)), ()))


def check_exactly(
    body: bytes,
    limits: Limits,
    region: str = addresses.DEFAULT_REGION,
    *,
    ecommerce_events: bool = False,
    groups: Mapping[str, int] = MappingProxyType({}),
    blocked: Collection[str] = (),
    platforms: Mapping[str, str] = MappingProxyType({}),
) -> Checked:
    """As `check`, of a request that is not clean, or that nobody looked at so far."""
    readers = _ECOMMERCE_READERS if ecommerce_events else READERS
    return _walk(body, limits, region, readers, groups, blocked, platforms)


def names_of(body: bytes) -> tuple[set[str], set[str]]:
    """The subscription groups that attributes of a request name, and the apps of push tokens, as far as it can be
    read."""
    # Most bodies have no backslash, and one character is looked for faster than an escape.
    if _GROUPS not in body and _TOKENS not in body and (b"\\" not in body or b"\\u00" not in body):
        return set(), set()
    try:
        document = bodies.parse_object(body) or {}
        objects = _array(document, "attributes")
    except RefusedError:
        return set(), set()
    groups = {group for obj in objects for group in subscription_states.group_ids(obj)}
    return groups, {app_id for obj in objects for app_id in push_tokens.app_ids(obj)}


def external_ids(body: bytes) -> set[str]:
    """The external ids that objects of a request name, as far as it can be read."""
    try:
        document = bodies.parse_object(body) or {}
        objects = [obj for name in (*ARRAYS, "purchase") for obj in _array(document, name)]
    except RefusedError:
        return set()
    return {sent for obj in objects if isinstance(obj, dict) and (sent := identifiers.text(obj.get("external_id")))}


def wants_ecommerce(options: Mapping[str, Any]) -> bool:
    """Whether a workspace with these options gives the recommended e-commerce events their effects (DECISIONS D54)."""
    return bool(options.get(ECOMMERCE_OPTION, True))


def decode(codec: int, body: bytes) -> list[Track | Unreadable]:
    """The commands of a stored request in the order of effect: attributes, events, purchases, each in array order.

    Total: what was accepted is read with the readers that accepted it. If another version of a reader, or of a table
    that it asks, takes an object no longer, that object alone is Unreadable.
    """
    document = msgspec.json.decode(body)
    commands: list[Track | Unreadable] = []
    readers = _ECOMMERCE_READERS if codec & ECOMMERCE else READERS
    if codec & ~ECOMMERCE == CODEC_AS_SENT:
        for name in ARRAYS:
            reader = readers[name]
            for index, obj in enumerate(document.get(name) or ()):
                try:
                    commands.append(reader(obj, index, addresses.DEFAULT_REGION))
                except ObjectRefusedError:
                    commands.append(Unreadable(index, name))
        return commands
    region = region_of(document)
    for name in ARRAYS:
        for index, obj, ignored in document.get(name, ()):
            try:
                command = readers[name](obj, index, region)
            except ObjectRefusedError:
                commands.append(Unreadable(index, name))
            else:
                command.ignored.extend((field, reason) for field, reason in ignored)
                commands += push_tokens.imports(command) if isinstance(command, ImportToken) else (command,)
    return commands


def region_of(document: object) -> str:
    """The region of phone numbers without a `+` in a stored document. Bodies as sent have the default one."""
    region = document.get(_REGION) if isinstance(document, dict) else None
    return region if isinstance(region, str) else addresses.DEFAULT_REGION


def _answer(counts: dict[str, int], errors: list[ObjectError] | tuple[()], sent: frozenset[str] = frozenset()) -> bytes:
    document: dict[str, object] = {
        f"{name}_processed": count for name, count in counts.items() if count or name in sent
    }
    document["message"] = "success"
    if errors:
        document["errors"] = [error.as_json() for error in errors]
    return msgspec.json.encode(document)


# Tier 1. The types bound depth, text and numbers, so that no value has to be looked at in Python.

#: Of an external id: so many take no more bytes than it may have, whatever they are.
_MOST_CHARACTERS: Final = identifiers.MAX_EXTERNAL_ID_BYTES // 4
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=_MOST_CHARACTERS)]
_AliasPart = Annotated[str, msgspec.Meta(min_length=1, max_length=identifiers.MAX_ALIAS_BYTES // 4)]


class _Alias(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    alias_name: _AliasPart
    alias_label: _AliasPart


class _Occurrence(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    external_id: _Id | None = None
    user_alias: _Alias | None = None
    time: str
    app_id: str | None = None
    properties: dict[clean.PropertyName, clean.Value] | None = None
    update_existing_only: bool | None = msgspec.field(name="_update_existing_only", default=None)


class _Event(_Occurrence, forbid_unknown_fields=True, gc=False, kw_only=True):
    name: clean.Name


class _Purchase(_Occurrence, forbid_unknown_fields=True, gc=False, kw_only=True):
    product_id: clean.Name
    currency: str
    price: clean.Price
    quantity: clean.Quantity = 1


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    attributes: list[clean.Object] | None = None
    events: list[_Event] | None = None
    purchases: list[_Purchase] | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


class _Clean(NamedTuple):
    """Numbers of objects by array, and whether recommended e-commerce events are among them."""

    counts: tuple[int, int, int]
    recommended: bool


def _clean(
    body: bytes, limits: Limits, region: str = addresses.DEFAULT_REGION, readers: Mapping[str, Reader] = READERS
) -> _Clean | None:
    """What is in a body of which certainly nothing can be refused; else None."""
    if clean.most_bytes(body) > clean.MAX_BYTES or bodies.may_hold_nul(body):
        return None
    try:
        document = _decode_body(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    attributes, events, purchases = document.attributes or (), document.events or (), document.purchases or ()
    counts = (len(attributes), len(events), len(purchases))
    if not any(counts):
        return None
    if not _are_clean_attributes(attributes, clean.risky(region)):
        return None
    recommended = False
    for event in events:
        if not _is_clean_occurrence(event) or event.name.isspace():
            return None
        if readers is _ECOMMERCE_READERS and event.name.strip() in ecommerce.SCHEMAS:
            if not ecommerce.follows(event.name.strip(), event.properties):
                return None
            recommended = True
    for purchase in purchases:
        if not _is_clean_occurrence(purchase) or purchase.product_id.isspace():
            return None
        if locales.currency(purchase.currency) is None:
            return None
    limits.check(counts)
    limits.check_profiles(_key(obj) for obj in chain[Any](attributes, events, purchases))
    return _Clean(counts, recommended)


def _are_clean_attributes(objects: Iterable[dict[str, Any]], risky: frozenset[str]) -> bool:
    for obj in objects:
        external_id = obj.get("external_id")
        if type(external_id) is not str or not 0 < len(external_id) <= _MOST_CHARACTERS or external_id.isspace():
            return False
        if not clean.are_attributes(obj, risky):
            return False
    return True


def _key(obj: dict[str, Any] | _Occurrence) -> Identifier:
    """The identifier of a clean object: the key that its reader would find."""
    if isinstance(obj, dict):
        return (EXTERNAL, "", obj["external_id"])
    if obj.user_alias is not None:
        return (ALIAS, obj.user_alias.alias_label, obj.user_alias.alias_name)
    return (EXTERNAL, "", obj.external_id or "")


def _is_clean_occurrence(occurrence: _Occurrence) -> bool:
    if occurrence.user_alias is not None:
        alias = occurrence.user_alias
        if occurrence.external_id is not None or alias.alias_name.isspace() or alias.alias_label.isspace():
            return False
    elif occurrence.external_id is None or occurrence.external_id.isspace():
        return False
    return times.is_time(occurrence.time)


# Tier 2.

_IDENTIFIERS: Final = frozenset(("external_id", "user_alias", "braze_id", "email", "phone"))
#: Members of events and purchases without which, or with a wrong one, there is no such object.
_REQUIRED: Final = frozenset(("name", "product_id", "time", "currency", "price", "quantity", "properties"))


def _walk(
    body: bytes,
    limits: Limits,
    region: str = addresses.DEFAULT_REGION,
    readers: Mapping[str, Reader] = READERS,
    groups: Mapping[str, int] = MappingProxyType({}),
    blocked: Collection[str] = (),
    platforms: Mapping[str, str] = MappingProxyType({}),
) -> Checked:
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, NO_VALID_DATA)
    arrays = {name: _array(document, name) for name in ARRAYS}
    arrays["purchases"] += _array(document, "purchase")
    counts = tuple(len(arrays[name]) for name in ARRAYS)
    if not any(counts):
        raise elements.refused(NO_VALID_DATA, document)
    limits.check(counts)
    commands: list[Track] = []
    errors: list[ObjectError] = []
    imported = 0
    valid: dict[str, list[tuple[int, dict[str, Any], list[tuple[str, str]]]]] = {name: [] for name in ARRAYS}
    for name in ARRAYS:
        for index, obj in enumerate(arrays[name]):
            try:
                if name == "attributes":
                    obj = subscription_states.with_channels(obj, groups)  # noqa: PLW2901 - as it is stored
                    obj = push_tokens.with_platforms(obj, platforms)  # noqa: PLW2901 - likewise
                kept, ignored, command = checked_object(name, obj, index, region, readers[name])
                if command.identifier[0] == EXTERNAL and command.identifier[2] in blocked:
                    raise ObjectRefusedError(BLACKLISTED, BLACKLISTED_CODE)
                imported += len(kept[push_tokens.FIELD]) if isinstance(command, ImportToken) else 0
                if imported > push_tokens.MAX_IMPORTS:
                    raise ObjectRefusedError(push_tokens.TOO_MANY_IMPORTS, "BAD_PUSH_TOKEN_IMPORT")
                valid[name].append((index, kept, ignored))
                commands.append(command)
            except ObjectRefusedError as refused:
                error = elements.object_error(refused, name, index, obj)
                errors.append(replace(error, event=_recommended_name(refused, obj)))
    counted = {name: len(valid[name]) for name in ARRAYS}
    if not any(counted.values()):
        raise RefusedError(400, NO_VALID_DATA, errors)
    limits.check_profiles(command.identifier for command in commands)
    sent = frozenset(name for name in ARRAYS if arrays[name])
    stored: dict[str, object] = {name: entries for name, entries in valid.items() if entries}
    if region != addresses.DEFAULT_REGION:
        stored[_REGION] = region
    recommended = any(isinstance(command, TrackEvent) and command.recommended for command in commands)
    codec = CODEC_VALID_REST | ECOMMERCE if recommended else CODEC_VALID_REST
    return Checked(TRACK, codec, msgspec.json.encode(stored), _answer(counted, errors, sent), tuple(errors))


def _recommended_name(refused: ObjectRefusedError, obj: object) -> str:
    """The event whose schema an object does not follow; "" where it is refused for something else."""
    return str(obj["name"]).strip() if refused.code in ecommerce.CODES and isinstance(obj, dict) else ""


def _array(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if value is None:
        return []
    if isinstance(value, dict) and not (value and all(key.isdecimal() for key in value)):
        return [value]
    if not isinstance(value, list):  # an array as PHP sends it, {"0": …, "2": …}, is not guessed (DECISIONS D63)
        entry = ObjectError(elements.no_array(name), name if name in ARRAYS else "purchases", 0)
        raise RefusedError(400, NO_VALID_DATA, [entry])
    return value


def checked_object(
    name: str, obj: object, index: int, region: str, reader: Reader
) -> tuple[dict[str, Any], list[tuple[str, str]], Track]:
    """An object that its reader takes, without members that the stores cannot hold; what was left out; its command."""
    if not isinstance(obj, dict):
        raise ObjectRefusedError("must be an object")
    problem = bodies.unsound(obj)
    if problem is not None:
        raise ObjectRefusedError(problem)
    return sound_object(name, obj, index, region, reader)


def sound_object(
    name: str, obj: dict[str, Any], index: int, region: str, reader: Reader
) -> tuple[dict[str, Any], list[tuple[str, str]], Track]:
    """As `checked_object`, of what was looked at already (`bodies.unsound`), or is a part of that."""
    kept, ignored = _without_unstorable(name, obj, deep=reader is read_recommended and is_recommended(obj))
    return kept, ignored, reader(kept, index, region)


def _without_unstorable(name: str, obj: dict[str, Any], *, deep: bool) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The object without what no store can hold, and what was left out. Its own text may then still be refused.

    `deep`: of a property only what no store can hold is left out, rather than all of it.
    """
    ignored: list[tuple[str, str]] = []
    kept: dict[str, Any] = {}
    for field, value in obj.items():
        reason = bodies.unstorable(value)
        if reason is None:
            kept[field] = value
        elif field == "properties" and isinstance(value, dict) and deep:
            kept[field] = bodies.pruned(value, bodies.unstorable_scalar, ignored)
        elif field == "properties" and isinstance(value, dict):
            # The name stays, since it may be one that is refused; a property without a value is not kept.
            lost = {key: lost for key, member in value.items() if (lost := bodies.unstorable(member)) is not None}
            kept[field] = value | dict.fromkeys(lost)
            ignored += lost.items()
        elif name == "attributes" and field not in _IDENTIFIERS:
            ignored.append((field, reason))
        elif field in _IDENTIFIERS or field in _REQUIRED:
            kept[field] = {}  # sent, but of no form that its reader takes
    return kept, ignored
