"""The e-mail address and the phone number of a profile, and the consent that belongs to them (DECISIONS D11, D27).

While a profile has no address, fields of its own keep what the person said: `email_subscribe`, `email_groups`,
`phone_groups`. E-mail has a global state, and both channels have states of subscription groups.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Set
from typing import Any, Final

from app.domain.commands import Track, TrackAttributes
from app.domain.identifiers import ChannelAddress
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    CHANNEL_KINDS,
    CHANNEL_PHONE,
    CORE,
    EMAIL,
    GROUP_FIELDS,
    MARKED,
    PHONE,
    SPAM,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    UNSUBSCRIBED,
    AddressState,
    Identifier,
    Profile,
    is_group,
)
from app.domain.state import State
from app.domain.step import Step

_KINDS: Final = {EMAIL: CHANNEL_EMAIL, PHONE: CHANNEL_PHONE}
#: Reserved fields that read or write what is recorded of an e-mail address.
_EMAIL_FIELDS: Final = ("email", "email_subscribe", "marked_email_as_spam_at")
_GROUPS: Final = "subscription_groups"
#: Reserved fields that say something about an address, beside having one.
_SAYS: Final = frozenset(("email_subscribe", "marked_email_as_spam_at", _GROUPS))
#: Reserved fields that are set here.
FIELDS: Final = frozenset(("email", "phone", "email_subscribe", "marked_email_as_spam_at", _GROUPS))


def set_addresses(step: Step, profile: Profile, fields: Mapping[str, Any]) -> None:
    """Set or clear the addresses that an attributes object has."""
    if not _changes_address(step.state.section(profile, CORE), fields):  # nearly every write repeats the address
        return
    said = {entry[0] for entry in fields.get(_GROUPS, ())}
    if "email" in fields:
        set_email(step, profile, fields["email"], explicit="email_subscribe" in fields, said=said)
    if "phone" in fields:
        set_phone(step, profile, fields["phone"], said)


def _changes_address(core: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    return ("email" in fields and fields["email"] != core.get("email")) or (
        "phone" in fields and fields["phone"] != core.get("phone")
    )


def set_field(step: Step, profile: Profile, name: str, value: Any) -> None:
    """Set one of FIELDS. Addresses have been set before."""
    if name == "email_subscribe":
        subscribe(step, profile, value)
    elif name == "marked_email_as_spam_at":
        mark_spam(step, profile, value)
    elif name == _GROUPS:
        for group_id, channel, state in value:
            subscribe_group(step, profile, channel, group_id, state)


def set_email(
    step: Step, profile: Profile, value: object, *, explicit: bool = False, said: Container[str] = ()
) -> None:
    """Set or clear the address. The person's consent moves to it, and never makes it more permissive (D11).

    What the same object says goes before all that: `explicit` of the global state, `said` of these groups.
    """
    state, core = step.state, step.state.section(profile, CORE)
    before = core.get("email")
    if before == value:
        return
    own = core.get("email_subscribe") if before is None else _pair(state.address((CHANNEL_EMAIL, before, "")))
    groups = groups_of(state, profile, CHANNEL_EMAIL)
    state.set_core(profile, "email", value)
    if before is not None:  # the spam complaint belonged to the old address
        state.set_core(profile, "marked_email_as_spam_at", None)
    _carry_groups(step, profile, CHANNEL_EMAIL, groups, said)
    if value is None:
        state.set_core(profile, "email_subscribe", own)
        return
    if "marked_email_as_spam_at" in core:
        mark_spam(step, profile, core["marked_email_as_spam_at"])
    state.set_core(profile, "email_subscribe", None)
    if own is not None and own[0] == UNSUBSCRIBED and before is not None and state.settings.resubscribe_on_email_change:
        own = [SUBSCRIBED, step.request.accepted_us]
    address = (CHANNEL_EMAIL, str(value), "")
    theirs = state.address(address)
    if own is None or explicit:
        return
    if theirs is None or is_stricter(own[0], theirs.state):
        state.set_address(address, AddressState(own[0], own[1]))


def set_phone(step: Step, profile: Profile, value: object, said: Container[str] = ()) -> None:
    """Set or clear the readable number. States of groups move to it as with an e-mail address."""
    if step.state.section(profile, CORE).get("phone") != value:
        groups = groups_of(step.state, profile, CHANNEL_PHONE)
        step.state.set_core(profile, "phone", value)
        _carry_groups(step, profile, CHANNEL_PHONE, groups, said)


def subscribe(step: Step, profile: Profile, value: str) -> None:
    """Record what a person said of e-mail: with the address, or with the profile while it has none."""
    email = step.state.section(profile, CORE).get("email")
    if email is None:
        current: Any = step.state.section(profile, CORE).get("email_subscribe")
        if current is None or current[0] != value:
            step.state.set_core(profile, "email_subscribe", [value, step.request.accepted_us])
        return
    record(step, CHANNEL_EMAIL, email, "", value)


def subscribe_group(step: Step, profile: Profile, channel: int, group_id: str, value: str) -> None:
    """Record what a person said of a subscription group, likewise."""
    core = step.state.section(profile, CORE)
    address = core.get(CHANNEL_FIELDS[channel])
    if address is not None:
        record(step, channel, address, group_id, value)
        return
    own: dict[str, Any] = core.get(GROUP_FIELDS[channel], {})
    if group_id not in own or own[group_id][0] != value:
        said = {**own, group_id: [value, step.request.accepted_us]}
        step.state.set_core(profile, GROUP_FIELDS[channel], said)


def record(step: Step, channel: int, address: str, topic: str, value: str, us: int | None = None) -> None:
    """Record a state of an address, whoever has it. The same state again changes nothing, not even its date."""
    recorded = step.state.address((channel, address, topic))
    if recorded is None or recorded.state != value or recorded.forget_us is not None:
        changed_us = step.request.accepted_us if us is None else us
        if recorded is not None and recorded.state == value:
            changed_us = recorded.changed_us
        step.state.set_shared((channel, address, topic), AddressState(value, changed_us))


def mark_spam(step: Step, profile: Profile, us: object) -> None:
    """Record that the person complained of e-mail as spam, or take it back (None): with the address, if any."""
    state, core = step.state, step.state.section(profile, CORE)
    email = core.get("email")
    if email is None:
        state.set_core(profile, "marked_email_as_spam_at", us)
        return
    if "marked_email_as_spam_at" in core:
        state.set_core(profile, "marked_email_as_spam_at", None)
    address = (CHANNEL_EMAIL, email, SPAM)
    mark = AddressState(MARKED, us) if isinstance(us, int) else None
    if state.address(address) != mark:
        state.set_address(address, mark)


def groups_of(state: State, profile: Profile, channel: int) -> dict[str, list[Any]]:
    """{id of a subscription group: [state, changed_us]} of a person, by the address or by the profile."""
    core = state.section(profile, CORE)
    address = core.get(CHANNEL_FIELDS[channel])
    if address is None:
        return dict(core.get(GROUP_FIELDS[channel], {}))
    topics = state.topics(channel, address)
    return {topic: [found.state, found.changed_us] for topic, found in topics.items() if is_group(topic)}


def is_stricter(one: str, other: str) -> bool:
    """Whether one state is more restrictive than another one."""
    return SUBSCRIPTION_STATES.index(one) < SUBSCRIPTION_STATES.index(other)


def _pair(state: AddressState | None) -> list[Any] | None:
    return None if state is None else [state.state, state.changed_us]


def _carry_groups(
    step: Step, profile: Profile, channel: int, groups: dict[str, list[Any]], said: Container[str]
) -> None:
    """Take states of groups along to a profile's new address, or to the profile when it has none any more."""
    state = step.state
    address = state.section(profile, CORE).get(CHANNEL_FIELDS[channel])
    if address is None:
        state.set_core(profile, GROUP_FIELDS[channel], groups or None)
        return
    state.set_core(profile, GROUP_FIELDS[channel], None)
    for group_id, (value, changed_us) in groups.items():
        theirs = state.address((channel, address, group_id))
        if group_id not in said and (theirs is None or is_stricter(value, theirs.state)):
            state.set_address((channel, address, group_id), AddressState(value, changed_us))


# What has to be loaded.


_NONE: Final = frozenset[ChannelAddress]()


def addresses_of_attributes(command: TrackAttributes, state: State, moving: bool) -> Set[ChannelAddress]:
    """Addresses whose consent the command may read or write.

    Nearly every write repeats the address that its profile already has, and such a write needs nothing.
    """
    fields = command.fields
    if not moving and _SAYS.isdisjoint(fields):
        if command.identifier[0] not in _KINDS and "email" not in fields and "phone" not in fields:
            return _NONE
        profiles = state.found_by(command.identifier)
        if len(profiles) == 1 and not _changes_address(profiles[0].core or {}, fields):
            return _NONE
    found = addresses_of_occurrence(command, state, moving)
    groups = {entry[1] for entry in _said(fields)}
    if CHANNEL_EMAIL in groups or not fields.keys().isdisjoint(_EMAIL_FIELDS):
        says = CHANNEL_EMAIL in groups or any(name in fields for name in _EMAIL_FIELDS[1:])
        found |= _of_channel(CHANNEL_EMAIL, command, state, moving, says=says)
    if CHANNEL_PHONE in groups or "phone" in fields:
        found |= _of_channel(CHANNEL_PHONE, command, state, moving, says=CHANNEL_PHONE in groups)
    return found


def _of_channel(
    channel: int, command: TrackAttributes, state: State, moving: bool, *, says: bool
) -> set[ChannelAddress]:
    field, (kind, _, value) = CHANNEL_FIELDS[channel], command.identifier
    current = _current(state, command, channel)
    wanted = command.fields.get(field)
    repeats = field not in command.fields or wanted in current
    if not (moving or not repeats or len(current) > 1 or says):
        return set()
    addresses = {*current, wanted, value if kind == CHANNEL_KINDS[channel] else None}
    return {(channel, address) for address in addresses if isinstance(address, str)}


def _current(state: State, command: TrackAttributes, channel: int) -> set[object]:
    return addresses_now(state, command.identifier, channel) or {None}


def addresses_now(state: State, identifier: Identifier, channel: int) -> set[object]:
    """Addresses of whoever has the identifier, None for a profile without one."""
    return {(profile.core or {}).get(CHANNEL_FIELDS[channel]) for profile in state.found_by(identifier)}


def _said(fields: dict[str, object]) -> Iterator[Any]:
    groups = fields.get(_GROUPS)
    return iter(groups) if isinstance(groups, list) else iter(())


def addresses_of_occurrence(command: Track, state: State, moving: bool) -> set[ChannelAddress]:
    """As `addresses_of_attributes`, for an event or a purchase: only a profile that it makes gets an address."""
    kind, _, value = command.identifier
    channel = _KINDS.get(kind)
    wanted = channel is not None and (moving or not state.holders(command.identifier))
    return {(channel, value)} if channel is not None and wanted else set()


def left_by_attributes(command: TrackAttributes, state: State) -> Iterable[ChannelAddress]:
    """Addresses that a profile may have no more after the command. Others may have them."""
    for channel, field in CHANNEL_FIELDS.items():
        if field in command.fields:
            wanted = command.fields[field]
            for address in _current(state, command, channel):
                if isinstance(address, str) and address != wanted:
                    yield channel, address
