"""What requests change of people, told by comparing them before and after each request.

An observer keeps shallow copies of the profiles of a state. That is enough: what a request changes, it replaces, but
for values that it made itself. Of events, purchases and devices it is only said that they changed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain import webhooks
from app.domain.commands import Request
from app.domain.history import CREATED, IDENTIFIED, MERGED, RESTORED, UNMERGED
from app.domain.profile import (
    CHANNEL_EMAIL,
    COMMERCE,
    CORE,
    CUSTOM,
    DEVICES,
    EVENTS,
    HARD_BOUNCED,
    INVALID,
    MESSAGES,
    PURCHASES,
    SPAM,
    Address,
    AddressState,
    Profile,
)
from app.domain.state import State
from app.domain.webhooks import ProfileEvent

#: Sections of which no names are told.
_SECTIONS: Final = {
    EVENTS: "custom_events",
    PURCHASES: "purchases",
    DEVICES: "devices",
    MESSAGES: "messages",
    COMMERCE: "orders",
}
_OTHERS: Final = EVENTS | PURCHASES | DEVICES | MESSAGES | COMMERCE
#: Fields of `core` that are called otherwise outside. "" is not told.
_NAMES: Final = {
    "aliases": "user_aliases",
    "deprecated": "deprecated_external_ids",
    "phone_raw": "phone",
    "current_location": "last_coordinates",
    "merges": "",
    "last_merge": "",
}
_GROUPS: Final = ("email_groups", "phone_groups")
#: Fields of `core` that are about consent.
_CONSENT: Final = frozenset(("email_subscribe", "push_subscribe", "marked_email_as_spam_at"))
_GROUP: Final = "subscription_groups."
#: What is recorded of an address, beside the states of groups.
_TOPICS: Final = {SPAM: "marked_email_as_spam_at", HARD_BOUNCED: "hard_bounced", INVALID: "invalid_phone"}
_HAPPENED: Final = {
    CREATED: webhooks.CREATED,
    IDENTIFIED: webhooks.IDENTIFIED,
    MERGED: webhooks.MERGED,
    UNMERGED: webhooks.MERGE_UNDONE,
    RESTORED: webhooks.MERGE_UNDONE,
}


@dataclass(frozen=True, slots=True)
class AddressEvent:
    """What one request changed of what is recorded of an address. It is an event of everybody who has the address."""

    stream: int
    seq: int
    us: int
    channel: int
    address: str
    #: A name of a field.
    changed: str


@dataclass(frozen=True, slots=True)
class _Seen:
    external_id: str | None
    core: Mapping[str, Any]
    custom: Mapping[str, Any]


_NOBODY: Final = _Seen(None, {}, {})


class Observer:
    """Of one state, from its making on."""

    def __init__(self, state: State, people: Collection[int] | None = None) -> None:
        """`people` are the profiles that may change; None: any."""
        self._state = state
        self._seen = {pid: _seen(state.profiles[pid]) for pid in (state.profiles if people is None else people)}
        self._addresses: dict[Address, AddressState | None] = dict(state.addresses)
        self._deletions = 0
        self.events: list[ProfileEvent] = []
        self.addresses: list[AddressEvent] = []
        state.touched.clear()
        state.recorded.clear()

    def look(self, request: Request) -> None:
        """Tell what a request, or a part of it, has changed since the last look."""
        state, place = self._state, (request.stream, request.seq, request.accepted_us)
        for deletion in state.changes.deletions[self._deletions :]:
            event = ProfileEvent(*place, deletion.pid, webhooks.DELETED)
            event.gone = deletion.braze_id, deletion.external_id
            self.events.append(event)
        self._deletions = len(state.changes.deletions)
        for pid, sections in state.touched.items():
            profile, before = state.profiles.get(pid), self._seen.pop(pid, _NOBODY)
            if profile is None:  # merged away, or deleted
                continue
            event = ProfileEvent(*place, pid)
            self._seen[pid] = _look_at(event.changed, before, profile, sections)
            self._add_happenings(event)
            _add_types(event)
            if event.types:
                self.events.append(event)
        state.touched.clear()
        for address in sorted(state.recorded):
            self._look_at_address(place, address)
        state.recorded.clear()

    def _add_happenings(self, event: ProfileEvent) -> None:
        for line in reversed(self._state.changes.history.get(event.pid, ())):
            if (line.origin.stream, line.origin.seq) != (event.stream, event.seq):
                break
            event.types |= _HAPPENED.get(line.what, 0)
            if line.what in (MERGED, UNMERGED) and (record := self._state.records.get(line.merge_id)) is not None:
                event.others.add(record.merged_pid)

    def _look_at_address(self, place: tuple[int, int, int], address: Address) -> None:
        before, after = self._addresses.get(address), self._state.addresses.get(address)
        self._addresses[address] = after
        if (before.state if before else None) == (after.state if after else None):
            return
        channel, value, topic = address
        name = _TOPICS.get(topic) or (_GROUP + topic if topic else "")
        if not name:
            name = "email_subscribe" if channel == CHANNEL_EMAIL else "phone_subscribe"
        self.addresses.append(AddressEvent(*place, channel, value, name))


def _seen(profile: Profile) -> _Seen:
    return _Seen(profile.external_id, dict(profile.core or {}), dict(profile.custom or {}))


def _look_at(changed: set[str], before: _Seen, profile: Profile, sections: int) -> _Seen:
    """Add the names of fields that differ to `changed`. Only `sections` can. Returns what there is now."""
    core, custom = before.core, before.custom
    if sections & CUSTOM:
        custom = dict(profile.custom or {})
        changed.update([f"custom_attributes.{name}" for name in _differing(before.custom, custom)])
    if sections & CORE:
        core = dict(profile.core or {})
        for name in _differing(before.core, core):
            if name in _GROUPS:
                groups = _differing(before.core.get(name) or {}, core.get(name) or {})
                changed.update(_GROUP + group for group in groups)
            elif shown := _NAMES.get(name, name):
                changed.add(shown)
    if sections & _OTHERS:
        changed.update(name for section, name in _SECTIONS.items() if sections & section)
    if before.external_id != profile.external_id:
        changed.add("external_id")
    return _Seen(profile.external_id, core, custom)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    get = before.get
    differing = [
        name
        for name, value in after.items()
        if (had := get(name)) is not value and (type(had) is not type(value) or had != value)
    ]
    if not before.keys() <= after.keys():
        differing += before.keys() - after.keys()
    return differing


def _add_types(event: ProfileEvent) -> None:
    about_consent = 0
    for name in event.changed:
        if name in _CONSENT or name.startswith(_GROUP):
            about_consent += 1
    if about_consent:
        event.types |= webhooks.SUBSCRIPTION
    if about_consent < len(event.changed) and not event.types & webhooks.CREATED:
        event.types |= webhooks.UPDATED
