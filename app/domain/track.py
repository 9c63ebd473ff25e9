"""What attributes, events and purchases do to a profile (spec track.md)."""

from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Final

from app.domain import (
    consent,
    custom_attributes,
    data_points,
    data_rules,
    devices,
    ecommerce,
    guard,
    money,
    resolve,
    series,
    sizes,
    spam,
)
from app.domain.commands import ImportToken, Track, TrackAttributes, TrackEvent, TrackPurchase, Unreadable
from app.domain.custom_attributes import MISSING, TIME, UNSET, Skip
from app.domain.numbers import canonical, clamped, greatest, least
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CORE,
    CUSTOM,
    EMAIL,
    EVENTS,
    EXTERNAL,
    NAME_ATTRIBUTE,
    NAME_EVENT,
    NAME_PRODUCT,
    PHONE,
    PURCHASES,
    TOKEN,
    Occurrence,
    Profile,
)
from app.domain.reasons import (
    BLOCKED,
    IMPORT_KNOWN,
    INVALID_NAME,
    PROFILE_BLOCKED,
    PROFILE_FULL,
    PROFILE_NOT_FOUND,
    UNREADABLE,
)
from app.domain.step import Step
from app.domain.times import DAY
from app.domain.values import size
from app.domain.work import Work

#: Occurrences older than this at acceptance serve no filter (X times in the last Y <= 30 days, UTC calendar days).
OCCURRENCE_WINDOW_US = 32 * DAY

_SCALARS: Final = frozenset((str, int, float, bool))
_CONTAINERS: Final = frozenset((dict, list))
#: Of one size, whatever they are.
_NUMBERS: Final = frozenset((int, float, bool))
#: Bytes of [count, first_us, last_us], whatever they are.
_SUMMARY: Final = sizes.of([0, 0, 0])

#: Reserved fields that are not set where they would make a full profile larger. All others are identifiers and consent.
_BOUNDED: Final = frozenset(
    (
        "first_name", "last_name", "country", "language", "time_zone", "home_city", "dob", "gender",
        "current_location", "facebook", "twitter", "image_url", "native_line_id",
    )
)  # fmt: skip

#: Fields that lie elsewhere than under their name, or with more than their value.
_WITH_EFFECTS: Final = frozenset(("push_subscribe", "push_tokens", "first_session", "last_session"))


def skip_unreadable(step: Step, command: Unreadable) -> None:
    """Say that the object has no effect."""
    step.refuse(command, UNREADABLE)


def apply_attributes(step: Step, command: TrackAttributes) -> None:
    """Apply an object of `attributes` to the profile that it addresses, which it may make."""
    profile = _addressed(step, command)
    if profile is not None:
        step.state.changes.counts.attributes += 1
        _attributes(step, profile, command)


def import_token(step: Step, command: ImportToken) -> None:
    """Make a temporary profile that is known by its push token, with the other fields of the object."""
    if step.state.holders(command.identifier):
        step.refuse(command, IMPORT_KNOWN)
    else:
        apply_attributes(step, command)


def apply_event(step: Step, command: TrackEvent) -> None:
    """As `apply_attributes`, for an object of `events`."""
    if command.name in step.state.settings.blocked_events:
        step.refuse(command, BLOCKED)
        return
    profile = _addressed(step, command)
    if profile is not None:
        step.state.changes.counts.events += 1
        _event(step, profile, command)


def apply_purchase(step: Step, command: TrackPurchase) -> None:
    """As `apply_attributes`, for an object of `purchases`."""
    settings = step.state.settings
    if command.product_id in settings.blocked_products:
        step.refuse(command, BLOCKED)
        return
    profile = _addressed(step, command, alias_creates=settings.alias_autocreate_on_purchase)
    if profile is not None:
        step.state.changes.counts.purchases += 1
        _purchase(step, profile, command)


def write(step: Step, profile: Profile, command: TrackAttributes) -> None:
    """What an object of `attributes` does to a profile, once that is found."""
    _attributes(step, profile, command)


def _addressed(step: Step, command: Track, *, alias_creates: bool = False) -> Profile | None:
    """The profile that an object addresses, marked as written. None, with a problem, when nobody has the identifier and
    the object may not make a profile, or when the profile is blocked."""
    for name, reason in command.ignored:
        step.skip(command, reason, name)
    profile = resolve.find(step.state, command.identifier)
    if profile is None:
        if not _creates(command, alias_creates=alias_creates):
            step.refuse(command, PROFILE_NOT_FOUND)
            return None
        profile = _create(step, command)
    elif spam.is_blocked(profile):
        step.refuse(command, PROFILE_BLOCKED)
        return None
    step.state.touch(profile, step.request.accepted_us, step.ordinal)
    return profile


def _creates(command: Track, *, alias_creates: bool) -> bool:
    """Whether the command makes a profile when nobody has its identifier (spec track.md 4.2)."""
    kind = command.identifier[0]
    if kind == BRAZE:
        return False  # system-made ids cannot be invented (D38)
    if command.update_only is not None:
        return not command.update_only
    return alias_creates if kind == ALIAS else True


def _create(step: Step, command: Track) -> Profile:
    profile = step.new_profile(None if isinstance(command, TrackAttributes) else command.app_id)
    kind, label, value = command.identifier
    if kind == EXTERNAL:
        profile.external_id = value
        step.state.add_identifier(profile, command.identifier)
    elif kind == ALIAS:
        step.state.add_alias(profile, label, value)
    elif kind == EMAIL:
        consent.set_email(step, profile, value)
    elif kind == PHONE:
        consent.set_phone(step, profile, value)
        step.state.set_core(profile, "phone_raw", value)
    elif kind == TOKEN:
        profile.created_from = devices.IMPORTED
    return profile


def _attributes(step: Step, profile: Profile, command: TrackAttributes) -> None:
    state, fields = step.state, command.fields
    # Set the addresses first: a state in the same object belongs to the new ones.
    consent.set_addresses(step, profile, fields)
    core = state.section(profile, CORE)
    for name, value in fields.items():
        if name in consent.FIELDS:
            consent.set_field(step, profile, name, value)
        elif name not in _WITH_EFFECTS:
            if core.get(name) == value:  # most writes repeat what is there
                continue
            if name in _BOUNDED and not _fits(step, profile, name, value):
                step.skip(command, PROFILE_FULL, name)
            else:
                state.set_core(profile, name, value)
        elif name == "push_subscribe":
            current: Any = state.section(profile, CORE).get(name)
            if current is None or current[0] != value:
                state.set_core(profile, name, [value, step.request.accepted_us])
        elif name == "push_tokens":
            devices.set_tokens(step, profile, command, value)
        elif name == "first_session":
            profile.first_session_us = value  # type: ignore[assignment]
        else:
            profile.last_session_us = value  # type: ignore[assignment]
    if command.custom:
        _custom(step, profile, command)


def _fits(step: Step, profile: Profile, name: str, value: object) -> bool:
    """Whether a reserved field may be changed, as to the size of the profile."""
    before = step.state.section(profile, CORE).get(name)
    grown = sizes.of_member(name, value) - sizes.of_member(name, before)
    return guard.has_room(profile, grown, step.state.settings)


@lru_cache(maxsize=64)
def _options(merge_objects: bool, array_max: int, nested_null_deletes: bool) -> custom_attributes.Options:
    return custom_attributes.Options(merge_objects, array_max, nested_null_deletes)


def _custom(step: Step, profile: Profile, command: TrackAttributes) -> None:
    state, work, custom = step.state, step.work, step.state.section(profile, CUSTOM)
    settings, written = state.settings, state.changes.written
    options = _options(command.merge_objects, settings.array_max, settings.nested_null_deletes)
    repeats = not (settings.attributes or settings.texts_were_forced)
    # Data points, and those of them that would not have been sent if clients sent what has changed alone.
    points = saved = 0
    is_changed = False
    for sent, raw in command.custom.items():
        before, sent_type = custom.get(sent, MISSING), type(raw)
        is_scalar = sent_type in _SCALARS
        if is_scalar and repeats and type(before) is sent_type and before == raw:
            # Most writes repeat what is there. A stored scalar that equals the sent one needs no second look: were
            # it a date or out of range, it would have been stored as something else.
            points += 1
            saved += 1
            continue
        number = custom_attributes.number_updated(before, raw) if repeats and type(before) in _NUMBERS else None
        if number is not None and sent not in data_rules.BUILT_IN:
            # A number in place of another one takes no more room than that.
            points += 1
            if number == before and type(number) is type(before):
                saved += 1
            else:
                custom[sent] = number
                written[NAME_ATTRIBUTE, sent, data_rules.SCALARS[type(number)]] += 1
                is_changed = True
            continue
        name = sent if before is not MISSING else custom_attributes.valid_name(sent)
        if name is None:
            step.skip(command, INVALID_NAME, sent)
            continue
        before = custom.get(name, MISSING)
        # An object that the request has merged into before is changed in place.
        draft = work.draft(before) if type(before) in _CONTAINERS else None
        held = None if draft is None else draft.size
        if is_scalar and not settings.attributes and name not in data_rules.BUILT_IN:
            value = custom_attributes.updated(before, raw, options)
        else:
            value = _made(step, profile, command, name, before, raw, options)
        if type(value) is Skip:
            step.skip(command, value.reason, name)
            continue
        cost = 1 if is_scalar else data_points.cost(raw)
        # Nobody who sends what has changed would have sent it. Of what was changed in place nobody knows any more what
        # it was.
        is_repeated = held is None and type(value) is type(before) and value == before
        if value is UNSET:
            if before is MISSING:
                is_repeated = True
            else:
                profile.size -= sizes.of_name(name) + work.size_of(custom.pop(name))
                is_changed = True
        elif not is_repeated or type(value) in _CONTAINERS:
            grown = _growth(work, name, before, held, value)
            if grown > 0 and not guard.has_room(profile, grown, settings):
                step.skip(command, PROFILE_FULL, name)
                continue
            profile.size += grown
            custom[name] = value
            written[NAME_ATTRIBUTE, name, data_rules.type_of(value)] += 1
            is_changed = True
        points += cost
        if is_repeated:
            saved += cost
    if is_changed:
        state.changed(profile, CUSTOM)
    step.count_data_points(points, saved)


def _made(
    step: Step,
    profile: Profile,
    command: TrackAttributes,
    name: str,
    before: object,
    raw: object,
    options: custom_attributes.Options,
) -> object:
    """What a custom attribute becomes that is `before` now: as app.domain.custom_attributes.updated."""
    work, settings = step.work, step.state.settings
    if type(raw) is dict:
        work.room = settings.max_profile_bytes - profile.size
    left_out: list[tuple[str, str]] = []
    if settings.attributes or name in data_rules.BUILT_IN:
        rule = data_rules.rule_of(settings.attributes, name)
        value = data_rules.updated(before, raw, options, rule or {}, work, left_out)
    else:
        value = custom_attributes.updated(before, raw, options, work, left_out)
    for path, reason in left_out:
        step.skip(command, reason, f"{name}.{path}")
    return value


def _growth(work: Work, name: str, before: object, held: int | None, value: object) -> int:
    """By how many bytes a profile is larger with a custom attribute. `held` is the size of the value before, where that
    was changed in place."""
    if type(value) in _NUMBERS and type(before) in _NUMBERS:
        return 0
    if type(value) is str and type(before) is str:
        return size(value) - size(before)
    if before is MISSING:
        return sizes.of_name(name) + work.size_of(value)
    if type(value) is dict and type(before) is dict and TIME in value and TIME in before:
        return len(value[TIME]) - len(before[TIME])
    return work.size_of(value) - (work.size_of(before) if held is None else held)


def _event(step: Step, profile: Profile, command: TrackEvent) -> None:
    time_us = min(command.time_us, step.request.accepted_us)
    if command.recommended:
        ecommerce.apply(step, profile, command, time_us)
    if _summarise(step, profile, EVENTS, NAME_EVENT, command.name, time_us, 1):
        _occurred(step, profile, command, NAME_EVENT, command.name, time_us, 1, 0)
        series.book(step.state, series.EVENTS, command.name, command.app_id, time_us, 1)
    else:
        step.skip(command, PROFILE_FULL, "name")


def _purchase(step: Step, profile: Profile, command: TrackPurchase) -> None:
    time_us, quantity = min(command.time_us, step.request.accepted_us), command.quantity
    cents = ecommerce.booked(step, profile, command, "price", command.currency, command.price * quantity, time_us)
    is_known = _summarise(step, profile, PURCHASES, NAME_PRODUCT, command.product_id, time_us, quantity)
    profile.purchase_count += quantity
    profile.revenue_cents = clamped(profile.revenue_cents + (cents or 0))
    profile.first_purchase_us = least(profile.first_purchase_us, time_us)
    profile.last_purchase_us = greatest(profile.last_purchase_us, time_us)
    series.book(step.state, series.PURCHASES, "", command.app_id, time_us, quantity, cents or 0)
    if not is_known:
        step.skip(command, PROFILE_FULL, "product_id")
        return
    series.book(step.state, series.PRODUCTS, command.product_id, command.app_id, time_us, quantity, cents or 0)
    if command.currency != money.USD:  # these names are reserved, so no property of the client's has them
        paid = {"price": canonical(float(command.price)), "currency": command.currency}
        command.properties = {**(command.properties or {}), **paid}
    _occurred(step, profile, command, NAME_PRODUCT, command.product_id, time_us, quantity, cents or 0)


def _summarise(step: Step, profile: Profile, section: int, kind: int, name: str, time_us: int, count: int) -> bool:
    """Count an event or a product. False when the profile does not have its name, and has no room for it."""
    summaries: MutableMapping[str, list[int]] = step.state.section(profile, section)
    before = summaries.get(name)
    if before is None:
        grown = sizes.of_name(name) + _SUMMARY
        if not guard.has_room(profile, grown, step.state.settings):
            return False
        profile.size += grown
        summaries[name] = [count, time_us, time_us]
        spam.check(step, profile, section)
    else:
        summaries[name] = [before[0] + count, min(before[1], time_us), max(before[2], time_us)]
    step.state.changes.written[kind, name, ""] += count
    step.state.changed(profile, section)
    return True


def _occurred(
    step: Step,
    profile: Profile,
    command: TrackEvent | TrackPurchase,
    kind: int,
    name: str,
    time_us: int,
    quantity: int,
    cents: int,
) -> None:
    if time_us < step.request.accepted_us - OCCURRENCE_WINDOW_US:
        return
    step.state.changes.occurrences.append(
        Occurrence(
            step.request.stream,
            step.request.seq,
            step.ordinal,
            profile.pid,
            kind,
            name,
            time_us,
            command.app_id,
            command.properties,
            quantity,
            cents,
        )
    )
