"""The part of a workspace that a batch of requests can see and change, and the record of what it changed.

The same class serves the worker, which loads only what a batch needs (`complete=False`), and the reference, which holds
the whole workspace (`complete=True`). Looking for something that was not loaded is an error, never an empty answer.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.domain.profile import (
    ALIAS,
    BRAZE,
    CORE,
    DEPRECATED,
    EMAIL,
    EXTERNAL,
    PHONE,
    SECTION_NAMES,
    Address,
    AddressState,
    ApplySettings,
    Key,
    Occurrence,
    Problem,
    Profile,
)

#: A request that skips more than this is told so once; the rest is only counted.
MAX_PROBLEMS_PER_REQUEST = 200


@dataclass(slots=True)
class Changes:
    """What has to be written. `sections` names the changed sections of every touched profile, as a bit mask."""

    created: set[int] = field(default_factory=set)
    sections: dict[int, int] = field(default_factory=dict)
    keys_added: set[tuple[Key, int]] = field(default_factory=set)
    keys_dropped: set[tuple[Key, int]] = field(default_factory=set)
    addresses: dict[Address, AddressState] = field(default_factory=dict)
    occurrences: list[Occurrence] = field(default_factory=list)
    names: set[tuple[int, str]] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    settings_changed: bool = False
    #: attributes, events, purchases (objects applied), skipped (objects without effect), ignored (single fields)
    counts: Counter[str] = field(default_factory=Counter)


class NotLoadedError(LookupError):
    """The loader did not foresee that a command would look here: a bug of ours, found by the tests of the loader."""


class State:
    """Profiles, who has which identifier, consent of addresses, and settings."""

    __slots__ = ("_complete", "addresses", "changes", "index", "profiles", "settings")

    def __init__(
        self,
        profiles: Iterable[Profile] = (),
        index: dict[Key, set[int]] | None = None,
        addresses: dict[Address, AddressState | None] | None = None,
        settings: ApplySettings | None = None,
        *,
        complete: bool = False,
    ) -> None:
        self.profiles = {profile.pid: profile for profile in profiles}
        self.index: dict[Key, set[int]] = {} if index is None else index
        self.addresses: dict[Address, AddressState | None] = {} if addresses is None else addresses
        self.settings = settings or ApplySettings()
        self.changes = Changes()
        self._complete = complete
        if complete:
            for profile in self.profiles.values():
                self.index[BRAZE, "", profile.braze_id] = {profile.pid}

    def holders(self, key: Key) -> set[int]:
        """Numbers of the profiles that have the identifier."""
        found = self.index.get(key)
        if found is None:
            if not self._complete:
                raise NotLoadedError("identifier")
            found = self.index[key] = set()
        return found

    def owner(self, key: Key) -> Profile | None:
        """The one profile that has a unique identifier; a deprecated external id resolves as well."""
        for pid in self.holders(key):
            return self.profiles[pid]
        if key[0] == EXTERNAL:
            for pid in self.holders((DEPRECATED, "", key[2])):
                return self.profiles[pid]
        return None

    def address(self, address: Address) -> AddressState | None:
        """The recorded consent of an address, None when nothing was ever recorded."""
        if address not in self.addresses and not self._complete:
            raise NotLoadedError("address")
        return self.addresses.get(address)

    def set_address(self, address: Address, state: AddressState) -> None:
        self.addresses[address] = state
        self.changes.addresses[address] = state

    def section(self, profile: Profile, section: int) -> dict[str, Any]:
        """The section of a profile for reading."""
        found: dict[str, Any] | None = getattr(profile, SECTION_NAMES[section])
        if found is None:
            raise NotLoadedError("section")
        return found

    def touch(self, profile: Profile, us: int, ordinal: int) -> None:
        """Record an applied write; also what makes the profile the most recently updated one."""
        if (us, ordinal) > (profile.updated_us, profile.updated_index):
            profile.updated_us, profile.updated_index = us, ordinal
        self.changes.sections.setdefault(profile.pid, 0)

    def changed(self, profile: Profile, section: int) -> None:
        self.changes.sections[profile.pid] = self.changes.sections.get(profile.pid, 0) | section

    def create(self, profile: Profile) -> None:
        self.profiles[profile.pid] = profile
        self.changes.created.add(profile.pid)
        self.changes.sections[profile.pid] = 0
        key = (BRAZE, "", profile.braze_id)
        # A client knows the id of a profile that a redo after a crash makes again in the same batch.
        if self._complete or key in self.index:
            self.index[key] = {profile.pid}

    def add_key(self, profile: Profile, key: Key) -> None:
        entry = (key, profile.pid)
        if entry in self.changes.keys_dropped:
            self.changes.keys_dropped.discard(entry)
        else:
            self.changes.keys_added.add(entry)
        if self._complete or key in self.index:
            self.index.setdefault(key, set()).add(profile.pid)

    def drop_key(self, profile: Profile, key: Key) -> None:
        entry = (key, profile.pid)
        if entry in self.changes.keys_added:
            self.changes.keys_added.discard(entry)
        else:
            self.changes.keys_dropped.add(entry)
        if key in self.index:
            self.index[key].discard(profile.pid)

    def set_core(self, profile: Profile, name: str, value: object) -> None:
        """Set or clear (None) a reserved field, and keep the identifiers in step with it."""
        core = self.section(profile, CORE)
        before = core.get(name)
        if before == value:
            return
        self.changed(profile, CORE)
        kind = _KEY_KINDS.get(name)
        if kind is not None and isinstance(before, str):
            self.drop_key(profile, (kind, "", before))
        if value is None:
            del core[name]
            return
        core[name] = value
        if kind is not None and isinstance(value, str):
            self.add_key(profile, (kind, "", value))

    def add_alias(self, profile: Profile, label: str, name: str) -> None:
        core = self.section(profile, CORE)
        core["aliases"] = {**core.get("aliases", {}), label: name}
        self.changed(profile, CORE)
        self.add_key(profile, (ALIAS, label, name))

    def problem(self, problem: Problem) -> None:
        self.changes.problems.append(problem)


_KEY_KINDS = {"email": EMAIL, "phone": PHONE}


def keys_of(profile: Profile) -> set[Key]:
    """Every identifier of a profile that is kept in the index; the profile itself is where they are stored."""
    keys: set[Key] = set()
    if profile.external_id is not None:
        keys.add((EXTERNAL, "", profile.external_id))
    core: dict[str, Any] = profile.core or {}
    keys.update((DEPRECATED, "", value) for value in core.get("deprecated", ()))
    keys.update((ALIAS, label, name) for label, name in core.get("aliases", {}).items())
    for name, kind in _KEY_KINDS.items():
        if name in core:
            keys.add((kind, "", core[name]))
    return keys
