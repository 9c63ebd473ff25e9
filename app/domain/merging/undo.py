"""Undoing a merge: the merged profile comes back as it was, whoever has the kept one now gives back what it got.

First a plan, which changes nothing, then the plan is performed. It need not be the last merge: what stands on it is
planned again without it (app.domain.merging.without). What was written to the kept profile since stays with it. A value
that both the merge and a later write may have set cannot be told apart: it is treated as the merge's, and named in the
record.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from app.domain import activity, sizes
from app.domain.active_days import Mark
from app.domain.history import RESTORED, UNMERGED, Happening, Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.consents import is_refusal
from app.domain.merging.devices import MOMENTS, beyond, identifier_at
from app.domain.merging.leaves import Path, same
from app.domain.merging.merge import MERGE, get, place, put, rekeyed
from app.domain.merging.plan import MergePlan, MergeRecord
from app.domain.merging.standing import standing_on
from app.domain.merging.without import Replanned, without
from app.domain.profile import (
    ALIAS,
    CORE,
    DEPRECATED,
    EXTERNAL,
    GROUP_FIELDS,
    Address,
    AddressState,
    Identifier,
    Profile,
)
from app.domain.reasons import (
    ALREADY_UNDONE,
    IDENTIFIER_REUSED,
    KEPT_PROFILE_MERGED,
    LATER_MERGE_FIRST,
    MERGE_NOT_FOUND,
    TOO_OLD,
)
from app.domain.state import State


@dataclass(frozen=True, slots=True)
class Returned:
    """One value of whoever has everything now: what it is, and what it is after the undo. None is no value."""

    path: Path
    now: Any
    after: Any


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What undoing a merge would do."""

    record: MergeRecord
    #: The profile that has everything now. It is the kept one, unless that one was merged into another.
    root_pid: int
    root_braze_id: str
    changes: tuple[Returned, ...]
    #: The merged profile as it comes back.
    restored: Profile
    #: What is recorded of addresses afterwards.
    addresses: dict[Address, AddressState | None]
    #: Names of what cannot be separated for sure.
    unseparated: tuple[str, ...]
    #: The merges that stand on it, as they are afterwards.
    later: tuple[Replanned, ...]
    #: (updated_us, updated_index) of the profile afterwards.
    updated: tuple[int, int]
    #: Marks of app.domain.activity before and after; none where the merge joined none.
    were_active: tuple[dict[str, Mark], ...]
    are_active: tuple[dict[str, Mark], ...]


def undo(state: State, merge_id: str, origin: Origin) -> str:
    """Take a merge back. Returns the reason why that is impossible, "" when it was done."""
    plan = plan_undo(state, merge_id, origin.us)
    if isinstance(plan, str):
        return plan
    perform_undo(state, plan, origin)
    return ""


def plan_undo(state: State, merge_id: str, us: int) -> UndoPlan | str:
    """What taking a merge back at a moment would do, or the reason why that is impossible. Nothing is changed."""
    record = state.record(merge_id)
    if record is None:
        return MERGE_NOT_FOUND
    if record.undone is not None:
        return ALREADY_UNDONE
    plan, snapshot = record.plan, record.snapshot
    if us >= record.expires_us or plan is None or snapshot is None:
        return TOO_OLD
    if state.undoes_last_only and (reason := _not_the_last(state, record)):
        return reason
    standing = standing_on(state, record, us)
    if isinstance(standing, str):
        return standing
    root = standing.root
    if any(_taken(state, key, root, plan) for key in identifiers_of(snapshot)):
        return IDENTIFIER_REUSED
    found = without(record, plan, standing, state.topics, MERGE)
    after, unsure = found.root, dict.fromkeys(found.unsure)
    for path in found.differing:
        _leave_to_others(state, root, after, path, unsure)
    given = [path for path in found.differing if get(root, path) is None and get(after, path) is not None]
    if any(path[0] == "devices" for path in given):  # they are back, and others may have come since
        for path in list(beyond(after.devices or {}, state.settings.max_devices_per_profile)):
            place(after, path, None)
            found.differing.append(path)
    restored = deepcopy(snapshot)
    restored.size = restored.size or sizes.of_profile(restored)
    if any(key[0] in _NAMES for key in identifiers_of(after) & identifiers_of(restored)):
        return IDENTIFIER_REUSED
    are_active = (activity.marks_of(found.active[1]), activity.marks_of(restored))
    _without_devices_of_others(state, root, after, restored)
    addresses, refused = _addresses(state, found.addresses)
    joined = plan.policy == MERGE
    return UndoPlan(
        record,
        root.pid,
        root.braze_id,
        tuple(
            Returned(path, get(root, path), get(after, path))
            for path in dict.fromkeys(found.differing)
            if not same(get(root, path), get(after, path))
        ),
        restored,
        addresses,
        (*(".".join(path) for path in unsure), *refused),
        tuple(found.later),
        (after.updated_us, after.updated_index) if not standing.merges else (root.updated_us, root.updated_index),
        (activity.marks_of(found.active[0]),) if joined else (),
        are_active if joined else (),
    )


def perform_undo(state: State, plan: UndoPlan, origin: Origin) -> None:
    """Do what the plan says. The plan was made of the same state."""
    root, record = state.profiles[plan.root_pid], plan.record
    with rekeyed(state, root):
        for change in plan.changes:
            put(state, root, change.path, deepcopy(change.after))
    for address, after in plan.addresses.items():
        now = state.address(address)
        if now is None:  # a later merge would have recorded it, perhaps of an address that nobody has by now
            state.set_shared(address, after)
        else:
            state.set_address(address, after and replace(after, forget_us=now.forget_us))
    root.updated_us, root.updated_index = plan.updated
    if plan.were_active or plan.are_active:
        activity.regrouped(state, plan.were_active, plan.are_active)
    state.unfold(plan.restored)
    for later in plan.later:
        each = later.record
        each.plan, each.snapshot = later.plan, later.snapshot
        each.previous, each.kept_updated = later.previous, later.kept_updated
        state.changes.records.add(each.id)
    record.undone, record.snapshot, record.unseparated = origin, None, list(plan.unseparated)
    state.changes.records.add(record.id)
    state.happened(record.kept_pid, Happening(UNMERGED, origin, record.merged_braze_id, record.id))
    if root.pid != record.kept_pid:
        # Without a name: were that person deleted, nobody would find this line.
        state.happened(root.pid, Happening(UNMERGED, origin))
    state.happened(record.merged_pid, Happening(RESTORED, origin, record.kept_braze_id, record.id))


def _not_the_last(state: State, record: MergeRecord) -> str:
    """Why earlier versions refused to undo a merge."""
    kept = state.profiles.get(record.kept_pid)
    if kept is None:
        return KEPT_PROFILE_MERGED
    return "" if state.section(kept, CORE).get("last_merge") == record.id else LATER_MERGE_FIRST


#: Kinds of identifiers of which a merged profile gets all back, or it does not come back.
_NAMES = (EXTERNAL, DEPRECATED, ALIAS)


def _spellings(key: Identifier) -> list[Identifier]:
    """All names by which somebody would be found for this one: a former external id is one as well."""
    return [key] if key[0] == ALIAS else [(kind, "", key[2]) for kind in (EXTERNAL, DEPRECATED)]


def _taken(state: State, key: Identifier, root: Profile, plan: MergePlan) -> bool:
    """Whether an identifier of the merged profile belongs to somebody who will not give it back."""
    if key[0] not in _NAMES:
        return False
    for name in _spellings(key):
        holders = state.holders(name)
        if holders and not (holders == {root.pid} and name == key and key in plan.moved):
            return True
    return False


def _leave_to_others(state: State, root: Profile, after: Profile, path: Path, unsure: dict[Path, None]) -> None:
    """What would come back to the profile may be somebody else's by now. Then it stays there."""
    value = get(after, path)
    if value is None or same(value, get(root, path)):
        return

    def is_others(key: Identifier) -> bool:
        return any(state.holders(name) - {root.pid} for name in _spellings(key))

    if path[0] == "devices" and path[1] in MOMENTS:
        identifier = identifier_at(path, value)
        if identifier is not None and state.holders(identifier) - {root.pid}:
            place(after, path, None)
    elif (path == ("external_id",) and is_others((EXTERNAL, "", value))) or (
        path[0] == "aliases" and is_others((ALIAS, path[1], value))
    ):
        place(after, path, None)
        unsure[path] = None
    elif path == ("deprecated",):
        free = [former for former in value if not is_others((DEPRECATED, "", former))]
        if free != value:
            place(after, path, free or None)
            unsure[path] = None


def _without_devices_of_others(state: State, root: Profile, after: Profile, restored: Profile) -> None:
    """A device may have gone to somebody else since, who logged in on it; so may a push token. They stay there."""
    section: dict[str, Any] = restored.devices or {}
    staying = identifiers_of(after)
    for name in MOMENTS:
        for key, entry in list(section.get(name, {}).items()):
            identifier = identifier_at(("devices", name, key), entry)
            if identifier is None:
                continue
            if identifier in staying or state.holders(identifier) - {root.pid}:
                del section[name][key]
                restored.size -= sizes.of_member(key, entry)
        if name in section and not section[name]:
            restored.size -= sizes.of_member(name, section.pop(name))


def _addresses(
    state: State, wanted: dict[Address, AddressState | None]
) -> tuple[dict[Address, AddressState | None], list[str]]:
    """(what is recorded of addresses afterwards, names of what is not given back)."""
    given: dict[Address, AddressState | None] = {}
    refused = []
    for address, after in wanted.items():
        now = state.address(address)
        if (None if now is None else replace(now, forget_us=None)) == after:
            continue
        # An undo subscribes nobody: whether the person refused again meanwhile left no trace.
        if now is not None and is_refusal(now, after):
            refused.append(_name_of(address))
        else:
            given[address] = after
    return given, refused


def _name_of(address: Address) -> str:
    channel, _, topic = address
    return f"{GROUP_FIELDS[channel]}.{topic}" if topic else "email_subscribe"
