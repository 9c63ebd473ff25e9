"""Which profile a command addresses (spec track.md 4, identify.md 4), and what has to be loaded to find out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.domain.commands import (
    ChangeSettings,
    Command,
    Delete,
    Identify,
    Identity,
    Merge,
    NewAlias,
    RemoveExternalId,
    RenameExternalId,
    Selector,
    Track,
    TrackAttributes,
    TrackEvent,
    TrackPurchase,
    UndoMerge,
    UpdateAlias,
)
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
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
    Identifier,
    Profile,
)
from app.domain.state import State, TooFewLoadedError, Unloaded
from app.domain.step import PROFILE_NOT_FOUND

# The values of `prioritization`.
IDENTIFIED: Final = "identified"
UNIDENTIFIED: Final = "unidentified"
MOST_RECENTLY_UPDATED: Final = "most_recently_updated"
LEAST_RECENTLY_UPDATED: Final = "least_recently_updated"

# Reasons for which nobody is selected, besides PROFILE_NOT_FOUND.
AMBIGUOUS: Final = "ambiguous"
INVALID_IDENTIFIER: Final = "invalid_identifier"

_UNIQUE_KINDS = (EXTERNAL, ALIAS, BRAZE)


def find(state: State, key: Identifier) -> Profile | None:
    """The profile that an object of /users/track addresses, or None.

    Of several holders of an e-mail address or a phone number: the identified ones first, then the last updated one.
    """
    if key[0] in _UNIQUE_KINDS:
        return state.owner(key)
    candidates = [state.profiles[pid] for pid in state.holders(key)]
    unloaded = state.unloaded.get(key, ())
    if len(candidates) < 2 and not unloaded:
        return candidates[0] if candidates else None
    for is_identified in (True, False):
        group = [profile for profile in candidates if (profile.external_id is not None) is is_identified]
        others = [rest for rest in unloaded if rest.identified is is_identified]
        if group or others:
            best = max(group, key=lambda profile: profile.recency, default=None)
            if best is None or any(rest.newest > best.recency for rest in others):
                raise TooFewLoadedError
            return best
    return None


def select(state: State, who: Selector) -> tuple[Profile | None, str]:
    """The profile that is meant, or None and the reason why it is nobody (spec identify.md 4)."""
    if who.key is None:
        return None, INVALID_IDENTIFIER
    if who.key[0] in _UNIQUE_KINDS:
        return state.owner(who.key), PROFILE_NOT_FOUND
    left = _Candidates([state.profiles[pid] for pid in state.holders(who.key)], list(state.unloaded.get(who.key, ())))
    for n, rule in enumerate(who.prioritization, 1):
        left.apply(rule, is_last=n == len(who.prioritization))
    if left.count() > 1:
        return None, AMBIGUOUS
    if left.unloaded:
        raise TooFewLoadedError
    return (left.profiles[0], "") if left.profiles else (None, PROFILE_NOT_FOUND)


@dataclass(slots=True)
class _Candidates:
    """Holders of an address on their way through `prioritization`."""

    profiles: list[Profile]
    unloaded: list[Unloaded]

    def count(self) -> int:
        return len(self.profiles) + sum(rest.count for rest in self.unloaded)

    def apply(self, rule: str, *, is_last: bool) -> None:
        if rule in (IDENTIFIED, UNIDENTIFIED):
            wanted = rule == IDENTIFIED
            self.profiles = [profile for profile in self.profiles if (profile.external_id is not None) is wanted]
            self.unloaded = [rest for rest in self.unloaded if rest.identified is wanted]
            return
        # Profiles with the same last write stay together, and are ambiguous in the end.
        moments = [_moment(profile.recency) for profile in self.profiles]
        newest = rule == MOST_RECENTLY_UPDATED
        best = (max if newest else min)(moments, default=None)
        self.profiles = [profile for profile, at in zip(self.profiles, moments, strict=True) if at == best]
        for rest in self.unloaded:
            end = _moment(rest.newest if newest else rest.oldest)
            is_settled = best is not None and (best > end if newest else best < end)
            if not is_settled and not (best == end and is_last and len(self.profiles) > 1):
                raise TooFewLoadedError
        self.unloaded = []


def _moment(recency: tuple[int, int, int, str]) -> tuple[int, int]:
    return recency[:2]


NEWEST: Final = "newest"
OLDEST: Final = "oldest"

End = tuple[bool, str]
"""Of the holders of an address those with an external id, or those without: NEWEST or OLDEST by last write."""
EVERY_END: Final = frozenset((is_identified, end) for is_identified in (True, False) for end in (NEWEST, OLDEST))


@dataclass(slots=True)
class Choices:
    """From where a batch chooses among the holders of an address, and how many it may take away from there."""

    ends: set[End] = field(default_factory=set)
    taken: int = 0


def choices(commands: Iterable[Command]) -> dict[Identifier, Choices]:
    """For each e-mail address and phone number by which somebody is chosen."""
    found: dict[Identifier, Choices] = {}
    for command in commands:
        chosen: list[tuple[Identifier | None, set[End]]] = []
        match command:
            case TrackAttributes() | TrackEvent() | TrackPurchase():
                chosen = [(command.identifier, {(True, NEWEST), (False, NEWEST)})]
            case Identify(who=who) | Delete(who=who):
                chosen = [(who.key, _ends(who))]
            case Merge(merge=merge, keep=keep):
                chosen = [(merge.key, _ends(merge)), (keep.key, _ends(keep))]
        for key, ends in chosen:
            if key is not None and key[0] not in _UNIQUE_KINDS:
                choice = found.setdefault(key, Choices())
                choice.ends |= ends
                choice.taken += not isinstance(command, (TrackAttributes, TrackEvent, TrackPurchase))
    return found


def _ends(who: Selector) -> set[End]:
    groups, end = {True, False}, NEWEST
    for rule in who.prioritization:
        if rule in (MOST_RECENTLY_UPDATED, LEAST_RECENTLY_UPDATED):
            end = NEWEST if rule == MOST_RECENTLY_UPDATED else OLDEST
            break  # a later rule is about the chosen one alone
        groups = {rule == IDENTIFIED}
    return {(is_identified, end) for is_identified in groups}


def creates(state: State, command: Track) -> bool:
    """Whether the command makes a profile when nobody has its identifier (spec track.md 4.2)."""
    kind = command.identifier[0]
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


def identifiers_of_command(command: Identity) -> list[Identifier]:
    """Identifiers that the command looks up."""
    match command:
        case Identify(external_id=external_id, who=who):
            found = [(EXTERNAL, "", external_id), who.key]
        case Merge(merge=merge, keep=keep):
            found = [merge.key, keep.key]
        case NewAlias(external_id=None, label=label, name=name):
            found = [(ALIAS, label, name)]
        case NewAlias(external_id=external_id, label=label, name=name):
            found = [(ALIAS, label, name), (EXTERNAL, "", external_id or "")]
        case UpdateAlias(label=label, old_name=old, new_name=new):
            found = [(ALIAS, label, old), (ALIAS, label, new)]
        case Delete(who=who):
            found = [who.key]
        case RenameExternalId(current=current, new=new):
            found = [(EXTERNAL, "", current), (EXTERNAL, "", new)]
        case RemoveExternalId(external_id=external_id):
            found = [(EXTERNAL, "", external_id)]
        case UndoMerge():
            found = []  # its record says which
    return [key for key in found if key is not None]


@dataclass(slots=True)
class Needs:
    """What a batch has to load: every identifier that is looked up, with the sections wanted of its holders."""

    sections: dict[Identifier, int] = field(default_factory=dict)
    #: An identifier that the batch looks up may pass to another profile inside the batch.
    moving: bool = False
    #: Identifiers whose holders may be merged, deleted or get another identifier inside the batch.
    identity: set[Identifier] = field(default_factory=set)
    #: E-mail addresses and phone numbers that the batch gives to profiles.
    given: set[Identifier] = field(default_factory=set)


def needs(commands: Iterable[Command]) -> Needs:
    """Identifiers and sections that applying the commands can touch.

    When a command gives somebody an address or a number that another command looks up, no one can tell before applying
    who will be found. Such a batch loads the union of all sections for everybody (`moving`).

    What commands about identity move passes between profiles that such commands find, or that a moved address leads
    to: all sections of the former are loaded, so that it does not matter who is found in the end.
    """
    result = Needs()
    sections, given = result.sections, result.given
    for command in commands:
        if isinstance(command, ChangeSettings):
            continue
        if not isinstance(command, (TrackAttributes, TrackEvent, TrackPurchase)):
            result.identity.update(identifiers_of_command(command))
            continue
        key = command.identifier
        wanted = sections.get(key, 0) | sections_of(command)
        sections[key] = wanted
        if key[0] == EXTERNAL:
            sections[DEPRECATED, "", key[2]] = wanted
        if isinstance(command, TrackAttributes):
            for name, kind in (("email", EMAIL), ("phone", PHONE)):
                value = command.fields.get(name)
                if isinstance(value, str):
                    given.add((kind, "", value))
    for key in list(result.identity):
        sections[key] = ALL_SECTIONS
        if key[0] == EXTERNAL:
            former = (DEPRECATED, "", key[2])
            sections[former] = ALL_SECTIONS
            result.identity.add(former)
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
        if not isinstance(command, (TrackAttributes, TrackEvent, TrackPurchase)):
            continue
        kind, _, value = command.identifier
        holders = [state.profiles[pid] for pid in state.holders(command.identifier)]
        if kind == EMAIL and (moving or not holders):
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
