"""The part of a workspace that a batch of requests can see and change.

The same class serves the worker, which loads only what a batch needs (`complete=False`), and the reference, which holds
the whole workspace (`complete=True`). Looking for something that was not loaded is an error, never an empty answer.
"""

from collections.abc import Iterable
from typing import Any

from app.domain import sizes
from app.domain.address_book import CHANNELS, AddressBook, NotLoadedError
from app.domain.changes import Changes, Departure, Link
from app.domain.history import Happening, Origin
from app.domain.identifiers import (
    FIELD_KINDS,
    ChannelAddress,
    addresses_merged,
    addresses_of,
    identifiers_of,
    names_merged,
    names_of,
    with_former,
)
from app.domain.merging.plan import MergeRecord
from app.domain.money import ReferenceRates, no_reference_rates
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
    BRAZE,
    CORE,
    SECTION_NAMES,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.domain.settings import ApplySettings


class State(AddressBook):
    """Profiles, who has which identifier, consent of addresses, and settings."""

    __slots__ = (
        "former_addresses",
        "lineage",
        "profiles",
        "records",
        "reference_rates",
        "settings",
        "touched",
        "undoes_last_only",
    )

    def __init__(
        self,
        profiles: Iterable[Profile] = (),
        index: dict[Identifier, set[int]] | None = None,
        addresses: dict[Address, AddressState | None] | None = None,
        settings: ApplySettings | None = None,
        *,
        complete: bool = False,
    ) -> None:
        super().__init__({} if index is None else index, addresses or {}, complete=complete)
        self.profiles = {profile.pid: profile for profile in profiles}
        self.settings = settings or ApplySettings()
        #: Links by member: all of them in the complete workspace, else those of this batch.
        self.lineage: dict[int, Link] = {}
        #: Addresses of those who had been merged into a profile before this batch, by its number: loaded for profiles
        #: that may be deleted. The complete workspace knows them by its records.
        self.former_addresses: dict[int, set[ChannelAddress]] = {}
        #: Merges by id; None for an id that was looked for and is not there.
        self.records: dict[str, MergeRecord | None] = {}
        #: What a currency is worth, where the workspace has no fixed rate. Whoever reduces with a table sets it.
        self.reference_rates: ReferenceRates = no_reference_rates
        #: Whether a merge on which others stand is not undone, as earlier versions did not.
        self.undoes_last_only = False
        #: Sections that were changed, as a bit mask, of each profile that was written to since an observer looked last.
        self.touched: dict[int, int] = {}
        if complete:
            for profile in self.profiles.values():
                self.index[BRAZE, "", profile.braze_id] = {profile.pid}

    def begin_batch(self) -> None:
        """Begin a record of changes for the next batch, which goes on with what is here."""
        self.changes = Changes()
        self.touched.clear()
        self.recorded.clear()

    def owner(self, identifier: Identifier) -> Profile | None:
        """The one profile that has a unique identifier; a deprecated external id resolves as well."""
        if pids := self.index.get(identifier):
            return self.profiles[next(iter(pids))]
        for each in with_former(identifier):
            for pid in self.holders(each):
                return self.profiles[pid]
        return None

    def found_by(self, identifier: Identifier) -> list[Profile]:
        """The profiles of which a command with this identifier may mean one; a former external id is one of theirs."""
        if pids := self.index.get(identifier):
            return list(map(self.profiles.__getitem__, pids))  # as most are found, and faster than a comprehension
        for each in with_former(identifier):
            if pids := self.holders(each):
                return [self.profiles[pid] for pid in pids]
        return []

    def record(self, merge_id: str) -> MergeRecord | None:
        """A merge that was performed. None: no merge had this id, or one of its profiles was deleted."""
        if merge_id not in self.records and not self._complete:
            raise NotLoadedError("merge record")
        return self.records.get(merge_id)

    def keep(self, record: MergeRecord) -> None:
        self.records[record.id] = record
        self.changes.records.add(record.id)

    def happened(self, pid: int, happening: Happening) -> None:
        """Write a line of a profile's history."""
        self.touched.setdefault(pid, 0)
        self.changes.history.setdefault(pid, []).append(happening)

    def section(self, profile: Profile, section: int) -> dict[str, Any]:
        """The section of a profile for reading."""
        loaded: dict[str, Any] | None = getattr(profile, SECTION_NAMES[section])
        if loaded is None:
            raise NotLoadedError("section")
        return loaded

    def touch(self, profile: Profile, us: int, ordinal: int) -> None:
        """Record an applied write; also what makes the profile the most recently updated one."""
        if (us, ordinal) > (profile.updated_us, profile.updated_index):
            profile.updated_us, profile.updated_index = us, ordinal
        self.changes.sections.setdefault(profile.pid, 0)
        self.touched.setdefault(profile.pid, 0)

    def changed(self, profile: Profile, section: int) -> None:
        self.changes.sections[profile.pid] = self.changes.sections.get(profile.pid, 0) | section
        self.touched[profile.pid] = self.touched.get(profile.pid, 0) | section

    def create(self, profile: Profile) -> None:
        self.changes.created.add(profile.pid)
        self._enter(profile, 0)

    def _enter(self, profile: Profile, sections: int) -> None:
        self.profiles[profile.pid] = profile
        self.changes.sections[profile.pid] = sections
        self.touched[profile.pid] = sections
        # A client knows the id of a profile that a redo after a crash makes again in the same batch.
        self._indexed((BRAZE, "", profile.braze_id), profile.pid)

    def _leave(self, profile: Profile, forget_us: int | None = None) -> None:
        for identifier in sorted(identifiers_of(profile)):
            self.drop_identifier(profile, identifier, forget_us)
        self.index.get((BRAZE, "", profile.braze_id), set()).discard(profile.pid)
        del self.profiles[profile.pid]
        self.changes.sections.pop(profile.pid, None)
        if profile.pid in self.changes.created:
            self.changes.created.discard(profile.pid)
        else:
            self.changes.removed.add(profile.pid)

    def remove(self, profile: Profile, erased_id: str, origin: Origin) -> None:
        """Delete a profile for good, with all traces of it and of all that was merged into it, but for `erased_id`.

        Its identifiers become free. Consent of an address that nobody else has is forgotten, so the identifiers of its
        e-mail and phone have to be loaded; the section `core` as well.
        """
        self.section(profile, CORE)
        self._leave(profile)
        self.changes.erased.add(profile.pid)
        self.changes.erased_identifiers |= names_of(profile)
        self.changes.deleted.append((erased_id, origin))
        self.changes.deletions.append(Departure(profile.pid, profile.braze_id, profile.external_id))
        family = self._family(profile.pid)
        for member in family:
            self.lineage.pop(member, None)
        family.add(profile.pid)
        addresses = addresses_of(profile)
        for pid in family:
            self.changes.history.pop(pid, None)
            addresses |= self.former_addresses.get(pid, set())
        for record in list(self.records.values()):
            if record is not None and (record.kept_pid in family or record.merged_pid in family):
                if record.merged_pid in family:
                    self.changes.erased_identifiers |= names_merged(record)
                    addresses |= addresses_merged(record)
                self._drop_record(record)
        own = addresses_of(profile)
        for channel, address in sorted(addresses):
            if ((channel, address) in own or self.is_recorded(channel, address)) and not self.is_held(channel, address):
                self._forget(channel, address)

    def _drop_record(self, record: MergeRecord) -> None:
        """Of a deleted profile: the other one's history does not mention it any more."""
        self.records[record.id] = None
        self.changes.records.discard(record.id)
        for pid in (record.kept_pid, record.merged_pid):
            left = [line for line in self.changes.history.pop(pid, []) if line.merge_id != record.id]
            if left:
                self.changes.history[pid] = left

    def _family(self, pid: int) -> set[int]:
        """Everybody who was merged into the profile, directly or not, as far as links are known here."""
        family: set[int] = set()
        children = {pid}
        while children:
            children = {link.member_pid for link in self.lineage.values() if link.parent_pid in children} - family
            family |= children
        return family

    def fold(self, merged: Profile, kept: Profile, *, with_occurrences: bool, forget_us: int | None = None) -> None:
        """Take a profile that was merged into another one away; its occurrences stay where they are (see `Link`).

        Consent of an address that nobody has then is kept until `forget_us`.
        """
        self._leave(merged, forget_us)
        link = Link(merged.pid, kept.pid, with_occurrences)
        self.lineage[merged.pid] = link
        self.changes.lineage.append(link)

    def unfold(self, profile: Profile) -> None:
        """Bring a merged-away profile back, with all its sections. Its identifiers have to be free."""
        self.changes.removed.discard(profile.pid)
        self._enter(profile, ALL_SECTIONS)
        for identifier in sorted(identifiers_of(profile)):
            self.add_identifier(profile, identifier)
        self.lineage.pop(profile.pid, None)
        self.changes.lineage.append(profile.pid)

    def root(self, pid: int) -> int:
        """The profile to which the occurrences of a profile count, itself unless it was merged. Complete state only."""
        link = self.lineage.get(pid)
        while link is not None and link.with_occurrences:
            pid = link.parent_pid
            link = self.lineage.get(pid)
        return pid

    def _indexed(self, identifier: Identifier, pid: int) -> None:
        if self._complete or identifier in self.index:
            self.index.setdefault(identifier, set()).add(pid)

    def add_identifier(self, profile: Profile, identifier: Identifier) -> None:
        entry = (identifier, profile.pid)
        if entry in self.changes.identifiers_dropped:
            self.changes.identifiers_dropped.discard(entry)
        else:
            self.changes.identifiers_added.add(entry)
        self._indexed(identifier, profile.pid)
        if identifier[0] in CHANNELS:
            self._adopt(CHANNELS[identifier[0]], identifier[2])

    def drop_identifier(self, profile: Profile, identifier: Identifier, forget_us: int | None = None) -> None:
        """Consent of an address that nobody has then is kept until `forget_us`, by default for ORPHAN_US."""
        entry = (identifier, profile.pid)
        if entry in self.changes.identifiers_added:
            self.changes.identifiers_added.discard(entry)
        else:
            self.changes.identifiers_dropped.add(entry)
        if identifier in self.index:
            self.index[identifier].discard(profile.pid)
        if identifier[0] in CHANNELS:
            self._orphan(CHANNELS[identifier[0]], identifier[2], forget_us)

    def set_core(self, profile: Profile, name: str, value: object) -> None:
        """Set or clear (None) a reserved field, and keep the identifiers in step with it."""
        core = self.section(profile, CORE)
        before = core.get(name)
        if before == value:
            return
        self.changed(profile, CORE)
        profile.size += sizes.of_member(name, value) - sizes.of_member(name, before)
        kind = FIELD_KINDS.get(name)
        if kind is not None and isinstance(before, str):
            self.drop_identifier(profile, (kind, "", before))
        if value is None:
            del core[name]
            return
        core[name] = value
        if kind is not None and isinstance(value, str):
            self.add_identifier(profile, (kind, "", value))

    def add_alias(self, profile: Profile, label: str, name: str) -> None:
        core = self.section(profile, CORE)
        before = core.get("aliases")
        core["aliases"] = {**(before or {}), label: name}
        profile.size += sizes.growth({"aliases": before} if before else {}, {"aliases": core["aliases"]})
        self.changed(profile, CORE)
        self.add_identifier(profile, (ALIAS, label, name))
