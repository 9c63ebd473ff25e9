"""What has to be loaded before commands can be applied: identifiers, sections, and ends of crowds."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from app.domain.address_book import CHANNELS
from app.domain.commands import Command, Selector
from app.domain.effects import EFFECTS, PLAIN
from app.domain.identifiers import UNIQUE_KINDS, ChannelAddress, addresses_of, with_former
from app.domain.profile import ALL_SECTIONS, DEPRECATED, EXTERNAL, Identifier
from app.domain.resolve import IDENTIFIED, LEAST_RECENTLY_UPDATED, MOST_RECENTLY_UPDATED, find, select
from app.domain.state import State

NEWEST: Final = "newest"
OLDEST: Final = "oldest"

End = tuple[bool, str]
"""Of the holders of an address those with an external id, or those without: NEWEST or OLDEST by last write."""
EVERY_END: Final = frozenset((is_identified, end) for is_identified in (True, False) for end in (NEWEST, OLDEST))


@dataclass(slots=True)
class Choices:
    """How a batch chooses among the holders of an address."""

    #: The ends of the ranking by last write from which it chooses.
    ends: set[End] = field(default_factory=set)
    #: How many holders it may merge, delete or give another identifier.
    taken: int = 0


def choices(commands: Iterable[Command]) -> dict[Identifier, Choices]:
    """For each e-mail address and phone number by which somebody is chosen."""
    choices_of: dict[Identifier, Choices] = {}
    for command in commands:
        effect = EFFECTS[type(command)]
        if effect.identifier is not None:
            identifier = effect.identifier(command)
            if identifier is not None and identifier[0] not in UNIQUE_KINDS:
                choices_of.setdefault(identifier, Choices()).ends |= _ends(Selector(identifier))
        for selector in effect.selectors(command):
            if selector.key is not None and selector.key[0] not in UNIQUE_KINDS:
                choice = choices_of.setdefault(selector.key, Choices())
                choice.ends |= _ends(selector)
                choice.taken += 1
    return choices_of


def _ends(who: Selector) -> set[End]:
    groups, end = {True, False}, NEWEST
    for rule in who.prioritization:
        if rule in (MOST_RECENTLY_UPDATED, LEAST_RECENTLY_UPDATED):
            end = NEWEST if rule == MOST_RECENTLY_UPDATED else OLDEST
            break  # a later rule is about the chosen one alone
        groups = {rule == IDENTIFIED}
    return {(is_identified, end) for is_identified in groups}


def looked_up(command: Command) -> list[Identifier]:
    """Every identifier that a command looks up."""
    effect = EFFECTS[type(command)]
    keys = [selector.key for selector in effect.selectors(command) if selector.key is not None]
    if effect.identifier is not None and (identifier := effect.identifier(command)) is not None:
        keys.append(identifier)
    return [each for key in keys for each in with_former(key)]


def moves(command: Command) -> bool:
    """Whether the profiles that it finds may be merged, deleted or get another identifier."""
    return EFFECTS[type(command)].moves


def chosen(command: Command, state: State) -> set[int]:
    """Numbers of the profiles that a command means, of those that are loaded. Their sections are not needed.

    Raises TooFewLoadedError.
    """
    effect = EFFECTS[type(command)]
    profiles = [select(state, selector)[0] for selector in effect.selectors(command)]
    if effect.identifier is not None and (identifier := effect.identifier(command)) is not None:
        profiles.append(find(state, identifier))
    return {profile.pid for profile in profiles if profile is not None}


@dataclass(slots=True)
class Needs:
    """What a batch has to load: every identifier that is looked up, with the sections wanted of its holders."""

    sections: dict[Identifier, int] = field(default_factory=dict)
    #: Whether an identifier that the batch looks up may pass to another profile inside the batch.
    moving: bool = False
    #: Identifiers whose holders may be merged, deleted or get another identifier inside the batch.
    identity: set[Identifier] = field(default_factory=set)
    #: E-mail addresses and phone numbers that the batch gives to profiles.
    given: set[Identifier] = field(default_factory=set)
    #: Ids of merges that the batch may take back.
    merges: list[str] = field(default_factory=list)


def needs(commands: Iterable[Command]) -> Needs:
    """Identifiers and sections that applying the commands can touch.

    A command may give somebody an address or a number that another command of the batch looks up. Who will be found
    then is known only when the batch is applied, so it loads the union of all sections for everybody (`moving`).

    Commands that move identifiers do so between the profiles that they find. We load all sections of those profiles;
    then any of them may be the result.
    """
    result = Needs()
    sections, given, identity = result.sections, result.given, result.identity
    for command in commands:
        effect = EFFECTS[type(command)]
        if effect.moves:
            identity.update(selector.key for selector in effect.selectors(command) if selector.key is not None)
            result.merges += effect.merges(command)
        if effect.identifier is None:
            continue
        identifier = effect.identifier(command)
        if identifier is None:
            continue
        sections[identifier] = sections.get(identifier, 0) | effect.sections(command)
        if effect.gives is not None:
            given.update(effect.gives(command))
    sections |= {_former(identifier): mask for identifier, mask in sections.items() if identifier[0] == EXTERNAL}
    identity |= {_former(identifier) for identifier in identity if identifier[0] == EXTERNAL}
    sections |= dict.fromkeys(identity, ALL_SECTIONS)
    if any(identifier in sections for identifier in given):
        union = 0
        for mask in sections.values():
            union |= mask
        result.sections = dict.fromkeys(sections, union)
        result.moving = True
    return result


def plain_needs(commands: Iterable[Command]) -> dict[Identifier, int] | None:
    """As `Needs.sections`, without former external ids, for commands that find all their profiles by identifiers of
    which one profile can have each, and move none of these. None for any others."""
    sections: dict[Identifier, int] = {}
    for command in commands:
        kind = type(command)
        if kind not in PLAIN:
            return None
        effect = EFFECTS[kind]
        if effect.identifier is not None and (identifier := effect.identifier(command)) is not None:
            if identifier[0] in CHANNELS:
                return None
            sections[identifier] = sections.get(identifier, 0) | effect.sections(command)
    return sections


def _former(identifier: Identifier) -> Identifier:
    """A former external id leads to its profile too."""
    return (DEPRECATED, "", identifier[2])


def addresses_needed(commands: Iterable[Command], state: State, *, moving: bool) -> set[ChannelAddress]:
    """Addresses whose consent the commands may read or write, given the loaded profiles."""
    found: set[ChannelAddress] = set()
    for command in commands:
        if some := EFFECTS[type(command)].addresses(command, state, moving):  # nearly always none
            found.update(some)
    if moving:
        for profile in state.profiles.values():
            found |= addresses_of(profile)
    return found


def shared_addresses(commands: Iterable[Command], state: State, *, moving: bool) -> set[ChannelAddress]:
    """Of the loaded addresses those of which it matters whether anybody has them.

    It matters when something is recorded, and the batch may take the address from somebody. A few others matter in
    rare cases: then the batch is loaded again with all of them (TooFewLoadedError).
    """
    found = state.recorded_addresses() if moving else set()
    for command in commands:
        effect = EFFECTS[type(command)]
        if effect.shared is not None:
            found.update(effect.shared(command))
        if effect.leaves is not None:
            found.update(address for address in effect.leaves(command, state) if state.is_recorded(*address))
    return found


def taken(commands: Iterable[Command]) -> set[Identifier]:
    """Identifiers of which it matters whether anybody has them, and not who."""
    return {identifier for command in commands for identifier in EFFECTS[type(command)].takes(command)}


def deleted(commands: Iterable[Command]) -> set[Identifier]:
    """Identifiers of profiles that the batch may delete, if one finds them."""
    return {
        selector.key
        for command in commands
        if (effect := EFFECTS[type(command)]).deletes
        for selector in effect.selectors(command)
        if selector.key is not None
    }
