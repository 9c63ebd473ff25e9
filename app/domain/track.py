"""What attributes, events and purchases do to a profile (spec track.md)."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from app.domain import custom_attributes, data_rules, resolve
from app.domain.commands import Track, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.profile import (
    ALIAS,
    CHANNEL_EMAIL,
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
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    UNSUBSCRIBED,
    AddressState,
    Occurrence,
    Profile,
)
from app.domain.step import PROFILE_NOT_FOUND, Step

#: Occurrences older than this at acceptance serve no filter (X times in the last Y <= 30 days, UTC calendar days).
OCCURRENCE_WINDOW_US = 32 * 86_400_000_000
MAX_CENTS = 2**63 - 1

_SCALARS = frozenset((str, int, float, bool))

# Reasons for which a part of an object has no effect.
NO_USD_RATE = "no_usd_rate"
INVALID_NAME = "invalid_name"


def apply(step: Step, command: Track) -> None:
    """Apply one object to the profile that it addresses, which it may make."""
    state = step.state
    if _is_blocked(step, command):
        step.refuse(command, data_rules.BLOCKED)
        return
    for name, reason in command.ignored:
        step.skip(command, reason, name)
    profile = resolve.find(state, command.identifier)
    if profile is None:
        if not resolve.creates(state, command):
            step.refuse(command, PROFILE_NOT_FOUND)
            return
        profile = _create(step, command)
    state.touch(profile, step.request.accepted_us, step.ordinal)
    state.changes.counts[command.input_array] += 1
    if isinstance(command, TrackAttributes):
        _attributes(step, profile, command)
    elif isinstance(command, TrackEvent):
        _event(step, profile, command)
    else:
        _purchase(step, profile, command)


def _is_blocked(step: Step, command: Track) -> bool:
    settings = step.state.settings
    if isinstance(command, TrackEvent):
        return command.name in settings.blocked_events
    return isinstance(command, TrackPurchase) and command.product_id in settings.blocked_products


def _create(step: Step, command: Track) -> Profile:
    profile = step.new_profile()
    kind, label, value = command.identifier
    if kind == EXTERNAL:
        profile.external_id = value
        step.state.add_identifier(profile, command.identifier)
    elif kind == ALIAS:
        step.state.add_alias(profile, label, value)
    elif kind == EMAIL:
        set_email(step, profile, value)
    elif kind == PHONE:
        step.state.set_core(profile, "phone", value)
        step.state.set_core(profile, "phone_raw", value)
    return profile


def _attributes(step: Step, profile: Profile, command: TrackAttributes) -> None:
    state, fields = step.state, command.fields
    # The address goes first wherever it stands, since the state named beside it is meant for it.
    if "email" in fields:
        set_email(step, profile, fields["email"], explicit="email_subscribe" in fields)
    for name, value in fields.items():
        if name == "email":
            continue
        if name == "email_subscribe":
            _subscribe_email(step, profile, str(value))
        elif name == "push_subscribe":
            current: Any = state.section(profile, CORE).get(name)
            if current is None or current[0] != value:
                state.set_core(profile, name, [value, step.request.accepted_us])
        elif name == "first_session":
            profile.first_session_us = value  # type: ignore[assignment]
        elif name == "last_session":
            profile.last_session_us = value  # type: ignore[assignment]
        else:
            state.set_core(profile, name, value)
    if command.custom:
        _custom(step, profile, command)


def _custom(step: Step, profile: Profile, command: TrackAttributes) -> None:
    state, custom = step.state, step.state.section(profile, CUSTOM)
    settings = state.settings
    options = custom_attributes.Options(
        merge_objects=command.merge_objects,
        array_max=settings.array_max,
        nested_null_deletes=settings.nested_null_deletes,
    )
    rules, written = settings.attributes, state.changes.written
    changed = False
    repeats = not (rules or settings.texts_were_forced)
    for sent, raw in command.custom.items():
        if repeats and sent in custom:
            # Most writes repeat what is there. A stored scalar that equals the sent one needs no second look: were
            # it a date or out of range, it would have been stored as something else.
            before = custom[sent]
            if type(before) is type(raw) and before == raw and type(raw) in _SCALARS:
                continue
        name = custom_attributes.valid_name(sent)
        if name is None:
            step.skip(command, INVALID_NAME, sent)
            continue
        before = custom.get(name, custom_attributes.MISSING)
        rule = rules.get(name)
        if rule is None:
            value = custom_attributes.updated(before, raw, options)
        else:
            value = data_rules.updated(before, raw, options, rule)
        if isinstance(value, custom_attributes.Skip):
            step.skip(command, value.reason, name)
        elif value is custom_attributes.UNSET:
            changed = custom.pop(name, custom_attributes.MISSING) is not custom_attributes.MISSING or changed
        elif type(value) is not type(before) or value != before or isinstance(value, (list, dict)):
            custom[name] = value
            changed = True
            written[NAME_ATTRIBUTE, name, data_rules.type_of(value)] += 1
    if changed:
        state.changed(profile, CUSTOM)


def set_email(step: Step, profile: Profile, value: object, *, explicit: bool = False) -> None:
    """Set or clear the address. The consent of the person follows; it never gets more permissive by it (D11)."""
    state, core = step.state, step.state.section(profile, CORE)
    before = core.get("email")
    if before == value:
        return
    own = core.get("email_subscribe") if before is None else _pair(state.address((CHANNEL_EMAIL, before, "")))
    state.set_core(profile, "email", value)
    if before is not None:  # the complaint was about that address
        state.set_core(profile, "marked_email_as_spam_at", None)
    if value is None:
        state.set_core(profile, "email_subscribe", own)
        return
    state.set_core(profile, "email_subscribe", None)
    if own is not None and own[0] == UNSUBSCRIBED and before is not None and state.settings.resubscribe_on_email_change:
        own = [SUBSCRIBED, step.request.accepted_us]
    address = (CHANNEL_EMAIL, str(value), "")
    theirs = state.address(address)
    if own is None or explicit:
        return
    if theirs is None or SUBSCRIPTION_STATES.index(own[0]) < SUBSCRIPTION_STATES.index(theirs.state):
        state.set_address(address, AddressState(own[0], own[1]))


def _subscribe_email(step: Step, profile: Profile, value: str) -> None:
    email = step.state.section(profile, CORE).get("email")
    if email is None:
        current: Any = step.state.section(profile, CORE).get("email_subscribe")
        if current is None or current[0] != value:
            step.state.set_core(profile, "email_subscribe", [value, step.request.accepted_us])
        return
    address = (CHANNEL_EMAIL, email, "")
    recorded = step.state.address(address)
    if recorded is None or recorded.state != value:
        step.state.set_address(address, AddressState(value, step.request.accepted_us))


def _event(step: Step, profile: Profile, command: TrackEvent) -> None:
    time_us = min(command.time_us, step.request.accepted_us)
    _summarise(step, profile, EVENTS, NAME_EVENT, command.name, time_us, 1)
    _occurred(step, profile, command, NAME_EVENT, command.name, time_us, 1, 0)


def _purchase(step: Step, profile: Profile, command: TrackPurchase) -> None:
    time_us, quantity = min(command.time_us, step.request.accepted_us), command.quantity
    cents = 0
    rate = step.state.settings.usd_rates.get(command.currency)
    if rate is None:
        step.skip(command, NO_USD_RATE, "price")
    else:
        amount = command.price * quantity * Decimal(rate) * 100
        cents = int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    _summarise(step, profile, PURCHASES, NAME_PRODUCT, command.product_id, time_us, quantity)
    profile.purchase_count += quantity
    profile.revenue_cents = max(-MAX_CENTS, min(MAX_CENTS, profile.revenue_cents + cents))
    profile.first_purchase_us = _least(profile.first_purchase_us, time_us)
    profile.last_purchase_us = _greatest(profile.last_purchase_us, time_us)
    _occurred(step, profile, command, NAME_PRODUCT, command.product_id, time_us, quantity, cents)


def _summarise(step: Step, profile: Profile, section: int, kind: int, name: str, time_us: int, count: int) -> None:
    summaries: dict[str, list[int]] = step.state.section(profile, section)
    step.state.changes.written[kind, name, ""] += count
    before = summaries.get(name)
    if before is None:
        summaries[name] = [count, time_us, time_us]
        step.state.changes.names.add((kind, name))
    else:
        summaries[name] = [before[0] + count, min(before[1], time_us), max(before[2], time_us)]
    step.state.changed(profile, section)


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
    step.state.changes.names.add((kind, name))
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


def _pair(state: AddressState | None) -> list[Any] | None:
    return None if state is None else [state.state, state.changed_us]


def _least(before: int | None, value: int) -> int:
    return value if before is None else min(before, value)


def _greatest(before: int | None, value: int) -> int:
    return value if before is None else max(before, value)
