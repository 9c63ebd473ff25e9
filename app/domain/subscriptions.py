"""What subscription calls do, and what is told of addresses: bounces, complaints, refusals (spec subscriptions.md)."""

from typing import Final

from app.domain import consent, devices, resolve, series, sizes
from app.domain.commands import AddressEvent, SetEmailState, SetGroupState
from app.domain.identifiers import ChannelAddress
from app.domain.numbers import greatest
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_KINDS,
    DEVICES,
    HARD_BOUNCED,
    INVALID,
    MARKED,
    SPAM,
    SUBSCRIBED,
    UNSUBSCRIBED,
    AddressState,
    Identifier,
)
from app.domain.reasons import PROFILE_NOT_FOUND
from app.domain.state import State
from app.domain.step import Step

_CHANNELS: Final = {kind: channel for channel, kind in CHANNEL_KINDS.items()}


# What is told of addresses. The names are stored and shown.
HARD_BOUNCE: Final = "hard_bounce"
SPAM_REPORT: Final = "spam"
UNSUBSCRIBE: Final = "unsubscribe"
INVALID_PHONE: Final = "invalid_phone"
#: The person's app is gone from a device.
UNINSTALL: Final = "uninstall"
BOUNCE_REMOVED: Final = "bounce_removed"
SPAM_REMOVED: Final = "spam_removed"
INVALID_PHONE_REMOVED: Final = "invalid_phone_removed"

#: The mark that an event makes, and the one that an event takes away.
_MARKS: Final = {HARD_BOUNCE: HARD_BOUNCED, SPAM_REPORT: SPAM, INVALID_PHONE: INVALID}
_UNMARKED: Final = {BOUNCE_REMOVED: HARD_BOUNCED, SPAM_REMOVED: SPAM, INVALID_PHONE_REMOVED: INVALID}


def set_group_state(step: Step, command: SetGroupState) -> None:
    """Set the state of a group for a person, or for everybody who has an address."""
    kind, _, value = command.who
    if kind in _CHANNELS:
        channel = _CHANNELS[kind]
        waits = command.double_opt_in and command.state == SUBSCRIBED
        if waits and not step.state.is_held(channel, value):  # spec subscriptions.md 5: nothing is stored
            step.refuse(command, PROFILE_NOT_FOUND)
            return
        consent.record(step, channel, value, command.group_id, command.state)
        return
    profile = resolve.find(step.state, command.who)
    if profile is None:
        step.refuse(command, PROFILE_NOT_FOUND)
        return
    step.state.touch(profile, step.request.accepted_us, step.ordinal)
    consent.subscribe_group(step, profile, command.channel, command.group_id, command.state)


def set_email_state(step: Step, command: SetEmailState) -> None:
    """Set the global state of an e-mail address, also of one that nobody has."""
    consent.record(step, CHANNEL_EMAIL, command.email, "", command.state)


def address_event(step: Step, command: AddressEvent) -> None:
    """Mark an address or take a mark away, whoever has it; or note that a person's app is gone."""
    us = step.request.accepted_us
    if command.time_us is not None:
        us = min(command.time_us, us)
    if command.kind == UNINSTALL:
        _uninstalled(step, command, us)
        return
    kind, _, value = command.who
    channel = _CHANNELS[kind]
    if command.kind == UNSUBSCRIBE:
        consent.record(step, channel, value, "", UNSUBSCRIBED, us)
    elif command.kind in _MARKS:
        address = (channel, value, _MARKS[command.kind])
        known = step.state.address(address)
        if known is None or known.changed_us < us:
            state = command.reason if command.kind == INVALID_PHONE else MARKED
            step.state.set_shared(address, AddressState(state, us))
    elif step.state.address((channel, value, _UNMARKED[command.kind])) is not None:
        step.state.set_address((channel, value, _UNMARKED[command.kind]), None)


def _uninstalled(step: Step, command: AddressEvent, us: int) -> None:
    profile = resolve.find(step.state, command.who)
    if profile is None:
        step.refuse(command, PROFILE_NOT_FOUND)
        return
    section = step.state.section(profile, DEVICES)
    known = section.get("uninstalled_at")
    section["uninstalled_at"] = greatest(known, us)
    profile.size += sizes.of_member("uninstalled_at", us) - sizes.of_member("uninstalled_at", known)
    devices.uninstalled(step.state, profile, command.app_id, us)
    step.state.touch(profile, step.request.accepted_us, step.ordinal)
    step.state.changed(profile, DEVICES)
    series.book(step.state, series.UNINSTALLS, "", command.app_id, us, 1)


def person_of_event(command: AddressEvent) -> Identifier | None:
    """The person whom an event is about; None where it is about an address."""
    return command.who if command.kind == UNINSTALL else None


def shared_by_event(command: AddressEvent) -> list[ChannelAddress]:
    """An address that perhaps nobody has."""
    kind, _, value = command.who
    return [] if command.kind == UNINSTALL else [(_CHANNELS[kind], value)]


def person_of_group_state(command: SetGroupState) -> Identifier | None:
    """The person who is meant; None where everybody is meant who has an address."""
    return None if command.who[0] in _CHANNELS else command.who


def shared_by_group_state(command: SetGroupState) -> list[ChannelAddress]:
    """An address that perhaps nobody has."""
    kind, _, value = command.who
    return [(_CHANNELS[kind], value)] if kind in _CHANNELS else []


def addresses_of_group_state(command: SetGroupState, state: State, _moving: bool) -> set[ChannelAddress]:
    """Addresses whose consent the command may write."""
    kind, _, value = command.who
    if kind in _CHANNELS:
        return {(_CHANNELS[kind], value)}
    found = consent.addresses_now(state, command.who, command.channel)
    return {(command.channel, address) for address in found if isinstance(address, str)}
