"""Loading the part of a workspace that a batch of commands can see or change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Final

from sqlalchemy import Connection

from app.domain import sizes
from app.domain.commands import Command
from app.domain.effects import EFFECTS
from app.domain.identifiers import ChannelAddress, addresses_merged, identifiers_of
from app.domain.loading import (
    Needs,
    addresses_needed,
    choices,
    chosen,
    deleted,
    looked_up,
    moves,
    needs,
    shared_addresses,
    taken,
)
from app.domain.merging.consents import consents
from app.domain.merging.devices import given_up
from app.domain.merging.plan import MergeRecord
from app.domain.merging.standing import MAX_LATER, most_bytes
from app.domain.profile import (
    ALL_SECTIONS,
    CHANNEL_FIELDS,
    CHANNEL_KINDS,
    CORE,
    DEPRECATED,
    EMAIL,
    EXTERNAL,
    PHONE,
    Identifier,
    Profile,
)
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.store import merges, standing_merges
from app.store.profiles import crowds, lineage
from app.store.profiles.look_up import TooLargeError, fetch, fetch_addresses, fetch_together, find

#: How many times the two profiles of a merge count as bytes to be loaded.
MERGED: Final = 3


class TooMuchError(Exception):
    """The commands can touch more bytes of profiles than may be loaded at once. Nothing is loaded."""

    def __init__(
        self, most: int, index: dict[Identifier, set[int]], weights: dict[int, int], records: dict[str, int]
    ) -> None:
        super().__init__("more than may be loaded at once")
        self._most = most
        self._index = index
        self._weights = weights
        self._records = records

    def holders(self, identifier: Identifier) -> set[int]:
        """Numbers of the profiles that have an identifier of the commands."""
        return self._index.get(identifier, set())

    def fitting(self, commands: Iterable[Command]) -> int:
        """How many of the commands, from the first on, may be loaded at once. Perhaps none."""
        seen: set[int] = set()
        total = 0
        for n, command in enumerate(commands):
            found = {pid for key in looked_up(command) for pid in self._index.get(key, ())} - seen
            # A merge holds both profiles, what comes of them, and a record of all three.
            times = MERGED if moves(command) else 1
            total += times * sum(self._weights.get(pid, 0) for pid in found)
            total += sum(self._records.get(merge_id, 0) for merge_id in EFFECTS[type(command)].merges(command))
            if total > self._most:
                return n
            seen |= found
        return n + 1


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads parts of a workspace inside a transaction."""

    connection: Connection
    workspace_id: int
    #: The crowds as they are now; crowds that had to be looked over are added to them.
    known: crowds.Crowds
    #: Bytes of profiles that are loaded at once, as app.domain.sizes counts.
    most: int
    #: Sizes of profiles that earlier versions wrote, and that are not saved yet.
    counted: dict[int, int] = field(default_factory=dict)

    def load(self, commands: Sequence[Command], settings: ApplySettings, limits: crowds.Limits) -> State:
        """The part of the workspace that the commands can see or change.

        `limits` says how many holders of an address are loaded. When reducing raises TooFewLoadedError, load again with
        more of them. Raises TooMuchError.
        """
        wanted: Needs = needs(commands)
        sought = self._sought(commands, wanted, settings, limits)
        profiles = self._fetched(sought)
        return self._completed(commands, sought, State(profiles, sought.index, {}, settings))

    def load_alone(self, command: Command, settings: ApplySettings, limits: crowds.Limits) -> State:
        """As `load`, for one command, however large are the profiles that it changes. Of others, who have the same
        address, only the section `core` is loaded."""
        sought = self._sought([command], needs([command]), settings, limits)
        others = fetch(self.connection, self.workspace_id, dict.fromkeys(sought.sections, CORE))
        state = State(others, sought.index, {}, settings)
        _join_crowds(state, sought.crowded)
        meant = chosen(command, state) | sought.kept
        for pid in meant & sought.sections.keys():
            # Whoever kept a profile in a merge may have been merged since, and is not there.
            for profile in fetch(self.connection, self.workspace_id, {pid: sought.sections[pid]}):
                profile.size = profile.size or self._counted(pid)
                state.profiles[pid] = profile
        return self._completed([command], sought, state)

    def _sought(
        self, commands: Sequence[Command], wanted: Needs, settings: ApplySettings, limits: crowds.Limits
    ) -> "_Sought":
        records, kept = self._records(commands, wanted.merges, settings) if wanted.merges else ({}, set[int]())
        index = find(self.connection, self.workspace_id, wanted.sections, limits.holders + 1)
        crowded = _crowded(self.connection, self.workspace_id, index, commands, limits, self.known)
        sections: dict[int, int] = {}
        for key, pids in index.items():
            for pid in pids:
                sections[pid] = sections.get(pid, 0) | wanted.sections[key]
        if crowded:
            # We cannot know yet which other profiles share the address, so we load the same sections for all.
            union = reduce(or_, wanted.sections.values(), CORE)
            sections = dict.fromkeys(sections, union)
        sections |= dict.fromkeys(kept, ALL_SECTIONS)
        return _Sought(wanted, records, kept, index, crowded, sections, limits.sparing)

    def _records(
        self, commands: Sequence[Command], ids: list[str], settings: ApplySettings
    ) -> tuple[dict[str, MergeRecord | None], set[int]]:
        """(records of merges that are taken back, and of all that stand on them; numbers of the profiles that they
        were kept in). Raises TooMuchError for several commands.

        Of a merge that is taken back alone, no more of what stands on it is loaded than is needed to refuse that.
        """
        records = merges.places(self.connection, self.workspace_id, ids)
        kept = set[int]()
        later: dict[str, list[str]] = {}
        # What was undone by an earlier command of the batch does not count.
        most = MAX_LATER + len(ids)
        for merge_id, kept_pid in records.items():
            found = standing_merges.above(self.connection, self.workspace_id, merge_id, kept_pid, most)
            kept |= {kept_pid, found.root_pid}
            later[merge_id] = found.ids
        if len(commands) > 1:
            everything = list(dict.fromkeys([*ids, *(each for found in later.values() for each in found)]))
            sizes_of = merges.sizes(self.connection, self.workspace_id, everything)
            if sum(sizes_of.values()) > self.most:
                together = {
                    merge_id: sum(sizes_of.get(each, 0) for each in (merge_id, *later.get(merge_id, ())))
                    for merge_id in ids
                }
                raise TooMuchError(self.most, {}, {}, together)
            return merges.fetch(self.connection, self.workspace_id, everything), kept
        (merge_id,) = ids
        loaded = merges.fetch(self.connection, self.workspace_id, ids)
        left = most_bytes(settings.max_profile_bytes)
        for each in later.get(merge_id, ()):
            loaded |= merges.fetch(self.connection, self.workspace_id, [each])
            record = loaded[each]
            snapshot = None if record is None else record.snapshot
            left -= 0 if snapshot is None else snapshot.size or sizes.of_profile(snapshot)
            if left < 0:
                break
        return loaded, kept

    def _fetched(self, sought: "_Sought") -> list[Profile]:
        try:
            return fetch_together(self.connection, self.workspace_id, sought.sections, self.most, self._counted)
        except TooLargeError as error:
            raise TooMuchError(self.most, sought.index, error.weights, {}) from error

    def _counted(self, pid: int) -> int:
        """The size of a profile that an earlier version wrote."""
        if pid not in self.counted:
            (profile,) = fetch(self.connection, self.workspace_id, {pid: ALL_SECTIONS})
            self.counted[pid] = sizes.of_profile(profile)
        return self.counted[pid]

    def _completed(self, commands: Sequence[Command], sought: "_Sought", state: State) -> State:
        """With what has to be known beside the profiles."""
        connection, workspace_id, wanted, records = self.connection, self.workspace_id, sought.wanted, sought.records
        _join_crowds(state, sought.crowded)
        if wanted.identity:
            _load_shared(connection, workspace_id, state, wanted)
        if records:
            _load_records(connection, workspace_id, state, records)
        unknown = taken(commands) - state.index.keys()
        if unknown:
            state.index |= find(connection, workspace_id, unknown, len(state.profiles) + 1)
        if deleted(commands):
            pids = {pid for key in wanted.identity for pid in state.index[key]}
            state.former_addresses = merges.former_addresses(connection, workspace_id, pids)
        moving = wanted.moving or bool(wanted.identity or records)
        addresses = addresses_needed(commands, state, moving=moving).union(*state.former_addresses.values())
        addresses |= {address for record in records.values() for address in _addresses_of(record)}
        if addresses:
            state.know(fetch_addresses(connection, workspace_id, addresses))
            shared = shared_addresses(commands, state, moving=moving) if sought.sparing else addresses
            keys = {(CHANNEL_KINDS[channel], "", address) for channel, address in shared} - state.index.keys()
            if keys:  # it does not matter who has them: see _load_shared
                state.index |= find(connection, workspace_id, keys, len(state.profiles) + 1)
        return state


@dataclass(frozen=True, slots=True)
class _Sought:
    """Who has to be loaded for commands."""

    wanted: Needs
    records: dict[str, MergeRecord | None]
    #: Numbers of the profiles that have what these merges joined.
    kept: set[int]
    index: dict[Identifier, set[int]]
    crowded: dict[Identifier, crowds.Part]
    #: Of each profile, as a bit mask.
    sections: dict[int, int]
    #: Whether only few addresses are looked up as to who has them.
    sparing: bool


def _crowded(
    connection: Connection,
    workspace_id: int,
    index: dict[Identifier, set[int]],
    commands: Sequence[Command],
    limits: crowds.Limits,
    known: crowds.Crowds,
) -> dict[Identifier, crowds.Part]:
    """The crowds among the holders; the index then has those of them that are loaded."""
    crowded = {}
    many = [key for key, pids in index.items() if len(pids) > limits.holders]
    chosen = choices(commands) if many else {}
    for key in many:
        crowded[key] = known.part(connection, workspace_id, key, limits, chosen.get(key))
        index[key] = crowded[key].pids
    return crowded


def _join_crowds(state: State, crowded: dict[Identifier, crowds.Part]) -> None:
    for key, part in crowded.items():
        loaded = {True: 0, False: 0}
        for pid, profile in state.profiles.items():
            if key in identifiers_of(profile):
                state.index[key].add(pid)
                loaded[profile.external_id is not None] += 1
        rest = part.unloaded(loaded)
        if rest:
            state.unloaded[key] = rest


def _load_shared(connection: Connection, workspace_id: int, state: State, wanted: Needs) -> None:
    """Load whether anybody else has the addresses of profiles that may be deleted: consent goes with the last holder.

    It does not matter who the others are. One more holder than there are profiles to be deleted shows that an address
    stays.
    """
    pids = {pid for key in wanted.identity for pid in state.index[key]}
    profiles = [state.profiles[pid] for pid in pids] if not wanted.moving else list(state.profiles.values())
    keys = {key for profile in profiles for key in identifiers_of(profile)} | wanted.given
    shared = [key for key in keys if key[0] in (EMAIL, PHONE) and key not in state.index]
    if shared:
        state.index |= find(connection, workspace_id, shared, len(state.profiles) + 1)


def _load_records(
    connection: Connection, workspace_id: int, state: State, records: dict[str, MergeRecord | None]
) -> None:
    """Load what undoing these merges looks at: who has the identifiers now, and where the kept profiles went.

    After a crash the same batch may do a merge again and undo it. So the identifiers of all loaded profiles are needed.
    """
    state.records = records
    present = [record for record in records.values() if record is not None]
    state.lineage = lineage.above(connection, workspace_id, {record.kept_pid for record in present})
    people = [record.snapshot for record in present if record.snapshot is not None] + list(state.profiles.values())
    keys = {key for profile in people for key in identifiers_of(profile)}
    keys |= {key for record in present if record.plan is not None for key in given_up(record.plan)}
    keys |= {(kind, "", key[2]) for key in keys if key[0] in (EXTERNAL, DEPRECATED) for kind in (EXTERNAL, DEPRECATED)}
    missing = find(connection, workspace_id, keys - state.index.keys(), len(people) + 1)
    state.index |= missing


def _addresses_of(record: MergeRecord | None) -> set[ChannelAddress]:
    """Addresses whose consent undoing a merge changes, or that somebody has again then."""
    if record is None:
        return set()
    found = addresses_merged(record)
    if record.plan is not None:
        found |= {consent.address[:2] for consent in consents(record.plan)}
        # What the kept profile had then decides what another merge that stands on it would have done.
        for channel, name in CHANNEL_FIELDS.items():
            values = (
                value
                for change in (*record.plan.changes, *record.plan.lost)
                if change.path == (name,)
                for value in (change.kept, change.merged, change.result)
            )
            found |= {(channel, value) for value in values if isinstance(value, str)}
    return found
