"""The e-mail address of a profile, and the consent that belongs to the address (DECISIONS.md D11, D27).

While a profile has no address, the field `email_subscribe` keeps what the person said.
"""

from typing import Any

from app.domain.commands import Track, TrackAttributes
from app.domain.profile import (
    CHANNEL_EMAIL,
    CORE,
    EMAIL,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    UNSUBSCRIBED,
    AddressState,
    Profile,
)
from app.domain.state import State
from app.domain.step import Step


def set_email(step: Step, profile: Profile, value: object, *, explicit: bool = False) -> None:
    """Set or clear the address. The person's consent moves to it, and never makes it more permissive (D11)."""
    state, core = step.state, step.state.section(profile, CORE)
    before = core.get("email")
    if before == value:
        return
    own = core.get("email_subscribe") if before is None else _pair(state.address((CHANNEL_EMAIL, before, "")))
    state.set_core(profile, "email", value)
    if before is not None:  # the spam complaint belonged to the old address
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


def subscribe(step: Step, profile: Profile, value: str) -> None:
    """Record what a person said: with the address, or with the profile while it has none."""
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


def emails_of_attributes(command: TrackAttributes, state: State, moving: bool) -> set[object]:
    """E-mail addresses whose consent the command may read or write. Values that are no text may be among them.

    Nearly every write repeats the address that its profile already has, and such a write needs nothing.
    """
    emails = emails_of_occurrence(command, state, moving)
    fields = command.fields
    if "email" not in fields and "email_subscribe" not in fields:
        return emails
    kind, _, value = command.identifier
    current = {_email(profile) for profile in state.found_by(command.identifier)} or {None}
    wanted = fields.get("email")
    repeats = "email" not in fields or wanted in current
    if moving or not repeats or len(current) > 1 or "email_subscribe" in fields:
        emails |= {*current, wanted}
        if kind == EMAIL:
            emails.add(value)
    return emails


def emails_of_occurrence(command: Track, state: State, moving: bool) -> set[object]:
    """As `emails_of_attributes`, for an event or a purchase: only a profile that it makes gets an address."""
    kind, _, value = command.identifier
    return {value} if kind == EMAIL and (moving or not state.holders(command.identifier)) else set()


def _email(profile: Profile) -> object:
    return profile.core.get("email") if profile.core is not None else None


def _pair(state: AddressState | None) -> list[Any] | None:
    return None if state is None else [state.state, state.changed_us]
