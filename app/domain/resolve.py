"""Which profile a command addresses (spec track.md section 4), and what has to be loaded to find out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.domain.commands import ChangeSettings, Command, Track, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_EMAIL,
    CORE,
    CUSTOM,
    DEPRECATED,
    EMAIL,
    EVENTS,
    EXTERNAL,
    PHONE,
    PURCHASES,
    Address,
    Key,
    Profile,
)
from app.domain.state import State

_UNIQUE_KINDS = (EXTERNAL, ALIAS, BRAZE)


def find(state: State, key: Key) -> Profile | None:
    """The addressed profile, or None.

    Of several holders of an e-mail address or a phone number: the identified ones first, then the last updated one.
    """
    if key[0] in _UNIQUE_KINDS:
        return state.owner(key)
    candidates = [state.profiles[pid] for pid in state.holders(key)]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    identified = [profile for profile in candidates if profile.external_id is not None]
    return max(identified or candidates, key=lambda profile: profile.recency)


def creates(state: State, command: Track) -> bool:
    """Whether the command makes a profile when nobody has its identifier (spec track.md 4.2)."""
    kind = command.key[0]
    if kind == BRAZE:
        return False  # system-made ids cannot be invented (D38)
    if command.update_only is not None:
        return not command.update_only
    if kind == ALIAS:
        return isinstance(command, TrackPurchase) and state.settings.alias_autocreate_on_purchase
    return True


def sections_of(command: Command) -> int:
    """Sections of the addressed profile that the command reads or writes, as a bit mask."""
    if isinstance(command, TrackAttributes):
        return CORE | (CUSTOM if command.custom else 0)
    if isinstance(command, TrackEvent):
        return EVENTS
    if isinstance(command, TrackPurchase):
        return PURCHASES
    return 0


@dataclass(slots=True)
class Needs:
    """What a batch has to load: every identifier that is looked up, with the sections wanted of its holders."""

    sections: dict[Key, int] = field(default_factory=dict)
    #: An identifier that the batch looks up may pass to another profile inside the batch.
    moving: bool = False


def needs(commands: Iterable[Command]) -> Needs:
    """Identifiers and sections that applying the commands can touch.

    When a command gives somebody an address or a number that another command looks up, no one can tell before applying
    who will be found. Such a batch loads the union of all sections for everybody (`moving`).
    """
    result, given = Needs(), set[Key]()
    sections = result.sections
    for command in commands:
        if isinstance(command, ChangeSettings):
            continue
        key = command.key
        wanted = sections.get(key, 0) | sections_of(command)
        sections[key] = wanted
        if key[0] == EXTERNAL:
            sections[DEPRECATED, "", key[2]] = wanted
        if isinstance(command, TrackAttributes):
            for name, kind in (("email", EMAIL), ("phone", PHONE)):
                value = command.fields.get(name)
                if isinstance(value, str):
                    given.add((kind, "", value))
    if any(key in sections for key in given):
        union = 0
        for wanted in sections.values():
            union |= wanted
        result.sections = dict.fromkeys(sections, union)
        result.moving = True
    return result


def addresses_needed(commands: Sequence[Command], state: State, moving: bool) -> set[Address]:
    """Addresses whose consent the commands may read or write, given the loaded profiles.

    Nearly every write repeats the address that its profile already has, and such a write needs nothing.
    """
    emails: set[object] = set()
    for command in commands:
        if isinstance(command, ChangeSettings):
            continue
        kind, _, value = command.key
        holders = [state.profiles[pid] for pid in state.holders(command.key)]
        if kind == EMAIL and not holders:
            emails.add(value)
        if not isinstance(command, TrackAttributes):
            continue
        if "email" not in command.fields and "email_subscribe" not in command.fields:
            continue
        current = {_email(profile) for profile in holders} or {None}
        wanted = command.fields.get("email")
        repeats = "email" not in command.fields or wanted in current
        if moving or not repeats or len(current) > 1 or "email_subscribe" in command.fields:
            emails |= current
            emails.add(wanted)
            if kind == EMAIL:
                emails.add(value)
    if moving:
        emails.update(_email(profile) for profile in state.profiles.values())
    return {(CHANNEL_EMAIL, email, "") for email in emails if isinstance(email, str)}


def _email(profile: Profile) -> object:
    return profile.core.get("email") if profile.core is not None else None
